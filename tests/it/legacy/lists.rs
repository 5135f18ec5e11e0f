//! `GET /api/clients`: filters, order, offset and limit.

use serde_json::{Value, json};

use super::{CLIENTS, client, create, expanded, merged, refusal};
use crate::harness::TestServer;

/// Clients with the ids `c0`, `c1`…, each with its own differences.
async fn create_each(server: &TestServer, clients: &[Value]) {
    for (number, own) in clients.iter().enumerate() {
        let always = json!({ "firstName": "Trevor", "lastName": "Linden", "id": format!("c{number}") });
        let client = merged(always, own["client"].clone());
        let body = json!({ "client": client, "idDocuments": own["idDocuments"] });
        assert_eq!(server.post(CLIENTS, body).await.status, 200);
    }
}

/// The ids of the clients that a request lists.
async fn ids(server: &TestServer, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/api/clients?{query}")).await;
    let clients = answer
        .body
        .as_array()
        .unwrap_or_else(|| panic!("{query}: {}", answer.text));
    clients
        .iter()
        .map(|client| client["id"].as_str().expect("an id").to_owned())
        .collect()
}

on_both!(
    list_has_bare_clients_in_order_of_creation,
    filters_are_exact_and_combine,
    offset_and_limit_have_bounds,
    invalid_filter_is_refused,
    full_details_list_takes_one_statement,
);

async fn list_has_bare_clients_in_order_of_creation(server: &TestServer) {
    server.get(CLIENTS).await.is(200, json!([]));
    create(server, json!({ "addresses": [{ "city": "Exampleton" }] })).await;
    server.get(CLIENTS).await.is(200, json!([client(json!({}))]));
    create_each(server, &vec![json!({ "client": {} }); 60]).await;
    assert_eq!(ids(server, "").await.len(), 50);
    assert_eq!(ids(server, "offset=1&limit=3").await, ["c0", "c1", "c2"]);
    assert_eq!(ids(server, "offset=58&limit=1000").await, ["c57", "c58", "c59"]);
    assert_eq!(ids(server, "offset=61").await, Vec::<String>::new());
    assert_eq!(ids(server, "limit=1&fullDetails=false").await.len(), 1);
}

async fn filters_are_exact_and_combine(server: &TestServer) {
    create_each(
        server,
        &[
            json!({ "client": { "birthDate": "1990-04-17" } }),
            json!({ "client": { "firstName": "trevor", "assignedBranchKey": "b1" } }),
            json!({ "client": { "lastName": "Lindens", "assignedCentreKey": "c1", "birthDate": "1990-04-17" } }),
            json!({ "client": { "assignedUserKey": "u1" }, "idDocuments": [{ "documentType": "Passport",
            "documentId": "X1" }] }),
            json!({ "client": { "firstName": "%", "lastName": "_" }, "idDocuments": [
            { "documentType": "Passport", "documentId": "X2" }, { "documentType": "Visa", "documentId": "X1" },
        ] }),
        ],
    )
    .await;
    for (query, expected) in [
        ("firstName=Trevor", vec!["c0", "c2", "c3"]),
        ("firstName=trevor", vec!["c1"]),
        ("firstName=Tre", vec![]),
        ("lastName=Linden", vec!["c0", "c1", "c3"]),
        ("firstName=%25", vec!["c4"]),
        ("lastName=_", vec!["c4"]),
        ("birthDate=1990-04-17", vec!["c0", "c2"]),
        ("birthDate=1990-04-17&lastName=Lindens", vec!["c2"]),
        ("branchId=b1", vec!["c1"]),
        ("centreId=c1", vec!["c2"]),
        ("creditOfficerUsername=u1", vec!["c3"]),
        ("firstName=%00", vec![]),
        ("lastName=%00", vec![]),
        ("idDocument=X1%00", vec![]),
        ("branchId=%00", vec![]),
        ("centreId=%00", vec![]),
        ("creditOfficerUsername=%00", vec![]),
        ("firstName=Trevor%0A", vec![]),
        ("idDocument=X1", vec!["c3", "c4"]),
        ("idDocument=x1", vec![]),
        ("state=INACTIVE&limit=2", vec!["c0", "c1"]),
        ("state=ACTIVE", vec![]),
        ("firstName=Trevor&offset=1", vec!["c2", "c3"]),
    ] {
        assert_eq!(ids(server, query).await, expected, "{query}");
    }
}

async fn offset_and_limit_have_bounds(server: &TestServer) {
    for (query, code, status) in [
        ("offset=x", 11, "INVALID_PAGINATION_OFFSET_VALUE"),
        ("offset=1.5", 11, "INVALID_PAGINATION_OFFSET_VALUE"),
        ("offset=-1", 12, "OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE"),
        ("limit=x", 13, "INVALID_PAGINATION_LIMIT_VALUE"),
        ("limit=", 13, "INVALID_PAGINATION_LIMIT_VALUE"),
        ("limit=0", 14, "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE"),
        ("limit=1001", 14, "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE"),
        ("limit=-1", 14, "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE"),
    ] {
        let answer = server.get(&format!("/api/clients?{query}")).await;
        let source = answer.body["errorSource"].as_str().unwrap_or_default();
        answer.is(400, refusal(code, status, source));
    }
}

async fn invalid_filter_is_refused(server: &TestServer) {
    for (query, code) in [
        ("surname=x", 27),
        ("state=nonsense", 305),
        ("birthDate=yesterday", 309),
        ("fullDetails=perhaps", 4),
        ("fullDetails=true&fullDetails=true", 27),
    ] {
        let answer = server.get(&format!("/api/clients?{query}")).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{query} {}",
            answer.text
        );
    }
}

async fn full_details_list_takes_one_statement(server: &TestServer) {
    create(server, json!({ "addresses": [{ "city": "Exampleton" }] })).await;
    let address = json!([{ "encodedKey": "<key 2>", "parentKey": "<key 1>", "city": "Exampleton", "indexInList": 0 }]);
    let whole = merged(
        expanded(client(json!({})), json!({ "addresses": address })),
        json!({ "groupKeys": [] }),
    );
    server
        .get("/api/clients?fullDetails=true")
        .await
        .is(200, json!([whole]));
    server.seed(60).await;
    // The first list reads the new definitions, too.
    assert_eq!(ids(server, "offset=60").await.len(), 1);
    let mut texts = Vec::new();
    for limit in [1, 60] {
        server.statements();
        let answer = server
            .get(&format!("/api/clients?fullDetails=TRUE&limit={limit}"))
            .await;
        let clients = answer.body.as_array().expect("a list");
        assert_eq!((answer.status, clients.len()), (200, limit));
        let documents = |client: &Value| client["idDocuments"].as_array().map(Vec::len);
        assert!(
            clients.iter().all(|client| documents(client) == Some(2)),
            "{}",
            answer.text
        );
        texts.push(server.statements());
    }
    assert_eq!(texts[0].len(), 1, "{texts:?}");
    assert_eq!(texts[0], texts[1]);
}
