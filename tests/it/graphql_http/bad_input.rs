//! Malformed bodies, invalid documents and wrong values: each gets an error code and a request id, and stores nothing.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

/// One second; ten in a debug build, which is ten times slower.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
const UPSERT: &str =
    "mutation($i: UpsertClientInput!) { upsertClient(input: $i) { client { version } userErrors { code } } }";

/// Sends a raw body; asserts the status, the first error's code, and the rules of every refusal.
async fn refused(server: &TestServer, body: impl Into<Vec<u8>>, status: u16, code: &str) -> Value {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    let before = server.snapshot().await;
    let began = Instant::now();
    let request = server
        .request(Method::POST, "/graphql")
        .header("content-type", "application/json")
        .body(body);
    let answer = server.send(request).await;
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?} for {shown}");
    assert_eq!(
        (answer.status, answer.body["errors"][0]["extensions"]["code"].as_str()),
        (status, Some(code)),
        "{shown}\n{}",
        answer.text
    );
    for error in answer.body["errors"].as_array().expect("a list") {
        assert!(
            error["extensions"]["requestId"]
                .as_str()
                .is_some_and(|id| !id.is_empty()),
            "{}",
            answer.text
        );
    }
    let text = answer.text.to_lowercase();
    for word in ["sql", "postgres", "panicked", "src/", "thread", "serde"] {
        assert!(!text.contains(word), "{word}: {}", answer.text);
    }
    assert_eq!(server.snapshot().await, before, "{shown}");
    answer.body["errors"][0]["message"].clone()
}

fn body(query: &str, variables: Value) -> String {
    json!({ "query": query, "variables": variables }).to_string()
}

/// A request with a client of which one member, given as JSON, is wrong.
fn with(member: &str) -> String {
    let client = match member.starts_with("\"client\":") {
        true => "",
        false => r#""client":{"firstName":"Amara","lastName":"Bellweather"},"#,
    };
    format!(
        r#"{{"query":{},"variables":{{"i":{{{client}{member}}}}}}}"#,
        json!(UPSERT)
    )
}

on_both!(
    malformed_request_bodies_are_refused_with_the_reason,
    too_complex_documents_are_refused_quickly,
    wrong_variable_values_are_refused_and_not_repeated,
    wrong_literals_and_invalid_documents_are_refused,
    unknown_enum_value_is_answered_with_the_valid_ones,
    same_document_gets_the_same_errors_every_time,
    wrong_scalars_show_the_expected_form,
    misspelt_members_are_suggested,
);

async fn malformed_request_bodies_are_refused_with_the_reason(server: &TestServer) {
    for (body, status, sentence) in [
        (
            b"".as_slice(),
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 0.",
        ),
        (
            b"{\"query\":",
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 9.",
        ),
        (
            b"{",
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 1.",
        ),
        (
            b"nonsense",
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 2.",
        ),
        (
            b"{\"query\":\"{__typename}\"}}",
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 25.",
        ),
        (b"{\"query\":\"\xff\"}", 400, "The body is not UTF-8."),
        (
            b"{\"query\":\"{__typename}\", \"variables\": {\"a\": \"\xc3\x28\"}}",
            400,
            "The body is not UTF-8.",
        ),
        (
            b"[{\"query\":\"{__typename}\"}]",
            400,
            "Several requests in one body are not supported. Send one JSON object.",
        ),
        (
            b"[]",
            400,
            "Several requests in one body are not supported. Send one JSON object.",
        ),
        (
            b"[\"{__typename}\"]",
            400,
            "Several requests in one body are not supported. Send one JSON object.",
        ),
        (
            b" [{\"query\":\"{__typename}\"}]",
            400,
            "Several requests in one body are not supported. Send one JSON object.",
        ),
        (b"7", 400, "The body must be a JSON object."),
        (b"null", 400, "The body must be a JSON object."),
        (b"\"{__typename}\"", 400, "The body must be a JSON object."),
        (b"{}", 400, "\"query\" is missing: it must hold a GraphQL document."),
        (
            b"{\"query\":\"\"}",
            400,
            "\"query\" is missing: it must hold a GraphQL document.",
        ),
        (b"{\"query\":7}", 400, "\"query\" must be a string."),
        (
            b"{\"query\":\"{__typename}\",\"variables\":{\"a\":\"\\ud800\"}}",
            400,
            "The body is not JSON, or nested too deeply: see line 1, column 49.",
        ),
        (
            b"{\"query\":\"{__typename}\",\"variables\":[]}",
            400,
            "\"variables\" must be an object.",
        ),
        (
            b"{\"query\":\"{__typename}\",\"query\":\"{__typename}\"}",
            400,
            "\"query\" is given twice. Send each member of an object once.",
        ),
    ] {
        assert_eq!(refused(server, body, status, "BAD_REQUEST").await, sentence);
    }
    let huge = with(r#""addresses":[{"latitude":1e999}]"#);
    assert_eq!(
        refused(server, huge, 400, "BAD_REQUEST").await,
        "A number in the body is too large."
    );
    let deep = format!(
        "{{\"query\":\"{{__typename}}\",\"variables\":{{\"a\":{}{}}}}}",
        "[".repeat(400_000),
        "]".repeat(400_000)
    );
    let unclosed = format!(
        "{{\"query\":\"{{__typename}}\",\"variables\":{}",
        "{\"a\":".repeat(100_000)
    );
    for body in [deep, unclosed] {
        let sentence = refused(server, body, 400, "BAD_REQUEST").await;
        assert_eq!(sentence, "The JSON of the request is nested more than 128 levels deep.");
    }
    let large = body("{__typename}", json!({ "a": "x".repeat(1024 * 1024) }));
    assert_eq!(
        refused(server, large, 413, "BAD_REQUEST").await,
        "The body is larger than this server accepts."
    );
}

async fn too_complex_documents_are_refused_quickly(server: &TestServer) {
    let nested = "customInformation { linkedClient { ".repeat(11) + "id" + &" } }".repeat(11);
    for (document, code) in [
        (
            format!("{{ client(by: {{ clientId: \"x\" }}) {{ {nested} }} }}"),
            "QUERY_TOO_COMPLEX",
        ),
        ("{ a ".repeat(100_000), "QUERY_TOO_COMPLEX"),
        ("{".repeat(20_000), "QUERY_TOO_COMPLEX"),
        (format!("{{ clients{} }}", "{nodes".repeat(5_000)), "QUERY_TOO_COMPLEX"),
        (
            format!("mutation {{ upsertClient(input: {}) }}", "[".repeat(10_000)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            format!("{{ client(by: {}) {{ firstName }} }}", "{id:".repeat(10_000)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            format!("{}{}", "{ a ".repeat(3_000), "}".repeat(3_000)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            format!("{{ nodes(ids: {}{}) {{ id }} }}", "[".repeat(5_000), "]".repeat(5_000)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            format!("{{ nodes(ids: {}{}) {{ id }} }}", "[".repeat(40), "]".repeat(40)),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("a ".repeat(200_000), "QUERY_TOO_COMPLEX"),
        (
            "{ __typename(a: \"".to_owned() + &"x".repeat(900_000) + "\") }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let message = refused_document(server, &document, code).await;
        assert!(message.len() < 400, "{message}");
    }
}

async fn wrong_variable_values_are_refused_and_not_repeated(server: &TestServer) {
    for member in [
        r#""client":5"#,
        r#""client":{"firstName":5}"#,
        r#""client":{"birthDate":5}"#,
        r#""client":{"birthDate":"1990-02-30"}"#,
        r#""client":{"nickname":"SECRET"}"#,
        r#""client":{"preferredLanguage":"SECRET"}"#,
        r#""addresses":7"#,
        r#""addresses":[7]"#,
        r#""addresses":[{"line1":7}]"#,
        r#""addresses":[{"latitude":"north"}]"#,
        r#""addresses":[null]"#,
        r#""expectedVersion":2147483648"#,
        r#""expectedVersion":1.5"#,
        r#""expectedVersion":"1""#,
        r#""matchOn":"SECRET_TEXT""#,
        r#""matchOn":null"#,
        r#""clientMutationId":true"#,
        r#""secretText":1"#,
        r#""idDocuments":[null]"#,
        r#""idDocuments":[{"validUntil":"2023-02-29 SECRET"}]"#,
        r#""idDocuments":[{"validUntil":"2023-02-29"}]"#,
        r#""idDocuments":[{"validUntil":20230228}]"#,
        r#""customInformation":[{}]"#,
        r#""customInformation":[{"value":"x"}]"#,
        r#""customInformation":[{"fieldId":null}]"#,
        r#""customInformation":[{"fieldId":"a","groupIndex":2147483648}]"#,
        r#""customInformation":[{"fieldId":"a","groupIndex":-2147483649}]"#,
        r#""client":{"gender":"SECRET"}"#,
        r#""client":{"gender":"male"}"#,
        r#""client":{"clientRole":{}}"#,
        r#""client":{"clientRole":{"roleId":"a","encodedKey":"b"}}"#,
        r#""client":{"clientRole":{"roleId":null}}"#,
        r#""client":{"birthDate":"0000-01-01"}"#,
        r#""client":null"#,
    ] {
        let message = refused(server, with(member), 200, "BAD_USER_INPUT").await;
        // A message may name an unknown member, but must not repeat a value.
        assert!(!message.to_string().contains("SECRET"), "{message}");
    }
    for input in ["null", "5", "[]", "{}"] {
        let body = format!(r#"{{"query":{},"variables":{{"i":{input}}}}}"#, json!(UPSERT));
        refused(server, body, 200, "BAD_USER_INPUT").await;
    }
}

async fn wrong_literals_and_invalid_documents_are_refused(server: &TestServer) {
    let upsert = |input: &str| format!("mutation {{ upsertClient(input: {input}) {{ created }} }}");
    for (document, code) in [
        (upsert("{client: {firstName: 7}}"), "GRAPHQL_VALIDATION_FAILED"),
        (
            upsert("{client: {firstName: \"Amara\", firstName: \"B\"}}"),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (upsert("{client: {nickname: \"A\"}}"), "GRAPHQL_VALIDATION_FAILED"),
        (upsert("{client: {gender: \"MALE\"}}"), "GRAPHQL_VALIDATION_FAILED"),
        (upsert("{client: {gender: OTHER}}"), "GRAPHQL_VALIDATION_FAILED"),
        (
            upsert("{client: {}, expectedVersion: 99999999999999999999}"),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (upsert("{}"), "GRAPHQL_VALIDATION_FAILED"),
        (
            upsert("{client: {birthDate: \"2023-02-30\"}}"),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{ client(by: {clientId: \"a\", encodedKey: \"b\"}) { id } }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{ client(by: {}) { id } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ client(by: {clientId: null}) { id } }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{ client { id } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("{ clients { nodes } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("{ absent }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        (
            "query Q { __typename } query Q { __typename }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { clientChanged }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ clients(first: 1, first: 2) { totalCount } }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "query($a: Nothing) { __typename }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{ secret".to_owned(), "GRAPHQL_PARSE_FAILED"),
        (upsert("{client: {firstName: \"secret}"), "GRAPHQL_PARSE_FAILED"),
        ("{ __typename } \u{0}".to_owned(), "GRAPHQL_PARSE_FAILED"),
        (
            "{ client(by: {clientId: \"\\ud800\"}) { id } }".to_owned(),
            "GRAPHQL_PARSE_FAILED",
        ),
        (String::from("# nothing"), "GRAPHQL_PARSE_FAILED"),
    ] {
        let message = refused_document(server, &document, code).await;
        assert!(!message.contains("secret"), "{message}");
    }
}

async fn unknown_enum_value_is_answered_with_the_valid_ones(server: &TestServer) {
    let known = "not a value of Gender: send MALE or FEMALE.";
    let literal = "mutation { upsertClient(input: {client: {gender: OTHER}}) { created } }";
    let message = refused_document(server, literal, "GRAPHQL_VALIDATION_FAILED").await;
    assert_eq!(
        message,
        format!("Invalid value for argument \"input.client.gender\": {known}")
    );
    let variable = refused(server, with(r#""client":{"gender":"OTHER"}"#), 200, "BAD_USER_INPUT").await;
    assert_eq!(variable, format!("Variable \"$i\" at \"client.gender\": {known}"));
}

async fn same_document_gets_the_same_errors_every_time(server: &TestServer) {
    let document = "query($a: Int, $b: Int, $c: Int, $d: Int) { absent ...F } fragment F on Query { nothing }";
    let errors = |answer: &Answer| {
        let errors = answer.body["errors"].as_array().expect("a list").clone();
        errors
            .into_iter()
            .map(|error| (error["message"].to_string(), error["locations"].to_string()))
            .collect::<Vec<_>>()
    };
    let first = errors(&server.graphql(document, json!({})).await);
    assert_eq!(first.len(), 6, "{first:?}");
    for _ in 0..20 {
        assert_eq!(errors(&server.graphql(document, json!({})).await), first);
    }
}

async fn refused_document(server: &TestServer, document: &str, code: &str) -> String {
    let message = refused(server, body(document, json!({})), 200, code).await;
    message.as_str().expect("a sentence").to_owned()
}

async fn wrong_scalars_show_the_expected_form(server: &TestServer) {
    let date = "A calendar date without a time of day, as `YYYY-MM-DD`, for example `1990-04-17`.";
    let time = "A point in time as RFC 3339, for example `2026-11-22T15:06:00Z`.";
    for (query, message) in [
        (
            "{ clients(filter: { birthDate: \"17.4.1990\" }) { totalCount } }",
            format!("Invalid value for argument \"filter.birthDate\", expected type \"Date\". {date}"),
        ),
        (
            "query($d: Date = \"1990-02-30\") { clients(filter: { birthDate: $d }) { totalCount } }",
            format!("Invalid default value for argument: \"d\", expected type \"Date\". {date}"),
        ),
        (
            "query($s: String) { clients(filter: { city: { equals: $s }, birthDate: 7 }) { totalCount } }",
            format!("Argument \"filter\" at \"birthDate\": a number that is not a Date. {date}"),
        ),
        (
            "{ clients(filter: { createdAt: { from: \"1990-04-17\" } }) { totalCount } }",
            format!("Invalid value for argument \"filter.createdAt.from\", expected type \"DateTime\". {time}"),
        ),
        (
            "{ clients(first: \"1\") { totalCount } }",
            "Invalid value for argument \"first\", expected type \"Int\"".to_owned(),
        ),
    ] {
        let found = refused(server, body(query, json!({})), 200, "GRAPHQL_VALIDATION_FAILED").await;
        let found = found.as_str().unwrap_or_default();
        assert!(found.starts_with(&message), "{query}\n{found}");
    }
    let query = "query($d: DateTime) { clients(filter: { createdAt: { from: $d } }) { totalCount } }";
    let found = refused(server, body(query, json!({ "d": "1990-04-17" })), 200, "BAD_USER_INPUT").await;
    let message = format!("Variable \"$d\": a string that is not a DateTime. {time}");
    assert!(
        found.as_str().is_some_and(|found| found.starts_with(&message)),
        "{found}"
    );
}

async fn misspelt_members_are_suggested(server: &TestServer) {
    let variables = json!({ "i": { "client": { "fistName": "Amara" } } });
    let message = "Variable \"$i\" at \"client.fistName\": ClientInput has no field \"fistName\". Did you mean \
                   \"firstName\"?";
    assert_eq!(
        refused(server, body(UPSERT, variables), 200, "BAD_USER_INPUT").await,
        message
    );
    for (query, message) in [
        (
            "{ clients(filter: { birthdate: null }) { totalCount } }",
            "Invalid value for argument \"filter\", unknown field \"birthdate\" of type \"ClientFilter\". Did you mean \
             \"birthDate\"?",
        ),
        (
            "query($s: String) { clients(filter: { emailAdress: $s }) { totalCount } }",
            "Argument \"filter\" at \"emailAdress\": ClientFilter has no field \"emailAdress\". Did you mean \
             \"emailAddress\"?",
        ),
        (
            "{ clients(filter: { colour: \"x\" }) { totalCount } }",
            "Invalid value for argument \"filter\", unknown field \"colour\" of type \"ClientFilter\".",
        ),
    ] {
        let found = refused(server, body(query, json!({})), 200, "GRAPHQL_VALIDATION_FAILED").await;
        assert_eq!(found, message);
    }
}
