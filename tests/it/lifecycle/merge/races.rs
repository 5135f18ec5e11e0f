//! Merges at the same time as other merges, upserts, deletions and new links.

use std::collections::BTreeSet;

use clientele::definitions::Kind;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{assert_released, create_with, merge, merged, named, show, two, unique, user_errors, values};
use crate::{
    audit::findings,
    harness::{Answer, HeldLock, TestServer, field, with},
};

on_both!(
    opposite_merges_are_carried_out_one_after_the_other,
    merges_in_a_ring_end,
    merge_races_with_upserts,
    merge_races_with_deletions,
    link_created_meanwhile_leads_to_a_client,
);

on_postgres!(
    removals_along_a_chain_leave_no_reference_to_a_removed_client,
    value_claimed_meanwhile_refuses_the_redirected_link,
);

/// The code of the only problem; none if there was none.
fn code(answer: &Answer) -> Option<String> {
    let errors = user_errors(answer, "mergeClients");
    errors[0]["code"].as_str().map(str::to_owned)
}

async fn opposite_merges_are_carried_out_one_after_the_other(server: &TestServer) {
    for round in 0..10 {
        let (a, b) = (format!("A{round}"), format!("B{round}"));
        create_with(server, &a, json!({})).await;
        create_with(server, &b, json!({})).await;
        let merges = [(&a, &b), (&b, &a), (&a, &b), (&b, &a)];
        let answers = join_all(merges.map(|(from, into)| merge(server, two(from, into)))).await;
        let codes: Vec<Option<String>> = answers.iter().map(code).collect();
        assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 1, "{codes:?}");
        assert!(codes.iter().flatten().all(|code| code == "ALREADY_MERGED"), "{codes:?}");
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merges_in_a_ring_end(server: &TestServer) {
    for round in 0..5 {
        let ids: Vec<String> = (0..4).map(|number| format!("{round}-{number}")).collect();
        for id in &ids {
            create_with(server, id, json!({})).await;
        }
        let next = |number: usize| &ids[(number + 1) % ids.len()];
        let merges = ids
            .iter()
            .enumerate()
            .map(|(number, id)| merge(server, two(id, next(number))));
        let answers = join_all(merges).await;
        // A merged client is no target, so that references never form a ring.
        let merged = answers.iter().filter(|answer| code(answer).is_none()).count();
        assert!((1..ids.len()).contains(&merged), "{merged}");
        let codes: BTreeSet<String> = answers.iter().filter_map(code).collect();
        assert!(codes.iter().all(|code| code == "ALREADY_MERGED"), "{codes:?}");
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merge_races_with_upserts(server: &TestServer) {
    for round in 0..10 {
        let (from, into) = (format!("F{round}"), format!("I{round}"));
        create_with(
            server,
            &from,
            json!({ "idDocuments": [{ "documentType": "P", "documentId": "1" }] }),
        )
        .await;
        create_with(server, &into, json!({})).await;
        let change = |id: &str| {
            let body = json!({ "client": { "notes": "n" }, "addresses": [{ "line1": "1" }] });
            let path = format!("/api/clients/{id}");
            async move { server.post(&path, body).await.status }
        };
        let merging = merge(
            server,
            with(two(&from, &into), json!({ "addresses": "ADD", "idDocuments": "ADD" })),
        );
        let (answer, one, other, again) = tokio::join!(merging, change(&from), change(&into), change(&from));
        assert_eq!(
            (code(&answer), one, other, again),
            (None, 200, 200, 200),
            "{}",
            answer.text
        );
        let shown = show(server, &into, "idDocuments { documentId } addresses { line1 }").await;
        assert_eq!(shown["idDocuments"].as_array().map(Vec::len), Some(1));
        assert_eq!(shown["addresses"], json!([{ "line1": "1" }]));
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merge_races_with_deletions(server: &TestServer) {
    for round in 0..12 {
        let (from, into) = (format!("F{round}"), format!("I{round}"));
        create_with(server, &from, json!({})).await;
        create_with(server, &into, json!({})).await;
        let removed = if round % 2 == 0 { &from } else { &into };
        let request = server.request(Method::DELETE, &format!("/api/clients/{removed}"));
        let (answer, deleted) = tokio::join!(merge(server, two(&from, &into)), server.send(request));
        assert_eq!(deleted.status, 200, "{}", deleted.text);
        assert!(
            [None, Some("NOT_FOUND".to_owned())].contains(&code(&answer)),
            "{}",
            answer.text
        );
        if removed == &into {
            assert_eq!(
                show(server, &from, "mergedIntoKey").await,
                json!({ "mergedIntoKey": null })
            );
        }
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn link_created_meanwhile_leads_to_a_client(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    for round in 0..10 {
        let (from, into) = (format!("F{round}"), format!("I{round}"));
        let from_key = create_with(server, &from, json!({})).await;
        let into_key = create_with(server, &into, json!({})).await;
        let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
        let links = (0..4).map(|number| {
            let input = json!({ "client": named(&format!("L{round}-{number}"), "L"),
                "customInformation": [{ "fieldId": "friend", "linkedKey": from_key }] });
            server.graphql(query, json!({ "input": input }))
        });
        let (answers, answer) = tokio::join!(join_all(links), merge(server, two(&from, &into)));
        assert_eq!(code(&answer), None, "{}", answer.text);
        assert!(
            answers
                .iter()
                .all(|answer| *user_errors(answer, "upsertClient") == json!([]))
        );
        let redirected = answer.body["data"]["mergeClients"]["redirectedLinks"]
            .as_u64()
            .expect("a number");
        // A link that was stored first is redirected; a later one leads to the merged client.
        let mut found = 0;
        for number in 0..4 {
            let shown = show(server, &format!("L{round}-{number}"), "customInformation { linkedKey }").await;
            let key: &Value = &shown["customInformation"][0]["linkedKey"];
            assert!(*key == json!(from_key) || *key == json!(into_key), "{key}");
            found += u64::from(*key == json!(into_key));
        }
        assert_eq!(found, redirected);
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn removals_along_a_chain_leave_no_reference_to_a_removed_client(server: &TestServer) {
    let a = create_with(server, "A", json!({})).await;
    for (from, into) in [("A", "B"), ("B", "C")] {
        create_with(server, into, json!({})).await;
        merged(server, two(from, into)).await;
    }
    let delete = async |id: &str| {
        let request = server.request(Method::DELETE, &format!("/api/clients/{id}"));
        assert_eq!(server.send(request).await.status, 200);
    };
    let held = HeldLock::of_client(&a, []);
    let removals = async {
        held.is_held().await;
        // It has locked B, and waits for A.
        let first = async { delete("B").await };
        let second = async {
            held.is_waited_for(server).await;
            // It waits for B, which is gone then. Meanwhile A refers to C.
            delete("C").await;
        };
        let release = async {
            held.is_waited_for_by(2, server).await;
            held.release();
        };
        tokio::join!(first, second, release);
    };
    tokio::join!(held.hold(server), removals);
    assert_released(server).await;
}

/// An import claims values without a lock on the clients that they link to.
async fn value_claimed_meanwhile_refuses_the_redirected_link(server: &TestServer) {
    server.define(vec![unique(field("friend", Kind::ClientLink))]).await;
    let from = create_with(server, "F", json!({})).await;
    let into = create_with(server, "I", json!({})).await;
    let link = json!({ "customInformation": [{ "fieldId": "friend", "linkedKey": from }] });
    create_with(server, "A", link).await;
    let held = HeldLock::of_claim("friendKey", &into, "imported");
    let merging = async {
        held.is_held().await;
        let release = async {
            held.is_waited_for(server).await;
            held.release();
        };
        tokio::join!(merge(server, two("F", "I")), release).0
    };
    let ((), answer) = tokio::join!(held.hold(server), merging);
    assert_eq!(code(&answer).as_deref(), Some("TAKEN"), "{}", answer.text);
    assert_eq!(values(server, "A").await, [format!("friend={from}")]);
    assert_eq!(findings(server).await, [""; 0]);
}
