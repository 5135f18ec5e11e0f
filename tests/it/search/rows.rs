//! The rows of folded texts: they follow the client, and are filled for clients that have none.

use clientele::{
    client::fill_search_rows,
    db::{Database, DatabaseSettings},
    definitions::Kind,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::{
    Backend, TestServer, field,
    graphql::{store, store_key},
};

fn ana() -> Value {
    json!({ "client": { "clientId": "A-1", "firstName": "Ana María", "middleName": "Zoë", "lastName": "O’Brien",
            "birthDate": "1990-04-17", "emailAddress": "Ana.Brien@Example.test", "homePhone": "0047 900 00 123",
            "mobilePhone1": "none" },
        "addresses": [{ "city": "Málaga", "country": "España", "line1": "a street" }],
        "idDocuments": [{ "documentType": "Pässport", "documentId": "AB 123-45" },
            { "documentType": "Licence", "documentId": "Ж7" }],
        "customInformation": [{ "fieldId": "nick", "value": "secretive" }] })
}

/// The rows of a table, each as the array of its columns.
async fn rows(server: &TestServer, table: &str) -> Vec<Value> {
    let snapshot = server.snapshot().await;
    let rows = snapshot.rows(table);
    rows.iter()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect()
}

/// The only row of the search table, without the key.
async fn row(server: &TestServer) -> Value {
    let rows = rows(server, "client_search").await;
    let [Value::Array(columns)] = &rows[..] else {
        panic!("{rows:?}");
    };
    columns[1..].iter().cloned().collect()
}

/// The types and numbers of the search rows of documents.
async fn documents(server: &TestServer) -> Vec<[String; 2]> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = rows(server, "id_document_search").await;
    let mut documents: Vec<[String; 2]> = rows.iter().map(|row| [text(&row[2]), text(&row[3])]).collect();
    documents.sort();
    documents
}

on_both!(
    rows_follow_the_client,
    rows_are_written_only_if_their_texts_change,
    removal_leaves_no_searchable_text,
    missing_and_old_rows_are_filled_once,
    fill_does_not_undo_a_change,
);

async fn rows_follow_the_client(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let key = store_key(server, ana()).await;
    let first = json!([
        "ana maria",
        "o'brien",
        "1990-04-17",
        "ana.brien@example.test",
        "4790000123",
        null,
        null,
        "malaga",
        "espana",
        "ana maria zoe obrien brien a",
        "ana maria zoe obrien brien a 1 4790000123 ab12345 eit7",
        1
    ]);
    assert_eq!(row(server).await, first);
    assert_eq!(
        documents(server).await,
        [["licence", "ж7"], ["passport", "ab12345"]].map(|pair| pair.map(str::to_owned))
    );
    // A name alone: the documents and the address stay.
    store(
        server,
        json!({ "client": { "encodedKey": key, "lastName": "Byron", "birthDate": null } }),
        "version",
    )
    .await;
    let mut second = first;
    second[1] = json!("byron");
    second[2] = json!(null);
    second[9] = json!("ana maria zoe byron brien a");
    second[10] = json!("ana maria zoe byron brien a 1 4790000123 ab12345 eit7");
    assert_eq!(row(server).await, second);
    // Documents and the address alone.
    store(
        server,
        json!({ "client": { "encodedKey": key }, "addresses": [],
            "idDocuments": [{ "documentType": "Licence", "documentId": "L1" }] }),
        "version",
    )
    .await;
    (second[7], second[8]) = (json!(null), json!(null));
    second[10] = json!("ana maria zoe byron brien a 1 4790000123 l1");
    assert_eq!(row(server).await, second);
    assert_eq!(documents(server).await, [["licence", "l1"].map(str::to_owned)]);
    // The id, which only the legacy API changes.
    let patch = json!({ "client": { "id": "B2", "mobilePhone2": "5" } });
    let answer = server
        .send_json(reqwest::Method::PATCH, &format!("/api/clients/{key}"), patch)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    second[6] = json!("5");
    second[9] = json!("ana maria zoe byron brien");
    second[10] = json!("ana maria zoe byron brien b2 4790000123 5 l1");
    assert_eq!(row(server).await, second);
}

async fn rows_are_written_only_if_their_texts_change(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let key = store_key(server, ana()).await;
    for (change, writes) in [
        (json!({ "client": { "encodedKey": key, "notes": "x" } }), false),
        (
            json!({ "client": { "encodedKey": key, "firstName": "ÁNA maria" } }),
            false,
        ),
        (
            json!({ "client": { "encodedKey": key }, "customInformation": [{ "fieldId": "nick", "value": "y" }] }),
            false,
        ),
        (
            json!({ "client": { "encodedKey": key }, "addresses": [{ "city": "Malaga", "country": "ESPAÑA" }] }),
            false,
        ),
        (json!({ "client": { "encodedKey": key, "firstName": "Anna" } }), true),
    ] {
        server.statements();
        store(server, change.clone(), "version").await;
        let statements = server.statements();
        let has_written = statements.iter().any(|sql| sql.contains("INSERT INTO client_search"));
        assert_eq!(has_written, writes, "{change}: {statements:#?}");
    }
}

/// The trigrams in SQLite's full-text index.
async fn trigrams(server: &TestServer) -> Vec<String> {
    let url = server.database_url();
    let database = sea_orm::Database::connect(&url).await.expect("it can be opened");
    let run = async |sql: &str| database.execute_unprepared(sql).await.expect("sound");
    // It compares the index with its rows, too.
    run("INSERT INTO client_search_index(client_search_index, rank) VALUES ('integrity-check', 1)").await;
    run("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, client_search_index, row)").await;
    let sql = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT term FROM temp.terms");
    let rows = database.query_all_raw(sql).await.expect("sound");
    let terms = rows
        .iter()
        .map(|row| row.try_get_by_index(0).expect("a text"))
        .collect();
    database.close().await.expect("closed");
    terms
}

async fn removal_leaves_no_searchable_text(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    for (at, operation) in ["deleteClient", "eraseClient"].iter().enumerate() {
        let mut input = ana();
        input["client"]["clientId"] = json!(format!("C{at}"));
        let key = store_key(server, input).await;
        let renamed = json!({ "client": { "encodedKey": key, "lastName": "Quetzal" } });
        store(server, renamed, "version").await;
        if server.backend == Backend::Sqlite {
            let terms = trigrams(server).await;
            assert!(terms.contains(&"uet".to_owned()), "{terms:?}");
            assert!(!terms.contains(&"obr".to_owned()), "the former name: {terms:?}");
        }
        let sql = format!(
            "mutation($key: String!) {{ {operation}(input: {{ by: {{ encodedKey: $key }} }}) {{ \
            userErrors {{ message }} }} }}"
        );
        let answer = server.graphql(&sql, json!({ "key": key })).await;
        answer.data(json!({ *operation: { "userErrors": [] } }));
        assert_eq!(rows(server, "client_search").await, [json!(null); 0]);
        assert_eq!(rows(server, "id_document_search").await, [json!(null); 0]);
        if server.backend == Backend::Sqlite {
            assert_eq!(trigrams(server).await, [""; 0]);
        }
    }
}

async fn missing_and_old_rows_are_filled_once(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    store(server, ana(), "version").await;
    server.seed(1_200).await;
    fill_search_rows(&server.services.db, |_| ()).await.expect("it fills");
    let complete = server.snapshot().await;
    assert_eq!(complete.rows("client_search").len(), 1_201);
    assert_eq!(complete.rows("id_document_search").len(), 2_402);
    assert_eq!(
        complete.rows("client_search_fill"),
        ["[1, 1, null]".replace(", ", separator(server))]
    );
    // A complete fill writes nothing.
    server.statements();
    fill_search_rows(&server.services.db, |_| panic!("nothing is filled"))
        .await
        .expect("it ends");
    assert_eq!(server.statements().len(), 1);
    // As after an upgrade: some clients have no rows, others those of another folding.
    for sql in [
        "DELETE FROM client_search WHERE client_key LIKE '%3'",
        "DELETE FROM id_document_search",
        "UPDATE client_search SET text = 'old', last_name = 'old', form = 0 WHERE client_key LIKE '%4'",
        "UPDATE client_search_fill SET form = 0, filled_to = NULL",
    ] {
        server.write(sql).await.expect("sound");
    }
    let settings = DatabaseSettings::default();
    let other = Database::connect(&server.database_url(), &settings)
        .await
        .expect("it opens");
    let filled = std::sync::atomic::AtomicUsize::new(0);
    let largest = |clients: usize| {
        filled.fetch_max(clients, std::sync::atomic::Ordering::Relaxed);
    };
    let (one, two) = futures_util::future::join(
        fill_search_rows(&server.services.db, largest),
        fill_search_rows(&other, largest),
    )
    .await;
    one.expect("it fills");
    two.expect("it fills");
    other.close().await;
    assert_eq!(server.snapshot().await, complete);
    if server.backend == Backend::Sqlite {
        trigrams(server).await;
    }
}

fn separator(server: &TestServer) -> &'static str {
    match server.backend {
        Backend::Sqlite => ",",
        Backend::Postgres => ", ",
    }
}

async fn fill_does_not_undo_a_change(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let key = store_key(server, ana()).await;
    let (sql, db) = ("DELETE FROM client_search", &server.services.db);
    server.write(sql).await.expect("sound");
    let changed = json!({ "client": { "encodedKey": key, "lastName": "Byron" } });
    let (filled, _) = futures_util::future::join(fill_search_rows(db, |_| ()), store(server, changed, "version")).await;
    filled.expect("it fills");
    assert_eq!(row(server).await[1], "byron");
}
