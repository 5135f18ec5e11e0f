//! The change feed: every committed change of a client once, and none before a position that was served.

mod exported;
mod feed;
mod limits;
mod order;
mod positions;

use clientele::{
    caller::Caller,
    changes::{ChangeFilter, LARGEST_PAGE, Position},
};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, store_key},
};

const CHANGES: &str = "query($after: String, $first: Int, $filter: ClientChangeFilter) {
    clientChanges(after: $after, first: $first, filter: $filter) {
        nodes { position clientKey version kind members { path } } position hasMore } }";

/// Stores a new client and returns its key.
async fn create(server: &TestServer, id: &str) -> String {
    let client = json!({ "clientId": id, "firstName": "Amara", "lastName": "Diaz" });
    store_key(server, json!({ "client": client })).await
}

/// A page of the feed, with all that is committed.
async fn page(server: &TestServer, variables: Value) -> Value {
    server.wait_for_changes().await;
    present_page(server, variables).await
}

/// A page of the feed as it is.
async fn present_page(server: &TestServer, variables: Value) -> Value {
    data(server, CHANGES, variables).await["clientChanges"].take()
}

/// The changes of a page as `KIND VERSION`.
fn kinds(page: &Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().expect("a list").iter();
    let text = |node: &Value| format!("{} {}", node["kind"].as_str().expect("a kind"), node["version"]);
    nodes.map(text).collect()
}

/// The position after all changes that are committed.
async fn end(server: &TestServer) -> String {
    server.wait_for_changes().await;
    present_end(server).await
}

async fn present_end(server: &TestServer) -> String {
    let data = data(server, "{ clientChanges(first: 0) { end } }", json!({})).await;
    data["clientChanges"]["end"].as_str().expect("a position").to_owned()
}

/// The keys and versions of all changes after a position, read page by page.
pub async fn all_after(server: &TestServer, position: &str, first: u32) -> Vec<(String, i64)> {
    let (mut found, mut after) = (Vec::new(), Position::parse(position).expect("a position"));
    server.wait_for_changes().await;
    let (caller, filter) = (Caller::operator(), ChangeFilter::default());
    loop {
        let page = server.services.changes.page(&caller, Some(&after), first, &filter);
        let page = page.await.expect("the database answers").expect("a page");
        assert!(page.changes.len() <= first.min(LARGEST_PAGE) as usize);
        let changes = page.changes.into_iter();
        found.extend(changes.map(|change| (change.client_key, change.version)));
        after = page.position;
        if !page.has_more {
            return found;
        }
    }
}
