//! Links of other clients to the merged client, and links between the two clients.

use clientele::{
    caller::{Limit, Permission, Rights, Sets},
    definitions::Kind,
    upsert::MOST_LINKS,
};
use serde_json::{Value, json};

use super::{change_state, create_with, define_grouped, merge, merged, named, show, two, unique, user_errors, values};
use crate::{
    audit::{changes, findings},
    harness::{TestServer, field, graphql::store_key, with},
};

on_both!(
    links_of_other_clients_are_redirected,
    link_from_the_client_to_the_merged_one_is_refused,
    links_between_the_clients_stay_with_the_merged_one,
    unique_links_are_claimed_for_the_client,
    links_of_sets_that_the_caller_may_not_change_are_refused,
    links_of_clients_outside_of_the_callers_limits_are_refused,
    links_of_blacklisted_clients_are_refused,
    at_most_500_links_are_redirected,
);

fn link(field: &str, key: &str) -> Value {
    json!({ "fieldId": field, "linkedKey": key })
}

async fn links_of_other_clients_are_redirected(server: &TestServer) {
    server
        .define(vec![field("friend", Kind::ClientLink), field("nick", Kind::Text)])
        .await;
    define_grouped(server).await;
    let from = create_with(server, "F", json!({})).await;
    let into = create_with(server, "I", json!({})).await;
    let other = create_with(server, "O", json!({})).await;
    let of_group = |group: i32, key: &str| with(link("boss", key), json!({ "groupIndex": group }));
    let text = |id: &str, text: &str| json!({ "fieldId": id, "value": text });
    let links = json!([
        link("friend", &from),
        text("nick", &from),
        of_group(0, &other),
        of_group(1, &from)
    ]);
    create_with(server, "A", json!({ "customInformation": links })).await;
    create_with(server, "B", json!({ "customInformation": [link("friend", &from)] })).await;
    let answer = merged(server, two("F", "I")).await;
    assert_eq!(answer["redirectedLinks"], 3);
    let (friend, boss) = (format!("friend={into}"), format!("boss.1={into}"));
    assert_eq!(
        values(server, "A").await,
        [friend.clone(), format!("nick={from}"), format!("boss.0={other}"), boss]
    );
    assert_eq!(values(server, "B").await, [friend]);
    for (id, version) in [("A", 2), ("B", 2), ("O", 1)] {
        let shown = show(
            server,
            id,
            "version history(first: 1) { nodes { action changes { path before after } } }",
        )
        .await;
        assert_eq!(shown["version"], version);
        if id == "B" {
            let record = &shown["history"]["nodes"][0];
            let expected = [format!("customInformation.friend.linkedKey: {from} → {into}")];
            assert_eq!(
                (&record["action"], changes(record)),
                (&json!("CHANGED"), expected.into())
            );
        }
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn link_from_the_client_to_the_merged_one_is_refused(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    let from = create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({ "customInformation": [link("friend", &from)] })).await;
    let before = server.snapshot().await;
    let message = "The client links to the one to merge by the field friend: remove this link first.";
    let answer = merge(server, with(two("F", "I"), json!({ "customInformation": "ADD" }))).await;
    let expected = json!([{ "code": "STILL_LINKED", "message": message, "path": ["input", "into"] }]);
    assert_eq!(*user_errors(&answer, "mergeClients"), expected);
    let blind = server.as_caller(&Rights {
        view_sets: Sets::These(Default::default()),
        edit_sets: Sets::These(Default::default()),
        ..Rights::all()
    });
    let message = "The client links to the one to merge by a field that you may not view: have it removed first.";
    let answer = merge(&blind, two("F", "I")).await;
    assert_eq!(user_errors(&answer, "mergeClients")[0]["message"], message);
    assert_eq!(server.snapshot().await, before);
    // A link that the merge deletes is no link to itself.
    merged(server, with(two("F", "I"), json!({ "customInformation": "REPLACE" }))).await;
    assert_eq!(values(server, "I").await, [""; 0]);
}

async fn links_between_the_clients_stay_with_the_merged_one(server: &TestServer) {
    server
        .define(vec![field("friend", Kind::ClientLink), field("self", Kind::ClientLink)])
        .await;
    let into = create_with(server, "I", json!({})).await;
    let from = create_with(server, "F", json!({})).await;
    let links = json!([link("friend", &into), link("self", &from)]);
    store_key(
        server,
        json!({ "client": { "encodedKey": from }, "customInformation": links }),
    )
    .await;
    let answer = merged(server, with(two("F", "I"), json!({ "customInformation": "REPLACE" }))).await;
    assert_eq!(answer["redirectedLinks"], 0);
    assert_eq!(values(server, "I").await, [""; 0]);
    assert_eq!(
        values(server, "F").await,
        [format!("friend={into}"), format!("self={from}")]
    );
}

async fn unique_links_are_claimed_for_the_client(server: &TestServer) {
    server.define(vec![unique(field("friend", Kind::ClientLink))]).await;
    let from = create_with(server, "F", json!({})).await;
    let into = create_with(server, "I", json!({})).await;
    let linked = |key: &str| json!({ "customInformation": [link("friend", key)] });
    create_with(server, "A", linked(&from)).await;
    let b = create_with(server, "B", linked(&into)).await;
    let before = server.snapshot().await;
    let answer = merge(server, two("F", "I")).await;
    assert_eq!(
        user_errors(&answer, "mergeClients")[0]["code"],
        "TAKEN",
        "{}",
        answer.text
    );
    assert_eq!(server.snapshot().await, before);
    store_key(
        server,
        json!({ "client": { "encodedKey": b }, "customInformation": [] }),
    )
    .await;
    merged(server, two("F", "I")).await;
    assert_eq!(values(server, "A").await, [format!("friend={into}")]);
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    for (key, expected) in [(&into, json!([{ "code": "TAKEN" }])), (&from, json!([]))] {
        let input = with(json!({ "client": { "encodedKey": b } }), linked(key));
        let answer = server.graphql(query, json!({ "input": input })).await;
        assert_eq!(*user_errors(&answer, "upsertClient"), expected);
    }
}

async fn links_of_sets_that_the_caller_may_not_change_are_refused(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    let from = create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    create_with(server, "A", json!({ "customInformation": [link("friend", &from)] })).await;
    let before = server.snapshot().await;
    let viewer = server.as_caller(&Rights {
        edit_sets: Sets::These(Default::default()),
        ..Rights::all()
    });
    let message = "Other clients link to this client by fields that you may not change.";
    let answer = merge(&viewer, two("F", "I")).await;
    let expected = json!([{ "code": "FORBIDDEN", "message": message, "path": ["input", "from"] }]);
    assert_eq!(*user_errors(&answer, "mergeClients"), expected);
    assert_eq!(server.snapshot().await, before);
}

async fn links_of_clients_outside_of_the_callers_limits_are_refused(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    let north = |id: &str| json!({ "client": with(named(id, id), json!({ "assignedBranchKey": "north" })) });
    let from = store_key(server, north("F")).await;
    store_key(server, north("I")).await;
    create_with(server, "A", json!({ "customInformation": [link("friend", &from)] })).await;
    let before = server.snapshot().await;
    let limited = server.as_caller(&Rights {
        branches: Limit::To(["north".to_owned()].into()),
        ..Rights::all()
    });
    let message = "Clients that you can't access link to this client: a caller with access to all branches and centres \
        can merge it.";
    let answer = merge(&limited, two("F", "I")).await;
    let expected = json!([{ "code": "FORBIDDEN", "message": message, "path": ["input", "from"] }]);
    assert_eq!(*user_errors(&answer, "mergeClients"), expected);
    assert_eq!(server.snapshot().await, before);
}

async fn links_of_blacklisted_clients_are_refused(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    let from = create_with(server, "F", json!({})).await;
    let into = create_with(server, "I", json!({})).await;
    for id in ["A", "B"] {
        create_with(server, id, json!({ "customInformation": [link("friend", &from)] })).await;
    }
    change_state(server, "B", "BLACKLISTED").await;
    let before = server.snapshot().await;
    let query = "mutation { mergeClients(input: { from: { clientId: \"F\" }, into: { clientId: \"I\" } }) { \
        userErrors { code message path clientCount clientIds } } }";
    let message = "Blacklisted clients link to this client, and can't be edited: change their state first.";
    let expected = |count: i64, ids: Value| {
        json!([{ "code": "BLACKLISTED", "message": message, "path": ["input", "from"], "clientCount": count,
            "clientIds": ids }])
    };
    let answer = server.graphql(query, json!({})).await;
    assert_eq!(*user_errors(&answer, "mergeClients"), expected(1, json!(["B"])));
    let blind = server.as_caller(&Rights::of([Permission::MergeClients]));
    let answer = blind.graphql(query, json!({})).await;
    assert_eq!(*user_errors(&answer, "mergeClients"), expected(1, json!([])));
    assert_eq!(server.snapshot().await, before);
    change_state(server, "B", "INACTIVE").await;
    merged(server, two("F", "I")).await;
    assert_eq!(values(server, "B").await, [format!("friend={into}")]);
}

async fn at_most_500_links_are_redirected(server: &TestServer) {
    define_grouped(server).await;
    let from = create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    let links = |count: usize| {
        let of_group = |group: usize| with(link("boss", &from), json!({ "groupIndex": group }));
        (0..count).map(of_group).collect::<Value>()
    };
    create_with(server, "A", json!({ "customInformation": links(MOST_LINKS) })).await;
    let one = json!({ "client": named("B", "B"), "customInformation": links(1) });
    let key = store_key(server, one).await;
    let before = server.snapshot().await;
    let answer = merge(server, two("F", "I")).await;
    let message = "A merge redirects at most 500 links of other clients: remove some first.";
    let expected = json!([{ "code": "TOO_MANY", "message": message, "path": ["input", "from"] }]);
    assert_eq!(*user_errors(&answer, "mergeClients"), expected);
    assert_eq!(server.snapshot().await, before);
    store_key(
        server,
        json!({ "client": { "encodedKey": key }, "customInformation": [] }),
    )
    .await;
    assert_eq!(merged(server, two("F", "I")).await["redirectedLinks"], MOST_LINKS);
    assert_eq!(findings(server).await, [""; 0]);
}
