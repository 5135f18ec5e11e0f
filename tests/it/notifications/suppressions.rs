//! The suppression list: its effect on messages, its management, and what removals of clients leave of it.

use clientele::{
    caller::{Limit, Permission, Rights},
    message_guard::MessageSettings,
};
use serde_json::{Value, json};

use super::{
    manual_worker::{Hand, settings},
    messages, template,
};
use crate::harness::{
    Settings, TestServer,
    graphql::{data, store_key},
    peers::{Mailing, SmtpPeer},
};

const ADD: &str = "mutation($input: AddSuppressionInput!) { addSuppression(input: $input) { added suppression { \
    channel recipient reason since byKind byName } userErrors { code message path } clientMutationId } }";
const REMOVE: &str = "mutation($input: RemoveSuppressionInput!) { removeSuppression(input: $input) { suppression { \
    recipient } userErrors { code message path } } }";

async fn add(server: &TestServer, channel: &str, recipient: &str) -> Value {
    let input = json!({ "channel": channel, "recipient": recipient });
    data(server, ADD, json!({ "input": input })).await["addSuppression"].take()
}

async fn remove(server: &TestServer, channel: &str, recipient: &str) -> Value {
    let input = json!({ "channel": channel, "recipient": recipient });
    data(server, REMOVE, json!({ "input": input })).await["removeSuppression"].take()
}

/// The recipients on the list that pass the filter, newest first.
async fn listed(server: &TestServer, filter: Value) -> Vec<String> {
    let query =
        "query($filter: SuppressionFilter) { suppressions(filter: $filter) { nodes { recipient } totalCount } }";
    let found = data(server, query, json!({ "filter": filter })).await["suppressions"].take();
    let nodes = found["nodes"].as_array().expect("a list");
    assert_eq!(found["totalCount"], nodes.len());
    nodes
        .iter()
        .map(|node| node["recipient"].as_str().expect("a text").to_owned())
        .collect()
}

fn client(address: &str) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "emailAddress": address } })
}

async fn states(server: &TestServer) -> Vec<(String, Option<String>)> {
    let all = messages(server).await.into_iter();
    all.map(|message| (message.state, message.reason)).collect()
}

fn suppressed() -> (String, Option<String>) {
    ("SUPPRESSED".to_owned(), Some("SUPPRESSION_LIST".to_owned()))
}

on_both!(
    recipient_is_added_listed_and_removed,
    list_is_read_in_pages,
    message_to_a_listed_recipient_is_not_sent,
    recipient_that_is_added_later_gets_no_queued_message,
    resend_to_a_listed_recipient_says_why,
    removal_of_a_client_removes_only_its_own_entries,
    limited_callers_have_no_access,
    changes_are_recorded_without_the_recipient,
);

async fn recipient_is_added_listed_and_removed(server: &TestServer) {
    let settings = Settings {
        messages: MessageSettings {
            region: "US".to_owned(),
            ..MessageSettings::default()
        },
        ..Settings::default()
    };
    let server = &server.another(settings).await;
    let input = json!({ "channel": "EMAIL", "recipient": " Ines@Example.Test", "clientMutationId": "m" });
    let entry = json!({ "channel": "EMAIL", "recipient": "ines@example.test", "reason": "MANUAL", "since": "<time>",
        "byKind": "ANYONE", "byName": "anyone" });
    let added = json!({ "added": true, "suppression": entry, "userErrors": [], "clientMutationId": "m" });
    let answer = server.graphql(ADD, json!({ "input": input })).await;
    answer.data(json!({ "addSuppression": added }));
    let again = add(server, "EMAIL", "INES@example.test").await;
    assert_eq!(
        (&again["added"], &again["suppression"]["recipient"]),
        (&json!(false), &json!("ines@example.test"))
    );
    assert_eq!(
        add(server, "SMS", "(415) 555-0101").await["suppression"]["recipient"],
        "+14155550101"
    );
    let all = ["+14155550101", "ines@example.test"];
    for (filter, expected) in [
        (Value::Null, &all[..]),
        (json!({}), &all),
        (json!({ "channel": "SMS" }), &all[..1]),
        (json!({ "recipient": "+1 415 555 0101" }), &all[..1]),
        (
            json!({ "recipient": "INES@example.test", "channel": "EMAIL" }),
            &all[1..],
        ),
        (json!({ "recipient": "INES@example.test", "channel": "SMS" }), &[]),
        (json!({ "recipient": "a\u{0}" }), &[]),
        (json!({ "reason": "MANUAL" }), &all),
        (json!({ "reason": "COMPLAINT" }), &[]),
    ] {
        assert_eq!(listed(server, filter.clone()).await, expected, "{filter}");
    }
    for (reason, kept) in [(json!("COMPLAINT"), "COMPLAINT"), (Value::Null, "MANUAL")] {
        let input = json!({ "channel": "EMAIL", "recipient": "bo@example.test", "reason": reason });
        let added = data(server, ADD, json!({ "input": input })).await;
        assert_eq!(added["addSuppression"]["suppression"]["reason"], kept);
        remove(server, "EMAIL", "bo@example.test").await;
    }
    assert_eq!(
        remove(server, "SMS", "4155550101").await,
        json!({ "suppression": { "recipient": "+14155550101" }, "userErrors": [] })
    );
    let missing = |recipient: &'static str| {
        let message =
            "This recipient isn't on the suppression list of this channel. The query suppressions lists them.";
        let error = json!({ "code": "NOT_FOUND", "message": message, "path": ["input", "recipient"] });
        (recipient, json!({ "suppression": null, "userErrors": [error] }))
    };
    for (recipient, expected) in [missing("4155550101"), missing("a\u{0}"), missing("")] {
        assert_eq!(remove(server, "SMS", recipient).await, expected, "{recipient:?}");
    }
    for (channel, recipient, code, sentence) in [
        (
            "EMAIL",
            "ines",
            "NOT_AN_EMAIL_ADDRESS",
            "recipient must be an e-mail address, as in ines@bank.test.",
        ),
        (
            "SMS",
            "555",
            "INVALID",
            "recipient must be a phone number with + and its country code, or a number of US, which is \
             notifications.sms.default_region.",
        ),
    ] {
        let error = json!([{ "code": code, "message": sentence, "path": ["input", "recipient"] }]);
        assert_eq!(add(server, channel, recipient).await["userErrors"], error);
    }
}

async fn list_is_read_in_pages(server: &TestServer) {
    for at in 0..5 {
        add(server, "EMAIL", &format!("r{at}@example.test")).await;
    }
    let query = "query($after: String) { suppressions(first: 2, after: $after) { nodes { recipient } pageInfo { \
        hasNextPage endCursor } } }";
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = data(server, query, json!({ "after": after })).await["suppressions"].take();
        found.extend(page["nodes"].as_array().expect("a list").clone());
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    let expected: Vec<Value> = (0..5)
        .rev()
        .map(|at| json!({ "recipient": format!("r{at}@example.test") }))
        .collect();
    assert_eq!(found, expected);
    let wrong = server.graphql(query, json!({ "after": "x" })).await;
    assert_eq!(wrong.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

async fn message_to_a_listed_recipient_is_not_sent(server: &TestServer) {
    template(server, "hello", json!({})).await;
    add(server, "EMAIL", "ana@example.test").await;
    add(server, "SMS", "+14155550101").await;
    store_key(server, client("ANA@example.test")).await;
    store_key(server, client("bo@example.test")).await;
    assert_eq!(states(server).await, [suppressed(), ("QUEUED".to_owned(), None)]);
    let mail = SmtpPeer::start(Mailing::Accept).await;
    Hand::new(server, settings(&mail)).finish().await;
    assert_eq!(mail.messages().len(), 1);
    assert_eq!(states(server).await[0], suppressed());
}

async fn recipient_that_is_added_later_gets_no_queued_message(server: &TestServer) {
    template(server, "hello", json!({})).await;
    store_key(server, client("Ana@example.test")).await;
    store_key(server, client("bo@example.test")).await;
    add(server, "EMAIL", "ana@example.test").await;
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    server.statements();
    assert_eq!((worker.step().await, worker.step().await), (2, 0));
    let lookups = server
        .statements()
        .into_iter()
        .filter(|sql| sql.contains("JOIN suppression"));
    assert_eq!(lookups.count(), 1, "one for each claim");
    assert_eq!(mail.messages().len(), 1);
    let states = states(server).await;
    assert_eq!((&states[0], &*states[1].0), (&suppressed(), "SENT"));
    let message = messages(server).await.remove(0);
    assert_eq!((message.lease, message.due_at, message.attempts), (None, None, 0));
}

async fn resend_to_a_listed_recipient_says_why(server: &TestServer) {
    template(server, "hello", json!({})).await;
    add(server, "EMAIL", "ana@example.test").await;
    store_key(server, client("ana@example.test")).await;
    let found = data(server, "{ messages { nodes { id } } }", json!({})).await;
    let ids = json!([found["messages"]["nodes"][0]["id"]]);
    let resend = "mutation($ids: [ID!]) { resendMessages(input: { ids: $ids }) { resent userErrors { code message \
        path } } }";
    let refused = data(server, resend, json!({ "ids": ids })).await["resendMessages"].take();
    let message = "The recipient is on the suppression list: remove it there first, with removeSuppression.";
    assert_eq!(
        refused,
        json!({ "resent": 0, "userErrors": [{ "code": "INVALID", "message": message, "path": ["input", "ids", "0"] }] })
    );
    remove(server, "EMAIL", "ana@example.test").await;
    let resent = data(server, resend, json!({ "ids": ids })).await["resendMessages"].take();
    assert_eq!(resent, json!({ "resent": 1, "userErrors": [] }));
    assert_eq!(states(server).await, [("QUEUED".to_owned(), None)]);
}

async fn removal_of_a_client_removes_only_its_own_entries(server: &TestServer) {
    template(server, "hello", json!({})).await;
    for mutation in ["eraseClient", "deleteClient"] {
        let removal = format!(
            "mutation($key: String!) {{ {mutation}(input: {{ by: {{ encodedKey: $key }} }}) \
             {{ userErrors {{ code }} }} }}"
        );
        let ana = store_key(server, client("Ana@example.test")).await;
        server
            .write("UPDATE message SET state = 'SENT', attempts = 1, due_at = NULL")
            .await
            .expect("written");
        let key = messages(server).await.remove(0).encoded_key;
        let bounce = json!({ "messageId": key, "status": "BOUNCED", "permanent": true });
        assert_eq!(server.post("/api/notifications/receipts", bounce).await.status, 200);
        add(server, "EMAIL", "manual@example.test").await;
        let all = ["manual@example.test", "ana@example.test"];
        assert_eq!(listed(server, json!({})).await, all, "{mutation}");
        // A caller who can create and delete clients can't take the recipients of others off the list.
        for address in ["ANA@example.test", "manual@example.test"] {
            let other = store_key(server, client(address)).await;
            data(server, &removal, json!({ "key": other })).await;
        }
        assert_eq!(listed(server, json!({})).await, all, "{mutation}");
        // The entry is found without the address and without the message.
        let moved = json!({ "client": { "encodedKey": ana, "emailAddress": "new@example.test" } });
        store_key(server, moved).await;
        server.write("DELETE FROM message").await.expect("written");
        data(server, &removal, json!({ "key": ana })).await;
        assert_eq!(listed(server, json!({})).await, all[..1], "{mutation}");
        let query =
            "{ auditLog(filter: { subject: SUPPRESSION }, first: 1) { nodes { action changes { path before } } } }";
        let answer = server.graphql(query, json!({})).await;
        let change = |path: &str, before: &str| json!({ "path": [path], "before": before });
        let changes = [change("channel", "EMAIL"), change("reason", "HARD_BOUNCE")];
        answer.data(json!({ "auditLog": { "nodes": [{ "action": "DELETED", "changes": changes }] } }));
        let rows = "SELECT (SELECT count(*) FROM raised_message) + (SELECT count(*) FROM provider_message)";
        let left = server
            .services
            .db
            .read()
            .one(rows, [])
            .await
            .expect("read")
            .expect("a row");
        assert_eq!(left.try_get_by_index::<i64>(0).expect("a number"), 0, "{mutation}");
        remove(server, "EMAIL", "manual@example.test").await;
    }
}

async fn limited_callers_have_no_access(server: &TestServer) {
    add(server, "EMAIL", "ana@example.test").await;
    let limited = Rights {
        branches: Limit::To(["north".to_owned()].into()),
        ..Rights::of([Permission::ViewMessages, Permission::ManageSuppressions])
    };
    let limited = server.as_caller(&limited);
    let sentence = "This concerns all clients: you can't do it while your rights are limited to branches or centres.";
    let input = json!({ "channel": "EMAIL", "recipient": "ana@example.test" });
    let query = "{ suppressions { totalCount } }";
    for (document, variables) in [
        (query, json!({})),
        (ADD, json!({ "input": input })),
        (REMOVE, json!({ "input": input })),
    ] {
        let answer = limited.graphql(document, variables).await;
        let error = &answer.body["errors"][0];
        assert_eq!(
            (&error["message"], &error["extensions"]["code"]),
            (&json!(sentence), &json!("FORBIDDEN"))
        );
    }
    assert_eq!(listed(server, json!({})).await, ["ana@example.test"]);
}

async fn changes_are_recorded_without_the_recipient(server: &TestServer) {
    add(server, "EMAIL", "ana@example.test").await;
    add(server, "EMAIL", "ana@example.test").await;
    remove(server, "EMAIL", "ana@example.test").await;
    remove(server, "EMAIL", "ana@example.test").await;
    let query = "{ auditLog(filter: { subject: SUPPRESSION }) { totalCount nodes { action caller { kind } changes { \
        path before after } } } }";
    let answer = server.graphql(query, json!({})).await;
    assert!(!answer.text.contains("ana@"), "{}", answer.text);
    let change = |path: &str, before: Value, after: Value| json!({ "path": [path], "before": before, "after": after });
    assert_eq!(
        answer.body["data"]["auditLog"],
        json!({ "totalCount": 2, "nodes": [
            { "action": "DELETED", "caller": { "kind": "ANYONE" }, "changes": [
                change("channel", json!("EMAIL"), Value::Null), change("reason", json!("MANUAL"), Value::Null)] },
            { "action": "CREATED", "caller": { "kind": "ANYONE" }, "changes": [
                change("channel", Value::Null, json!("EMAIL")), change("reason", Value::Null, json!("MANUAL"))] }] })
    );
}
