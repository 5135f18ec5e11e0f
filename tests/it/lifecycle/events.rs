//! Messages for changes of state.

use clientele::enums::Event;
use serde_json::json;

use super::{change_state, create, patch, success};
use crate::harness::{TestServer, field, graphql::define_template};
use clientele::definitions::Kind;

/// Stores a template for every event of a change. Each text has a custom field.
async fn define_templates(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    for event in Event::OF_CHANGES {
        let variant = json!({ "language": "ENGLISH", "subject": "S", "text": "{CLIENT_NAME} is {CF:nick}" });
        let template = json!({ "templateId": event.as_str(), "name": "T", "event": event.as_str(),
            "channel": "EMAIL", "variants": [variant] });
        define_template(server, template).await;
    }
}

/// The events of the messages that have been queued since the last call.
async fn queued(server: &TestServer, seen: &mut usize) -> Vec<String> {
    let query = "{ messages(first: 500, filter: {}) { nodes { event text } } }";
    let answer = server.graphql(query, json!({})).await;
    let nodes = answer.body["data"]["messages"]["nodes"]
        .as_array()
        .expect("a list")
        .clone();
    let new = nodes.len() - *seen;
    *seen = nodes.len();
    let mut events: Vec<String> = nodes[..new]
        .iter()
        .map(|message| {
            assert_eq!(message["text"], "Trevor Linden is Al");
            message["event"].as_str().expect("an event").to_owned()
        })
        .collect();
    events.sort();
    events
}

on_both!(
    change_of_state_queues_the_messages_of_its_event,
    state_and_members_queue_the_messages_of_both_events,
    first_approval_has_its_event_after_a_blacklisting,
);

async fn change_of_state_queues_the_messages_of_its_event(server: &TestServer) {
    define_templates(server).await;
    create(server, "C").await;
    let values = json!({ "customInformation": [{ "customFieldID": "nick", "value": "Al" }] });
    assert_eq!(server.post("/api/clients/C", values).await.status, 200);
    let mut seen = 0;
    assert_eq!(queued(server, &mut seen).await, ["CLIENT_UPDATED"]);
    for (state, event) in [
        ("PENDING_APPROVAL", Some("CLIENT_UPDATED")),
        ("REJECTED", Some("CLIENT_REJECTED")),
        ("REJECTED", None),
        ("ACTIVE", None),
        ("PENDING_APPROVAL", Some("CLIENT_UPDATED")),
        ("INACTIVE", Some("CLIENT_APPROVED")),
        ("ACTIVE", Some("CLIENT_UPDATED")),
        ("EXITED", Some("CLIENT_EXITED")),
        ("INACTIVE", Some("CLIENT_UPDATED")),
        ("BLACKLISTED", Some("CLIENT_BLACKLISTED")),
        ("INACTIVE", Some("CLIENT_UPDATED")),
    ] {
        change_state(server, "C", state).await;
        assert_eq!(queued(server, &mut seen).await, Vec::from_iter(event), "{state}");
    }
}

async fn state_and_members_queue_the_messages_of_both_events(server: &TestServer) {
    define_templates(server).await;
    create(server, "C").await;
    let values = json!({ "customInformation": [{ "customFieldID": "nick", "value": "Al" }] });
    assert_eq!(server.post("/api/clients/C", values).await.status, 200);
    let mut seen = 0;
    queued(server, &mut seen).await;
    for (client, events) in [
        (
            json!({ "state": "EXITED", "notes": "n" }),
            &["CLIENT_EXITED", "CLIENT_UPDATED"][..],
        ),
        (json!({ "state": "INACTIVE", "notes": "m" }), &["CLIENT_UPDATED"]),
        (json!({ "state": "BLACKLISTED", "notes": "m" }), &["CLIENT_BLACKLISTED"]),
        (json!({ "state": "BLACKLISTED" }), &[]),
    ] {
        patch(server, "C", client).await.is(200, success());
        assert_eq!(queued(server, &mut seen).await, events);
    }
}

async fn first_approval_has_its_event_after_a_blacklisting(server: &TestServer) {
    define_templates(server).await;
    let mut seen = 0;
    let approved = "{ client(by: { clientId: \"C\" }) { approvedAt } }";
    for (round, by_patch) in [false, true].into_iter().enumerate() {
        create(server, "C").await;
        let values = json!({ "customInformation": [{ "customFieldID": "nick", "value": "Al" }] });
        assert_eq!(server.post("/api/clients/C", values).await.status, 200);
        queued(server, &mut seen).await;
        for (state, event, is_approved) in [
            ("PENDING_APPROVAL", "CLIENT_UPDATED", false),
            ("BLACKLISTED", "CLIENT_BLACKLISTED", false),
            ("INACTIVE", "CLIENT_APPROVED", true),
            ("BLACKLISTED", "CLIENT_BLACKLISTED", true),
            ("INACTIVE", "CLIENT_UPDATED", true),
        ] {
            match by_patch {
                true => patch(server, "C", json!({ "state": state })).await.status,
                false => change_state(server, "C", state).await.status,
            };
            assert_eq!(queued(server, &mut seen).await, [event], "{round} {state}");
            let answer = server.graphql(approved, json!({})).await;
            let found = answer.body["data"]["client"]["approvedAt"] == "<time>";
            assert_eq!(found, is_approved, "{round} {state}");
        }
        patch(server, "C", json!({ "id": format!("C{round}") }))
            .await
            .is(200, success());
    }
}
