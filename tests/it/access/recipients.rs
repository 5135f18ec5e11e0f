//! Messages to an address that a change introduces contain no value hidden from its caller.

use clientele::definitions::Kind;
use serde_json::{Value, json};

use super::{problems, upsert, with_sets};
use crate::harness::{
    TestServer, field,
    graphql::{data, define_template, store},
};

/// Templates of both channels, and one that chooses clients by the hidden value.
async fn templates(server: &TestServer) {
    let hidden = json!({ "customFields": [{ "fieldId": "hidden", "value": "S" }] });
    let text = "{CF:shown}/{CF:hidden}";
    for (id, channel, conditions) in [
        ("mail", "EMAIL", json!({})),
        ("text", "SMS", json!({})),
        ("chosen", "EMAIL", hidden),
    ] {
        let subject = (channel == "EMAIL").then_some("{CF:hidden}!");
        let variants = json!([{ "language": "ENGLISH", "subject": subject, "text": text }]);
        define_template(
            server,
            json!({ "templateId": id, "name": id, "event": "CLIENT_UPDATED", "channel": channel,
                "conditions": conditions,
                "variants": variants }),
        )
        .await;
    }
}

/// A client with values of a visible and of a hidden set.
async fn client(server: &TestServer) {
    for (set, id) in [("open", "shown"), ("secret", "hidden")] {
        server
            .define_set(set, vec![field(id, Kind::Text)])
            .await
            .expect("sound definitions");
    }
    templates(server).await;
    let input = json!({
        "client": { "clientId": "c", "firstName": "Amara", "lastName": "Bellweather",
            "emailAddress": "ana@example.test", "mobilePhone1": "+15550001" },
        "customInformation": [{ "fieldId": "shown", "value": "A" }, { "fieldId": "hidden", "value": "S" }],
    });
    store(server, input, "version").await;
}

async fn change(caller: &TestServer, client: Value) {
    let client = crate::harness::with(json!({ "clientId": "c" }), client);
    let answer = upsert(caller, json!({ "matchOn": "CLIENT_ID", "client": client })).await;
    assert_eq!(problems(&answer, "upsertClient"), json!([]));
}

/// The messages of the last change, as a caller with all permissions sees them.
async fn messages(server: &TestServer) -> Vec<String> {
    let query = "{ messages(first: 500) { nodes { templateId recipient subject text createdAt } } }";
    let found = data(server, query, json!({})).await;
    let nodes = found["messages"]["nodes"].as_array().expect("a list");
    let last = nodes
        .iter()
        .filter(|message| message["createdAt"] == nodes[0]["createdAt"]);
    let text = |message: &Value, name: &str| message[name].as_str().unwrap_or("-").to_owned();
    let mut messages: Vec<String> = last
        .map(|message| {
            ["templateId", "recipient", "subject", "text"]
                .map(|name| text(message, name))
                .join(" ")
        })
        .collect();
    messages.sort();
    messages
}

on_both!(
    message_to_new_address_has_no_values_hidden_from_caller,
    message_stays_without_hidden_values_when_resent,
);

async fn message_to_new_address_has_no_values_hidden_from_caller(server: &TestServer) {
    client(server).await;
    let blind = server.as_caller(&with_sets(&["open"], &[]));
    change(&blind, json!({ "emailAddress": "blind@example.test" })).await;
    assert_eq!(
        messages(server).await,
        ["mail blind@example.test ! A/", "text +15550001 - A/S"]
    );
    let answer = blind
        .post("/api/clients/c", json!({ "client": { "mobilePhone1": "+15550002" } }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        messages(server).await,
        [
            "chosen blind@example.test S! A/S",
            "mail blind@example.test S! A/S",
            "text +15550002 - A/"
        ]
    );
    // The second number counts once the first is gone.
    change(&blind, json!({ "mobilePhone2": "+15550003", "mobilePhone1": null })).await;
    assert_eq!(
        messages(server).await.last().map(String::as_str),
        Some("text +15550003 - A/")
    );
    // An address that was removed before is new again.
    change(&blind, json!({ "emailAddress": null })).await;
    change(&blind, json!({ "emailAddress": "blind@example.test" })).await;
    assert_eq!(
        messages(server).await,
        ["mail blind@example.test ! A/", "text +15550003 - A/S"]
    );
    // A caller who may view the set may send its values anywhere.
    change(server, json!({ "emailAddress": "ana@example.test" })).await;
    assert_eq!(
        messages(server).await,
        [
            "chosen ana@example.test S! A/S",
            "mail ana@example.test S! A/S",
            "text +15550003 - A/S"
        ]
    );
    change(&blind, json!({ "notes": "x" })).await;
    assert_eq!(
        messages(server).await,
        [
            "chosen ana@example.test S! A/S",
            "mail ana@example.test S! A/S",
            "text +15550003 - A/S"
        ]
    );
}

async fn message_stays_without_hidden_values_when_resent(server: &TestServer) {
    client(server).await;
    let blind = server.as_caller(&with_sets(&["open"], &[]));
    change(&blind, json!({ "emailAddress": "blind@example.test" })).await;
    server
        .write("UPDATE message SET state = 'FAILED', due_at = NULL")
        .await
        .expect("an update");
    for caller in [&blind, server] {
        let resend =
            "mutation { resendMessages(input: { filter: { templateId: \"mail\" } }) { resent userErrors { code } } }";
        data(caller, resend, json!({})).await;
        assert_eq!(messages(server).await[0], "mail blind@example.test ! A/");
        server
            .write("UPDATE message SET state = 'FAILED', due_at = NULL")
            .await
            .expect("an update");
    }
    // A preview shows the values that its caller may view.
    let preview = "{ previewMessage(templateId: \"mail\", client: { clientId: \"c\" }) { recipient subject text } }";
    assert_eq!(
        data(&blind, preview, json!({})).await,
        json!({ "previewMessage": { "recipient": "blind@example.test", "subject": "***!", "text": "A/***" } })
    );
}
