//! Tests of the fingerprint of inputs.

use async_graphql::{InputType, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{AddressInput, CustomFieldValueInput, IdDocumentInput, UpsertClient};

fn fingerprint(input: &Json) -> String {
    let value = Value::from_json(input.clone()).expect("JSON is a value");
    let input = UpsertClient::parse(Some(value)).map_err(|error| error.into_server_error(Default::default()));
    input.expect("the input is well-formed").fingerprint().to_string()
}

/// The JSON with the members of all its objects in reverse order.
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

/// Some of these members, each null or one of its values.
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

#[test]
fn absent_members_leave_no_trace() {
    let empty = serde_json::to_value(UpsertClient::default()).expect("JSON");
    assert_eq!(empty, json!({ "client": {}, "matchOn": "EncodedKey" }));
    let members = (
        IdDocumentInput::default(),
        AddressInput::default(),
        CustomFieldValueInput::default(),
    );
    let members = serde_json::to_value(members).expect("JSON");
    assert_eq!(members, json!([{}, {}, { "fieldId": "" }]));
}

proptest! {
    #[test]
    fn inputs_have_one_fingerprint_when_they_mean_the_same_and_only_then(one in input(), other in input()) {
        prop_assert_eq!(fingerprint(&one) == fingerprint(&other), one == other);
        let turned = UpsertClient::parse(Some(reversed(&one)));
        let turned = turned.map_err(|error| error.into_server_error(Default::default()));
        prop_assert_eq!(turned.expect("the order says nothing").fingerprint().to_string(), fingerprint(&one));
    }

    #[test]
    fn any_other_member_makes_another_fingerprint(base in input(), place in 0..8_usize) {
        let (at, name) = [
            ("/client", "middleName"),
            ("/client", "emailAddress"),
            ("/client", "homePhone"),
            ("/client", "mobilePhone1"),
            ("/client", "mobilePhone2"),
            ("/client", "assignedUserKey"),
            ("/client", "clientId"),
            ("", "expectedVersion"),
        ][place];
        let mut changed = base.clone();
        let value = if name == "expectedVersion" { json!(1) } else { json!("x") };
        changed.pointer_mut(at).expect("it is there")[name] = value;
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
