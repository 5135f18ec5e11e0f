//! The harness itself.

use serde_json::Value;

use crate::harness::TestServer;

on_both!(fresh_server_has_one_role_and_no_client);

async fn fresh_server_has_one_role_and_no_client(server: &TestServer) {
    let snapshot = server.snapshot().await;
    assert_eq!(snapshot.rows("client"), Vec::<&str>::new());
    assert_eq!(snapshot.rows("client_role").len(), 1);
    server.get("/nowhere").await.is(404, Value::Null);
}
