//! Values of hidden custom field sets: no answer, error, message or filter reveals them.

use clientele::caller::{Permission::*, Rights};
use serde_json::{Value, json};

use super::{errors, problems, upsert, with_sets};
use crate::harness::{
    TestServer,
    graphql::{data, define, define_template, store},
    with,
};

/// `ana` has a value in the set `open` and two in the set `secret`, one of which links to `bob`.
pub async fn ana(server: &TestServer) -> Value {
    define(
        server,
        "open",
        json!([{ "fieldId": "note", "name": "Note", "type": "TEXT" }]),
    )
    .await;
    define(
        server,
        "secret",
        json!([{ "fieldId": "code", "name": "Code", "type": "TEXT" },
        { "fieldId": "friend", "name": "Friend", "type": "CLIENT_LINK" }]),
    )
    .await;
    let bob = store(
        server,
        json!({ "client": { "clientId": "bob", "firstName": "B", "lastName": "Bellweather" } }),
        "encodedKey",
    )
    .await;
    let ana = json!({ "client": { "clientId": "ana", "firstName": "Amara", "lastName": "A",
        "emailAddress": "a@example.test" },
        "customInformation": [{ "fieldId": "code", "value": "s3cret" }, { "fieldId": "note", "value": "n" },
            { "fieldId": "friend", "linkedKey": bob["encodedKey"] }] });
    store(server, ana, "encodedKey id customInformation { id value }").await
}

on_both!(
    hidden_values_are_in_no_list,
    hidden_values_are_absent_from_links_and_payloads,
    hidden_values_cannot_be_used_to_find_clients,
    messages_and_previews_mask_hidden_values,
    templates_cannot_expose_hidden_values,
    template_conditions_do_not_reveal_hidden_values,
    value_permissions_need_no_extra_statement,
);

async fn hidden_values_are_in_no_list(server: &TestServer) {
    let ana = ana(server).await;
    let (open, restricted) = (
        server.as_caller(&with_sets(&["open"], &[])),
        server.as_caller(&with_sets(&[], &["other"])),
    );
    let ids = json!(
        ["/id", "/customInformation/0/id", "/customInformation/1/id"]
            .map(|place| ana.pointer(place).expect("an id").clone())
    );
    let query =
        "query($ids: [ID!]!) { client(by: { clientId: \"ana\" }) { customInformation { value field { fieldId } \
        linkedClient { clientId } } }
            clients { nodes { customInformation { value } } }
            nodes(ids: $ids) { ... on Client { customInformation { value } } ... on CustomFieldValue { value } } }";
    let found = data(&open, query, json!({ "ids": ids })).await;
    assert_eq!(
        found,
        json!({
        "client": { "customInformation": [{ "value": "n", "field": { "fieldId": "note" }, "linkedClient": null }] },
        "clients": { "nodes": [{ "customInformation": [] }, { "customInformation": [{ "value": "n" }] }] },
        "nodes": [{ "customInformation": [{ "value": "n" }] }, null, { "value": "n" }] })
    );
    let found = data(&restricted, query, json!({ "ids": ids })).await;
    assert_eq!(
        found,
        json!({ "client": { "customInformation": [] },
        "clients": { "nodes": [{ "customInformation": [] }, { "customInformation": [] }] },
        "nodes": [{ "customInformation": [] }, null, null] })
    );
    // On the legacy route too, where positions count visible values only.
    for (caller, shown) in [(&open, json!([["note", 0]])), (&restricted, json!([]))] {
        let change = caller
            .post("/api/clients/ana", json!({ "client": { "notes": "x" } }))
            .await;
        for answer in [caller.get("/api/clients/ana?fullDetails=true").await, change] {
            let values = answer.body["customInformation"].as_array().expect("a list").iter();
            assert_eq!(
                values
                    .map(|value| json!([value["customFieldID"], value["indexInList"]]))
                    .collect::<Value>(),
                shown
            );
        }
    }
    let everything = data(
        server,
        "{ client(by: { clientId: \"ana\" }) { customInformation { field { fieldId } linkedClient { clientId } } } }",
        json!({}),
    )
    .await;
    assert_eq!(
        everything["client"]["customInformation"].as_array().map(Vec::len),
        Some(3)
    );
    // The definitions of fields are public.
    assert_eq!(
        data(
            &restricted,
            "{ customField(by: { fieldId: \"code\" }) { set { setId } } }",
            json!({})
        )
        .await,
        json!({ "customField": { "set": { "setId": "secret" } } })
    );
}

async fn hidden_values_are_absent_from_links_and_payloads(server: &TestServer) {
    let ana = ana(server).await;
    let carl = json!({ "client": { "clientId": "carl", "firstName": "C", "lastName": "C" } });
    store(server, carl, "version").await;
    define(
        server,
        "links",
        json!([{ "fieldId": "knows", "name": "Knows", "type": "CLIENT_LINK" }]),
    )
    .await;
    let caller = server.as_caller(&with_sets(&["open"], &["links"]));
    let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "carl" },
        "customInformation": [{ "fieldId": "knows", "linkedKey": ana["encodedKey"] }] });
    let stored = store(
        &caller,
        input,
        "customInformation { linkedClient { clientId customInformation { value } } }",
    )
    .await;
    assert_eq!(
        stored,
        json!({ "customInformation": [{ "linkedClient": { "clientId": "ana",
            "customInformation": [{ "value": "n" }] } }] })
    );
}

async fn hidden_values_cannot_be_used_to_find_clients(server: &TestServer) {
    ana(server).await;
    let query = "query($id: String!, $value: String!) { clients(filter: { customField: { fieldId: $id, value: $value } \
        }) { nodes { clientId } } }";
    let open = server.as_caller(&with_sets(&["open"], &[]));
    let answer = open.graphql(query, json!({ "id": "note", "value": "n" })).await;
    answer.data(json!({ "clients": { "nodes": [{ "clientId": "ana" }] } }));
    let [hit, miss] = [
        open.graphql(query, json!({ "id": "code", "value": "s3cret" })).await,
        open.graphql(query, json!({ "id": "code", "value": "x" })).await,
    ];
    assert_eq!(hit.body["data"], miss.body["data"]);
    for answer in [hit, miss] {
        assert_eq!(
            (
                errors(&answer)[0][0].clone(),
                answer.body["errors"][0]["message"].clone()
            ),
            (
                json!("FORBIDDEN"),
                json!(
                    "`filter.customField.fieldId`: You may not see the values of this custom field, nor look clients \
                        up by them."
                )
            )
        );
    }
    let count = "{ clients(filter: { customField: { fieldId: \"code\", value: \"s3cret\" } }) { totalCount } }";
    assert_eq!(errors(&open.graphql(count, json!({})).await)[0][0], "FORBIDDEN");
}

async fn messages_and_previews_mask_hidden_values(server: &TestServer) {
    let text = "{CLIENT_ID}: {CF:note}, {CF:code}, {CF:gone}.";
    define(
        server,
        "late",
        json!([{ "fieldId": "gone", "name": "Gone", "type": "TEXT" }]),
    )
    .await;
    let ana = ana(server).await;
    define_template(
        server,
        json!({ "templateId": "say", "name": "Say", "event": "CLIENT_UPDATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": text, "text": text, "html": text }] }),
    )
    .await;
    store(
        server,
        json!({ "client": { "encodedKey": ana["encodedKey"], "notes": "x" } }),
        "version",
    )
    .await;
    let query = "{ previewMessage(templateId: \"say\", client: { clientId: \"ana\" }) { matches subject text html }
            messages { nodes { subject text html } } client(by: { clientId: \"ana\" }) { messages { \
            nodes { text } } } }";
    let open = server.as_caller(&with_sets(&["open"], &[]));
    let said = |text: &str| json!({ "subject": text, "text": text, "html": text });
    for (caller, text) in [(server, "ana: n, s3cret, ."), (&open, "ana: n, ***, ***.")] {
        let found = data(caller, query, json!({})).await;
        assert_eq!(found["messages"]["nodes"], json!([said(text)]));
        assert_eq!(found["client"]["messages"]["nodes"], json!([{ "text": text }]));
        let mut preview = said(text);
        preview["matches"] = json!(true);
        assert_eq!(found["previewMessage"], preview);
    }
    // A deleted field belongs to its former set, and so does a field recreated in another set.
    let texts = "{ messages { nodes { text } } }";
    let said = |text: &str| json!({ "messages": { "nodes": [{ "text": text }] } });
    server
        .write("DELETE FROM custom_field_value")
        .await
        .expect("it is there");
    for set in ["late", "secret"] {
        define(server, set, json!([])).await;
    }
    define(
        server,
        "open",
        json!([{ "fieldId": "note", "name": "Note", "type": "TEXT" },
        { "fieldId": "code", "name": "Code", "type": "TEXT" }]),
    )
    .await;
    assert_eq!(data(&open, texts, json!({})).await, said("ana: n, ***, ***."));
    let view_all_known = server.as_caller(&with_sets(&["open", "secret", "late"], &[]));
    assert_eq!(data(&view_all_known, texts, json!({})).await, said("ana: n, s3cret, ."));
    // Messages stored before sets were recorded require rights to all sets.
    server
        .write(
            "UPDATE message SET placeholders = '{\"CLIENT_ID\": \"ana\", \"CF:note\": \"n\", \"CF:code\": \
        \"s3cret\", \"CF:gone\": \"\"}'",
        )
        .await
        .expect("there is one");
    assert_eq!(
        data(&view_all_known, texts, json!({})).await,
        said("ana: ***, ***, ***.")
    );
    assert_eq!(data(server, texts, json!({})).await, said("ana: n, s3cret, ."));
}

async fn templates_cannot_expose_hidden_values(server: &TestServer) {
    ana(server).await;
    let variant = |language: &str, text: &str| json!({ "language": language, "subject": "S", "text": text });
    let template = |id: &str, variants: Value| {
        json!({ "templateId": id, "name": id, "event": "CLIENT_UPDATED",
        "channel": "EMAIL", "variants": variants })
    };
    define_template(
        server,
        template("theirs", json!([variant("ENGLISH", "Now: {CF:code}")])),
    )
    .await;
    let open = server.as_caller(&with_sets(&["open"], &["open"]));
    let query = "mutation($input: UpsertMessageTemplateInput!) { upsertMessageTemplate(input: $input) { userErrors { \
        code path message } } }";
    let before = server.snapshot().await;
    let forbidden = json!([["FORBIDDEN", ["input", "variants", "0", "text"]]]);
    for input in [
        template("mine", json!([variant("ENGLISH", "{CF:note}\n{CF:code}")])),
        // A placeholder that the text already has reveals nothing new; elsewhere it does.
        template(
            "theirs",
            json!([
                variant("GERMAN", "Now: {CF:code}"),
                variant("ENGLISH", "Now: {CF:code}")
            ]),
        ),
        template("theirs", json!([variant("ENGLISH", "Now: {CF:code} {CF:friend}")])),
    ] {
        let answer = open.graphql(query, json!({ "input": input })).await;
        assert_eq!(problems(&answer, "upsertMessageTemplate"), forbidden, "{}", answer.text);
    }
    let answer = open
        .graphql(
            query,
            json!({ "input": template("mine", json!([variant("ENGLISH", "{CF:note}\n{CF:code}")])) }),
        )
        .await;
    assert_eq!(
        answer.body["data"]["upsertMessageTemplate"]["userErrors"][0]["message"],
        "The placeholder {CF:code} in line 2, column 1 needs the right to view values of its field."
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    for input in [
        template("theirs", json!([variant("ENGLISH", "It is {CF:code} now.")])),
        template("mine", json!([variant("ENGLISH", "{CF:note}")])),
    ] {
        assert_eq!(
            problems(
                &open.graphql(query, json!({ "input": input })).await,
                "upsertMessageTemplate"
            ),
            json!([])
        );
    }
}

async fn template_conditions_do_not_reveal_hidden_values(server: &TestServer) {
    ana(server).await;
    let template = |id: &str, value: &str| {
        json!({ "templateId": id, "name": id, "event": "CLIENT_UPDATED", "channel": "EMAIL",
        "conditions": { "customFields": [{ "fieldId": "code", "value": value }] },
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] })
    };
    for (id, value) in [("hit", "s3cret"), ("miss", "x")] {
        define_template(server, template(id, value)).await;
    }
    let open = server.as_caller(&with_sets(&["open"], &["open"]));
    let matches =
        |id: &str| format!("{{ previewMessage(templateId: \"{id}\", client: {{ clientId: \"ana\" }}) {{ matches }} }}");
    for (id, matching) in [("hit", true), ("miss", false)] {
        assert_eq!(
            data(server, &matches(id), json!({})).await,
            json!({ "previewMessage": { "matches": matching } })
        );
        assert_eq!(
            data(&open, &matches(id), json!({})).await,
            json!({ "previewMessage": { "matches": false } })
        );
    }
    // Neither do the recipients of the caller's own template.
    let query = "mutation($input: UpsertMessageTemplateInput!) { upsertMessageTemplate(input: $input) { userErrors { \
        code path } } }";
    let before = server.snapshot().await;
    let answer = open
        .graphql(query, json!({ "input": template("mine", "s3cret") }))
        .await;
    assert_eq!(
        problems(&answer, "upsertMessageTemplate"),
        json!([["FORBIDDEN", ["input", "conditions", "customFields", "0", "fieldId"]]])
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    // An existing condition is hidden and cannot be guessed, but can be kept.
    let shown = "{ messageTemplates { conditions { customFields { field { fieldId } value } } } }";
    let all = |hit: &str, miss: &str| {
        let template = |value: &str| {
            json!({ "conditions": { "customFields": [{ "field": { "fieldId": "code" },
            "value": value }] } })
        };
        json!({ "messageTemplates": [template(hit), template(miss)] })
    };
    assert_eq!(data(&open, shown, json!({})).await, all("***", "***"));
    assert_eq!(data(server, shown, json!({})).await, all("s3cret", "x"));
    assert_eq!(
        problems(
            &open.graphql(query, json!({ "input": template("hit", "s3cret") })).await,
            "upsertMessageTemplate"
        ),
        json!([["FORBIDDEN", ["input", "conditions", "customFields", "0", "fieldId"]]])
    );
    assert_eq!(
        problems(
            &open.graphql(query, json!({ "input": template("hit", "***") })).await,
            "upsertMessageTemplate"
        ),
        json!([])
    );
    assert_eq!(data(server, shown, json!({})).await, all("s3cret", "x"));
    // The audit log hides it too.
    let log = "{ auditLog(filter: { subject: MESSAGE_TEMPLATE }) { nodes { changes { path masked after } } } }";
    for (caller, after, masked) in [(server, json!("x"), false), (&open, Value::Null, true)] {
        let found = data(caller, log, json!({})).await;
        let changes = found["auditLog"]["nodes"][0]["changes"].as_array().expect("a list");
        let condition =
            json!({ "path": ["conditions", "customFields", "code", "value"], "masked": masked, "after": after });
        assert!(changes.contains(&condition), "{changes:#?}");
        assert!(masked != found.to_string().contains("s3cret"), "{found}");
    }
    // A caller who may not view a template's condition cannot change its other conditions: the recipients
    // would reveal the value.
    define_template(
        server,
        json!({ "templateId": "hit", "name": "hit", "active": false,
        "conditions": { "customFields": [{ "fieldId": "code", "value": "s3cret" }], "states": ["EXITED"] } }),
    )
    .await;
    define_template(
        server,
        json!({ "templateId": "said", "name": "said", "active": false, "event": "CLIENT_UPDATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "{CF:code}" }] }),
    )
    .await;
    let kept = json!([{ "fieldId": "code", "value": "***" }]);
    let before = server.snapshot().await;
    for (id, change, refused) in [
        ("hit", json!({ "active": true }), json!(["active"])),
        ("hit", json!({ "event": "CLIENT_CREATED" }), json!(["event"])),
        (
            "hit",
            json!({ "channel": "SMS", "variants": [{ "language": "ENGLISH", "subject": null, "text": "T" }] }),
            json!(["channel"]),
        ),
        (
            "hit",
            json!({ "conditions": { "customFields": kept } }),
            json!(["conditions"]),
        ),
        ("hit", json!({ "conditions": null }), json!(["conditions"])),
        (
            "hit",
            json!({ "active": true, "event": "CLIENT_CREATED", "conditions": { "customFields": kept } }),
            json!(["event", "active", "conditions"]),
        ),
        ("said", json!({ "active": true }), json!(["active"])),
        (
            "said",
            json!({ "conditions": { "states": ["ACTIVE"] } }),
            json!(["conditions"]),
        ),
    ] {
        let answer = open
            .graphql(query, json!({ "input": with(json!({ "templateId": id }), change) }))
            .await;
        let refused: Vec<Value> = refused
            .as_array()
            .expect("a list")
            .iter()
            .map(|name| json!(["FORBIDDEN", ["input", name]]))
            .collect();
        assert_eq!(
            problems(&answer, "upsertMessageTemplate"),
            json!(refused),
            "{}",
            answer.text
        );
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    for change in [
        json!({ "templateId": "hit", "name": "Hit", "active": false, "event": "CLIENT_UPDATED", "channel": "EMAIL",
            "conditions": { "customFields": kept, "states": ["EXITED"] },
                "variants": [{ "language": "ENGLISH", "subject": "S", "text": "Anew" }] }),
        json!({ "templateId": "said", "variants": [{ "language": "ENGLISH", "subject": "S",
            "text": "Now {CF:code}" }] }),
        json!({ "templateId": "miss", "active": false }),
    ] {
        assert_eq!(
            problems(
                &open.graphql(query, json!({ "input": change })).await,
                "upsertMessageTemplate"
            ),
            json!([]),
            "{change}"
        );
    }
    let gone = open
        .graphql(
            "mutation { deleteMessageTemplate(input: { templateId: \"said\" }) { userErrors { code } } }",
            json!({}),
        )
        .await;
    gone.data(json!({ "deleteMessageTemplate": { "userErrors": [] } }));
}

async fn value_permissions_need_no_extra_statement(server: &TestServer) {
    ana(server).await;
    let query = "{ client(by: { clientId: \"ana\" }) { customInformation { value } } messages { nodes { text } } }";
    let mut counts = Vec::new();
    for caller in [
        server.as_caller(&Rights::all()),
        server.as_caller(&with_sets(&["open"], &[])),
        server.as_caller(&Rights::of([ViewClient, ViewMessages])),
    ] {
        data(&caller, query, json!({})).await;
        server.statements();
        data(&caller, query, json!({})).await;
        counts.push(server.statements().len());
    }
    assert_eq!(counts, [2, 2, 2]);
    // Restricted callers need none either when they omit the list.
    let answer = upsert(
        &server.as_caller(&with_sets(&[], &[])),
        json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "ana" } }),
    )
    .await;
    assert_eq!(problems(&answer, "upsertClient"), json!([]));
}
