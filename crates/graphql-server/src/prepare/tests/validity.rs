//! Rules of the specification that the engine doesn't check.

use async_graphql::{Data, Variables};
use serde_json::json;

use crate::{
    settings::GraphqlSettings,
    tests::{AUTHENTICATED, data, error, server},
};

async fn refused(query: &str) -> String {
    let (code, message) = error(query, json!({})).await;
    assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{query}: {message}");
    message
}

#[tokio::test]
async fn directives_of_type_names_are_validated() {
    refused("{ __typename @nonsense }").await;
    refused("{ __typename @skip }").await;
    refused("{ __typename @skip(if: 1) }").await;
    refused("{ __typename @skip(unless: true, if: true) }").await;
    refused("{ __typename @deprecated }").await;
    refused("{ __typename @include(if: $nowhere) }").await;
    assert_eq!(
        data("query($yes: Boolean = true) { __typename @include(if: $yes) }").await,
        r#"{"data":{"__typename":"Query"}}"#
    );
}

#[tokio::test]
async fn type_names_have_neither_fields_nor_arguments() {
    assert_eq!(
        refused("{ __typename { a } }").await,
        "\"__typename\" is a String and has no fields."
    );
    assert_eq!(
        refused("{ person { ... { __typename(a: 1) } } }").await,
        "\"__typename\" takes no arguments."
    );
}

#[tokio::test]
async fn variables_are_of_known_input_types_and_bear_no_directives() {
    refused("query($v: Nothing = 1) { __typename }").await;
    refused("query($v: [Person!]) { __typename }").await;
    refused("query($n: Int @skip(if: true)) { required(number: $n) }").await;
}

#[tokio::test]
async fn one_response_key_stands_for_one_field_with_the_same_arguments_at_every_depth() {
    refused("{ person { a: id } person { a: name } }").await;
    refused("{ person { friends(first: 1) { id } } person { friends(first: 2) { id } } }").await;
    refused("{ node(id: 1) { ... on Node { x: id } ... on Person { x: name } } }").await;
    assert!(
        !data("{ node(id: 1) { ... on Place { x: city } ... on Person { x: name } } }")
            .await
            .contains("errors")
    );
}

#[tokio::test]
async fn fragments_are_no_bombs() {
    refused("{ person { ...A } } fragment A on Person { friends { ...B } } fragment B on Person { friends { ...A } }")
        .await;
    refused("{ person { ...A } } fragment A on Person { ...A ...A }").await;
    let mut bomb = "{ person { ...F0 } }".to_string();
    for n in 0..40 {
        bomb += &format!(
            "fragment F{n} on Person {{ a: friends {{ ...F{m} }} b: friends {{ ...F{m} }} }}",
            m = n + 1
        );
    }
    bomb += "fragment F41 on Person { name }";
    let started = std::time::Instant::now();
    assert_eq!(error(&bomb, json!({})).await.0, "QUERY_TOO_COMPLEX");
    let mut chain = "{ person { ...F0 } }".to_string();
    for n in 0..2000 {
        chain += &format!("fragment F{n} on Person {{ ...F{} }}", n + 1);
    }
    assert_eq!(error(&chain, json!({})).await.0, "QUERY_TOO_COMPLEX");
    assert!(started.elapsed().as_secs() < 2);
}

#[tokio::test]
async fn operations_are_found_by_name_and_none_is_guessed() {
    let both = "query A { a: __typename } query B($n: Int!) { b: required(number: $n) }";
    let named = async |name| {
        let variables = Variables::from_json(json!({"n": 3}));
        let answer = server(GraphqlSettings::default())
            .execute(both, name, variables, Data::default(), &AUTHENTICATED)
            .await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    assert_eq!(named(Some("A")).await, r#"{"data":{"a":"Query"}}"#);
    assert_eq!(named(Some("B")).await, r#"{"data":{"b":3}}"#);
    assert!(named(Some("C")).await.contains("BAD_REQUEST"));
    assert!(named(None).await.contains("BAD_REQUEST"));
    assert_eq!(
        error("query A { __typename } query B { __typename }", json!({}))
            .await
            .0,
        "BAD_REQUEST"
    );
    refused("query A { __typename } query A { __typename }").await;
    refused("{ __typename } query A { __typename }").await;
    refused("fragment A on Query { __typename }").await;
    refused("subscription { person { id } }").await;
}
