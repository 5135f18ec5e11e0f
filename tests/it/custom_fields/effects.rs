//! The effects of changed definitions on stored values, which stay readable: each with the number of clients concerned.

use clientele::caller::{Permission, Rights};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, refuse, store},
};

on_both!(
    type_in_use_cannot_change,
    dropped_option_in_use_is_deactivated,
    dropped_field_in_use_is_deactivated,
    newly_required_field_names_clients_without_it,
    newly_required_field_counts_groups_and_roles,
    narrowed_text_names_clients_with_other_values,
    many_values_are_checked_in_pages,
    ids_of_clients_need_the_permission,
    narrowed_roles_name_clients_of_other_roles,
    narrowed_options_name_clients_with_other_parents,
    new_parent_names_clients_without_a_fitting_value,
    kept_options_and_fields_count_towards_the_maximum,
    thousand_roles_and_sets_exist_at_most,
);

const UPSERT: &str = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) {
    userErrors { code path message clientCount clientIds }
    warnings { code path message clientCount clientIds } } }";

pub async fn change(server: &TestServer, fields: Value) -> Value {
    let input = json!({ "set": { "setId": "facts" }, "fields": fields });
    data(server, UPSERT, json!({ "input": input })).await["upsertCustomFieldSet"].take()
}

/// The payload of an accepted change.
pub fn accepted(warnings: Value) -> Value {
    json!({ "userErrors": [], "warnings": warnings })
}

pub fn effect(code: &str, path: &[&str], message: &str, count: usize, ids: &[&Value]) -> Value {
    let path: Vec<&str> = ["input", "fields"].iter().chain(path).copied().collect();
    json!({ "code": code, "path": path, "message": message, "clientCount": count, "clientIds": ids })
}

async fn ana(server: &TestServer, values: Value) -> Value {
    let input = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": values });
    store(server, input, "clientId").await["clientId"].take()
}

/// Clients with these values of the text field `nick`.
pub async fn with_nicks(server: &TestServer, nicks: &[&str]) -> Vec<Value> {
    let nick = json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" },
        { "fieldId": "size", "name": "Size", "type": "SELECTION", "options": [{ "value": "S" }, { "value": "L" }] }]);
    define(server, "facts", nick).await;
    let mut ids = Vec::new();
    for nick in nicks {
        ids.push(ana(server, json!([{ "fieldId": "nick", "value": nick }])).await);
    }
    ids
}

/// All values as they are read.
async fn values(server: &TestServer) -> Vec<Value> {
    let query = "{ clients { nodes { customInformation { value field { fieldId } } } } }";
    let found = data(server, query, json!({})).await;
    found["clients"]["nodes"].as_array().cloned().unwrap_or_default()
}

async fn type_in_use_cannot_change(server: &TestServer) {
    let ids = with_nicks(server, &["a", "b", "c", "d"]).await;
    let before = server.snapshot().await;
    let message = "The type of a field can't change while clients have values for it.";
    for kind in ["LONG_TEXT", "NUMBER", "SELECTION", "DATE", "CHECKBOX", "USER_LINK"] {
        let options = if kind == "SELECTION" {
            json!([{ "value": "a" }])
        } else {
            json!([])
        };
        let found = change(server, json!([{ "fieldId": "nick", "type": kind, "options": options }])).await;
        let mut errors = found["userErrors"].as_array().cloned().unwrap_or_default();
        errors.retain(|error| error["code"] == "NOT_EDITABLE");
        let expected = effect("NOT_EDITABLE", &["0", "type"], message, 4, &[&ids[0], &ids[1], &ids[2]]);
        assert_eq!(errors, [expected], "{kind}");
    }
    assert_eq!(server.snapshot().await, before);
    // A field without values can change.
    assert_eq!(
        change(
            server,
            json!([{ "fieldId": "nick" }, { "fieldId": "size", "type": "DATE", "options": [] }])
        )
        .await,
        accepted(json!([]))
    );
}

async fn dropped_option_in_use_is_deactivated(server: &TestServer) {
    with_nicks(server, &[]).await;
    let size = |size: &str| json!([{ "fieldId": "size", "value": size }]);
    let first = ana(server, size("L")).await;
    let second = ana(server, size("L")).await;
    let read = values(server).await;
    let fields = json!([{ "fieldId": "nick" }, { "fieldId": "size", "options": [{ "value": "M" }] }]);
    let message = "size: 2 clients have an option that is deactivated, and can keep it.";
    let warning = effect("NOT_AN_OPTION", &["1", "options"], message, 2, &[&first, &second]);
    assert_eq!(change(server, fields.clone()).await, accepted(json!([warning])));
    let query = "{ customField(by: { fieldId: \"size\" }) { options { value state } } }";
    let options = json!([{ "value": "M", "state": "ACTIVE" }, { "value": "L", "state": "DEACTIVATED" }]);
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customField": { "options": options } }));
    assert_eq!(values(server).await, read);
    // Again, it changes nothing and concerns no one.
    let before = server.snapshot().await;
    assert_eq!(change(server, fields).await, accepted(json!([])));
    assert_eq!(server.snapshot().await, before);
    let named = json!([{ "fieldId": "nick" }, { "fieldId": "size",
        "options": [{ "value": "M" }, { "value": "L", "state": "ACTIVE" }] }]);
    assert_eq!(change(server, named).await, accepted(json!([])));
}

async fn dropped_field_in_use_is_deactivated(server: &TestServer) {
    let ids = with_nicks(server, &["a"]).await;
    let read = values(server).await;
    let message = "nick: 1 client has a value of the deactivated field, and can keep it.";
    let warning = effect("DEACTIVATED", &["0", "state"], message, 1, &[&ids[0]]);
    assert_eq!(change(server, json!([])).await, accepted(json!([warning])));
    assert_eq!(values(server).await, read);
    assert_eq!(change(server, json!([])).await, accepted(json!([])));
}

async fn newly_required_field_names_clients_without_it(server: &TestServer) {
    let ids = with_nicks(server, &["a", "b"]).await;
    let mut without = Vec::new();
    for _ in 0..4 {
        without.push(ana(server, json!([])).await);
    }
    let message = "nick: 4 clients have no value of the required field yet.";
    let ids_without = [&without[0], &without[1], &without[2]];
    let required =
        |state: &str| json!([{ "fieldId": "nick", "required": true, "state": state }, { "fieldId": "size" }]);
    let warning = effect("REQUIRED", &["0", "required"], message, 4, &ids_without);
    assert_eq!(
        change(server, required("DEACTIVATED")).await["warnings"][0]["code"],
        "DEACTIVATED"
    );
    assert_eq!(change(server, required("ACTIVE")).await, accepted(json!([warning])));
    assert_eq!(change(server, required("ACTIVE")).await, accepted(json!([])));
    let new = json!([{ "fieldId": "nick" }, { "fieldId": "size" },
        { "fieldId": "age", "name": "Age", "type": "NUMBER", "required": true }]);
    let message = "age: 6 clients have no value of the required field yet.";
    let warning = effect(
        "REQUIRED",
        &["2", "required"],
        message,
        6,
        &[&ids[0], &ids[1], &without[0]],
    );
    assert_eq!(change(server, new).await, accepted(json!([warning])));
}

async fn newly_required_field_counts_groups_and_roles(server: &TestServer) {
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    with_nicks(server, &["a"]).await;
    let of_firm = json!([{ "clientRole": { "roleId": "firm" }, "required": true }]);
    let fields = json!([{ "fieldId": "nick" }, { "fieldId": "size", "clientRoles": of_firm }]);
    assert_eq!(change(server, fields).await, accepted(json!([])), "there is no firm");
    let firm = json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "clientRole": { "roleId": "firm" } },
        "customInformation": [{ "fieldId": "size", "value": "S" }] });
    store(server, firm, "version").await;
    let fields = json!([{ "fieldId": "nick", "clientRoles": of_firm }, { "fieldId": "size" }]);
    let found = change(server, fields).await;
    let codes = |at: usize| (&found["warnings"][at]["code"], &found["warnings"][at]["clientCount"]);
    assert_eq!(codes(0), (&json!("NOT_AVAILABLE"), &json!(1)));
    assert_eq!(codes(1), (&json!("REQUIRED"), &json!(1)));
    // In a grouped set, only groups need a value.
    let set = json!({ "setId": "cards", "name": "Cards", "usage": "GROUPED" });
    let field = |id: &str, required: bool| json!({ "fieldId": id, "name": id, "type": "TEXT", "required": required });
    let cards = async |required: bool| {
        let fields = json!([field("number", false), field("name", required)]);
        data(server, UPSERT, json!({ "input": { "set": set, "fields": fields } })).await["upsertCustomFieldSet"].take()
    };
    assert_eq!(cards(false).await, accepted(json!([])));
    let value = |id: &str, group: i32| json!({ "fieldId": id, "groupIndex": group, "value": "x" });
    ana(server, json!([value("number", 0), value("name", 0)])).await;
    let partly = ana(
        server,
        json!([value("number", 0), value("number", 1), value("name", 1)]),
    )
    .await;
    let message = "name: 1 client has no value of the required field yet.";
    let warning = effect("REQUIRED", &["1", "required"], message, 1, &[&partly]);
    assert_eq!(cards(true).await, accepted(json!([warning])));
}

async fn narrowed_text_names_clients_with_other_values(server: &TestServer) {
    let ids = with_nicks(server, &["12", "123", "ab", "a1", "1234"]).await;
    let read = values(server).await;
    let narrowed = |own: Value| json!([crate::harness::with(json!({ "fieldId": "nick" }), own), { "fieldId": "size" }]);
    let message =
        |clients: &str| format!("nick: {clients} a value that the changed field wouldn't accept, and can keep it.");
    let length = effect(
        "INVALID",
        &["0", "maxLength"],
        &message("2 clients have"),
        2,
        &[&ids[1], &ids[4]],
    );
    assert_eq!(
        change(server, narrowed(json!({ "maxLength": 2 }))).await,
        accepted(json!([length]))
    );
    let pattern = effect(
        "INVALID",
        &["0", "pattern"],
        &message("4 clients have"),
        4,
        &[&ids[1], &ids[2], &ids[3]],
    );
    assert_eq!(
        change(server, narrowed(json!({ "pattern": "##" }))).await,
        accepted(json!([pattern]))
    );
    let wider = change(server, narrowed(json!({ "pattern": null, "maxLength": null }))).await;
    assert_eq!(wider, accepted(json!([])));
    assert_eq!(values(server).await, read);
}

async fn many_values_are_checked_in_pages(server: &TestServer) {
    server.seed(5_003).await;
    let fields = json!([{ "fieldId": "seed_risk" }, { "fieldId": "seed_income" }, { "fieldId": "seed_checked" },
        { "fieldId": "seed_since" }, { "fieldId": "seed_remark", "pattern": "Remark ####" }]);
    let input = json!({ "set": { "setId": "seed" }, "fields": fields });
    let found = data(server, UPSERT, json!({ "input": input })).await["upsertCustomFieldSet"].take();
    // Those from 1,000 on have four digits.
    assert_eq!(
        (&found["userErrors"], &found["warnings"][0]["clientCount"]),
        (&json!([]), &json!(1_000))
    );
}

async fn ids_of_clients_need_the_permission(server: &TestServer) {
    with_nicks(server, &["a"]).await;
    let message = "nick: 1 client has a value of the deactivated field, and can keep it.";
    let warning = effect("DEACTIVATED", &["0", "state"], message, 1, &[]);
    let manager = server.as_caller(&Rights::of([Permission::ManageCustomFields]));
    assert_eq!(change(&manager, json!([])).await, accepted(json!([warning])));
}

async fn narrowed_roles_name_clients_of_other_roles(server: &TestServer) {
    define_role(server, json!({ "roleId": "vip", "name": "VIP" })).await;
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    let ids = with_nicks(server, &["a", "b"]).await;
    let vip = json!({ "client": { "firstName": "Eva", "lastName": "Cruz", "clientRole": { "roleId": "vip" } },
        "customInformation": [{ "fieldId": "nick", "value": "c" }] });
    store(server, vip, "clientId").await;
    let roles = |ids: &[&str]| -> Value {
        let roles = ids.iter().map(|id| json!({ "clientRole": { "roleId": id } }));
        json!([{ "fieldId": "nick", "clientRoles": roles.collect::<Vec<_>>() }])
    };
    let message =
        "nick: 2 clients have a value of the field, which is no longer available to their role, and can keep it.";
    let path = ["0", "clientRoles"];
    let expected = effect("NOT_AVAILABLE", &path, message, 2, &[&ids[0], &ids[1]]);
    assert_eq!(
        change(server, roles(&["vip", "firm"])).await,
        accepted(json!([expected]))
    );
    // No client of the role that is left out now has a value.
    assert_eq!(change(server, roles(&["vip"])).await, accepted(json!([])));
    assert_eq!(change(server, roles(&[])).await, accepted(json!([])));
    assert_eq!(values(server).await.len(), 3);
}

/// Fields of which the second depends on the first, unless `parent` is null.
fn places(parent: Value, delft: &[&str], other: &[&str]) -> Value {
    json!([{ "fieldId": "country", "name": "Country", "type": "SELECTION",
            "options": [{ "value": "NL" }, { "value": "BE" }, { "value": "LU" }] },
        { "fieldId": "city", "name": "City", "type": "SELECTION", "parentFieldId": parent,
            "options": [{ "value": "Delft", "forValues": delft }, { "value": "Other", "forValues": other }] }])
}

/// A client in each of these places: a country, which can be empty, and a city.
async fn inhabitants(server: &TestServer, places: &[[&str; 2]]) -> Vec<Value> {
    let mut ids = Vec::new();
    for [country, city] in places {
        let mut values = vec![json!({ "fieldId": "city", "value": city })];
        if !country.is_empty() {
            values.push(json!({ "fieldId": "country", "value": country }));
        }
        ids.push(ana(server, json!(values)).await);
    }
    ids
}

async fn narrowed_options_name_clients_with_other_parents(server: &TestServer) {
    let places = |delft: &[&str], other: &[&str]| places(json!("country"), delft, other);
    define(server, "facts", places(&["NL", "BE"], &[])).await;
    let homes = [
        ["NL", "Delft"],
        ["BE", "Delft"],
        ["NL", "Other"],
        ["BE", "Other"],
        ["LU", "Other"],
        ["LU", "Other"],
    ];
    let ids = inhabitants(server, &homes).await;
    let read = values(server).await;
    let warning = |clients: &str, count: usize, ids: &[&Value]| {
        let message = format!(
            "city: {clients} an option that is no longer available for their value of the parent, and can keep it."
        );
        accepted(json!([effect(
            "NOT_AN_OPTION",
            &["1", "options"],
            &message,
            count,
            ids
        )]))
    };
    let none = accepted(json!([]));
    let two = warning("2 clients have", 2, &[&ids[0], &ids[3]]);
    let three = warning("3 clients have", 3, &[&ids[2], &ids[4], &ids[5]]);
    for (delft, other, expected) in [
        (&["NL"][..], &[][..], warning("1 client has", 1, &[&ids[1]])),
        (&["NL"], &["BE"], three),
        // Those are lost already.
        (&["NL"], &["BE"], none.clone()),
        (&["LU"], &["LU", "NL"], two),
        (&["LU", "NL", "BE"], &[], none.clone()),
        (&["LU", "NL", "BE"], &["NL", "BE", "LU"], none),
    ] {
        assert_eq!(
            change(server, places(delft, other)).await,
            expected,
            "{delft:?} {other:?}"
        );
        assert_eq!(values(server).await, read);
    }
    // Deactivated and narrowed at once.
    let mut both = places(&["NL"], &[]);
    both[1]["options"][0]["state"] = json!("DEACTIVATED");
    let message = "city: 2 clients have an option that is deactivated, and can keep it.";
    let deactivated = effect("NOT_AN_OPTION", &["1", "options"], message, 2, &[&ids[0], &ids[1]]);
    assert_eq!(change(server, both).await, accepted(json!([deactivated])));
}

async fn new_parent_names_clients_without_a_fitting_value(server: &TestServer) {
    define(server, "facts", places(json!(null), &[], &[])).await;
    let homes = [
        ["NL", "Delft"],
        ["BE", "Delft"],
        ["", "Other"],
        ["LU", "Other"],
        ["", "Delft"],
        ["", "Delft"],
    ];
    let ids = inhabitants(server, &homes).await;
    let read = values(server).await;
    let warning = |count: usize, ids: &[&Value]| {
        let message = format!(
            "city: {count} clients have a value that needs another value of the new parent field, and can keep it."
        );
        accepted(json!([effect(
            "PARENT_REQUIRED",
            &["1", "parentFieldId"],
            &message,
            count,
            ids
        )]))
    };
    let depends = || places(json!("country"), &["NL"], &["BE"]);
    assert_eq!(
        change(server, depends()).await,
        warning(5, &[&ids[1], &ids[2], &ids[3]])
    );
    assert_eq!(change(server, depends()).await, accepted(json!([])));
    assert_eq!(values(server).await, read);
    // The stored values can be sent again.
    let again = json!([{ "fieldId": "city", "value": "Delft" }, { "fieldId": "country", "value": "BE" }]);
    let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": ids[1], "notes": "n" },
        "customInformation": again });
    store(server, input, "version").await;
    assert_eq!(change(server, places(json!(null), &[], &[])).await, accepted(json!([])));
    let depends = places(json!("country"), &[], &[]);
    assert_eq!(change(server, depends).await, warning(3, &[&ids[2], &ids[4], &ids[5]]));
}

async fn kept_options_and_fields_count_towards_the_maximum(server: &TestServer) {
    with_nicks(server, &["a"]).await;
    ana(server, json!([{ "fieldId": "size", "value": "S" }])).await;
    let options = |count: usize| -> Value { (0..count).map(|n| json!({ "value": format!("o{n}") })).collect() };
    let nick = json!({ "fieldId": "nick" });
    let before = server.snapshot().await;
    let found = change(server, json!([nick, { "fieldId": "size", "options": options(1_000) }])).await;
    let message =
        "A field has at most 1000 options, and clients have some that aren't listed, which are kept: list fewer.";
    let problem = |path: &[&str], message: &str| {
        let path: Vec<&str> = ["input", "fields"].iter().chain(path).copied().collect();
        json!([{ "code": "TOO_MANY", "path": path, "message": message, "clientCount": null, "clientIds": [] }])
    };
    assert_eq!(found["userErrors"], problem(&["1", "options"], message));
    let fields: Vec<Value> = (0..999)
        .map(|n| json!({ "fieldId": format!("f{n}"), "name": "F", "type": "TEXT" }))
        .collect();
    let found = change(server, json!(fields)).await;
    let message = "A set has at most 1000 fields, and clients have values of some that aren't listed, which are kept: \
                   list fewer.";
    assert_eq!(found["userErrors"], problem(&[], message));
    assert_eq!(server.snapshot().await, before);
    let found = change(server, json!([nick, { "fieldId": "size", "options": options(999) }])).await;
    assert_eq!(found["userErrors"], json!([]));
    assert_eq!(server.snapshot().await.rows("custom_field_option").len(), 1_000);
    let found = change(server, json!(fields[..998])).await;
    assert_eq!(found["userErrors"], json!([]));
    assert_eq!(server.snapshot().await.rows("custom_field").len(), 1_000);
}

async fn thousand_roles_and_sets_exist_at_most(server: &TestServer) {
    // One role exists.
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998)";
    for (columns, values) in [
        (
            "client_role (encoded_key, role_id, name, is_default, position, allows_addresses, requires_id_document)",
            "'r' || i, 'r' || i, 'R', FALSE, i, TRUE, FALSE",
        ),
        (
            "custom_field_set (encoded_key, set_id, name, usage, position)",
            "'s' || i, 's' || i, 'S', 'SINGLE', i - 1",
        ),
    ] {
        let sql = format!("INSERT INTO {columns} {numbers} SELECT {values} FROM n");
        server.write(&sql).await.expect("they are stored");
    }
    define_role(server, json!({ "roleId": "last", "name": "Last" })).await;
    for set in ["t1", "t2"] {
        define(server, set, json!([])).await;
    }
    let before = server.snapshot().await;
    let refused = ("upsertClientRole", "UpsertClientRoleInput");
    refuse(
        server,
        refused,
        json!({ "roleId": "more", "name": "More" }),
        "TOO_MANY",
        &["roleId"],
    )
    .await;
    let refused = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
    refuse(
        server,
        refused,
        json!({ "set": { "setId": "more", "name": "M" } }),
        "TOO_MANY",
        &["set", "setId"],
    )
    .await;
    assert_eq!(server.snapshot().await, before);
    // Those that exist can be changed.
    define_role(server, json!({ "roleId": "last", "name": "L" })).await;
}
