//! Merges: what moves, what is refused, and what becomes of the merged client.

mod duplicates;
mod links;
mod races;
mod refusals;
mod removal;

use clientele::{
    caller::{Permission, Rights, Sets},
    custom_field::CustomFieldInput,
    definitions::Kind,
    enums::Event,
};
use serde_json::{Value, json};

use super::change_state;
pub use super::user_errors;
use crate::{
    audit::{changes, findings},
    harness::{
        Answer, TestServer, field,
        graphql::{data, define_template, store, store_key},
        with,
    },
};

const MERGE: &str = "mutation($input: MergeClientsInput!) { mergeClients(input: $input) {
    client { clientId version } mergedClientKey redirectedLinks conflictingFromVersion conflictingIntoVersion
    clientMutationId userErrors { code message path } } }";

on_both!(
    members_are_copied_and_collections_move,
    kept_collections_stay_with_both_clients,
    added_entries_are_those_that_the_client_lacks,
    replaced_collections_are_deleted,
    groups_are_added_after_the_own_ones,
    kept_link_and_moved_link_have_keys_of_their_own,
    unique_values_move,
    values_of_other_sets_stay,
    merge_is_recorded_for_both_clients,
    merge_queues_the_messages_of_both_events,
    repeated_merge_gets_the_first_answer,
    checked_merge_stores_nothing,
    undone_exit_ends_the_merge,
    merge_takes_the_same_statements_whatever_the_data,
    answer_shows_the_client_to_callers_who_may_view_it,
);

pub async fn merge(server: &TestServer, input: Value) -> Answer {
    server.graphql(MERGE, json!({ "input": input })).await
}

/// Names the two clients.
pub fn two(from: &str, into: &str) -> Value {
    json!({ "from": { "clientId": from }, "into": { "clientId": into } })
}

/// Merges without a problem.
async fn merged(server: &TestServer, input: Value) -> Value {
    let answer = merge(server, input).await;
    assert_eq!(*user_errors(&answer, "mergeClients"), json!([]), "{}", answer.text);
    answer.body["data"]["mergeClients"].clone()
}

/// Asserts that the client A refers to no other one, and can be merged again.
async fn assert_released(server: &TestServer) {
    assert_eq!(
        show(server, "A", "mergedIntoKey").await,
        json!({ "mergedIntoKey": null })
    );
    create_with(server, "D", json!({})).await;
    merged(server, two("A", "D")).await;
    assert_eq!(findings(server).await, [""; 0]);
}

fn named(id: &str, first: &str) -> Value {
    json!({ "clientId": id, "firstName": first, "lastName": "Linden" })
}

/// Stores a client with this id and these other members of the input.
pub async fn create_with(server: &TestServer, id: &str, others: Value) -> String {
    store_key(server, with(json!({ "client": named(id, id) }), others)).await
}

/// The contents of a client, by its id.
async fn show(server: &TestServer, id: &str, selection: &str) -> Value {
    let query = format!("query($id: String!) {{ client(by: {{ clientId: $id }}) {{ {selection} }} }}");
    data(server, &query, json!({ "id": id })).await["client"].take()
}

async fn values(server: &TestServer, id: &str) -> Vec<String> {
    let shown = show(
        server,
        id,
        "customInformation { field { fieldId } groupIndex value linkedKey }",
    )
    .await;
    let values = shown["customInformation"].as_array().expect("a list").iter();
    let text = |value: &Value| {
        let text = value["value"].as_str().or(value["linkedKey"].as_str());
        let group = value["groupIndex"]
            .as_i64()
            .map_or(String::new(), |group| format!(".{group}"));
        format!(
            "{}{group}={}",
            value["field"]["fieldId"].as_str().expect("an id"),
            text.expect("a text")
        )
    };
    values.map(text).collect()
}

fn value(id: &str, value: &str) -> Value {
    json!({ "fieldId": id, "value": value })
}

fn of_group(id: &str, group: i32, text: &str) -> Value {
    with(value(id, text), json!({ "groupIndex": group }))
}

fn unique(field: CustomFieldInput) -> CustomFieldInput {
    CustomFieldInput {
        unique: Some(true),
        ..field
    }
}

/// Defines a set of fields of which a client can have several groups.
async fn define_grouped(server: &TestServer) {
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code message path } } }";
    let fields = json!([
        { "fieldId": "job", "name": "Job", "type": "TEXT" },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
    ]);
    let set = json!({ "setId": "jobs", "name": "Jobs", "usage": "GROUPED" });
    let answer = data(server, query, json!({ "input": { "set": set, "fields": fields } })).await;
    assert_eq!(answer["upsertCustomFieldSet"]["userErrors"], json!([]));
}

async fn members_are_copied_and_collections_move(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let of_from = json!({
        "client": with(named("F", "Ana"), json!({ "emailAddress": "ana@example.test", "gender": "FEMALE",
            "birthDate": "1990-04-17", "preferredLanguage": "GERMAN" })),
        "addresses": [{ "line1": "1 Lane", "latitude": 1.5 }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "1", "validUntil": "2034-01-31" }],
        "customInformation": [value("nick", "Al")],
    });
    let from_key = store_key(server, of_from).await;
    let into = with(named("I", "Bo"), json!({ "homePhone": "1", "notes": "n" }));
    let into_key = store_key(server, json!({ "client": into })).await;
    let keys = "addresses { encodedKey } idDocuments { encodedKey } customInformation { encodedKey }";
    let before = show(server, "F", keys).await;
    let fields = json!([
        "FIRST_NAME",
        "EMAIL_ADDRESS",
        "GENDER",
        "BIRTH_DATE",
        "PREFERRED_LANGUAGE",
        "HOME_PHONE"
    ]);
    let everything = json!({ "fields": fields, "addresses": "REPLACE", "idDocuments": "REPLACE",
        "customInformation": "REPLACE", "clientMutationId": "m" });
    let answer = merge(server, with(two("F", "I"), everything)).await;
    answer.data(
        json!({ "mergeClients": { "client": { "clientId": "I", "version": 2 }, "mergedClientKey": "<key 1>",
        "redirectedLinks": 0, "conflictingFromVersion": null, "conflictingIntoVersion": null, "clientMutationId": "m",
        "userErrors": [] } }),
    );
    let row = "state firstName lastName emailAddress gender birthDate preferredLanguage homePhone notes version
        mergedIntoKey mergedInto { clientId mergedIntoKey } ";
    let lists = "addresses { line1 latitude } idDocuments { documentType documentId validUntil } customInformation { \
        value }";
    assert_eq!(
        show(server, "I", &format!("{row} {lists}")).await,
        json!({ "state": "INACTIVE", "firstName": "Ana", "lastName": "Linden", "emailAddress": "ana@example.test",
            "gender": "FEMALE", "birthDate": "1990-04-17", "preferredLanguage": "GERMAN", "homePhone": null,
            "notes": "n", "version": 2, "mergedIntoKey": null, "mergedInto": null,
            "addresses": [{ "line1": "1 Lane", "latitude": 1.5 }],
            "idDocuments": [{ "documentType": "Passport", "documentId": "1", "validUntil": "2034-01-31" }],
            "customInformation": [{ "value": "Al" }] })
    );
    assert_eq!(show(server, "I", keys).await, before, "entries keep their keys");
    assert_eq!(
        show(server, "F", &format!("{row} {lists}")).await,
        json!({ "state": "EXITED", "firstName": "Ana", "lastName": "Linden", "emailAddress": "ana@example.test",
            "gender": "FEMALE", "birthDate": "1990-04-17", "preferredLanguage": "GERMAN", "homePhone": null,
            "notes": null, "version": 2, "mergedIntoKey": into_key,
            "mergedInto": { "clientId": "I", "mergedIntoKey": null },
            "addresses": [], "idDocuments": [], "customInformation": [] })
    );
    let legacy = server.get(&format!("/api/clients/{from_key}")).await;
    assert_eq!((legacy.status, legacy.text.contains("merged")), (200, false));
    assert_eq!(findings(server).await, [""; 0]);
}

async fn kept_collections_stay_with_both_clients(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let lists = |number: &str| {
        json!({ "addresses": [{ "line1": number }], "idDocuments": [{ "documentType": "P", "documentId": number }],
            "customInformation": [value("nick", number)] })
    };
    create_with(server, "F", lists("1")).await;
    create_with(server, "I", lists("2")).await;
    let selection = "addresses { line1 } idDocuments { documentId } customInformation { value }";
    let before = [show(server, "F", selection).await, show(server, "I", selection).await];
    merged(server, two("F", "I")).await;
    assert_eq!(
        [show(server, "F", selection).await, show(server, "I", selection).await],
        before
    );
    // A record, even if nothing has moved.
    assert_eq!(show(server, "I", "version").await, json!({ "version": 2 }));
}

async fn added_entries_are_those_that_the_client_lacks(server: &TestServer) {
    let fields = ["nick", "shoe", "hat"].map(|id| field(id, Kind::Text));
    server.define(fields.into()).await;
    let documents = |numbers: &[&str]| {
        let documents = numbers
            .iter()
            .map(|number| json!({ "documentType": "P", "documentId": number }));
        documents.collect::<Value>()
    };
    let of_from = json!({ "addresses": [{ "line1": "1" }], "idDocuments": documents(&["1", "2", "3"]),
        "customInformation": [value("nick", "a"), value("shoe", "b"), value("hat", "c")] });
    let of_into = json!({ "addresses": [{ "line1": "2" }], "idDocuments": documents(&["9", "2"]),
        "customInformation": [value("shoe", "d")] });
    create_with(server, "F", of_from).await;
    create_with(server, "I", of_into).await;
    let add = json!({ "addresses": "ADD", "idDocuments": "ADD", "customInformation": "ADD" });
    merged(server, with(two("F", "I"), add)).await;
    let selection = "addresses { line1 } idDocuments { documentId }";
    let documents = |numbers: &[&str]| {
        let documents = numbers.iter().map(|number| json!({ "documentId": number }));
        documents.collect::<Value>()
    };
    assert_eq!(
        show(server, "I", selection).await,
        json!({ "addresses": [{ "line1": "2" }], "idDocuments": documents(&["9", "2", "1", "3"]) })
    );
    assert_eq!(
        show(server, "F", selection).await,
        json!({ "addresses": [{ "line1": "1" }], "idDocuments": documents(&["2"]) })
    );
    assert_eq!(values(server, "I").await, ["shoe=d", "nick=a", "hat=c"]);
    assert_eq!(values(server, "F").await, ["shoe=b"]);
}

async fn replaced_collections_are_deleted(server: &TestServer) {
    server
        .define(vec![field("nick", Kind::Text), field("shoe", Kind::Text)])
        .await;
    create_with(server, "F", json!({ "customInformation": [value("nick", "a")] })).await;
    let of_into = json!({ "addresses": [{ "line1": "2" }], "idDocuments": [{ "documentType": "P", "documentId": "1" }],
        "customInformation": [value("shoe", "d"), value("nick", "e")] });
    create_with(server, "I", of_into).await;
    let replace = json!({ "addresses": "REPLACE", "idDocuments": "REPLACE", "customInformation": "REPLACE" });
    merged(server, with(two("F", "I"), replace)).await;
    let shown = show(server, "I", "addresses { line1 } idDocuments { documentId }").await;
    assert_eq!(shown, json!({ "addresses": [], "idDocuments": [] }));
    assert_eq!(values(server, "I").await, ["nick=a"]);
}

async fn groups_are_added_after_the_own_ones(server: &TestServer) {
    define_grouped(server).await;
    let of_into = json!({ "customInformation": [of_group("job", 0, "i0"), of_group("job", 1, "i1")] });
    let into = create_with(server, "I", of_into).await;
    let link = json!({ "fieldId": "boss", "groupIndex": 1, "linkedKey": into });
    // The group with the link between the two clients loses its other value, and becomes the first.
    let of_from = json!({ "customInformation": [of_group("job", 0, "f0"), of_group("job", 1, "f1"), link,
        of_group("job", 2, "f2")] });
    create_with(server, "F", of_from).await;
    merged(server, with(two("F", "I"), json!({ "customInformation": "ADD" }))).await;
    assert_eq!(
        values(server, "I").await,
        ["job.0=i0", "job.1=i1", "job.2=f0", "job.3=f1", "job.4=f2"]
    );
    assert_eq!(values(server, "F").await, [format!("boss.0={into}")]);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn kept_link_and_moved_link_have_keys_of_their_own(server: &TestServer) {
    define_grouped(server).await;
    let other = create_with(server, "X", json!({})).await;
    let into = create_with(server, "I", json!({})).await;
    let link = |group: i32, key: &str| json!({ "fieldId": "boss", "groupIndex": group, "linkedKey": key });
    create_with(
        server,
        "F",
        json!({ "customInformation": [link(0, &other), link(1, &into)] }),
    )
    .await;
    let keys = async |id: &str| {
        let shown = show(server, id, "customInformation { encodedKey }").await;
        let shown = shown["customInformation"].as_array().expect("a list").iter();
        let keys = shown.map(|value| value["encodedKey"].as_str().expect("a key").to_owned());
        keys.collect::<Vec<String>>()
    };
    let before = keys("F").await;
    merged(server, with(two("F", "I"), json!({ "customInformation": "ADD" }))).await;
    assert_eq!(values(server, "I").await, [format!("boss.0={other}")]);
    assert_eq!(values(server, "F").await, [format!("boss.0={into}")]);
    // The link that stays is the first of its set now, and has the key of the first.
    assert_eq!(keys("F").await, before[..1]);
    let moved = keys("I").await;
    assert!(moved.iter().all(|key| !before.contains(key)), "{moved:?} {before:?}");
    assert_eq!(findings(server).await, [""; 0]);
}

async fn unique_values_move(server: &TestServer) {
    let fields = ["tax", "crm"].map(|id| unique(field(id, Kind::Text)));
    server.define(fields.into()).await;
    create_with(
        server,
        "F",
        json!({ "customInformation": [value("tax", "1"), value("crm", "A")] }),
    )
    .await;
    create_with(server, "I", json!({ "customInformation": [value("crm", "B")] })).await;
    merged(server, with(two("F", "I"), json!({ "customInformation": "ADD" }))).await;
    assert_eq!(values(server, "I").await, ["crm=B", "tax=1"]);
    assert_eq!(values(server, "F").await, ["crm=A"]);
    for (field, held) in [("tax", "1"), ("crm", "A"), ("crm", "B")] {
        let input = json!({ "client": named("X", "X"), "customInformation": [value(field, held)] });
        let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
        let answer = data(server, query, json!({ "input": input })).await;
        assert_eq!(answer["upsertClient"]["userErrors"], json!([{ "code": "TAKEN" }]));
    }
    // The released value is free.
    create_with(server, "J", json!({})).await;
    merged(server, with(two("I", "J"), json!({ "customInformation": "REPLACE" }))).await;
    assert_eq!(values(server, "J").await, ["crm=B", "tax=1"]);
}

async fn values_of_other_sets_stay(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let hidden = server.define_set("secrets", vec![field("pin", Kind::Text)]).await;
    hidden.expect("the definitions are sound");
    create_with(
        server,
        "F",
        json!({ "customInformation": [value("nick", "a"), value("pin", "1")] }),
    )
    .await;
    create_with(server, "I", json!({ "customInformation": [value("pin", "2")] })).await;
    let caller = server.as_caller(&Rights {
        edit_sets: Sets::These(["facts".to_owned()].into()),
        ..Rights::all()
    });
    merged(&caller, with(two("F", "I"), json!({ "customInformation": "REPLACE" }))).await;
    assert_eq!(values(server, "I").await, ["pin=2", "nick=a"]);
    assert_eq!(values(server, "F").await, ["pin=1"]);
}

async fn merge_is_recorded_for_both_clients(server: &TestServer) {
    let of_from = json!({ "idDocuments": [{ "documentType": "P", "documentId": "1" }] });
    let from = create_with(server, "F", of_from).await;
    let into = create_with(server, "I", json!({})).await;
    let reason = json!({ "fields": ["FIRST_NAME"], "idDocuments": "ADD", "reason": "Same person" });
    merged(server, with(two("F", "I"), reason)).await;
    let history = "history(first: 1) { nodes { action changes { path before after } } }";
    let mut records = Vec::new();
    for id in ["F", "I"] {
        let shown = show(server, id, history).await;
        let record = &shown["history"]["nodes"][0];
        assert_eq!(record["action"], "CHANGED");
        let steps = |change: String| {
            let steps = change
                .split('.')
                .map(|step| if step.len() == 32 { "KEY" } else { step });
            steps.collect::<Vec<_>>().join(".")
        };
        records.push(changes(record).into_iter().map(steps).collect::<Vec<_>>());
    }
    let closed = show(server, "F", "closedAt").await["closedAt"].take();
    let closed = closed.as_str().expect("a time");
    assert_eq!(
        records[0],
        [
            "state: INACTIVE → EXITED".to_owned(),
            format!("mergedIntoKey: - → {into}"),
            format!("closedAt: - → {closed}"),
            "idDocuments.KEY.documentType: P → -".to_owned(),
            "idDocuments.KEY.documentId: 1 → -".to_owned(),
            "idDocuments.KEY.position: 0 → -".to_owned(),
            "reason: - → Same person".to_owned(),
        ]
    );
    assert_eq!(
        records[1],
        [
            "firstName: I → F".to_owned(),
            "idDocuments.KEY.documentType: - → P".to_owned(),
            "idDocuments.KEY.documentId: - → 1".to_owned(),
            "idDocuments.KEY.position: - → 0".to_owned(),
            format!("mergedFrom: - → {from}"),
        ]
    );
    let query = "{ clientDifference(by: { clientId: \"I\" }, from: 1, to: 2) { changes { path } } }";
    let difference = data(server, query, json!({})).await;
    let paths = difference["clientDifference"]["changes"].to_string();
    assert!(paths.contains("firstName") && !paths.contains("mergedFrom"), "{paths}");
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merge_queues_the_messages_of_both_events(server: &TestServer) {
    for event in Event::OF_CHANGES {
        let variant = json!({ "language": "ENGLISH", "subject": "S", "text": "{CLIENT_NAME}" });
        let template = json!({ "templateId": event.as_str(), "name": "T", "event": event.as_str(),
            "channel": "EMAIL", "variants": [variant] });
        define_template(server, template).await;
    }
    for (id, state) in [("F", "INACTIVE"), ("G", "EXITED"), ("I", "INACTIVE")] {
        let client = with(named(id, id), json!({ "emailAddress": format!("{id}@example.test") }));
        store_key(server, json!({ "client": client })).await;
        change_state(server, id, state).await;
    }
    let query = "{ messages(first: 500) { nodes { event recipient } } }";
    let mut seen = data(server, query, json!({})).await["messages"]["nodes"]
        .as_array()
        .expect("a list")
        .len();
    for (from, fields, expected) in [
        (
            "F",
            json!(["FIRST_NAME"]),
            &["CLIENT_EXITED F@example.test", "CLIENT_UPDATED I@example.test"][..],
        ),
        // Neither a transition nor a change.
        ("G", json!([]), &[]),
    ] {
        merged(server, with(two(from, "I"), json!({ "fields": fields }))).await;
        let messages = data(server, query, json!({})).await["messages"]["nodes"].take();
        let messages = messages.as_array().expect("a list");
        let text = |message: &Value| {
            let [event, recipient] = ["event", "recipient"].map(|name| message[name].as_str().expect("a text"));
            format!("{event} {recipient}")
        };
        let mut new: Vec<String> = messages[..messages.len() - seen].iter().map(text).collect();
        seen = messages.len();
        new.sort();
        assert_eq!(new, expected);
    }
}

async fn repeated_merge_gets_the_first_answer(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    let input = with(
        two("F", "I"),
        json!({ "fields": ["FIRST_NAME"], "idempotencyKey": "k" }),
    );
    let first = merge(server, input.clone()).await;
    assert_eq!(*user_errors(&first, "mergeClients"), json!([]));
    let before = server.snapshot().await;
    assert_eq!(merge(server, input.clone()).await.text, first.text);
    let other = merge(server, with(input, json!({ "fields": [] }))).await;
    assert_eq!(user_errors(&other, "mergeClients")[0]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(server.snapshot().await, before);
}

async fn checked_merge_stores_nothing(server: &TestServer) {
    server.define(vec![unique(field("tax", Kind::Text))]).await;
    create_with(server, "F", json!({ "customInformation": [value("tax", "1")] })).await;
    create_with(server, "I", json!({})).await;
    let before = server.snapshot().await;
    let input = json!({ "customInformation": "ADD", "validateOnly": true, "idempotencyKey": "k" });
    let answer = merged(server, with(two("F", "I"), input)).await;
    assert_eq!(
        (
            &answer["client"],
            &answer["mergedClientKey"],
            &answer["redirectedLinks"]
        ),
        (&Value::Null, &Value::Null, &json!(0))
    );
    assert_eq!(server.snapshot().await, before);
}

async fn undone_exit_ends_the_merge(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    merged(server, two("F", "I")).await;
    change_state(server, "F", "INACTIVE").await;
    let shown = show(server, "F", "state mergedIntoKey mergedInto { clientId }").await;
    assert_eq!(
        shown,
        json!({ "state": "INACTIVE", "mergedIntoKey": null, "mergedInto": null })
    );
    merged(server, two("I", "F")).await;
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merge_takes_the_same_statements_whatever_the_data(server: &TestServer) {
    server
        .define(vec![field("nick", Kind::Text), field("boss", Kind::ClientLink)])
        .await;
    let mut counts = Vec::new();
    // Without links, there is nothing to redirect.
    for number in 1..4 {
        let (from, into) = (format!("F{number}"), format!("I{number}"));
        let documents = |count: usize| {
            let documents = (0..count).map(|at| json!({ "documentType": "P", "documentId": at.to_string() }));
            documents.collect::<Value>()
        };
        let lists = json!({ "idDocuments": documents(number * 20), "customInformation": [value("nick", "a")] });
        let key = create_with(server, &from, lists).await;
        create_with(server, &into, json!({})).await;
        for link in 0..number * 10 {
            let link_to = json!({ "customInformation": [{ "fieldId": "boss", "linkedKey": key }] });
            create_with(server, &format!("L{number}-{link}"), link_to).await;
        }
        server.statements();
        let add = json!({ "idDocuments": "ADD", "customInformation": "ADD" });
        let answer = merged(server, with(two(&from, &into), add)).await;
        assert_eq!(answer["redirectedLinks"], number * 10);
        counts.push(server.statements().len());
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

async fn answer_shows_the_client_to_callers_who_may_view_it(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    let blind = server.as_caller(&Rights::of([Permission::MergeClients]));
    let answer = merge(&blind, two("F", "I")).await;
    assert_eq!(answer.body["data"]["mergeClients"]["client"], Value::Null);
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN",
        "{}",
        answer.text
    );
    assert_eq!(show(server, "F", "state").await, json!({ "state": "EXITED" }));
    store(server, json!({ "client": named("X", "X") }), "clientId").await;
}
