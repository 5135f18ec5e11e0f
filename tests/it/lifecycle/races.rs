//! Removals, changes of ids and upserts at the same time.

use std::collections::BTreeSet;

use clientele::definitions::Kind;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{create, patch, send};
use crate::{
    audit::findings,
    harness::{Answer, HeldLock, TestServer, field, graphql::store_key},
};

on_both!(
    racing_deletions_and_changes_leave_no_orphan,
    link_is_never_stored_after_the_deletion_of_its_client,
    upsert_by_id_races_with_deletion,
    new_id_is_claimed_by_one_client,
    upsert_by_id_races_with_a_change_of_the_id,
    erasure_races_with_changes_and_links,
    erasure_races_with_repeated_requests,
);
on_postgres!(locked_client_is_the_one_that_has_the_id,);

async fn delete(server: &TestServer, id: &str) -> Answer {
    server
        .send(server.request(Method::DELETE, &format!("/api/clients/{id}")))
        .await
}

async fn upsert(server: &TestServer, input: Value) -> Answer {
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created userErrors { code } } }";
    server.graphql(query, json!({ "input": input })).await
}

/// The keys or ids in one column of all rows of a table.
async fn column(server: &TestServer, table: &str, at: usize) -> BTreeSet<String> {
    let snapshot = server.snapshot().await;
    let rows = snapshot.rows(table).into_iter().map(|row| {
        let row: Value = serde_json::from_str(row).expect("a row is JSON");
        row[at].as_str().expect("a text").to_owned()
    });
    rows.collect()
}

async fn assert_consistent(server: &TestServer) {
    let clients = column(server, "client", 0).await;
    assert_eq!(column(server, "client_id_claim", 1).await, clients);
    assert_eq!(
        column(server, "client_id_claim", 0).await,
        column(server, "client", 1).await
    );
    for table in ["address", "custom_field_value"] {
        assert!(column(server, table, 0).await.is_subset(&clients), "{table}");
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn racing_deletions_and_changes_leave_no_orphan(server: &TestServer) {
    for round in 0..10 {
        create(server, "C").await;
        let change = |number: usize| {
            let body = json!({ "client": { "notes": format!("{round} {number}") },
                "addresses": [{ "line1": number.to_string() }] });
            async move { send(server, Method::POST, "/api/clients/C", &body).await.status }
        };
        let changes = join_all((0..8).map(change));
        let deletions = join_all((0..3).map(|_| async { delete(server, "C").await.status }));
        let (changed, deleted) = tokio::join!(changes, deletions);
        assert!(changed.iter().all(|status| [200, 404].contains(status)), "{changed:?}");
        let mut deleted = deleted;
        deleted.sort_unstable();
        assert_eq!(deleted, [200, 404, 404]);
    }
    assert_consistent(server).await;
}

async fn link_is_never_stored_after_the_deletion_of_its_client(server: &TestServer) {
    server.define(vec![field("boss", Kind::ClientLink)]).await;
    let name = |id: &str| json!({ "clientId": id, "firstName": "Ana", "lastName": "Cruz" });
    let mut outcomes = BTreeSet::new();
    for round in 0..20 {
        let boss = store_key(server, json!({ "client": name("boss") })).await;
        let linked = json!({ "client": name(&format!("L{round}")),
            "customInformation": [{ "fieldId": "boss", "linkedKey": boss }] });
        let (linked, deleted) = match round % 2 {
            0 => tokio::join!(upsert(server, linked), delete(server, "boss")),
            _ => {
                let (deleted, linked) = tokio::join!(delete(server, "boss"), upsert(server, linked));
                (linked, deleted)
            }
        };
        let is_linked = linked.body["data"]["upsertClient"]["created"] == true;
        match (is_linked, deleted.status, &deleted.body["returnCode"]) {
            (true, 400, code) => assert_eq!(*code, 927),
            (false, 200, _) => assert_eq!(
                linked.body["data"]["upsertClient"]["userErrors"][0]["code"],
                "NOT_FOUND"
            ),
            _ => panic!("{} {}", linked.text, deleted.text),
        }
        outcomes.insert(is_linked);
        if is_linked {
            let unlink = json!({ "customInformation": [] });
            assert_eq!(server.post(&format!("/api/clients/L{round}"), unlink).await.status, 200);
            assert_eq!(delete(server, "boss").await.status, 200);
        }
    }
    assert_consistent(server).await;
}

async fn upsert_by_id_races_with_deletion(server: &TestServer) {
    for round in 0..10 {
        create(server, "C").await;
        let change = |number: usize| {
            let client = json!({ "clientId": "C", "firstName": "Ana", "lastName": format!("{round} {number}") });
            upsert(server, json!({ "matchOn": "CLIENT_ID", "client": client }))
        };
        let (answers, deleted) = tokio::join!(join_all((0..6).map(change)), delete(server, "C"));
        assert_eq!(deleted.status, 200);
        let created = answers
            .iter()
            .filter(|answer| answer.body["data"]["upsertClient"]["created"] == true);
        assert!(created.count() <= 1, "after the deletion, one creates the client anew");
        for answer in &answers {
            assert_eq!(
                answer.body["data"]["upsertClient"]["userErrors"],
                json!([]),
                "{}",
                answer.text
            );
        }
        assert_consistent(server).await;
        delete(server, "C").await;
    }
}

async fn new_id_is_claimed_by_one_client(server: &TestServer) {
    for round in 0..5 {
        let ids: Vec<String> = (0..6).map(|number| format!("{round} {number}")).collect();
        for id in &ids {
            create(server, id).await;
        }
        let wanted = format!("new {round}");
        let change = |id: &String| {
            let (path, wanted) = (id.replace(' ', "%20"), wanted.clone());
            async move { patch(server, &path, json!({ "id": wanted })).await }
        };
        let creation = json!({ "client": { "id": wanted, "firstName": "Ana", "lastName": "Cruz" } });
        let (mut answers, created) =
            tokio::join!(join_all(ids.iter().map(change)), server.post("/api/clients", creation));
        answers.push(created);
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|answer| answer.body["returnCode"] == 316));
    }
    assert_consistent(server).await;
}

async fn upsert_by_id_races_with_a_change_of_the_id(server: &TestServer) {
    for round in 0..10 {
        create(server, "C").await;
        let client = json!({ "clientId": "C", "firstName": "Ana", "lastName": "Cruz" });
        let by_id = upsert(server, json!({ "matchOn": "CLIENT_ID", "client": client }));
        let new_id = json!({ "id": format!("new {round}") });
        let (renamed, upserted) = tokio::join!(patch(server, "C", new_id), by_id);
        assert_eq!(renamed.status, 200, "{}", renamed.text);
        assert_eq!(upserted.body["data"]["upsertClient"]["userErrors"], json!([]));
        assert_consistent(server).await;
        delete(server, "C").await;
    }
}

async fn erase(server: &TestServer, key: &str) -> Answer {
    let query = "mutation($key: String!) { eraseClient(input: { by: { encodedKey: $key } }) { erasedClientKey \
        userErrors { code } } }";
    server.graphql(query, json!({ "key": key })).await
}

/// Asserts that no table has this text.
async fn assert_absent(server: &TestServer, text: &str) {
    let snapshot = server.snapshot().await;
    assert!(snapshot.0.iter().all(|row| !row.contains(text)), "{text} is stored");
}

async fn erasure_races_with_changes_and_links(server: &TestServer) {
    server.define(vec![field("boss", Kind::ClientLink)]).await;
    for round in 0..10 {
        let client = json!({ "clientId": "C", "firstName": "Trevor", "lastName": "Erasable" });
        let key = store_key(server, json!({ "client": client })).await;
        let change = |number: usize| {
            let body =
                json!({ "client": { "lastName": format!("Erasable{number}") }, "addresses": [{ "line1": "1" }] });
            async move { send(server, Method::POST, "/api/clients/C", &body).await.status }
        };
        let link = |number: usize| {
            let client = json!({ "clientId": format!("L{round} {number}"), "firstName": "Ana", "lastName": "Cruz" });
            let linked = json!({ "client": client, "customInformation": [{ "fieldId": "boss", "linkedKey": key }] });
            upsert(server, linked)
        };
        let (changed, linked, erased) = tokio::join!(
            join_all((0..6).map(change)),
            join_all((0..3).map(link)),
            join_all((0..2).map(|_| erase(server, &key)))
        );
        assert!(changed.iter().all(|status| [200, 404].contains(status)), "{changed:?}");
        for answer in erased {
            assert_eq!(
                answer.body["data"]["eraseClient"]["userErrors"],
                json!([]),
                "{}",
                answer.text
            );
        }
        // Links that came first stay.
        for answer in linked {
            let payload = &answer.body["data"]["upsertClient"];
            let is_refused = payload["userErrors"][0]["code"] == "NOT_FOUND";
            assert_ne!(payload["created"] == true, is_refused, "{}", answer.text);
        }
        let late = link(9).await;
        assert_eq!(late.body["data"]["upsertClient"]["userErrors"][0]["code"], "NOT_FOUND");
        assert_absent(server, "Erasable").await;
        assert_consistent(server).await;
    }
}

async fn erasure_races_with_repeated_requests(server: &TestServer) {
    for round in 0..10 {
        let client = json!({ "clientId": format!("C{round}"), "firstName": "Trevor", "lastName": "Erasable" });
        let input = json!({ "client": client, "idempotencyKey": format!("k{round}") });
        let key = store_key(server, input.clone()).await;
        let (repeated, erased) = tokio::join!(
            join_all((0..6).map(|_| upsert(server, input.clone()))),
            erase(server, &key)
        );
        assert_eq!(erased.body["data"]["eraseClient"]["userErrors"], json!([]));
        for answer in repeated {
            let payload = &answer.body["data"]["upsertClient"];
            let is_refused = payload["userErrors"][0]["code"] == "OUTCOME_ERASED";
            assert_ne!(payload["created"] == true, is_refused, "{}", answer.text);
        }
        let late = upsert(server, input).await;
        assert_eq!(
            late.body["data"]["upsertClient"]["userErrors"][0]["code"],
            "OUTCOME_ERASED"
        );
        assert_eq!(server.snapshot().await.rows("client"), [""; 0]);
        assert_absent(server, "Erasable").await;
        assert_consistent(server).await;
    }
}

/// The id of a client goes to another one while requests that name it wait for the first client. They must lock the
/// other client, too: a change of it that is under way must not get lost.
async fn locked_client_is_the_one_that_has_the_id(server: &TestServer) {
    let by_id = json!({ "clientId": "A", "firstName": "Eva", "lastName": "Cruz" });
    let input = json!({ "matchOn": "CLIENT_ID", "client": by_id });
    let body = json!({ "client": { "firstName": "Eva" } });
    for request in [
        "POST",
        "PATCH",
        "upsertClient",
        "changeClientState",
        "DELETE",
        "eraseClient",
    ] {
        let name = |id: &str| json!({ "client": { "clientId": id, "firstName": "Ana", "lastName": "Cruz" } });
        let first = store_key(server, name("A")).await;
        let second = store_key(server, name("Z")).await;
        let rename = [
            format!("UPDATE client SET client_id = 'B' WHERE encoded_key = '{first}'"),
            format!("UPDATE client_id_claim SET client_id = 'B' WHERE client_key = '{first}'"),
            format!("UPDATE client_id_claim SET client_id = 'A' WHERE client_key = '{second}'"),
        ];
        let change = format!("UPDATE client SET client_id = 'A', notes = 'kept' WHERE encoded_key = '{second}'");
        let (of_first, of_second) = (
            HeldLock::of_client(&first, rename),
            HeldLock::of_client(&second, [change]),
        );
        let named = async {
            of_first.is_held().await;
            of_second.is_held().await;
            let mutation = |name: &str, input: &str| {
                let query = format!(
                    "mutation {{ {name}(input: {{ by: {{ clientId: \"A\" }} {input} }}) {{ \
                    userErrors {{ code }} }} }}"
                );
                async move { server.graphql(&query, json!({})).await }
            };
            let answer = match request {
                "POST" => send(server, Method::POST, "/api/clients/A", &body).await,
                "PATCH" => send(server, Method::PATCH, "/api/clients/A", &body).await,
                "DELETE" => delete(server, "A").await,
                "upsertClient" => upsert(server, input.clone()).await,
                "changeClientState" => mutation(request, "state: EXITED").await,
                _ => mutation(request, "").await,
            };
            let errors = &answer.body["data"][request]["userErrors"];
            assert!(
                answer.status == 200 && (errors.is_null() || *errors == json!([])),
                "{}",
                answer.text
            );
        };
        let releases = async {
            of_first.is_held().await;
            of_second.is_held().await;
            of_first.is_waited_for(server).await;
            of_first.release();
            of_second.is_waited_for(server).await;
            of_second.release();
        };
        tokio::join!(of_first.hold(server), of_second.hold(server), named, releases);
        let is_removed = ["DELETE", "eraseClient"].contains(&request);
        let row = async |key: &str| {
            let query = "query($key: String!) { client(by: { encodedKey: $key }) { clientId firstName state notes } }";
            server.graphql(query, json!({ "key": key })).await.body["data"]["client"].clone()
        };
        let unchanged = json!({ "clientId": "B", "firstName": "Ana", "state": "INACTIVE", "notes": null });
        assert_eq!(row(&first).await, unchanged, "{request}");
        let (first_name, state) = match request {
            "changeClientState" => ("Ana", "EXITED"),
            _ => ("Eva", "INACTIVE"),
        };
        let changed = json!({ "clientId": "A", "firstName": first_name, "state": state, "notes": "kept" });
        let expected = if is_removed { Value::Null } else { changed };
        assert_eq!(row(&second).await, expected, "{request}");
        for key in [&first, &second] {
            let deletion = "mutation($key: String!) { deleteClient(input: { by: { encodedKey: $key } }) { userErrors { \
                code } } }";
            server.graphql(deletion, json!({ "key": key })).await;
        }
        assert_consistent(server).await;
    }
}
