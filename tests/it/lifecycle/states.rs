//! The table of transitions, and changes of state by it.

use std::collections::BTreeSet;

use clientele::{
    client::{DateEffect, TRANSITIONS, Transition},
    enums::Event,
    upsert::LONGEST_REASON,
};
use entity::client;
use serde_json::{Value, json};

use super::{STATES, change, change_state, create, patch, refusal, set_state, success, user_errors};
use crate::{
    audit::{assert_replayed, findings},
    harness::{TestServer, graphql::data},
};

/// The table of the page, as the code has it.
fn printed() -> String {
    let mut table = String::from(
        "| from | to | change | `approvedAt` | `activatedAt` | `closedAt` | event |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let effect = |effect| match effect {
        DateEffect::Stays => "",
        DateEffect::Set => "set",
        DateEffect::SetOnce => "set if empty",
        DateEffect::Cleared => "cleared",
    };
    for transition in TRANSITIONS {
        let [never_approved, approved] = [None, Some(std::time::SystemTime::now().into())].map(|approved_at| {
            let client = client::Model {
                approved_at,
                ..client::Model::default()
            };
            transition.event_for(&client).as_str()
        });
        let event = match never_approved == approved {
            true => format!("`{approved}`"),
            false => format!("`{approved}`, or `{never_approved}` if `approvedAt` is empty"),
        };
        let cells = [
            &format!("`{}`", transition.from.as_str()),
            &format!("`{}`", transition.to.as_str()),
            transition.name,
            effect(transition.approved),
            effect(transition.activated),
            effect(transition.closed),
            &event,
        ];
        let cells = cells.map(|cell| {
            if cell.is_empty() {
                " ".to_owned()
            } else {
                format!(" {cell} ")
            }
        });
        table += &format!("|{}|\n", cells.join("|"));
    }
    table
}

#[test]
fn page_has_the_table_of_transitions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/client-states.md");
    let page = std::fs::read_to_string(path).expect("the page is text");
    let table: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    let table = table.join("\n") + "\n";
    assert!(
        table.starts_with(&printed()),
        "the page must begin with this table:\n{}",
        printed()
    );
}

#[test]
fn every_state_can_be_reached_and_left() {
    for state in STATES.map(|state| state.as_str()) {
        let mut reached = BTreeSet::from([state]);
        while let Some(more) = reached
            .iter()
            .flat_map(|from| Transition::targets(from))
            .find(|to| !reached.contains(to))
        {
            reached.insert(more);
        }
        assert_eq!(
            reached,
            BTreeSet::from(STATES.map(|state| state.as_str())),
            "from {state}"
        );
    }
}

#[test]
fn only_states_with_their_own_event_have_one() {
    for transition in TRANSITIONS {
        let event = match (transition.from.as_str(), transition.to.as_str()) {
            ("PENDING_APPROVAL", "INACTIVE") => Event::ClientApproved,
            (_, "REJECTED") => Event::ClientRejected,
            (_, "EXITED") => Event::ClientExited,
            (_, "BLACKLISTED") => Event::ClientBlacklisted,
            _ => Event::ClientUpdated,
        };
        assert_eq!(transition.event, event, "{transition:?}");
    }
}

on_both!(
    every_pair_of_states_follows_the_table,
    whole_life_of_a_client_is_recorded,
    reason_is_recorded_with_the_change,
    reason_has_a_limit,
    repeated_change_of_state_gets_the_first_answer,
    expected_version_prevents_a_lost_change_of_state,
    unknown_clients_and_states_are_refused,
);

const OLD: &str = "2020-01-01T00:00:00.000001Z";

/// A date after a transition, of a client that had this one before.
fn assert_date(date: &Value, effect: DateEffect, before: Option<&str>, what: &str) {
    let is_new = date.as_str().is_some_and(|date| date > OLD);
    match (effect, before) {
        (DateEffect::Stays, before) => assert_eq!(date.as_str(), before, "{what}"),
        (DateEffect::SetOnce, Some(before)) => assert_eq!(date.as_str(), Some(before), "{what}"),
        (DateEffect::Set | DateEffect::SetOnce, _) => assert!(is_new, "{what}: {date}"),
        (DateEffect::Cleared, _) => assert!(date.is_null(), "{what}: {date}"),
    }
}

const READ: &str = "{ client(by: { clientId: \"C\" }) { state version approvedAt activatedAt closedAt } }";

async fn every_pair_of_states_follows_the_table(server: &TestServer) {
    create(server, "C").await;
    for from in STATES.map(|state| state.as_str()) {
        for to in STATES.map(|state| state.as_str()) {
            for (date, by_patch) in [(None, false), (Some(OLD), false), (None, true), (Some(OLD), true)] {
                let what = format!("{from} to {to}, dates {date:?}, by PATCH: {by_patch}");
                set_state(server, "C", from, date).await;
                let before = server.snapshot().await;
                let version = data(server, READ, json!({})).await["client"]["version"].as_i64();
                let answer = match by_patch {
                    true => patch(server, "C", json!({ "state": to })).await,
                    false => change_state(server, "C", to).await,
                };
                let transition = Transition::between(from, to);
                if from == to || transition.is_none() {
                    assert_eq!(server.snapshot().await, before, "{what}: nothing is written");
                }
                if from != to && transition.is_none() {
                    let targets: Vec<&str> = Transition::targets(from).collect();
                    let message = format!(
                        "A client that is {from} can't become {to}, only {}.",
                        targets.join(" or ")
                    );
                    match by_patch {
                        true => {
                            let source = format!("client.state: {message}");
                            answer.is(400, refusal(312, "INVALID_CLIENT_STATE_TRANSITION", &source));
                        }
                        false => {
                            let (code, path) = ("INVALID_TRANSITION", ["input", "state"]);
                            let problem = json!([{ "code": code, "message": message, "path": path }]);
                            assert_eq!(*user_errors(&answer, "changeClientState"), problem, "{what}");
                        }
                    }
                    continue;
                }
                match by_patch {
                    true => answer.is(200, success()),
                    false => {
                        assert_eq!(*user_errors(&answer, "changeClientState"), json!([]), "{what}");
                        &answer
                    }
                };
                let Some(transition) = transition else { continue };
                let client = &data(server, READ, json!({})).await["client"];
                assert_eq!(client["state"], to, "{what}");
                assert_eq!(client["version"].as_i64(), version.map(|version| version + 1), "{what}");
                for (name, effect) in [
                    ("approvedAt", transition.approved),
                    ("activatedAt", transition.activated),
                    ("closedAt", transition.closed),
                ] {
                    assert_date(&client[name], effect, date, &format!("{what}: {name}"));
                }
            }
        }
    }
}

async fn whole_life_of_a_client_is_recorded(server: &TestServer) {
    create(server, "C").await;
    for (at, state) in [
        "PENDING_APPROVAL",
        "REJECTED",
        "PENDING_APPROVAL",
        "INACTIVE",
        "ACTIVE",
        "BLACKLISTED",
        "INACTIVE",
    ]
    .into_iter()
    .enumerate()
    {
        match at % 2 == 0 {
            true => {
                patch(server, "C", json!({ "state": state }))
                    .await
                    .is(200, success())
                    .status
            }
            false => change_state(server, "C", state).await.status,
        };
    }
    assert_replayed(server).await;
    server.get("/api/clients/C").await.is(
        200,
        json!({
            "encodedKey": "<key 1>", "state": "INACTIVE", "id": "C", "creationDate": "<time>",
            "lastModifiedDate": "<time>", "approvedDate": "<time>", "activationDate": "<time>", "firstName": "Trevor",
            "lastName": "Linden", "emailAddress": "trevor@example.test", "loanCycle": 0, "groupLoanCycle": 0,
            "clientRole": { "encodedKey": "d9df8bc78a0234ccc934a845c" }, "preferredLanguage": "ENGLISH",
        }),
    );
}

/// The changes of the newest record of client `C`, as `path: before → after`.
async fn newest(server: &TestServer) -> Vec<String> {
    let query = "{ client(by: { clientId: \"C\" }) { history(first: 1) { nodes { changes { path before after } } } } }";
    let answer = server.graphql(query, json!({})).await;
    crate::audit::changes(&answer.body["data"]["client"]["history"]["nodes"][0])
}

async fn reason_is_recorded_with_the_change(server: &TestServer) {
    create(server, "C").await;
    for (state, reason, recorded) in [
        (
            "EXITED",
            json!("moved away\nfor good"),
            Some("reason: - → moved away\nfor good"),
        ),
        ("INACTIVE", json!(null), None),
        ("BLACKLISTED", json!(" \u{200b}"), None),
        ("INACTIVE", json!("a mistake"), Some("reason: - → a mistake")),
    ] {
        let input = json!({ "by": { "clientId": "C" }, "state": state, "reason": reason });
        let answer = change(server, input).await;
        assert_eq!(*user_errors(&answer, "changeClientState"), json!([]));
        let changes = newest(server).await;
        assert!(
            changes.iter().any(|change| change.ends_with(&format!("→ {state}"))),
            "{changes:?}"
        );
        let reasons: Vec<&str> = changes
            .iter()
            .map(String::as_str)
            .filter(|it| it.starts_with("reason"))
            .collect();
        assert_eq!(reasons, Vec::from_iter(recorded));
    }
    // The state that the client already has writes nothing.
    let before = server.snapshot().await;
    let input = json!({ "by": { "clientId": "C" }, "state": "INACTIVE", "reason": "again" });
    assert_eq!(
        *user_errors(&change(server, input).await, "changeClientState"),
        json!([])
    );
    assert_eq!(server.snapshot().await, before);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn reason_has_a_limit(server: &TestServer) {
    create(server, "C").await;
    let longest = "é".repeat(LONGEST_REASON);
    let of = |reason: &str| json!({ "by": { "clientId": "C" }, "state": "EXITED", "reason": reason });
    let before = server.snapshot().await;
    for (reason, code, message) in [
        (
            format!("{longest}e"),
            "TOO_LONG",
            "reason must have at most 2000 characters.",
        ),
        (
            "a\u{7}".to_owned(),
            "INVALID_CHARACTER",
            "reason must not contain the character U+0007.",
        ),
        (
            "a\0".to_owned(),
            "INVALID_CHARACTER",
            "reason must not contain the character U+0000.",
        ),
    ] {
        let answer = change(server, of(&reason)).await;
        let expected = json!([{ "code": code, "message": message, "path": ["input", "reason"] }]);
        assert_eq!(*user_errors(&answer, "changeClientState"), expected);
    }
    assert_eq!(server.snapshot().await, before);
    assert_eq!(
        *user_errors(&change(server, of(&longest)).await, "changeClientState"),
        json!([])
    );
    assert!(newest(server).await.contains(&format!("reason: - → {longest}")));
}

async fn repeated_change_of_state_gets_the_first_answer(server: &TestServer) {
    create(server, "C").await;
    let input = json!({ "by": { "clientId": "C" }, "state": "EXITED", "idempotencyKey": "k" });
    let first = change(server, input.clone()).await;
    assert_eq!(first.body["data"]["changeClientState"]["client"]["state"], "EXITED");
    change_state(server, "C", "INACTIVE").await;
    let before = server.snapshot().await;
    assert_eq!(change(server, input).await.text, first.text);
    for other in [
        json!({ "by": { "clientId": "C" }, "state": "ACTIVE", "idempotencyKey": "k" }),
        json!({ "by": { "clientId": "C" }, "state": "EXITED", "reason": "r", "idempotencyKey": "k" }),
        json!({ "by": { "clientId": "D" }, "state": "EXITED", "idempotencyKey": "k" }),
        json!({ "by": { "clientId": "C" }, "state": "EXITED", "expectedVersion": 1, "idempotencyKey": "k" }),
    ] {
        let answer = change(server, other).await;
        let error = &user_errors(&answer, "changeClientState")[0];
        assert_eq!(error["code"], "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(error["path"], json!(["input", "idempotencyKey"]));
    }
    let answer = change(
        server,
        json!({ "by": { "clientId": "C" }, "state": "ACTIVE", "idempotencyKey": "" }),
    )
    .await;
    assert_eq!(user_errors(&answer, "changeClientState")[0]["code"], "MALFORMED");
    assert_eq!(server.snapshot().await, before, "nothing is done a second time");
}

async fn expected_version_prevents_a_lost_change_of_state(server: &TestServer) {
    create(server, "C").await;
    change_state(server, "C", "ACTIVE").await;
    let before = server.snapshot().await;
    for version in [0, 1, 3, -1] {
        let input = json!({ "by": { "clientId": "C" }, "state": "EXITED", "expectedVersion": version,
            "clientMutationId": "m" });
        let message = format!("The stored version is 2, not {version}: read the client again and decide anew.");
        let path = json!(["input", "expectedVersion"]);
        change(server, input).await.data(json!({ "changeClientState": {
            "client": null, "conflictingVersion": 2, "clientMutationId": "m",
            "userErrors": [{ "code": "VERSION_CONFLICT", "message": message, "path": path }] } }));
    }
    assert_eq!(server.snapshot().await, before);
    let input = json!({ "by": { "clientId": "C" }, "state": "EXITED", "expectedVersion": 2 });
    change(server, input).await.data(json!({ "changeClientState": {
        "client": { "state": "EXITED", "version": 3, "approvedAt": "<time>", "activatedAt": "<time>",
            "closedAt": "<time>" },
        "conflictingVersion": null, "clientMutationId": null, "userErrors": [] } }));
}

async fn unknown_clients_and_states_are_refused(server: &TestServer) {
    create(server, "C").await;
    let before = server.snapshot().await;
    for (by, message) in [
        (json!({ "clientId": "absent" }), "There is no client with this id."),
        (json!({ "clientId": "" }), "There is no client with this id."),
        (json!({ "clientId": "\0" }), "There is no client with this id."),
        (json!({ "encodedKey": "absent" }), "There is no client with this key."),
        (json!({ "encodedKey": "C" }), "There is no client with this key."),
        (json!({ "id": "absent" }), "There is no client with this global ID."),
    ] {
        let answer = change(server, json!({ "by": by, "state": "EXITED" })).await;
        let expected = json!([{ "code": "NOT_FOUND", "message": message, "path": ["input", "by"] }]);
        assert_eq!(*user_errors(&answer, "changeClientState"), expected);
    }
    for input in [
        json!({ "by": { "clientId": "C" }, "state": "GONE" }),
        json!({ "by": { "clientId": "C" }, "state": null }),
        json!({ "by": { "clientId": "C" } }),
        json!({ "by": {}, "state": "EXITED" }),
        json!({ "by": { "clientId": "C", "encodedKey": "k" }, "state": "EXITED" }),
    ] {
        let answer = change(server, input).await;
        assert_eq!(
            answer.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
            "{}",
            answer.text
        );
    }
    let unknown = "client.state: state must be PENDING_APPROVAL, INACTIVE, ACTIVE, EXITED, BLACKLISTED or REJECTED.";
    for state in ["GONE", "", " ", "exited"] {
        let answer = patch(server, "C", json!({ "state": state })).await;
        answer.is(400, refusal(305, "INVALID_CLIENT_STATE", unknown));
    }
    let answer = patch(server, "C", json!({ "state": 1 })).await;
    answer.is(
        400,
        refusal(4, "INVALID_PARAMETERS", "client.state: state must be a text."),
    );
    assert_eq!(server.snapshot().await, before);
}
