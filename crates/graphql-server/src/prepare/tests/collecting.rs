//! Conditions, fragments and merging, and the order of what comes out.

use serde_json::json;

use crate::tests::{ask, data, error};

#[tokio::test]
async fn a_mutation_asked_for_twice_runs_once() {
    assert_eq!(
        data("mutation { up { a } up { b } }").await,
        r#"{"data":{"up":{"a":1,"b":1}}}"#
    );
    assert_eq!(
        data("mutation { up { a } ...F again: up { b } } fragment F on Mutation { up { b } }").await,
        r#"{"data":{"up":{"a":1,"b":1},"again":{"b":2}}}"#
    );
}

#[tokio::test]
async fn fields_of_one_key_are_merged_also_when_they_are_written_raw() {
    assert_eq!(
        data("{ written { id } written { name id } }").await,
        r#"{"data":{"written":{"id":1,"name":1}}}"#
    );
    assert_eq!(
        data("{ writtens { id } ... { writtens { n: name } } }").await,
        r#"{"data":{"writtens":[{"id":1,"n":1},{"id":1,"n":1}]}}"#
    );
}

#[tokio::test]
async fn conditions_follow_the_variables_and_their_defaults() {
    let query = "query($no: Boolean = false, $yes: Boolean!) { a: __typename @include(if: $no) \
                 b: __typename @include(if: $yes) c: __typename @skip(if: $yes) ... @skip(if: $no) { d: __typename } }";
    assert_eq!(
        ask(query, json!({"yes": true})).await,
        r#"{"data":{"b":"Query","d":"Query"}}"#
    );
    assert_eq!(
        ask(query, json!({"yes": false, "no": true})).await,
        r#"{"data":{"a":"Query","c":"Query"}}"#
    );
    assert_eq!(error(query, json!({"yes": true, "no": null})).await.0, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_selection_emptied_by_a_condition_answers_an_empty_object_never_null() {
    assert_eq!(data("{ __typename @skip(if: true) }").await, r#"{"data":{}}"#);
    assert_eq!(
        data("{ person { id @skip(if: true) } }").await,
        r#"{"data":{"person":{}}}"#
    );
    assert_eq!(
        data("{ nobody { id @skip(if: true) } }").await,
        r#"{"data":{"nobody":null}}"#
    );
    assert_eq!(
        data("{ written { id @skip(if: true) } }").await,
        r#"{"data":{"written":{}}}"#
    );
    assert_eq!(
        data("{ nodes { ... on Person { name } } }").await,
        r#"{"data":{"nodes":[{},{"name":"Ada"}]}}"#
    );
    assert_eq!(
        data("mutation { up { a @include(if: false) } }").await,
        r#"{"data":{"up":{}}}"#
    );
}

#[tokio::test]
async fn the_answer_has_the_order_of_the_request() {
    assert_eq!(
        data("{ person { id name } __typename }").await,
        r#"{"data":{"person":{"id":"p1","name":"Ada"},"__typename":"Query"}}"#
    );
    assert_eq!(
        data("{ person { ...F name } } fragment F on Person { friends { id name } }").await,
        r#"{"data":{"person":{"friends":[{"id":"p1","name":"Ada"}],"name":"Ada"}}}"#
    );
    assert_eq!(
        data("{ nodes { ... on Person { id name } ... on Place { name id } __typename } }").await,
        concat!(
            r#"{"data":{"nodes":[{"name":"Delft","id":"x","__typename":"Place"},"#,
            r#"{"id":"p1","name":"Ada","__typename":"Person"}]}}"#
        )
    );
}

#[tokio::test]
async fn fragments_on_interfaces_hold_for_their_objects() {
    assert_eq!(
        data("{ person { ... on Node { id } ... on Person { name } } }").await,
        r#"{"data":{"person":{"id":"p1","name":"Ada"}}}"#
    );
    assert_eq!(
        data("{ node(id: 1) { id ... on Node { name } ... on Place { city } ... on Person { broken } } }").await,
        r#"{"data":{"node":{"id":"1","name":"Delft","city":"Delft"}}}"#
    );
    assert_eq!(
        data("{ written { ... on Node { id } ...F } } fragment F on Node { name }").await,
        r#"{"data":{"written":{"id":1,"name":1}}}"#
    );
}

#[tokio::test]
async fn introspection_works_and_is_no_way_to_a_huge_answer() {
    let types = data(
        "{ __schema { queryType { name } } __type(name: \"Place\") { fields { name type { kind ofType { name } } } } }",
    )
    .await;
    let expected = concat!(
        r#"{"data":{"__schema":{"queryType":{"name":"Query"}},"__type":{"fields":["#,
        r#"{"name":"id","type":{"kind":"NON_NULL","ofType":{"name":"ID"}}}"#
    );
    assert!(types.starts_with(expected), "{types}");
    let nested = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    assert_eq!(error(nested, json!({})).await.0, "QUERY_TOO_COMPLEX");
}
