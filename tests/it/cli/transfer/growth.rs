//! The rows that an import reads of those that are stored before.

use serde_json::json;

use super::{file, lines, run, summary};
use crate::harness::{TestServer, program::directory};

on_postgres!(import_finds_stored_clients_by_their_keys);

/// Otherwise its time would grow with the square of its clients.
async fn import_finds_stored_clients_by_their_keys(server: &TestServer) {
    let client = |n: usize| {
        let own = json!({ "encodedKey": format!("k{n}"), "clientId": format!("c{n}"), "firstName": "Amara",
            "lastName": "B", "birthDate": "1990-01-01" });
        json!({ "client": own, "addresses": [{ "city": "Exampleton" }] })
    };
    let (directory, url) = (
        directory(),
        format!("{}&application_name=import", server.database_url()),
    );
    file(
        &directory,
        "clients",
        lines(&(0..9_000).map(client).collect::<Vec<_>>()),
    );
    let imported = run(&directory, &url, &["import", "clients"]);
    assert_eq!(imported, (summary(9_000, 0, 0), String::new(), Some(0)));
    let number = async |sql: &str| {
        let row = server.services.db.read().one(sql, []).await.expect("it is read");
        row.expect("a row").try_get_by_index::<i64>(0).expect("a number")
    };
    // A connection counts what it read at its end.
    while number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'import'").await > 0 {}
    let read = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('client', \
        'client_id_claim'))::int8 + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('client', \
        'client_id_claim') AND indexrelname NOT LIKE '%pkey')::int8";
    let read = number(read).await;
    // While there are few clients, PostgreSQL reads them all. Until the end, a look-up would read 36,000.
    assert!(read < 9_000, "{read}");
}
