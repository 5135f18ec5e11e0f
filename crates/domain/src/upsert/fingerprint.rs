//! The fingerprint of an upsert: two inputs under one idempotency key are the same when they mean the same, however
//! they were sent.
//!
//! Every member that is present goes in under its name. An absent member leaves no trace, and null is not absent.

use async_graphql::{InputType, MaybeUndefined};

use super::input::{AddressInput, ClientInput, CustomFieldValueInput, IdDocumentInput, UpsertClient};
use crate::client_by::ClientRoleBy;
use crate::idempotency::{Fingerprint, Fingerprinting};
use clientele_core::scalar::Date;

impl UpsertClient {
    /// Of two inputs that were sent as literals or as variables, with their members in any order, the fingerprint is the
    /// same when they mean the same.
    pub fn fingerprint(&self) -> Fingerprint {
        let Self {
            client,
            id_documents,
            addresses,
            custom_information,
            match_on,
            expected_version,
            idempotency_key: _,
            // Whoever sends a request again may well number it anew; it comes back as it was sent this time.
            client_mutation_id: _,
            request: _,
            // What only other doors say: they tell their requests apart themselves.
            named: _,
            demand_key: _,
            unreadable: _,
        } = self;
        let mut of = Fingerprinting::of("upsertClient");
        of.part(match_on.to_value().to_string());
        if let Some(version) = expected_version {
            of.part("expectedVersion").part(version.to_be_bytes());
        }
        take_in_client(client, &mut of);
        of.list("idDocuments", id_documents, take_in_document);
        of.list("addresses", addresses, take_in_address);
        of.list("customInformation", custom_information, take_in_value);
        of.finish()
    }
}

fn take_in_client(client: &ClientInput, of: &mut Fingerprinting) {
    let ClientInput {
        encoded_key,
        client_id,
        state,
        first_name,
        middle_name,
        last_name,
        birth_date,
        gender,
        email_address,
        home_phone,
        mobile_phone1,
        mobile_phone2,
        preferred_language,
        notes,
        client_role,
        assigned_branch_key,
        assigned_centre_key,
        assigned_user_key,
    } = client;
    of.part("client")
        .text("encodedKey", encoded_key)
        .text("clientId", client_id)
        .text("state", state)
        .text("firstName", first_name)
        .text("middleName", middle_name)
        .text("lastName", last_name)
        .member("birthDate", birth_date, take_in_date)
        .member("gender", gender, |of, gender| {
            of.part(gender.as_str());
        })
        .text("emailAddress", email_address)
        .text("homePhone", home_phone)
        .text("mobilePhone1", mobile_phone1)
        .text("mobilePhone2", mobile_phone2)
        .member("preferredLanguage", preferred_language, |of, language| {
            of.part(language.as_str());
        })
        .text("notes", notes)
        .member("clientRole", client_role, |of, role| {
            match role {
                ClientRoleBy::EncodedKey(key) => of.part("encodedKey").part(key),
                ClientRoleBy::RoleId(id) => of.part("roleId").part(id),
            };
        })
        .text("assignedBranchKey", assigned_branch_key)
        .text("assignedCentreKey", assigned_centre_key)
        .text("assignedUserKey", assigned_user_key);
}

fn take_in_document(of: &mut Fingerprinting, document: &IdDocumentInput) {
    let IdDocumentInput {
        encoded_key,
        document_type,
        document_id,
        issuing_authority,
        valid_until,
        template_key,
    } = document;
    of.text("encodedKey", encoded_key)
        .text("documentType", document_type)
        .text("documentId", document_id)
        .text("issuingAuthority", issuing_authority)
        .member("validUntil", valid_until, take_in_date)
        .text("templateKey", template_key);
}

fn take_in_address(of: &mut Fingerprinting, address: &AddressInput) {
    let AddressInput {
        encoded_key,
        line1,
        line2,
        city,
        region,
        postcode,
        country,
        latitude,
        longitude,
    } = address;
    of.text("encodedKey", encoded_key)
        .text("line1", line1)
        .text("line2", line2)
        .text("city", city)
        .text("region", region)
        .text("postcode", postcode)
        .text("country", country)
        .member("latitude", latitude, take_in_degrees)
        .member("longitude", longitude, take_in_degrees);
}

fn take_in_value(of: &mut Fingerprinting, value: &CustomFieldValueInput) {
    let CustomFieldValueInput {
        field_id,
        group_index,
        value,
        linked_key,
        is_boolean,
    } = value;
    of.part(field_id);
    // Null and absent both mean that there is none.
    let group_index = group_index.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    of.member("groupIndex", &group_index, |of, index| {
        of.part(index.to_be_bytes());
    })
    .text("value", value)
    .text("linkedKey", linked_key);
    if *is_boolean {
        of.part("isBoolean");
    }
}

fn take_in_date(of: &mut Fingerprinting, Date(date): &Date) {
    of.part(date.to_string());
}

fn take_in_degrees(of: &mut Fingerprinting, degrees: &f64) {
    of.part(degrees.to_bits().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use async_graphql::{InputType, Value};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::UpsertClient;

    fn fingerprint(input: &Json) -> String {
        let value = Value::from_json(input.clone()).expect("JSON is a value");
        let input = UpsertClient::parse(Some(value)).map_err(|error| error.into_server_error(Default::default()));
        input.expect("the input is well-formed").fingerprint().to_string()
    }

    /// The object with the members of all its objects in the opposite order.
    fn reversed(json: &Json) -> Value {
        match json {
            Json::Object(members) => {
                let members = members.iter().rev();
                Value::Object(
                    members
                        .map(|(name, member)| (async_graphql::Name::new(name), reversed(member)))
                        .collect(),
                )
            }
            Json::Array(items) => Value::List(items.iter().map(reversed).collect()),
            other => Value::from_json(other.clone()).expect("a scalar is a value"),
        }
    }

    /// Some of these members, each null or one of a few values.
    fn some_of(members: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Json> {
        let choices: Vec<_> = members.iter().map(|(_, values)| 0..values.len() + 2).collect();
        choices.prop_map(move |choices| {
            let mut object = json!({});
            for ((name, values), choice) in members.iter().zip(choices) {
                match choice {
                    0 => {}
                    1 => object[*name] = Json::Null,
                    _ => object[*name] = serde_json::from_str(values[choice - 2]).expect("values are JSON"),
                }
            }
            object
        })
    }

    fn list(member: impl Strategy<Value = Json>) -> impl Strategy<Value = Option<Json>> {
        let lists = prop::collection::vec(member, 0..3).prop_map(Json::from);
        prop::option::of(prop_oneof![1 => Just(Json::Null), 4 => lists])
    }

    fn input() -> impl Strategy<Value = Json> {
        const TEXTS: &[&str] = &[r#""""#, r#""a""#, r#""ab""#, r#""null""#, r#""end""#];
        let client = some_of(&[
            ("encodedKey", TEXTS),
            ("firstName", TEXTS),
            ("lastName", TEXTS),
            ("birthDate", &[r#""1990-04-17""#, r#""1990-04-18""#]),
            ("gender", &[r#""MALE""#, r#""FEMALE""#]),
            ("preferredLanguage", &[r#""ENGLISH""#, r#""GERMAN""#]),
            ("clientRole", &[r#"{"roleId":"a"}"#, r#"{"encodedKey":"a"}"#]),
            ("notes", TEXTS),
        ]);
        let documents = list(some_of(&[
            ("documentType", TEXTS),
            ("documentId", TEXTS),
            ("validUntil", &[r#""2034-01-31""#]),
        ]));
        let addresses = list(some_of(&[
            ("line1", TEXTS),
            ("city", TEXTS),
            ("latitude", &["1", "1.5", "-1"]),
        ]));
        let values = list(some_of(&[("value", TEXTS), ("linkedKey", TEXTS)]));
        (client, documents, addresses, values).prop_map(|(client, documents, addresses, values)| {
            let mut input = json!({ "client": client });
            for (name, list) in [
                ("idDocuments", documents),
                ("addresses", addresses),
                ("customInformation", values),
            ] {
                if let Some(mut list) = list {
                    let members = list.as_array_mut().into_iter().flatten();
                    members
                        .filter(|_| name == "customInformation")
                        .for_each(|member| member["fieldId"] = json!("f"));
                    input[name] = list;
                }
            }
            input
        })
    }

    proptest! {
        #[test]
        fn inputs_have_one_fingerprint_when_they_mean_the_same_and_only_then(one in input(), other in input()) {
            prop_assert_eq!(fingerprint(&one) == fingerprint(&other), one == other);
            let turned = UpsertClient::parse(Some(reversed(&one))).map_err(|error| error.into_server_error(Default::default()));
            prop_assert_eq!(turned.expect("the order says nothing").fingerprint().to_string(), fingerprint(&one));
        }

        #[test]
        fn any_other_member_makes_another_fingerprint(base in input(), place in 0..8_usize) {
            let (at, name) = [
                ("/client", "middleName"), ("/client", "emailAddress"), ("/client", "homePhone"), ("/client", "mobilePhone1"),
                ("/client", "mobilePhone2"), ("/client", "assignedUserKey"), ("/client", "clientId"), ("", "expectedVersion"),
            ][place];
            let mut changed = base.clone();
            changed.pointer_mut(at).expect("it is there")[name] = if name == "expectedVersion" { json!(1) } else { json!("x") };
            prop_assert_ne!(fingerprint(&base), fingerprint(&changed));
            for ignored in ["clientMutationId", "idempotencyKey"] {
                changed[ignored] = json!("x");
            }
            changed["matchOn"] = json!("ENCODED_KEY");
            let plain = fingerprint(&changed);
            changed["matchOn"] = json!("CLIENT_ID");
            prop_assert_ne!(plain, fingerprint(&changed));
        }
    }
}
