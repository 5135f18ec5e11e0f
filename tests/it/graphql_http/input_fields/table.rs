//! The expected effect of absent, null and a value for each nullable input field.

mod accounts;
mod definitions;
mod templates;

use serde_json::{Value, json};

pub use accounts::{token, user};
pub use definitions::{client_role, custom_field_set};
pub use templates::message_template;

/// The effect on the stored object.
#[derive(Clone, Debug)]
pub enum Then {
    /// These members have these values now, and all others are unchanged.
    Becomes(Vec<(&'static str, Value)>),
    /// A user error of this code names the field; nothing is written.
    Refused(&'static str),
    /// The request itself is refused.
    Invalid,
}

pub struct Row {
    /// `Type.field`
    pub field: &'static str,
    /// The input that the field is put into, and where.
    pub base: Value,
    pub at: &'static str,
    pub value: Value,
    pub absent: Then,
    pub null: Then,
    pub set: Then,
}

fn stays() -> Then {
    Then::Becomes(Vec::new())
}

fn becomes(place: &'static str, value: Value) -> Then {
    Then::Becomes(vec![(place, value)])
}

/// Rows of one input type, which differ in little.
struct Rows {
    base: Value,
    at: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    fn of(base: Value, at: &'static str) -> Self {
        Self {
            base,
            at,
            rows: Vec::new(),
        }
    }

    /// Absent leaves the field alone.
    fn row(mut self, field: &'static str, value: Value, null: Then, set: Then) -> Self {
        let (base, at) = (self.base.clone(), self.at);
        self.rows.push(Row {
            field,
            base,
            at,
            value,
            absent: stays(),
            null,
            set,
        });
        self
    }

    /// A value is set, null clears it.
    fn plain(self, field: &'static str, place: &'static str, value: Value) -> Self {
        let set = becomes(place, value.clone());
        self.row(field, value, becomes(place, Value::Null), set)
    }

    fn plain_all(self, fields: &[(&'static str, &'static str)], value: &str) -> Self {
        fields
            .iter()
            .fold(self, |rows, (field, place)| rows.plain(field, place, json!(value)))
    }

    /// A value is set, and null refused.
    fn demanded(self, field: &'static str, place: &'static str, null: &'static str, value: Value) -> Self {
        let set = becomes(place, value.clone());
        self.row(field, value, Then::Refused(null), set)
    }

    /// Null says nothing, and a value is refused.
    fn fixed(self, field: &'static str, value: Value, code: &'static str) -> Self {
        self.row(field, value, stays(), Then::Refused(code))
    }
}

pub fn client() -> Vec<Row> {
    let own = json!({ "client": { "encodedKey": "<client>" } });
    let root = Rows::of(own.clone(), "")
        .demanded("UpsertClientInput.idDocuments", "/idDocuments", "NULL_LIST", json!([]))
        .demanded("UpsertClientInput.addresses", "/addresses", "NULL_LIST", json!([]))
        .demanded(
            "UpsertClientInput.customInformation",
            "/customInformation",
            "NULL_LIST",
            json!([]),
        )
        .fixed("UpsertClientInput.expectedVersion", json!(7), "VERSION_CONFLICT")
        .row("UpsertClientInput.idempotencyKey", json!("<client>"), stays(), stays())
        .plain("UpsertClientInput.clientMutationId", "/clientMutationId", json!("m"));
    let members = Rows::of(own.clone(), "/client")
        .fixed("ClientInput.clientId", json!("other"), "NOT_EDITABLE")
        .demanded("ClientInput.firstName", "/firstName", "BLANK", json!("Zoë"))
        .demanded("ClientInput.lastName", "/lastName", "BLANK", json!("Zhu"))
        .plain_all(
            &[
                ("ClientInput.middleName", "/middleName"),
                ("ClientInput.homePhone", "/homePhone"),
                ("ClientInput.mobilePhone1", "/mobilePhone1"),
                ("ClientInput.mobilePhone2", "/mobilePhone2"),
                ("ClientInput.notes", "/notes"),
                ("ClientInput.assignedBranchKey", "/assignedBranchKey"),
                ("ClientInput.assignedCentreKey", "/assignedCentreKey"),
                ("ClientInput.assignedUserKey", "/assignedUserKey"),
            ],
            "z9",
        )
        .plain("ClientInput.birthDate", "/birthDate", json!("2001-02-03"))
        .plain("ClientInput.gender", "/gender", json!("MALE"))
        .plain("ClientInput.emailAddress", "/emailAddress", json!("z@example.test"))
        .row(
            "ClientInput.preferredLanguage",
            json!("GERMAN"),
            becomes("/preferredLanguage", json!("ENGLISH")),
            becomes("/preferredLanguage", json!("GERMAN")),
        )
        .row(
            "ClientInput.clientRole",
            json!({ "roleId": "second" }),
            becomes("/clientRole/roleId", json!("standard")),
            becomes("/clientRole/roleId", json!("second")),
        );
    let documents = Rows::of(
        merged(&own, json!({ "idDocuments": [{ "encodedKey": "<document>" }] })),
        "/idDocuments/0",
    )
    .demanded(
        "IdDocumentInput.documentType",
        "/idDocuments/0/documentType",
        "BLANK",
        json!("Card"),
    )
    .demanded(
        "IdDocumentInput.documentId",
        "/idDocuments/0/documentId",
        "BLANK",
        json!("Z"),
    )
    .plain(
        "IdDocumentInput.issuingAuthority",
        "/idDocuments/0/issuingAuthority",
        json!("z"),
    )
    .plain(
        "IdDocumentInput.validUntil",
        "/idDocuments/0/validUntil",
        json!("2035-12-31"),
    );
    let address = Rows::of(
        merged(&own, json!({ "addresses": [{ "encodedKey": "<address>" }] })),
        "/addresses/0",
    )
    .plain_all(
        &[
            ("AddressInput.line1", "/addresses/0/line1"),
            ("AddressInput.line2", "/addresses/0/line2"),
            ("AddressInput.city", "/addresses/0/city"),
            ("AddressInput.region", "/addresses/0/region"),
            ("AddressInput.postcode", "/addresses/0/postcode"),
            ("AddressInput.country", "/addresses/0/country"),
        ],
        "z",
    )
    .plain("AddressInput.latitude", "/addresses/0/latitude", json!(-7.5))
    .plain("AddressInput.longitude", "/addresses/0/longitude", json!(7.25));
    let values = merged(
        &own,
        json!({ "customInformation": [{ "fieldId": "nick" }, { "fieldId": "boss" }] }),
    );
    let nick = Rows::of(values.clone(), "/customInformation/0")
        .fixed("CustomFieldValueInput.groupIndex", json!(0), "GROUP_INDEX")
        .demanded(
            "CustomFieldValueInput.value",
            "/customInformation/0/value",
            "BLANK",
            json!("Bo"),
        );
    let boss = Rows::of(values, "/customInformation/1").demanded(
        "CustomFieldValueInput.linkedKey",
        "/customInformation/1/linkedKey",
        "BLANK",
        json!("k2"),
    );
    [root, members, documents, address, nick, boss]
        .into_iter()
        .flat_map(|rows| rows.rows)
        .chain(keys(&own))
        .collect()
}

/// Keys name the stored thing, so that without one (or with null) the input describes another.
fn keys(own: &Value) -> Vec<Row> {
    let other_client = json!({ "client": { "firstName": "New", "lastName": "New" } });
    let names = Then::Becomes(vec![("/firstName", json!("New")), ("/lastName", json!("New"))]);
    let client = Rows::of(other_client, "/client").row("ClientInput.encodedKey", json!("<client>"), stays(), names);
    let document = json!({ "encodedKey": "<new>", "documentType": "T", "documentId": "I", "issuingAuthority": null,
        "validUntil": null });
    let new_document = becomes("/idDocuments/0", document);
    let kept = Then::Becomes(vec![
        ("/idDocuments/0/documentType", json!("T")),
        ("/idDocuments/0/documentId", json!("I")),
    ]);
    let documents = Row {
        absent: new_document.clone(),
        ..key_row(
            "IdDocumentInput.encodedKey",
            "/idDocuments/0",
            "<document>",
            new_document,
            kept,
            merged(
                own,
                json!({ "idDocuments": [{ "documentType": "T", "documentId": "I" }] }),
            ),
        )
    };
    let address = json!({ "encodedKey": "<new>", "line1": "L", "line2": null, "city": null, "region": null,
        "postcode": null,
        "country": null, "latitude": null, "longitude": null });
    let new_address = becomes("/addresses/0", address);
    let kept = becomes("/addresses/0/line1", json!("L"));
    let addresses = Row {
        absent: new_address.clone(),
        ..key_row(
            "AddressInput.encodedKey",
            "/addresses/0",
            "<address>",
            new_address,
            kept,
            merged(own, json!({ "addresses": [{ "line1": "L" }] })),
        )
    };
    let roles = role_by(
        "/client/clientRole",
        "/clientRole/roleId",
        json!({ "client": { "encodedKey": "<client>", "clientRole": {} } }),
    );
    client
        .rows
        .into_iter()
        .chain([documents, addresses])
        .chain(roles)
        .collect()
}

/// One of a `@oneOf` type's members must be there, and have a value.
fn role_by(at: &'static str, place: &'static str, base: Value) -> [Row; 2] {
    ["ClientRoleBy.encodedKey", "ClientRoleBy.roleId"].map(|field| {
        let set = becomes(place, json!("second"));
        Row {
            absent: Then::Invalid,
            ..key_row(field, at, "second", Then::Invalid, set, base.clone())
        }
    })
}

fn key_row(field: &'static str, at: &'static str, key: &str, null: Then, set: Then, base: Value) -> Row {
    Row {
        field,
        base,
        at,
        value: json!(key),
        absent: stays(),
        null,
        set,
    }
}

/// Both objects' members.
fn merged(one: &Value, other: Value) -> Value {
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    Value::Object(members(one).into_iter().chain(members(&other)).collect())
}
