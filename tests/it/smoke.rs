//! The harness itself.

use serde_json::Value;

on_both! {
    async fn a_fresh_server_has_one_role_and_no_client(server) {
        let snapshot = server.snapshot().await;
        assert_eq!(snapshot.rows("client"), Vec::<&str>::new());
        assert_eq!(snapshot.rows("client_role").len(), 1);
        server.get("/nowhere").await.is(404, Value::Null);
    }
}
