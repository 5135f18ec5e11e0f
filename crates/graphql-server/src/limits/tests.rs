//! Each limit at its value and one beyond, and the largest requests that have to pass.

mod copying;
mod policy;

use async_graphql::{Data, Variables};
use serde_json::{Value, json};

use self::policy::codes;
use crate::{
    settings::{GraphqlSettings, Introspection},
    tests::{AUTHENTICATED, TestContext, ask_with, data, server},
};

/// Asserts that `query` passes with `fits` and is refused with `tight`, for the reason given.
async fn at_and_beyond(query: &str, fits: GraphqlSettings, tight: GraphqlSettings, reason: &str) {
    let answer = async |limits| -> Value {
        serde_json::from_slice(&ask_with(limits, query, json!({})).await.body.to_vec()).unwrap()
    };
    let within = answer(fits).await;
    assert!(within.get("errors").is_none(), "{within}");
    let beyond = answer(tight).await;
    assert_eq!(beyond["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
    assert_eq!(beyond["errors"][0]["message"], reason);
}

fn limits(change: impl FnOnce(&mut GraphqlSettings)) -> GraphqlSettings {
    let mut limits = GraphqlSettings::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn depth_counts_fields_not_fragments() {
    let query = "{ ...A } fragment A on Query { person { ... { friends { name } } } }";
    let reason = "The document has 3 levels of fields, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.depth = 3), limits(|l| l.depth = 2), reason).await;
}

#[tokio::test]
async fn aliases_are_counted_where_they_would_be_answered() {
    let query = "{ a: __typename person { ...F } } fragment F on Person { b: name friends { ...G } } \
                 fragment G on Person { b: name }";
    let reason = "The document has 3 aliases, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.aliases = 3), limits(|l| l.aliases = 2), reason).await;
}

#[tokio::test]
async fn an_object_of_several_possible_types_counts_as_the_dearest() {
    let query = "{ nodes { a: id ... on Person { b: name c: name } ... on Place { d: city } } }";
    let reason = "The document has 3 aliases, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.aliases = 3), limits(|l| l.aliases = 2), reason).await;
}

#[tokio::test]
async fn fields_of_the_root_are_limited() {
    let query = "{ a: __typename ... { b: __typename c: __typename } }";
    let reason = "The document has 3 fields of the root, and at most 2 are allowed.";
    at_and_beyond(
        query,
        limits(|l| l.root_fields = 3),
        limits(|l| l.root_fields = 2),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_page_multiplies_what_is_below_it() {
    let query = "{ person { friends(first: 10) { id name } } }";
    let reason =
        "The document costs 22, and at most 21 is allowed. Ask for fewer fields, smaller pages or simpler filters.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 22),
        limits(|l| l.complexity = 21),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_huge_page_does_not_overflow() {
    let body = ask_with(
        GraphqlSettings::default(),
        "query($n: Int) { person { friends(first: $n) { friends(first: $n) { friends(first: $n) { name } } } } }",
        json!({"n": 2_147_483_647}),
    )
    .await
    .body;
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("QUERY_TOO_COMPLEX"));
}

#[tokio::test]
async fn what_a_condition_leaves_out_costs_nothing() {
    let query = "{ person { friends(first: 100000) @skip(if: true) { id } name } }";
    assert_eq!(data(query).await, r#"{"data":{"person":{"name":"Ada"}}}"#);
}

#[tokio::test]
async fn the_largest_upsert_passes_as_literals() {
    // 1,000 values with two members and 200 documents with six, each member a name, a colon and a value.
    let inner = format!("{{{}}}", ["email: \"x\"", "age: 1", "rank: 2"].join(", "));
    let values = format!("{{email: \"x\", inner: {inner}}}");
    let query = format!(
        "{{ numbers(list: [{}]) {} }}",
        "1, ".repeat(8000),
        (0..8)
            .map(|n| format!("a{n}: seen(input: {values}) "))
            .collect::<String>()
    );
    assert!(!data(&query).await.contains("errors"));
    let tokens: usize = 1000 * 8 + 200 * 20 + 200;
    assert!(tokens < GraphqlSettings::default().tokens);
}

#[tokio::test]
async fn a_tool_may_ask_for_the_whole_schema() {
    let reference = (0..9).fold("name".to_string(), |below, _| format!("kind name ofType {{ {below} }}"));
    let query = format!(
        "{{ __schema {{ queryType {{ name }} types {{ ...T }} directives {{ name args {{ ...V }} }} }} }}
        fragment T on __Type {{ kind name fields(includeDeprecated: true) {{ name args {{ ...V }} type {{ ...R }} }}
        inputFields {{ ...V }} interfaces {{ ...R }} possibleTypes {{ ...R }} enumValues {{ name }} }}
        fragment V on __InputValue {{ name defaultValue type {{ ...R }} }}
        fragment R on __Type {{ {reference} }}"
    );
    assert!(!data(&query).await.contains("errors"));
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let read = |value| serde_json::from_value::<GraphqlSettings>(value);
    assert_eq!(read(json!({})).unwrap(), GraphqlSettings::default());
    assert_eq!(read(json!({"depth": 3})).unwrap().depth, 3);
    assert!(read(json!({"dept": 3})).is_err());
}

#[tokio::test]
async fn tokens_and_directives_are_limited() {
    let reason = "The document has 5 tokens, and at most 4 are allowed.";
    let (fits, tight) = (limits(|l| l.tokens = 5), limits(|l| l.tokens = 4));
    at_and_beyond("{ a: __typename }", fits, tight, reason).await;
    let query = "{ __typename @include(if: true) @skip(if: false) }";
    let reason = "The document has 2 directives, and at most 1 are allowed.";
    at_and_beyond(
        query,
        limits(|l| l.directives = 2),
        limits(|l| l.directives = 1),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_list_of_ids_counts_each() {
    let query = "{ many(ids: [1, 2, 3]) { name } }";
    let reason =
        "The document costs 4, and at most 3 is allowed. Ask for fewer fields, smaller pages or simpler filters.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 4),
        limits(|l| l.complexity = 3),
        reason,
    )
    .await;
}

#[tokio::test]
async fn the_schema_is_shown_to_whom_it_may_be() {
    let stranger = TestContext {
        is_authenticated: false,
        ..AUTHENTICATED
    };
    for (who, context, shown) in [
        (Introspection::SignedIn, AUTHENTICATED, true),
        (Introspection::SignedIn, stranger, false),
        (Introspection::Everyone, stranger, true),
        (Introspection::Off, AUTHENTICATED, false),
    ] {
        let server = server(limits(|l| l.introspection = who));
        for query in [
            "{ __schema { queryType { name } } }",
            "{ a: __type(name: \"Person\") { name } }",
        ] {
            let found = codes(&server, query, &context).await;
            assert_eq!(found.is_empty(), shown, "{who:?} {query} {found:?}");
            assert!(shown || found == ["FORBIDDEN"]);
        }
        assert!(
            codes(&server, "{ __typename person { __typename } }", &context)
                .await
                .is_empty()
        );
        for (query, message) in [
            ("{ persn { id } }", "Unknown field"),
            ("{ seen(input: { emial: \"a\" }) }", "unknown field \\\"emial\\\""),
            (
                "query($v: Input!) { seen(input: $v) }",
                "Input has no field \\\"emial\\\".",
            ),
        ] {
            let variables = Variables::from_json(serde_json::json!({ "v": { "emial": "a" } }));
            let misspelt = server.execute(query, None, variables, Data::default(), &context);
            let body = String::from_utf8(misspelt.await.body.to_vec()).unwrap();
            assert!(body.contains(message), "{body}");
            assert_eq!(body.contains("Did you mean"), shown, "{body}");
            assert_eq!(
                body.contains("Did you mean \\\"email\\\"?"),
                shown && query.contains("seen"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn names_of_the_schema_are_shown_to_whom_it_may_be() {
    for (who, shows) in [(Introspection::SignedIn, true), (Introspection::Off, false)] {
        let server = server(limits(|l| l.introspection = who));
        for (query, value, shown, hidden) in [
            (
                "query($v: Input!) { seen(input: $v) }",
                serde_json::json!({ "gender": "OTHER" }),
                "Variable \\\"$v\\\" at \\\"gender\\\": not a value of Gender: send FEMALE or MALE.",
                "Variable \\\"$v\\\" at \\\"gender\\\": not a value of Gender.",
            ),
            (
                "query($v: By!) { find(by: $v) }",
                serde_json::json!({}),
                "Variable \\\"$v\\\": exactly one of id, name must be given, and not as null.",
                "Variable \\\"$v\\\": exactly one field of By must be given, and not as null.",
            ),
            (
                "query($v: Input!) { seen(inputt: $v) }",
                serde_json::json!({}),
                "Did you mean \\\"input\\\"?",
                "Unknown argument \\\"inputt\\\" on field \\\"seen\\\" of type \\\"Query\\\".\"",
            ),
        ] {
            let variables = Variables::from_json(serde_json::json!({ "v": value }));
            let answer = server.execute(query, None, variables, Data::default(), &AUTHENTICATED);
            let body = String::from_utf8(answer.await.body.to_vec()).unwrap();
            assert_eq!((body.contains(shown), body.contains(hidden)), (shows, !shows), "{body}");
        }
    }
}

#[tokio::test]
async fn an_id_costs_also_where_nothing_is_asked_for() {
    let query = "{ many(ids: [1, 2, 3]) { name @skip(if: true) } }";
    let reason =
        "The document costs 4, and at most 3 is allowed. Ask for fewer fields, smaller pages or simpler filters.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 4),
        limits(|l| l.complexity = 3),
        reason,
    )
    .await;
}
