//! Callers who are limited to branches and centres, and filters by branch.

use clientele::caller::{Limit, Rights};
use serde_json::{Value, json};

use super::{CHANGES, kinds, page};
use crate::{
    access::in_branches,
    audit::erase,
    harness::{
        TestServer,
        graphql::{data, store, store_key},
    },
};

on_both!(
    changes_follow_the_branch_of_the_client,
    limits_to_branch_and_centre_hold_together,
    removals_are_shown_where_the_client_was,
    client_from_before_the_feed_leaves_and_is_removed,
    filter_beyond_the_rights_is_forbidden,
);

async fn create(server: &TestServer, id: &str, members: Value) -> String {
    let client = json!({ "clientId": id, "firstName": "Amara", "lastName": "Diaz" });
    store_key(server, json!({ "client": crate::harness::with(client, members) })).await
}

async fn change(server: &TestServer, id: &str, members: Value) {
    let client = crate::harness::with(json!({ "clientId": id }), members);
    store(server, json!({ "matchOn": "CLIENT_ID", "client": client }), "version").await;
}

fn of(branch: &str) -> Value {
    json!({ "assignedBranchKey": branch })
}

async fn changes_follow_the_branch_of_the_client(server: &TestServer) {
    let north = server.as_caller(&in_branches(&["north"]));
    create(server, "a", of("north")).await;
    create(server, "b", of("south")).await;
    change(server, "a", json!({ "notes": "1" })).await;
    assert_eq!(kinds(&page(&north, json!({})).await), ["CREATED 1", "CHANGED 2"]);
    change(server, "a", of("south")).await;
    change(server, "a", json!({ "notes": "2" })).await;
    let last = page(server, json!({})).await;
    for (caller, variables) in [(&north, json!({})), (server, json!({ "filter": of("north") }))] {
        let left = page(caller, variables).await;
        assert_eq!(kinds(&left), ["CREATED 1", "CHANGED 2", "LEFT 3"]);
        assert_eq!(left["nodes"][2]["members"], json!([]));
        assert_eq!(left["position"], last["position"]);
    }
    // Earlier changes of a client that has left lose their values and their caller.
    let document =
        "{ clientChanges { nodes { members { path } record { subjectKey } caller { name } client { clientId } } } }";
    let hidden = data(&north, document, json!({})).await;
    let nothing = json!({ "members": [], "record": null, "caller": null, "client": null });
    assert_eq!(
        hidden,
        json!({ "clientChanges": { "nodes": [nothing, nothing, nothing] } })
    );
    // The change that brings the client back is shown, and none that was made elsewhere.
    change(server, "a", of("north")).await;
    let expected = ["CREATED 1", "CHANGED 2", "LEFT 3", "CHANGED 5"];
    let back = page(&north, json!({})).await;
    assert_eq!(kinds(&back), expected);
    assert_eq!(back["nodes"][3]["members"], json!([{ "path": ["assignedBranchKey"] }]));
}

async fn limits_to_branch_and_centre_hold_together(server: &TestServer) {
    let rights = Rights {
        centres: Limit::To(["c1".to_owned()].into()),
        ..in_branches(&["north"])
    };
    let both = server.as_caller(&rights);
    for (id, centre) in [("in", "c1"), ("out", "c2")] {
        create(
            server,
            id,
            crate::harness::with(of("north"), json!({ "assignedCentreKey": centre })),
        )
        .await;
    }
    // The second one was never within both limits.
    change(server, "out", of("south")).await;
    change(server, "in", json!({ "assignedCentreKey": "c2" })).await;
    change(server, "in", of("south")).await;
    assert_eq!(kinds(&page(&both, json!({})).await), ["CREATED 1", "LEFT 2"]);
}

async fn removals_are_shown_where_the_client_was(server: &TestServer) {
    let north = server.as_caller(&in_branches(&["north"]));
    let keys = [
        create(server, "a", of("north")).await,
        create(server, "b", of("south")).await,
    ];
    let delete = "mutation($by: ClientBy!) { deleteClient(input: { by: $by }) { userErrors { code } } }";
    for key in &keys {
        data(server, delete, json!({ "by": { "encodedKey": key } })).await;
    }
    assert_eq!(kinds(&page(&north, json!({})).await), ["CREATED 1", "DELETED 2"]);
    let moved = create(server, "c", of("north")).await;
    change(server, "c", of("south")).await;
    for key in keys.iter().chain([&moved]) {
        erase(&server.services, key).await;
    }
    // It was known to have left.
    let expected = ["CREATED 1", "DELETED 2", "CREATED 1", "LEFT 2", "ERASED 3"];
    assert_eq!(kinds(&page(&north, json!({})).await), expected);
}

async fn client_from_before_the_feed_leaves_and_is_removed(server: &TestServer) {
    let north = server.as_caller(&in_branches(&["north"]));
    for id in ["a", "b", "c"] {
        create(server, id, of("north")).await;
    }
    server.write("DELETE FROM client_change").await.expect("written");
    change(server, "a", of("south")).await;
    let delete = "mutation { deleteClient(input: { by: { clientId: \"b\" } }) { userErrors { code } } }";
    data(server, delete, json!({})).await;
    let row = server
        .services
        .db
        .read()
        .one("SELECT encoded_key FROM client WHERE client_id = 'c'", [])
        .await;
    let key: String = row.expect("rows").expect("a row").try_get_by_index(0).expect("a text");
    erase(&server.services, &key).await;
    assert_eq!(
        kinds(&page(&north, json!({})).await),
        ["LEFT 2", "DELETED 2", "ERASED 2"]
    );
}

async fn filter_beyond_the_rights_is_forbidden(server: &TestServer) {
    let rights = Rights {
        view_sets: clientele::caller::Sets::These(Default::default()),
        edit_sets: clientele::caller::Sets::These(Default::default()),
        ..in_branches(&["north"])
    };
    let north = server.as_caller(&rights);
    for (filter, member) in [
        (of("south"), "assignedBranchKey"),
        (json!({ "members": ["customInformation"] }), "members"),
    ] {
        let answer = north.graphql(CHANGES, json!({ "filter": filter })).await;
        let extensions = &answer.body["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "FORBIDDEN", "{}", answer.text);
        assert_eq!(extensions["path"], json!(["filter", member]));
    }
    assert_eq!(kinds(&page(&north, json!({ "filter": of("north") })).await), [""; 0]);
}
