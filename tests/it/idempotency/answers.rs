//! Answers to repeated requests.

use clientele::definitions::Kind;
use reqwest::Method;
use serde_json::json;

use super::{CLIENTS, UPSERT, counts, ines, post, upsert};
use crate::harness::{TestServer, field, options};

on_both!(
    repeated_request_gets_the_first_answer_byte_for_byte,
    updates_and_unchanged_updates_are_replayed_too,
    parameters_and_forms_are_replayed_too,
    replay_shows_definitions_as_they_were,
    replay_with_another_selection_shows_the_same_client,
    literals_variables_and_member_order_are_one_input,
);

async fn repeated_request_gets_the_first_answer_byte_for_byte(server: &TestServer) {
    let first = post(server, CLIENTS, "order-7319", &ines()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let change =
        json!({ "client": { "encodedKey": "<key 1>", "notes": "changed by another caller" }, "idDocuments": [] });
    assert_eq!(server.post("/api/clients/<key 1>", change).await.status, 200);
    let before = server.snapshot().await;
    assert_eq!(post(server, CLIENTS, "order-7319", &ines()).await.text, first.text);
    assert_eq!(server.snapshot().await, before, "nothing is done a second time");
}

async fn updates_and_unchanged_updates_are_replayed_too(server: &TestServer) {
    assert_eq!(post(server, CLIENTS, "create", &ines()).await.status, 200);
    let change = json!({ "client": { "notes": "first" } });
    for key in ["change", "unchanged"] {
        let first = post(server, "/api/clients/<key 1>", key, &change).await;
        assert_eq!(first.body["client"]["notes"], "first", "{}", first.text);
        let other = json!({ "client": { "notes": "second" } });
        assert_eq!(server.post("/api/clients/<key 1>", other).await.status, 200);
        let before = server.snapshot().await;
        assert_eq!(
            post(server, "/api/clients/<key 1>", key, &change).await.text,
            first.text
        );
        assert_eq!(server.snapshot().await, before, "nothing is done a second time");
        assert_eq!(server.post("/api/clients/<key 1>", change.clone()).await.status, 200);
    }
}

async fn parameters_and_forms_are_replayed_too(server: &TestServer) {
    let query = "/api/clients?firstName=Ines&lastName=Okafor";
    let bare = async || {
        let request = server.request(Method::POST, query).header("Idempotency-Key", "query");
        server.send(request).await
    };
    let form = async || {
        let request = server.request(Method::POST, CLIENTS).header("Idempotency-Key", "form");
        server
            .send(request.form(&[("firstName", "Ines"), ("lastName", "Okafor")]))
            .await
    };
    for (first, again) in [(bare().await, bare().await), (form().await, form().await)] {
        assert_eq!((first.status, &first.text), (200, &again.text));
    }
    assert_eq!(counts(server).await, [2, 0, 2]);
}

async fn replay_shows_definitions_as_they_were(server: &TestServer) {
    let mut colour = field("colour", Kind::Selection);
    colour.options = options(&["RED", "BLUE"]);
    server
        .define(vec![
            field("first", Kind::Text),
            field("second", Kind::Number),
            colour.clone(),
        ])
        .await;
    let mut body = ines();
    body["customInformation"] = json!([
        { "customFieldID": "second", "value": "12.50" }, { "customFieldID": "colour", "value": "RED" },
    ]);
    let mut input = ines();
    input["customInformation"] =
        json!([{ "fieldId": "second", "value": "12.50" }, { "fieldId": "colour", "value": "RED" }]);
    let rest = post(server, CLIENTS, "rest", &body).await;
    let graphql = upsert(server, "graphql", &input).await;
    assert_eq!(
        (rest.status, graphql.status),
        (200, 200),
        "{} {}",
        rest.text,
        graphql.text
    );
    colour.name = async_graphql::MaybeUndefined::Value("Another name".to_owned());
    colour.options = options(&["RED", "GREEN"]);
    server
        .define(vec![field("first", Kind::Text), field("second", Kind::Number), colour])
        .await;
    // The options of a field are the present ones.
    let offering = |options: &str| graphql.text.replace(r#"[{"value":"RED"},{"value":"BLUE"}]"#, options);
    assert_eq!(post(server, CLIENTS, "rest", &body).await.text, rest.text);
    assert_eq!(
        upsert(server, "graphql", &input).await.text,
        offering(r#"[{"value":"RED"},{"value":"GREEN"}]"#)
    );

    let (first, second) = (
        rest.body["client"]["id"].clone(),
        graphql.body["data"]["upsertClient"]["client"]["clientId"].clone(),
    );
    for id in [first, second] {
        let id = id.as_str().expect("a placeholder");
        let path = format!("/api/clients/{id}");
        assert_eq!(server.post(&path, json!({ "customInformation": [] })).await.status, 200);
    }
    server.define(vec![field("first", Kind::Text)]).await;
    assert_eq!(post(server, CLIENTS, "rest", &body).await.text, rest.text);
    assert_eq!(upsert(server, "graphql", &input).await.text, offering("[]"));
    // The stored outcome does not affect the definitions of other requests.
    let sets = server
        .graphql("{ customFieldSets { fields { fieldId } } }", json!({}))
        .await;
    sets.data(json!({ "customFieldSets": [{ "fields": [{ "fieldId": "first" }] }] }));
}

async fn replay_with_another_selection_shows_the_same_client(server: &TestServer) {
    let few = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { client { version } } }";
    let mut input = ines();
    input["idempotencyKey"] = json!("order-7319");
    server
        .graphql(few, json!({ "input": input }))
        .await
        .data(json!({ "upsertClient": { "client": { "version": 1 } } }));
    assert_eq!(
        server
            .post(
                "/api/clients",
                json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } })
            )
            .await
            .status,
        200
    );
    input["clientMutationId"] = json!("of the second");
    let answer = server.graphql(UPSERT, json!({ "input": input })).await;
    let payload = &answer.body["data"]["upsertClient"];
    assert_eq!(
        (
            &payload["created"],
            &payload["clientMutationId"],
            &payload["client"]["addresses"],
            &payload["client"]["idDocuments"]
        ),
        (
            &json!(true),
            &json!("of the second"),
            &json!([{ "line1": "1 Test Lane", "city": "Exampleton" }]),
            &json!([{ "documentId": "X1234567" }])
        ),
        "{}",
        answer.text,
    );
}

async fn literals_variables_and_member_order_are_one_input(server: &TestServer) {
    let literals = [
        r#"{ idempotencyKey: "order-7319", client: { firstName: "Ines", lastName: "Okafor", gender: FEMALE },
            addresses: [{ latitude: 1 }] }"#,
        r#"{ addresses: [{ latitude: 1.0 }], client: { gender: FEMALE, lastName: "Okafor", firstName: "Ines" },
            idempotencyKey: "order-7319", matchOn: ENCODED_KEY }"#,
    ];
    let selection = "{ created userErrors { code } client { clientId } }";
    let mut answers = Vec::new();
    for literal in literals {
        answers.push(
            server
                .graphql(
                    &format!("mutation {{ upsertClient(input: {literal}) {selection} }}"),
                    json!({}),
                )
                .await,
        );
    }
    let input = json!({
        "client": { "lastName": "Okafor", "gender": "FEMALE", "firstName": "Ines" },
            "addresses": [{ "latitude": 1.0 }], "idempotencyKey": "order-7319",
    });
    let query = format!("mutation($input: UpsertClientInput!) {{ upsertClient(input: $input) {selection} }}");
    answers.push(server.graphql(&query, json!({ "input": input })).await);
    let mut cleared = input;
    cleared["client"]["notes"] = json!(null);
    for answer in answers {
        answer
            .data(json!({ "upsertClient": { "created": true, "userErrors": [], "client": { "clientId": "<id 1>" } } }));
    }
    let answer = server.graphql(&query, json!({ "input": cleared })).await;
    answer.data(
        json!({ "upsertClient": { "created": false, "userErrors": [{ "code": "IDEMPOTENCY_KEY_REUSED" }],
        "client": null } }),
    );
    assert_eq!(counts(server).await, [1, 0, 1]);
}
