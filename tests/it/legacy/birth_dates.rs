//! Birth dates in the future. `now` is UTC, and a day begins 14 hours earlier at UTC+14.

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::json;

use super::{CLIENTS, FIRST, create, refusal};
use crate::harness::{TestServer, program::Server};

const FUTURE: &str = "client.birthDate: birthDate must not be in the future.";

on_both!(
    future_birth_date_is_refused_with_309,
    birth_date_of_today_is_accepted_in_every_time_zone,
    stored_future_birth_date_blocks_no_other_change,
    graphql_reports_a_future_birth_date_as_user_error,
);

async fn future_birth_date_is_refused_with_309(server: &TestServer) {
    create(server, json!({})).await;
    for future in ["3990-04-17", "9999-12-31", "3990-04-17T00:00:00+0000"] {
        let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "birthDate": future } });
        for path in [FIRST, CLIENTS] {
            server
                .refuses(path, body.clone(), 400, refusal(309, "INVALID_BIRTH_DATE", FUTURE))
                .await;
        }
        let path = format!(
            "/api/clients?firstName=Trevor&lastName=Linden&birthDate={}",
            future.replace('+', "%2B")
        );
        let answer = server.send(server.request(reqwest::Method::POST, &path)).await;
        answer.is(400, refusal(309, "INVALID_BIRTH_DATE", FUTURE));
    }
    // Other dates may be in the future, and filters take any.
    let document = json!({ "documentType": "Passport", "documentId": "1", "validUntil": "9999-12-31" });
    assert_eq!(
        server.post(FIRST, json!({ "idDocuments": [document] })).await.status,
        200
    );
    server.get("/api/clients?birthDate=3990-04-17").await.is(200, json!([]));
    let ancient = server
        .post(FIRST, json!({ "client": { "birthDate": "0001-01-01" } }))
        .await;
    assert_eq!(
        ancient.body["client"]["birthDate"], "0001-01-01T00:00:00+0000",
        "{}",
        ancient.text
    );
}

async fn birth_date_of_today_is_accepted_in_every_time_zone(server: &TestServer) {
    let now: DateTime<Utc> = std::time::SystemTime::now().into();
    create(server, json!({})).await;
    let send = async |date: chrono::NaiveDate| {
        server
            .post(FIRST, json!({ "client": { "birthDate": date.to_string() } }))
            .await
    };
    let easternmost = (now + TimeDelta::hours(14)).date_naive();
    assert_eq!(send(now.date_naive()).await.status, 200);
    assert_eq!(send(easternmost).await.status, 200);
    // Two days later, so that midnight may pass meanwhile.
    send(easternmost + Days::new(2))
        .await
        .is(400, refusal(309, "INVALID_BIRTH_DATE", FUTURE));
}

async fn stored_future_birth_date_blocks_no_other_change(server: &TestServer) {
    create(server, json!({})).await;
    server
        .write("UPDATE client SET birth_date = '3990-04-17'")
        .await
        .expect("a date");
    let notes = json!({ "client": { "notes": "n" } });
    assert_eq!(
        server.post(FIRST, notes).await.body["client"]["birthDate"],
        "3990-04-17T00:00:00+0000"
    );
    let back = server.get("/api/clients/<key 1>?fullDetails=true").await.body;
    assert_eq!(server.post(FIRST, back).await.status, 200);
    let later = json!({ "client": { "birthDate": "3990-04-18" } });
    server
        .refuses(FIRST, later, 400, refusal(309, "INVALID_BIRTH_DATE", FUTURE))
        .await;
    let cleared = server.post(FIRST, json!({ "client": { "birthDate": "" } })).await;
    assert_eq!((cleared.status, cleared.body["client"].get("birthDate")), (200, None));
}

async fn graphql_reports_a_future_birth_date_as_user_error(server: &TestServer) {
    let url = server.database_url();
    let server = Server::open(&[("DATABASE_URL", &*url)]);
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("it has no options");
    let query = r#"mutation {
        upsertClient(input: { client: { firstName: "A", lastName: "B", birthDate: "3990-04-17" } }) {
            client { clientId } userErrors { code message path } } }"#;
    let response = http
        .post(format!("{}/graphql", server.address))
        .json(&json!({ "query": query }));
    let response = response.send().await.expect("the server answers");
    let answer: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(
        answer,
        json!({ "data": { "upsertClient": { "client": null, "userErrors": [{ "code": "INVALID",
        "message": "birthDate must not be in the future.", "path": ["input", "client", "birthDate"] }] } } })
    );
}
