//! The input of an upsert, from either API. Absent, null and a value are three different things here.
//!
//! An idempotency key is compared by the serialised input (see [`UpsertClient::fingerprint`]). So an absent member must
//! not be serialised, and members that only identify or carry the request are skipped.

use async_graphql::{Enum, InputObject, MaybeUndefined};
use entity::client;
use serde::Serialize;

use crate::client_by::{ClientBy, ClientRoleBy};
use crate::enums::{Gender, Language};
use crate::idempotency::Fingerprint;
use clientele_core::{problem::Problem, scalar::Date, text_enum};

/// Limit of every list in a submission. An API can stop reading one member beyond it.
pub const LONGEST_LIST: usize = 1_000;

/// The field that identifies the client to change.
#[derive(Enum, Serialize, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientMatch {
    /// `client.encodedKey`. Without it, a new client is created.
    #[default]
    EncodedKey,
    /// `client.clientId`. If no client has this ID, a new client is created with it.
    ClientId,
    /// The value of a unique custom field, which `matchCustomField` names. If no client has this value, a new client is
    /// created with it.
    CustomField,
}

/// A value of a unique custom field in a SINGLE set, such as the ID of the client in another system.
#[derive(InputObject, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldMatchInput {
    /// The ID of the custom field.
    pub field_id: String,
    /// The value as text, or the key that a link holds.
    pub value: String,
}

/// The members that a submission can change of an existing client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All but the id and the state.
    #[default]
    Upsert,
    /// All, the id and the state included.
    Patch,
    /// The state alone.
    State,
    /// The members and collections that come from a client that is merged into this one.
    Merge,
}

/// Creates a client, or changes it if it exists. Either everything is stored or nothing.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
#[graphql(name = "UpsertClientInput")]
pub struct UpsertClient {
    /// The fields of the client. With `encodedKey`, that client is changed; without it, a client is created.
    pub client: ClientInput,
    /// Replaces the identification documents, at most 200. A document with an `encodedKey` is changed and keeps its
    /// key, one without is added, and a stored one that isn't listed is deleted. Omit it to keep the documents; `[]`
    /// deletes all; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub id_documents: MaybeUndefined<Vec<IdDocumentInput>>,
    /// Replaces the address. A client has one address: only the first entry is stored, and the others, at most 200 in
    /// all, are ignored. With an `encodedKey`, the address is changed and keeps its key; without it, it is a new
    /// address. Omit it to keep the address; `[]` deletes it; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub addresses: MaybeUndefined<Vec<AddressInput>>,
    /// Replaces the custom field values, at most 1,000. A field that isn't listed loses its value. Omit it to keep the
    /// values; `[]` deletes all; null is refused. With `matchOn: CUSTOM_FIELD`, the value of `matchCustomField` is
    /// part of the list, at its end unless the list has the field. Values of sets that you may not change keep their
    /// positions in the list, and the listed values fill the other positions in order. Listing a value that you may not
    /// change is FORBIDDEN, unless you may view it and send it back unchanged.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub custom_information: MaybeUndefined<Vec<CustomFieldValueInput>>,
    /// The field that identifies the client to change.
    #[graphql(default)]
    pub match_on: ClientMatch,
    /// With `matchOn: CUSTOM_FIELD`: the value of the client to change. A new client gets it, and the client keeps it
    /// when `customInformation` replaces the values. If `customInformation` has another value for the field, the client
    /// gets that one, and is no longer found by this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_custom_field: Option<CustomFieldMatchInput>,
    /// The version that the stored client must have. Any other version refuses the change with VERSION_CONFLICT. 0
    /// means that the client must not exist yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i32>,
    /// Makes it safe to repeat the request: 1 to 255 printable ASCII characters, for example a UUID. For 24 hours, the
    /// same input with the same key from the same caller returns the client as it was stored then, and changes nothing.
    /// Another input with the same key is refused with IDEMPOTENCY_KEY_REUSED. Custom fields are returned as they were
    /// then, with their current options. Only a change without user errors uses the key. After the client's data has
    /// been erased, the same input is refused with OUTCOME_ERASED. Null means no key.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// True to only check the input: all its problems are reported, those that uniqueness would cause included, and
    /// nothing is stored. `client` is null then, so that a cache never holds a client that isn't stored. An
    /// `idempotencyKey` is checked for its form, but not used.
    #[graphql(default)]
    #[serde(skip)]
    pub validate_only: bool,
    /// An ID of your choice, which the payload returns unchanged.
    #[serde(skip)]
    pub client_mutation_id: Option<String>,
    /// The API's own fingerprint of the request, if it isn't that of this input.
    #[graphql(skip)]
    #[serde(skip)]
    pub request: Option<Fingerprint>,
    /// The client outside the input, such as in a path; the client must exist.
    #[graphql(skip)]
    #[serde(skip)]
    pub named: Option<ClientBy>,
    /// The members that it can change.
    #[graphql(skip)]
    #[serde(skip)]
    pub scope: Scope,
    /// The reason of a change of state, for the audit log.
    #[graphql(skip)]
    #[serde(skip)]
    pub reason: Option<String>,
    /// The key of the client that is merged into this one, for the audit log.
    #[graphql(skip)]
    #[serde(skip)]
    pub merged_from: Option<String>,
    /// Refuses a change without the client's key.
    #[graphql(skip)]
    #[serde(skip)]
    pub demand_key: bool,
    /// True if `custom_information` changes only the values that it names. The others stay.
    #[graphql(skip)]
    #[serde(skip)]
    pub is_partial: bool,
    /// The problems of members that the API couldn't read. These members count as absent.
    #[graphql(skip)]
    #[serde(skip)]
    pub unreadable: Vec<Problem>,
}

impl UpsertClient {
    /// Returns the fingerprint of the input. It depends neither on whether the input was sent as literals or as
    /// variables, nor on the order of its members. An absent member leaves no trace, and null isn't absent.
    pub fn fingerprint(&self) -> Fingerprint {
        let members = serde_json::to_vec(self).expect("an input of texts and numbers is JSON");
        Fingerprint::of(["upsertClient".as_bytes(), &members])
    }
}

impl UpsertClient {
    /// Returns true if it can change the rows by which a client is searched and compared, or end the merge of a client,
    /// which is then compared again.
    pub(super) fn is_searched(&self) -> bool {
        let ClientInput {
            client_id,
            first_name,
            middle_name,
            last_name,
            birth_date,
            email_address,
            home_phone,
            mobile_phone1,
            mobile_phone2,
            ..
        } = &self.client;
        let names = [client_id, first_name, middle_name, last_name];
        let addresses = [email_address, home_phone, mobile_phone1, mobile_phone2];
        let changes_state = self.scope != Scope::Upsert && !self.client.state.is_undefined();
        changes_state
            || !self.addresses.is_undefined()
            || !self.id_documents.is_undefined()
            || !birth_date.is_undefined()
            || names.into_iter().chain(addresses).any(|text| !text.is_undefined())
    }
}

/// The fields of a client. Omitted fields keep their values; null clears a field unless its description says otherwise.
/// Text is a single line without control characters, except `notes`. A stored value that you send back unchanged is
/// always accepted.
#[derive(InputObject, Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClientInput {
    /// The key of the client to change. Omit it to create a client.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The ID that people use, up to 32 characters. It can be set only on creation: omit it to have one generated. It
    /// must not begin or end with white space, and must not be `.`, `..` or `search`.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub client_id: MaybeUndefined<String>,
    /// In an upsert, only the state the client already has, or on creation the first state, is accepted. INACTIVE on
    /// creation is ignored.
    #[graphql(skip)]
    #[serde(skip)]
    pub state: MaybeUndefined<String>,
    /// The first name or names: up to 255 characters, at least one of them visible. Required on creation; it can't be
    /// cleared.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub first_name: MaybeUndefined<String>,
    /// The middle name, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub middle_name: MaybeUndefined<String>,
    /// The last name: up to 255 characters, at least one of them visible. Required on creation; it can't be cleared.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub last_name: MaybeUndefined<String>,
    /// The date of birth. The latest date accepted is today's in time zone UTC+14, where days begin first.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub birth_date: MaybeUndefined<Date>,
    /// The gender.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub gender: MaybeUndefined<Gender>,
    /// One e-mail address of up to 254 bytes, without display name or quotes, whose domain contains a dot. Letters
    /// beyond ASCII are allowed.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub email_address: MaybeUndefined<String>,
    /// The home phone number, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub home_phone: MaybeUndefined<String>,
    /// The first mobile phone number, up to 255 characters. It receives text messages; if it is blank, the second
    /// number does.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub mobile_phone1: MaybeUndefined<String>,
    /// The second mobile phone number, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub mobile_phone2: MaybeUndefined<String>,
    /// The language of messages to the client. ENGLISH if null, or if omitted on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub preferred_language: MaybeUndefined<Language>,
    /// Notes of the bank about the client: up to 65,535 characters, with line breaks and tabs.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub notes: MaybeUndefined<String>,
    /// The role of the client. The default role if null, or if omitted on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub client_role: MaybeUndefined<ClientRoleBy>,
    /// The key of the branch in charge of the client: 1 to 32 letters and digits.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub assigned_branch_key: MaybeUndefined<String>,
    /// The key of the centre in charge of the client: 1 to 32 letters and digits.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub assigned_centre_key: MaybeUndefined<String>,
    /// The key of the user in charge of the client: 1 to 32 letters and digits.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub assigned_user_key: MaybeUndefined<String>,
}

text_enum! {
    /// A field of a client that a merge can copy from one client to the other.
    #[graphql(name = "ClientField")]
    ClientMember {
        /// The first name or names.
        FirstName = "FIRST_NAME",
        /// The middle name.
        MiddleName = "MIDDLE_NAME",
        /// The last name.
        LastName = "LAST_NAME",
        /// The date of birth.
        BirthDate = "BIRTH_DATE",
        /// The gender.
        Gender = "GENDER",
        /// The e-mail address.
        EmailAddress = "EMAIL_ADDRESS",
        /// The home phone number.
        HomePhone = "HOME_PHONE",
        /// The first mobile phone number.
        MobilePhone1 = "MOBILE_PHONE1",
        /// The second mobile phone number.
        MobilePhone2 = "MOBILE_PHONE2",
        /// The language of messages to the client.
        PreferredLanguage = "PREFERRED_LANGUAGE",
        /// Notes of the bank about the client.
        Notes = "NOTES",
        /// The role of the client.
        ClientRole = "CLIENT_ROLE",
        /// The key of the branch in charge of the client.
        AssignedBranchKey = "ASSIGNED_BRANCH_KEY",
        /// The key of the centre in charge of the client.
        AssignedCentreKey = "ASSIGNED_CENTRE_KEY",
        /// The key of the user in charge of the client.
        AssignedUserKey = "ASSIGNED_USER_KEY",
    }
}

impl ClientInput {
    /// The input that gives a client these members of another one. A member without a value is cleared.
    pub(super) fn copied(client: &client::Model, members: &[ClientMember]) -> Self {
        let text = |member, text: Option<&String>| match (members.contains(&member), text) {
            (false, _) => MaybeUndefined::Undefined,
            (true, None) => MaybeUndefined::Null,
            (true, Some(text)) => MaybeUndefined::Value(text.clone()),
        };
        let role = |key| ClientRoleBy::EncodedKey(key);
        Self {
            encoded_key: MaybeUndefined::Undefined,
            client_id: MaybeUndefined::Undefined,
            state: MaybeUndefined::Undefined,
            first_name: text(ClientMember::FirstName, Some(&client.first_name)),
            middle_name: text(ClientMember::MiddleName, client.middle_name.as_ref()),
            last_name: text(ClientMember::LastName, Some(&client.last_name)),
            birth_date: match (members.contains(&ClientMember::BirthDate), client.birth_date) {
                (false, _) => MaybeUndefined::Undefined,
                (true, None) => MaybeUndefined::Null,
                (true, Some(date)) => MaybeUndefined::Value(Date(date)),
            },
            gender: parsed(&text(ClientMember::Gender, client.gender.as_ref()), Gender::parse),
            email_address: text(ClientMember::EmailAddress, client.email_address.as_ref()),
            home_phone: text(ClientMember::HomePhone, client.home_phone.as_ref()),
            mobile_phone1: text(ClientMember::MobilePhone1, client.mobile_phone1.as_ref()),
            mobile_phone2: text(ClientMember::MobilePhone2, client.mobile_phone2.as_ref()),
            preferred_language: parsed(
                &text(ClientMember::PreferredLanguage, Some(&client.preferred_language)),
                Language::parse,
            ),
            notes: text(ClientMember::Notes, client.notes.as_ref()),
            client_role: text(ClientMember::ClientRole, Some(&client.client_role_key)).map_value(role),
            assigned_branch_key: text(ClientMember::AssignedBranchKey, client.assigned_branch_key.as_ref()),
            assigned_centre_key: text(ClientMember::AssignedCentreKey, client.assigned_centre_key.as_ref()),
            assigned_user_key: text(ClientMember::AssignedUserKey, client.assigned_user_key.as_ref()),
        }
    }
}

/// A text as a value of an enum; null if the enum has no such value.
fn parsed<T>(text: &MaybeUndefined<String>, parse: impl Fn(&str) -> Option<T>) -> MaybeUndefined<T> {
    match text {
        MaybeUndefined::Undefined => MaybeUndefined::Undefined,
        MaybeUndefined::Null => MaybeUndefined::Null,
        MaybeUndefined::Value(text) => parse(text).map_or(MaybeUndefined::Null, MaybeUndefined::Value),
    }
}

/// An identification document. If it exists, omitted fields keep their values and null clears them.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct IdDocumentInput {
    /// The key of the document to change. Omit it to add a new document.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The kind of document, for example `Passport`. Required, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub document_type: MaybeUndefined<String>,
    /// The number of the document. Required, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub document_id: MaybeUndefined<String>,
    /// The authority that issued the document, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub issuing_authority: MaybeUndefined<String>,
    /// The last day on which the document is valid.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub valid_until: MaybeUndefined<Date>,
    /// The key of the template that the document must fit.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub template_key: MaybeUndefined<String>,
}

/// A postal address. If it exists, omitted fields keep their values and null clears them.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct AddressInput {
    /// The key of the address to change. Omit it to add a new address.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The first line, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub line1: MaybeUndefined<String>,
    /// The second line, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub line2: MaybeUndefined<String>,
    /// The city, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub city: MaybeUndefined<String>,
    /// The region, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub region: MaybeUndefined<String>,
    /// The postcode, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub postcode: MaybeUndefined<String>,
    /// The country, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub country: MaybeUndefined<String>,
    /// The latitude in degrees, from -90 (south) to 90 (north).
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub latitude: MaybeUndefined<f64>,
    /// The longitude in degrees, from -180 (west) to 180 (east).
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub longitude: MaybeUndefined<f64>,
}

/// A value for a custom field: `linkedKey` if the field is a link, otherwise `value`; never both. Without either, the
/// stored value stays as it is.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldValueInput {
    /// The ID of the custom field.
    pub field_id: String,
    /// The group of a field of a GROUPED set. The groups in the list must be 0, 1, 2 and so on, without gaps. Omit it
    /// for a field of a SINGLE set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_index: Option<i32>,
    /// The value as text: a number as `12.50`, a date as `YYYY-MM-DD`, a checkbox as `TRUE` or `FALSE`, a selection as
    /// the option's value.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub value: MaybeUndefined<String>,
    /// The key of the linked client, user or group.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub linked_key: MaybeUndefined<String>,
    /// True if the value was sent as a boolean rather than as text. Only checkboxes accept one.
    #[graphql(skip)]
    #[serde(skip)]
    pub is_boolean: bool,
    /// In a partial list: without a group index, the value of a grouped set belongs to a new group at the end, together
    /// with the others of that set without one.
    #[graphql(skip)]
    #[serde(skip)]
    pub in_new_group: bool,
    /// In a partial list: deletes the value, if there is one.
    #[graphql(skip)]
    #[serde(skip)]
    pub is_removed: bool,
}

#[cfg(test)]
mod tests;
