//! `matchOn: CUSTOM_FIELD`: the client to change is named by its value of a unique custom field.

use clientele::{
    caller::{Rights, Sets},
    custom_field::CustomFieldInput,
    definitions::Kind,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    TestServer, field,
    graphql::{data, define, refuse, store},
};

const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    value_names_the_client_or_creates_it,
    equal_number_names_the_client,
    links_name_clients_too,
    value_stays_in_the_list_or_is_replaced,
    concurrent_upserts_create_one_client,
    unclear_matches_are_refused,
    caller_without_the_set_cannot_match,
    unmatched_value_of_another_client_is_taken,
    value_names_its_client_after_the_field_changed,
    null_list_is_refused_for_new_clients_too,
    same_lists_find_the_same_clients,
);

async fn define_all(server: &TestServer) {
    let unique = |id: &str, kind| CustomFieldInput {
        unique: Some(true),
        ..field(id, kind)
    };
    let fields = vec![
        unique("crm", Kind::Text),
        unique("tax", Kind::Number),
        unique("user", Kind::UserLink),
    ];
    let fields = fields.into_iter().chain([field("nick", Kind::Text)]).collect();
    server.define(fields).await;
}

fn input(field: &str, value: &str, own: Value) -> Value {
    let matched = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": field, "value": value } });
    let names = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } });
    crate::harness::with(crate::harness::with(names, matched), own)
}

const QUERY: &str =
    "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created userErrors { code path }
    client { version clientId customInformation { value linkedKey field { fieldId } } } } }";

/// Upserts, and returns the payload.
async fn upsert(server: &TestServer, input: Value) -> Value {
    data(server, QUERY, json!({ "input": input })).await["upsertClient"].take()
}

fn value(field: &str, value: &str) -> Value {
    json!({ "value": value, "linkedKey": null, "field": { "fieldId": field } })
}

async fn value_names_the_client_or_creates_it(server: &TestServer) {
    define_all(server).await;
    let first = upsert(server, input("crm", "A-1", json!({}))).await;
    assert_eq!((&first["created"], &first["userErrors"]), (&json!(true), &json!([])));
    assert_eq!(first["client"]["customInformation"], json!([value("crm", "A-1")]));
    let client = json!({ "client": { "firstName": "Eva" } });
    let second = upsert(server, input("crm", "A-1", client)).await;
    let mut expected = first["client"].clone();
    expected["version"] = json!(2);
    assert_eq!((&second["created"], &second["client"]), (&json!(false), &expected));
    let other = upsert(server, input("crm", "a-1", json!({}))).await;
    assert_eq!(other["created"], true);
    // The same input again changes nothing.
    let before = server.snapshot().await;
    let client = json!({ "client": { "firstName": "Eva" } });
    assert_eq!(
        upsert(server, input("crm", "A-1", client)).await["client"]["version"],
        2
    );
    assert_eq!(server.snapshot().await, before);
    // The version is that of the client found.
    let stale = input("crm", "A-1", json!({ "expectedVersion": 1 }));
    refuse(server, CLIENT, stale, "VERSION_CONFLICT", &["expectedVersion"]).await;
    let missing = input("crm", "A-9", json!({ "expectedVersion": 1 }));
    refuse(server, CLIENT, missing, "VERSION_CONFLICT", &["expectedVersion"]).await;
}

async fn equal_number_names_the_client(server: &TestServer) {
    define_all(server).await;
    assert_eq!(upsert(server, input("tax", "1.50", json!({}))).await["created"], true);
    for same in ["1.5", "01.5", "1.500"] {
        assert_eq!(
            upsert(server, input("tax", same, json!({}))).await["created"],
            false,
            "{same}"
        );
    }
    assert_eq!(upsert(server, input("tax", "15", json!({}))).await["created"], true);
}

async fn links_name_clients_too(server: &TestServer) {
    define_all(server).await;
    let first = upsert(server, input("user", "u1", json!({}))).await;
    let stored = json!([{ "value": null, "linkedKey": "u1", "field": { "fieldId": "user" } }]);
    assert_eq!(
        (&first["created"], &first["client"]["customInformation"]),
        (&json!(true), &stored)
    );
    assert_eq!(upsert(server, input("user", "u1", json!({}))).await["created"], false);
}

async fn value_stays_in_the_list_or_is_replaced(server: &TestServer) {
    define_all(server).await;
    let nick = json!({ "fieldId": "nick", "value": "Al" });
    let created = upsert(server, input("crm", "A-1", json!({ "customInformation": [nick] }))).await;
    assert_eq!(
        created["client"]["customInformation"],
        json!([value("nick", "Al"), value("crm", "A-1")])
    );
    // A list of the caller's own names the field itself, and can give it another value.
    let list = json!({ "customInformation": [{ "fieldId": "crm", "value": "A-2" }, nick] });
    let changed = upsert(server, input("crm", "A-1", list)).await;
    assert_eq!(changed["created"], false);
    assert_eq!(
        changed["client"]["customInformation"],
        json!([value("crm", "A-2"), value("nick", "Al")])
    );
    assert_eq!(upsert(server, input("crm", "A-1", json!({}))).await["created"], true);
    // A list without it keeps it at its end: otherwise the same input would create a second client.
    for (version, sent, stored) in [
        (
            3,
            Some(json!([nick])),
            json!([value("nick", "Al"), value("crm", "A-2")]),
        ),
        (
            3,
            Some(json!([nick])),
            json!([value("nick", "Al"), value("crm", "A-2")]),
        ),
        (3, None, json!([value("nick", "Al"), value("crm", "A-2")])),
        (4, Some(json!([])), json!([value("crm", "A-2")])),
    ] {
        let list = sent.map_or_else(|| json!({}), |sent| json!({ "customInformation": sent }));
        let changed = upsert(server, input("crm", "A-2", list)).await;
        let client = &changed["client"];
        assert_eq!(
            (&changed["created"], &client["version"], &client["customInformation"]),
            (&json!(false), &json!(version), &stored)
        );
    }
    assert_eq!(server.snapshot().await.rows("client").len(), 2);
    let taken = input(
        "crm",
        "A-1",
        json!({ "customInformation": [{ "fieldId": "crm", "value": "A-3" }] }),
    );
    assert_eq!(upsert(server, taken).await["created"], false);
}

async fn concurrent_upserts_create_one_client(server: &TestServer) {
    define_all(server).await;
    let other = server.another(Default::default()).await;
    for round in 0..5 {
        let attempts = (0..20).map(|writer| {
            let server = if writer % 2 == 0 { server } else { &other };
            let own = json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "notes": format!("{writer}") } });
            upsert(server, input("crm", &format!("A-{round}"), own))
        });
        let answers = join_all(attempts).await;
        let created = answers.iter().filter(|answer| answer["created"] == true).count();
        assert!(
            answers.iter().all(|answer| answer["userErrors"] == json!([])),
            "{answers:?}"
        );
        assert_eq!(created, 1, "{answers:?}");
    }
    let rows = server.snapshot().await;
    assert_eq!(
        (rows.rows("client").len(), rows.rows("custom_field_claim").len()),
        (5, 5)
    );
    other.stop().await;
}

async fn unclear_matches_are_refused(server: &TestServer) {
    define_all(server).await;
    let cards = json!({ "setId": "cards", "name": "Cards", "usage": "GROUPED" });
    let card = json!([{ "fieldId": "card", "name": "Card", "type": "TEXT", "unique": true }]);
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code } } }";
    data(server, query, json!({ "input": { "set": cards, "fields": card } })).await;
    define(
        server,
        "more",
        json!([{ "fieldId": "code", "name": "C", "type": "TEXT", "unique": true, "pattern": "##" }]),
    )
    .await;
    let field = ["matchCustomField", "fieldId"];
    let value = ["matchCustomField", "value"];
    for (id, text, code, place) in [
        ("absent", "x", "NOT_FOUND", &field),
        ("", "x", "NOT_FOUND", &field),
        ("nick", "x", "INVALID", &field),
        ("card", "x", "INVALID", &field),
        ("tax", "x", "NOT_A_NUMBER", &value),
        ("code", "x", "PATTERN_MISMATCH", &value),
        ("crm", "", "BLANK", &value),
        ("crm", "a\0", "INVALID_CHARACTER", &value),
        ("crm", &"x".repeat(256), "TOO_LONG", &value),
        ("user", "not a key", "INVALID", &value),
    ] {
        refuse(server, CLIENT, input(id, text, json!({})), code, place).await;
    }
    let key = json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "encodedKey": "k" } });
    refuse(
        server,
        CLIENT,
        input("crm", "A-1", key),
        "INVALID",
        &["client", "encodedKey"],
    )
    .await;
    let matched = ["matchCustomField"];
    refuse(
        server,
        CLIENT,
        input("crm", "A-1", json!({ "matchCustomField": null })),
        "BLANK",
        &matched,
    )
    .await;
    for match_on in ["ENCODED_KEY", "CLIENT_ID"] {
        refuse(
            server,
            CLIENT,
            input("crm", "A-1", json!({ "matchOn": match_on })),
            "INVALID",
            &matched,
        )
        .await;
    }
}

async fn caller_without_the_set_cannot_match(server: &TestServer) {
    define_all(server).await;
    store(server, input("crm", "A-1", json!({})), "version").await;
    let rights = Rights {
        edit_sets: Sets::These(["others".to_owned()].into()),
        ..Rights::all()
    };
    let limited = server.as_caller(&rights);
    // The answer is the same for a value that exists and one that doesn't.
    for value in ["A-1", "A-2"] {
        refuse(
            &limited,
            CLIENT,
            input("crm", value, json!({})),
            "FORBIDDEN",
            &["matchCustomField", "fieldId"],
        )
        .await;
    }
}

async fn unmatched_value_of_another_client_is_taken(server: &TestServer) {
    define_all(server).await;
    store(server, input("crm", "A-1", json!({})), "version").await;
    let list = json!({ "customInformation": [{ "fieldId": "crm", "value": "A-1" }] });
    refuse(
        server,
        CLIENT,
        input("crm", "A-2", list),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
}

async fn value_names_its_client_after_the_field_changed(server: &TestServer) {
    define_all(server).await;
    store(server, input("crm", "A-1", json!({})), "version").await;
    let value = ["matchCustomField", "value"];
    for (change, code) in [
        (json!({ "pattern": "##" }), "PATTERN_MISMATCH"),
        (json!({ "pattern": null, "maxLength": 2 }), "TOO_LONG"),
        (json!({ "maxLength": null, "state": "DEACTIVATED" }), "DEACTIVATED"),
    ] {
        let crm = crate::harness::with(json!({ "fieldId": "crm" }), change);
        define(server, "facts", json!([crm, { "fieldId": "nick" }])).await;
        assert_eq!(upsert(server, input("crm", "A-1", json!({}))).await["created"], false);
        refuse(server, CLIENT, input("crm", "A-2", json!({})), code, &value).await;
        let nick = json!({ "customInformation": [{ "fieldId": "nick", "value": "Al" }] });
        refuse(server, CLIENT, input("crm", "A-2", nick), code, &value).await;
    }
}

async fn null_list_is_refused_for_new_clients_too(server: &TestServer) {
    define_all(server).await;
    store(server, input("crm", "A-1", json!({})), "version").await;
    for value in ["A-1", "A-2"] {
        let null = input("crm", value, json!({ "customInformation": null }));
        refuse(server, CLIENT, null, "NULL_LIST", &["customInformation"]).await;
    }
}

async fn same_lists_find_the_same_clients(server: &TestServer) {
    define_all(server).await;
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created \
        client { version customInformation { value linkedKey field { fieldId } } } userErrors { code path } } } }";
    let nick = json!({ "customInformation": [{ "fieldId": "nick", "value": "Al" }] });
    let clients = json!({ "clients": [input("crm", "77", nick.clone()), input("tax", "1.50", nick)] });
    for created in [true, false, false] {
        let results = data(server, query, json!({ "input": clients })).await["upsertClients"]["results"].take();
        let result = |field, text| {
            json!({ "created": created, "userErrors": [], "client": { "version": 1,
                "customInformation": [value("nick", "Al"), value(field, text)] } })
        };
        assert_eq!(results, json!([result("crm", "77"), result("tax", "1.5")]));
    }
}
