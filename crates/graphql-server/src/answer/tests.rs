//! Answers with failed fields, and details that answers never contain.

use async_graphql::{Data, Name, Value, Variables, indexmap::IndexMap};
use bytes::Bytes;

use super::{Body, json::write_value, raw};
use crate::{
    settings::GraphqlSettings,
    tests::{AUTHENTICATED, data, error, server},
};

async fn only_data(query: &str) -> String {
    let body = data(query).await;
    body.split(",\"errors\"").next().unwrap().to_string()
}

#[tokio::test]
async fn a_failed_field_is_null_and_its_parent_is_when_it_must_not_be() {
    for (query, expected) in [
        (
            "{ person { mayBreak name } }",
            r#"{"data":{"person":{"mayBreak":null,"name":"Ada"}}"#,
        ),
        ("{ person { mayBreak } }", r#"{"data":{"person":{"mayBreak":null}}"#),
        ("{ person { broken name } }", r#"{"data":{"person":null}"#),
        (
            "{ person { broken } __typename }",
            r#"{"data":{"person":null,"__typename":"Query"}"#,
        ),
        ("{ person { friends { name broken } } }", r#"{"data":{"person":null}"#),
        (
            "{ person { friends { mayBreak } } }",
            r#"{"data":{"person":{"friends":[{"mayBreak":null}]}}"#,
        ),
        (
            "{ node(id: \"p\") { ... on Person { mayBreak } } }",
            r#"{"data":{"node":{"mayBreak":null}}"#,
        ),
        (
            "{ nodes { ... on Person { broken } ... on Place { city } } }",
            r#"{"data":null"#,
        ),
        ("{ must __typename }", r#"{"data":null"#),
        ("{ secret }", r#"{"data":{"secret":null}"#),
    ] {
        assert_eq!(only_data(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn an_error_names_the_field_the_place_and_the_request() {
    assert_eq!(
        data("{ person { a: mayBreak } }").await,
        concat!(
            r#"{"data":{"person":{"a":null}},"errors":[{"#,
            r#""message":"Other changes to the same data kept getting in between. Try again.","#,
            r#""locations":[{"line":1,"column":12}],"path":["person","a"],"#,
            r#""extensions":{"code":"CONFLICT","requestId":"r1"}}]}"#
        )
    );
}

#[tokio::test]
async fn what_is_not_meant_for_callers_is_not_told() {
    let none = serde_json::json!({});
    let (code, message) = error("{ secret }", none.clone()).await;
    assert_eq!(code, "INTERNAL");
    assert!(!message.contains("client_pkey"), "{message}");
    assert_eq!(
        error("{ forbidden }", none).await,
        ("FORBIDDEN".into(), "Not yours.".into())
    );
}

#[tokio::test]
async fn the_log_names_a_failed_field_as_the_schema_does() {
    let server = server(GraphqlSettings::default());
    for (query, field) in [
        ("{ client_4155550101: secret }", "secret"),
        (
            "query Okafor { person { client_4155550101: friends { ...Okafor } } } \
             fragment Okafor on Person { s3cret: hidden }",
            "person.friends.hidden",
        ),
        (
            "{ client_4155550101: nodes { ... on Place { city } ... on Person { s3cret: hidden } } }",
            "nodes.hidden",
        ),
    ] {
        let answer = server
            .execute(query, None, Variables::default(), Data::default(), &AUTHENTICATED)
            .await;
        let report = answer.errors.expect("it has errors");
        assert_eq!(report.codes, ["INTERNAL"], "{query}");
        let cause = report.cause.expect("it is the server's fault");
        assert_eq!(cause.text, format!("an error of no known kind in the field {field}"));
    }
}

#[tokio::test]
async fn a_change_is_carried_out_after_another_has_failed() {
    let server = server(GraphqlSettings::default());
    let ask = async |query| {
        let answer = server
            .execute(query, None, Variables::default(), Data::default(), &AUTHENTICATED)
            .await;
        serde_json::from_slice::<serde_json::Value>(&answer.body.to_vec()).unwrap()
    };
    let answer = ask("mutation { conflict up { a } }").await;
    assert_eq!(answer["data"], serde_json::Value::Null);
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["errors"][0]["path"], serde_json::json!(["conflict"]));
    assert_eq!(ask("mutation { up { a } }").await["data"]["up"]["a"], 2);
}

#[test]
fn a_body_goes_back_to_where_it_was_whatever_has_come_since() {
    let large = Bytes::from(vec![b'l'; 100_000]);
    for before in ["", "before"] {
        for since in ["", "since"] {
            let mut body = Body::default();
            body.attach(&large);
            body.push(before);
            let end = body.end();
            body.push(since);
            body.attach(&large);
            body.push(since);
            body.back_to(end);
            body.push("after");
            let expected = [&large, before.as_bytes(), b"after"].concat();
            assert_eq!(body.to_vec(), expected, "{before} {since}");
            assert_eq!(body.pieces().concat(), expected);
        }
    }
}

#[test]
fn values_are_written_as_json_and_raw_ones_copied() {
    let object = IndexMap::from_iter([
        (Name::new("text"), Value::from("\"\u{1F600}\n\u{0}")),
        (
            Name::new("list"),
            Value::List(vec![Value::Null, Value::from(true), Value::Enum(Name::new("A"))]),
        ),
        (Name::new("number"), Value::from(1.5)),
        (Name::new("raw"), raw("{\"b\": 1,  \"a\":2}")),
    ]);
    let mut out = Body::default();
    write_value(&mut out, &Value::Object(object));
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        "{\"text\":\"\\\"\u{1F600}\\n\\u0000\",\"list\":[null,true,\"A\"],\"number\":1.5,\"raw\":{\"b\": 1,  \"a\":2}}"
    );
}
