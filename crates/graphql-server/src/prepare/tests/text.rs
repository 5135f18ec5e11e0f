//! Errors, counts and rewritten parts of the first pass over the text.

use proptest::prelude::*;
use serde_json::json;

use crate::{
    settings::GraphqlSettings,
    tests::{ask, ask_with, data, error},
};

#[tokio::test]
async fn a_syntax_error_says_where_and_repeats_nothing() {
    for (query, at) in [
        ("{ seen(input: {email: \"ada@example.com\" }", "line 1, column"),
        ("{\n  person { name ) }", "line 2, column"),
        ("{ person(\"ada@example.com\") }", "line 1, column"),
        ("{ argument(text: \"ada@example.com) }", "line 1, column"),
        ("", "line 1, column 1"),
        ("{ a \u{7} }", "line 1, column"),
    ] {
        let body = ask(query, json!({})).await;
        let (code, message) = error(query, json!({})).await;
        assert_eq!(code, "GRAPHQL_PARSE_FAILED", "{query}");
        assert!(message.starts_with("Syntax error at line "), "{message}");
        assert!(message.contains(at), "{message}");
        assert!(body.contains("\"locations\":[{"), "{body}");
        assert!(!body.contains("ada"), "{body}");
    }
}

#[tokio::test]
async fn an_input_field_given_twice_is_refused_and_an_argument_too() {
    for query in [
        "{ seen(input: {age: 1, age: 2}) }",
        "{ required(number: 1, number: 2) }",
        "query($i: Input = {age: 1, age: 2}) { seen(input: $i) }",
    ] {
        assert_eq!(error(query, json!({})).await.0, "GRAPHQL_VALIDATION_FAILED", "{query}");
    }
    let nested = "{ seen(input: {age: 1, inner: {age: 2}}) two: seen(input: {age: 1}) }";
    assert!(!data(nested).await.contains("errors"));
}

#[tokio::test]
async fn descriptions_are_accepted_and_leave_lines_and_columns_alone() {
    assert_eq!(
        data("\"\"\"What\nit does\"\"\" query Q { __typename }").await,
        r#"{"data":{"__typename":"Query"}}"#
    );
    let variable = "\"a\" query Q(\"b\" $n: Int = 1, \"c\" $t: String = \"d\" \"e\" $u: String) \
                    { required(number: $n) a: argument(text: $t) b: argument(text: $u) }";
    assert_eq!(
        data(variable).await,
        r#"{"data":{"required":1,"a":"Value(\"d\")","b":"Undefined"}}"#
    );
    assert_eq!(
        data("query { ...F } \"of F\" fragment F on Query { __typename }").await,
        r#"{"data":{"__typename":"Query"}}"#
    );
    let misplaced = ask("\"\"\"\u{e9}\n\"\"\" query { nothing }", json!({})).await;
    assert!(
        misplaced.contains(r#""locations":[{"line":2,"column":13}]"#),
        "{misplaced}"
    );
    let misplaced = ask(r#"{ find(by: {name: "\uD83D\uDE00"}) nothing }"#, json!({})).await;
    assert!(
        misplaced.contains(r#""locations":[{"line":1,"column":36}]"#),
        "{misplaced}"
    );
    assert_eq!(error("\"a\" { __typename }", json!({})).await.0, "GRAPHQL_PARSE_FAILED");
}

#[tokio::test]
async fn every_way_of_writing_a_character_means_the_character() {
    for (literal, value) in [
        (r#""\uD83D\uDE00""#, "\u{1F600}"),
        (r#""\u{1F600} x""#, "\u{1F600} x"),
        (r#""\u{22}\u{5C}\u{A}""#, "\"\\\n"),
        (r#""\u00e9\\u0041""#, "\u{e9}\\u0041"),
        ("\"\u{1F600}\"", "\u{1F600}"),
        ("\"\"\"a\n  \\\"\"\" \\u0041\n  b\"\"\"", "a\n\"\"\" \\u0041\nb"),
    ] {
        let body: serde_json::Value =
            serde_json::from_str(&data(&format!("{{ find(by: {{name: {literal}}}) }}")).await).unwrap();
        assert_eq!(body["data"]["find"], value, "{literal}");
    }
    assert_eq!(
        error(r#"{ find(by: {name: "\uD83D"}) }"#, json!({})).await.0,
        "GRAPHQL_PARSE_FAILED"
    );
}

#[tokio::test]
async fn tokens_and_directives_are_limited() {
    let limits = GraphqlSettings {
        tokens: 5,
        directives: 2,
        ..GraphqlSettings::default()
    };
    let code =
        async |query: &str| String::from_utf8(ask_with(limits.clone(), query, json!({})).await.body.to_vec()).unwrap();
    assert!(
        !code("{ a: __typename # not counted, nor commas\n }")
            .await
            .contains("errors")
    );
    assert!(
        code("{ a: __typename b }")
            .await
            .contains("The document has 6 tokens, and at most 5 are allowed.")
    );
    let limits = GraphqlSettings {
        directives: 2,
        ..GraphqlSettings::default()
    };
    let code =
        async |query: &str| String::from_utf8(ask_with(limits.clone(), query, json!({})).await.body.to_vec()).unwrap();
    assert!(
        !code("{ __typename @skip(if: false) @include(if: true) }")
            .await
            .contains("errors")
    );
    assert!(
        code("{ __typename @skip(if: false) @include(if: true) person @skip(if: true) {name} }")
            .await
            .contains("QUERY_TOO_COMPLEX")
    );
}

#[tokio::test]
async fn long_names_are_refused_before_anything_is_compared_to_them() {
    let of = |length: usize| "n".repeat(length);
    assert_eq!(
        error(&format!("{{ {} }}", of(255)), json!({})).await.0,
        "GRAPHQL_VALIDATION_FAILED"
    );
    for query in [
        format!("{{ {} }}", of(500_000)),
        format!("{{ numbers({}: 1) }}", of(256)),
        format!("{{ ... on {} {{ id }} }}", of(256)),
    ] {
        assert_eq!(error(&query, json!({})).await.0, "QUERY_TOO_COMPLEX");
    }
}

#[tokio::test]
async fn deep_brackets_are_refused_before_anything_recurses_on_them() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let query = format!("{{ numbers(list: {}1{}) }}", open.repeat(4000), close.repeat(4000));
        assert_eq!(error(&query, json!({})).await.0, "QUERY_TOO_COMPLEX");
    }
    let query = format!(
        "query($v: {}Int{}) {{ __typename }}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert_eq!(error(&query, json!({})).await.0, "QUERY_TOO_COMPLEX");
    let query = format!("{{{}name{}", "person{".repeat(4000), "}".repeat(4001));
    assert_eq!(error(&query, json!({})).await.0, "QUERY_TOO_COMPLEX");
}

/// Pieces of documents, well and badly formed.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "$",
    "!",
    "@",
    "...",
    "=",
    "|",
    "&",
    ",",
    "#\n",
    "\"",
    "\"\"\"",
    "\"\\u{1F600}\"",
    "\"\\uD83D\\uDE00\"",
    "\\uD83D",
    "\\\"\"\"",
    "\r\n",
    "\u{e9}",
    "query",
    "mutation",
    "fragment",
    "on",
    "person",
    "Person",
    "node",
    "seen",
    "input",
    "$v",
    "Input",
    "skip(if: true)",
    "1e400",
    "-0",
    "null",
    "name",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_brings_the_server_down(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
        spaced in any::<bool>(),
    ) {
        let query = pieces.join(if spaced { " " } else { "" });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body: serde_json::Value = serde_json::from_str(&runtime.block_on(ask(&query, json!({"v": {}})))).unwrap();
        prop_assert!(body.get("data").is_some() || body.get("errors").is_some());
    }
}
