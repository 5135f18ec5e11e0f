//! Requests that mean harm: variables of types that don't fit where they stand, and answers without end.

use reqwest::Method;
use serde_json::{Value, json};

use super::data;
use crate::harness::TestServer;

async fn refused_before_anything_runs(server: &TestServer, query: &str, variables: Value, sentence: &str) {
    let before = server.snapshot().await;
    let answer = server.graphql(query, variables).await;
    let errors = answer.body["errors"].as_array().expect("errors").clone();
    assert_eq!(errors.len(), 1, "{}", answer.text);
    assert_eq!(
        errors[0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED",
        "{}",
        answer.text
    );
    assert_eq!(errors[0]["message"], sentence);
    assert_eq!(answer.body.get("data"), None, "{}", answer.text);
    assert_eq!(server.snapshot().await, before);
}

on_both! {
    async fn a_variable_fits_where_it_stands_or_nothing_runs(server) {
        for (query, variables, sentence) in [
            (
                r#"mutation($a: IdDocumentInput!) { upsertClient(input: { client: { firstName: "A", lastName: "B" }, addresses: [$a] }) { created } }"#,
                json!({ "a": { "documentType": "x" } }),
                r#"Argument "input" at "addresses.0": "$a" is declared as IdDocumentInput!, where AddressInput! is expected."#,
            ),
            (
                "query($a: ClientInput) { clients(filter: $a) { totalCount } }",
                json!({ "a": { "firstName": "x" } }),
                r#"Argument "filter": "$a" is declared as ClientInput, where ClientFilter is expected."#,
            ),
            (
                r#"mutation($i: UpsertClientInput) {
                    a: upsertClient(input: { client: { firstName: "A", lastName: "B" } }) { created }
                    b: upsertClient(input: $i) { created } }"#,
                json!({}),
                r#"Argument "input": "$i" is declared as UpsertClientInput, where UpsertClientInput! is expected."#,
            ),
            (
                "query($a: String) { clients(first: $a) { totalCount } }",
                json!({}),
                r#"Argument "first": "$a" is declared as String, where Int is expected."#,
            ),
            (
                "query($a: Int!) { __typename @skip(if: $a) }",
                json!({ "a": 1 }),
                r#"Argument "if": "$a" is declared as Int!, where Boolean! is expected."#,
            ),
            (
                "query($a: ID) { node(id: $a) { id } }",
                json!({ "a": "x" }),
                r#"Argument "id": "$a" is declared as ID, where ID! is expected."#,
            ),
            (
                "query($a: String!) { clients(filter: { states: $a }) { totalCount } }",
                json!({ "a": "x" }),
                r#"Argument "filter" at "states": "$a" is declared as String!, where [ClientState!] is expected."#,
            ),
        ] {
            refused_before_anything_runs(server, query, variables, sentence).await;
        }
    }

    async fn a_default_lets_a_nullable_variable_stand_where_null_may_not(server) {
        let query = r#"query($skip: Boolean = true, $id: ID = "x") { clientRoles @skip(if: $skip) { name } node(id: $id) { id } }"#;
        assert_eq!(data(server, query, json!({})).await, json!({ "node": null }));
    }

    async fn an_answer_that_multiplies_without_end_is_refused(server) {
        server.clientele.seed(1, |_| ()).await.expect("seeding works");
        let mut selection = "fields { fieldId }".to_owned();
        for _ in 0..8 {
            selection = format!("fields {{ set {{ {selection} }} }}");
        }
        let answer = server.graphql(&format!("{{ customFieldSets {{ {selection} }} }}"), json!({})).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{:.300}", answer.text);
        assert_eq!(
            answer.body["errors"][0]["message"],
            "The answer would have more than 1000000 fields: ask for fewer, or for smaller pages."
        );
    }

    async fn a_change_is_said_to_be_stored_even_when_its_answer_is_too_large(server) {
        let fields: Vec<Value> = (0..30).map(|number| json!({ "fieldId": format!("f{number}"), "name": "F", "type": "TEXT" })).collect();
        let mut selection = "fields { fieldId }".to_owned();
        for _ in 0..5 {
            selection = format!("fields {{ set {{ {selection} }} }}");
        }
        let query = format!("mutation($input: UpsertCustomFieldSetInput!) {{ upsertCustomFieldSet(input: $input) {{ customFieldSet {{ {selection} }} }} }}");
        let answer = server.graphql(&query, json!({ "input": { "set": { "setId": "s", "name": "S" }, "fields": fields } })).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "INTERNAL", "{:.300}", answer.text);
        assert_eq!(
            answer.body["errors"][0]["message"],
            "The change has been stored, but its answer could not be completed: read it back, asking for less."
        );
        assert_eq!(data(server, "{ customFieldSets { setId } }", json!({})).await, json!({ "customFieldSets": [{ "setId": "s" }] }));
    }

    async fn ids_of_definitions_take_one_statement_together(server) {
        server.clientele.seed(1, |_| ()).await.expect("seeding works");
        let sets = data(server, "{ customFieldSets { id fields { id } } clientRoles { id } }", json!({})).await;
        let mut ids = vec![sets["customFieldSets"][0]["id"].clone(), sets["clientRoles"][0]["id"].clone()];
        ids.extend(sets["customFieldSets"][0]["fields"].as_array().expect("a list").iter().map(|field| field["id"].clone()));
        server.statements();
        let found = data(server, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids })).await;
        assert_eq!(found["nodes"].as_array().map(Vec::len), Some(7));
        assert_eq!(server.statements().len(), 1);
    }

    async fn a_body_is_one_json_object(server) {
        for (body, sentence) in [
            (r#"["{__typename}"]"#, "Several requests in one body are not supported. Send one JSON object."),
            (r#" [{"query":"{__typename}"}]"#, "Several requests in one body are not supported. Send one JSON object."),
            (r#""{__typename}""#, "The body must be a JSON object."),
            (
                r#"{"query":"{__typename}","variables":{"a":"\ud800"}}"#,
                "The body is not JSON, or nested too deeply: see line 1, column 49.",
            ),
        ] {
            let request = server.request(Method::POST, "/graphql").header("content-type", "application/json").body(body);
            let answer = server.send(request).await;
            assert_eq!(answer.status, 400);
            assert_eq!(answer.body["errors"][0]["message"], sentence);
        }
    }

    async fn a_refusal_is_no_longer_than_it_need_be(server) {
        let name = "a".repeat(500_000);
        let answer = server.graphql(&format!("{{ {name} }}"), json!({})).await;
        assert!(answer.text.len() < 1_000, "{} bytes", answer.text.len());
        let many: String = (0..1_000).map(|number| format!("unknown{number} ")).collect();
        let answer = server.graphql(&format!("{{ {many} }}"), json!({})).await;
        assert!(answer.text.len() < 10_000, "{} bytes", answer.text.len());
    }
}
