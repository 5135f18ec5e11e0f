//! Totals of lists: exact up to 10,000, and marked beyond.

use std::ops::RangeInclusive;

use clientele::paging::COUNT_LIMIT;
use entity::{Table, audit_record, client, custom_field_value, message};
use serde_json::{Value, json};

use crate::harness::{
    Backend, TestServer,
    graphql::{data, define, define_template, store},
};

const TOTALS: &str = "query($id: String!) {
    clients { ...T }
    named: clients(filter: { lastNameStartsWith: \"B\" }) { ...T }
    flagged: clients(filter: { customField: { fieldId: \"flag\", value: \"x\" } }) { ...T }
    both: clients(filter: { customField: { fieldId: \"flag\", value: \"x\" }, firstNameStartsWith: \"A\" }) { ...T }
    messages { ...M }
    auditLog(filter: { client: { clientId: $id } }) { ...A }
    client(by: { clientId: $id }) { messages { ...M } history { ...A } } }
    fragment T on ClientConnection { totalCount totalCountPrecision }
    fragment M on MessageConnection { totalCount totalCountPrecision }
    fragment A on AuditRecordConnection { totalCount totalCountPrecision }";

/// Copies the table's original rows once for each number, with some columns changed.
async fn copy<E: Table>(server: &TestServer, numbers: &RangeInclusive<i64>, original: &str, changes: &[(&str, &str)]) {
    let (start, end, table) = (numbers.start(), numbers.end(), E::table());
    let value = |column: &&str| match changes.iter().find(|(changed, _)| changed == column) {
        Some((_, value)) => (*value).to_owned(),
        None => format!("t.{column}"),
    };
    let values: Vec<String> = E::columns().iter().map(value).collect();
    let sql = format!(
        "INSERT INTO {table} ({}) WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < \
         {end}) SELECT {} FROM n CROSS JOIN {table} t WHERE {original}",
        E::columns().join(", "),
        values.join(", ")
    );
    server.write(&sql).await.expect("copies");
}

/// Copies the client, its value, its message and its record.
async fn add(server: &TestServer, key: &str, numbers: RangeInclusive<i64>) {
    let new_key = "'k' || CAST(n.i AS TEXT)";
    let of_client = format!("t.client_key = '{key}'");
    let client = [("encoded_key", new_key), ("client_id", "'c' || CAST(n.i AS TEXT)")];
    copy::<client::Entity>(server, &numbers, &format!("t.encoded_key = '{key}'"), &client).await;
    let value = [("client_key", new_key), ("encoded_key", new_key)];
    copy::<custom_field_value::Entity>(server, &numbers, &of_client, &value).await;
    let original = format!("{of_client} AND t.encoded_key NOT LIKE 'k%'");
    copy::<message::Entity>(server, &numbers, &original, &[("encoded_key", new_key)]).await;
    let first =
        format!("t.chain = '{key}' AND t.position = (SELECT min(position) FROM audit_record WHERE chain = '{key}')");
    copy::<audit_record::Entity>(server, &numbers, &first, &[("position", "t.position + n.i")]).await;
}

fn each(total: &Value) -> Value {
    json!({ "clients": total, "named": total, "flagged": total, "both": total, "messages": total, "auditLog": total,
        "client": { "messages": total, "history": total } })
}

on_both!(
    total_is_exact_up_to_limit_and_marked_beyond,
    value_of_custom_field_is_counted_only_where_it_is_used,
    count_alone_reads_no_rows,
);

async fn total_is_exact_up_to_limit_and_marked_beyond(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "flag", "name": "Flag", "type": "TEXT" }]),
    )
    .await;
    define_template(
        server,
        json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "Hello", "text": "Hello" }] }),
    )
    .await;
    let input = json!({ "client": { "clientId": "first", "firstName": "Ana", "lastName": "Bellweather",
        "emailAddress": "ana@example.test" },
        "customInformation": [{ "fieldId": "flag", "value": "x" }] });
    let key = store(server, input, "encodedKey").await["encodedKey"]
        .as_str()
        .expect("a key")
        .to_owned();
    add(server, &key, 1..=COUNT_LIMIT - 1).await;
    let id = json!({ "id": "first" });
    assert_eq!(
        data(server, TOTALS, id.clone()).await,
        each(&json!({ "totalCount": 10_000, "totalCountPrecision": "EXACT" }))
    );
    add(server, &key, COUNT_LIMIT..=COUNT_LIMIT).await;
    assert_eq!(
        data(server, TOTALS, id).await,
        each(&json!({ "totalCount": 10_000, "totalCountPrecision": "AT_LEAST" }))
    );

    // Lists by a value that many clients have, which are searched in another way.
    let flagged = "query($name: String, $last: Boolean!) {
            flagged: clients(first: 2, filter: { customField: { fieldId: \"flag\", value: \"x\" }, \
            firstNameStartsWith: $name }) { ...P }
            all: clients(first: 2, filter: { firstNameStartsWith: $name }) { ...P }
            end: clients(last: 2, filter: { customField: { fieldId: \"flag\", value: \"x\" } }) @include(if: $last) { \
            ...P }
            allEnd: clients(last: 2) @include(if: $last) { ...P } }
            fragment P on ClientConnection { nodes { encodedKey } pageInfo { hasNextPage hasPreviousPage } \
            totalCount }";
    let page = data(server, flagged, json!({ "last": true })).await;
    assert_eq!(page["flagged"], page["all"]);
    assert_eq!(page["end"], page["allEnd"]);
    assert_eq!(page["flagged"]["nodes"].as_array().map(Vec::len), Some(2));
    let none = data(server, flagged, json!({ "name": "Zed", "last": false })).await;
    let empty = json!({ "nodes": [], "pageInfo": { "hasNextPage": false, "hasPreviousPage": false }, "totalCount": 0 });
    assert_eq!(none, json!({ "flagged": empty, "all": empty }));
}

async fn value_of_custom_field_is_counted_only_where_it_is_used(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "flag", "name": "Flag", "type": "TEXT" }]),
    )
    .await;
    let input = json!({ "client": { "firstName": "Ana", "lastName": "Bo" },
        "customInformation": [{ "fieldId": "flag", "value": "x" }] });
    store(server, input, "version").await;
    let flagged = "customField: { fieldId: \"flag\", value: \"x\" }";
    let sqlite = usize::from(matches!(server.backend, Backend::Sqlite));
    let (rows, total, both) = ("nodes { firstName }", "totalCount", "nodes { firstName } totalCount");
    for (other, selection, counts) in [
        ("", rows, sqlite),
        ("", total, 1),
        ("", both, 1),
        ("firstNameStartsWith: \"A\"", rows, sqlite),
        ("firstNameStartsWith: \"A\"", total, 1 + sqlite),
        ("firstNameStartsWith: \"A\"", both, 1 + sqlite),
    ] {
        let query = format!("{{ clients(filter: {{ {flagged} {other} }}) {{ {selection} }} }}");
        server.statements();
        let found = data(server, &query, json!({})).await;
        let statements = server.statements();
        let counting = statements.iter().filter(|sql| sql.contains("SELECT count(*)")).count();
        assert_eq!(counting, counts, "{query}: {statements:#?}");
        if selection != rows {
            assert_eq!(found["clients"]["totalCount"], 1, "{query}");
        }
        if selection != total {
            assert_eq!(found["clients"]["nodes"], json!([{ "firstName": "Ana" }]), "{query}");
        }
    }
}

async fn count_alone_reads_no_rows(server: &TestServer) {
    for query in [
        "{ clients { totalCount } }",
        "{ messages { totalCountPrecision } }",
        "{ auditLog { totalCount } }",
        "{ users { totalCount } }",
        "{ tokens { totalCount } }",
    ] {
        data(server, query, json!({})).await;
        server.statements();
        data(server, query, json!({})).await;
        let statements = server.statements();
        assert_eq!(statements.len(), 1, "{statements:#?}");
        assert!(
            statements[0].starts_with("SELECT count(*) FROM (SELECT 1 FROM"),
            "{statements:#?}"
        );
    }
    // Its arguments are checked all the same.
    let answer = server
        .graphql("{ clients(after: \"x\") { totalCount } }", json!({}))
        .await;
    assert_eq!(
        answer.body["errors"][0]["message"],
        "`after`: This isn't a cursor of this list in this order: send one that a page has given you."
    );
}
