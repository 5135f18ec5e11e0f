//! The first start of several servers at once.

use clientele::{access::FIRST, caller::Caller};
use serde_json::json;
use tokio::task::JoinSet;

use super::credentials::now;
use crate::harness::{Settings, TestServer};

on_both!(concurrent_first_starts_create_one_user);

async fn concurrent_first_starts_create_one_user(server: &TestServer) {
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(server.another(Settings::signed_in()).await);
    }
    let mut starts = JoinSet::new();
    for other in &others {
        let services = other.services.clone();
        starts.spawn(async move { services.accounts.make_first_user(&Caller::operator(), now()).await });
    }
    let mut shown = Vec::new();
    while let Some(start) = starts.join_next().await {
        shown.extend(start.expect("no panic").expect("the database answers"));
    }
    assert_eq!(shown.len(), 1);
    let query = "{ users { nodes { name passwordIsInitial } totalCount } }";
    let request = others[0]
        .request(reqwest::Method::POST, "/graphql")
        .basic_auth(FIRST, Some(shown[0].reveal()));
    let answer = others[0].send(request.json(&json!({ "query": query }))).await;
    answer.data(json!({ "users": { "nodes": [{ "name": FIRST, "passwordIsInitial": true }], "totalCount": 1 } }));
    let again = server
        .services
        .accounts
        .make_first_user(&Caller::operator(), now())
        .await;
    assert!(again.expect("the database answers").is_none(), "there is a user now");
    for other in others {
        TestServer::stop(other).await;
    }
}
