//! Selections whose options depend on the value of another selection.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, refuse, store},
    with,
};

const SET: (&str, &str) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    value_without_its_parent_is_912,
    option_for_another_parent_value_is_901,
    parent_and_value_are_checked_when_one_changes,
    parent_is_of_the_same_group,
    invalid_parents_are_refused,
    parents_and_their_values_are_read,
    too_many_fields_with_a_parent_are_refused,
    stored_pair_can_move_to_another_group,
    fields_that_no_client_could_use_are_refused,
    kept_members_follow_the_list,
);

/// The set `place` with `country` and `city`, which depends on it.
fn fields() -> Value {
    json!([{ "fieldId": "country", "name": "Country", "type": "SELECTION",
            "options": [{ "value": "NL" }, { "value": "BE" }, { "value": "LU" }] },
        { "fieldId": "city", "name": "City", "type": "SELECTION", "parentFieldId": "country",
            "options": [{ "value": "Delft", "forValues": ["NL"] }, { "value": "Ghent", "forValues": ["BE"] },
                { "value": "Baarle", "forValues": ["BE", "NL"] }, { "value": "Other" }] }])
}

fn value(id: &str, value: &str) -> Value {
    json!({ "fieldId": id, "value": value })
}

fn ana(values: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": values })
}

fn legacy(values: Value) -> Value {
    let text = values.to_string().replace("fieldId", "customFieldID");
    ana(serde_json::from_str(&text).expect("JSON"))
}

async fn value_without_its_parent_is_912(server: &TestServer) {
    define(server, "place", fields()).await;
    for city in ["Delft", "Other"] {
        let values = json!([value("city", city)]);
        refuse(
            server,
            CLIENT,
            ana(values.clone()),
            "PARENT_REQUIRED",
            &["customInformation", "0", "value"],
        )
        .await;
        let source =
            "customInformation[0].value: The field city depends on the field country: send a value of it, too.";
        let answer = json!({ "returnCode": 912, "returnStatus": "DEPENDENT_CUSTOM_FIELD_VALUE_REQUIRED",
            "errorSource": source });
        server.refuses("/api/clients", legacy(values), 400, answer).await;
    }
    // The parent needs no dependent value.
    store(server, ana(json!([value("country", "NL")])), "version").await;
    // A refused parent isn't missing.
    let values = json!([value("city", "Delft"), value("country", "XX")]);
    refuse(
        server,
        CLIENT,
        ana(values),
        "NOT_AN_OPTION",
        &["customInformation", "1", "value"],
    )
    .await;
}

async fn option_for_another_parent_value_is_901(server: &TestServer) {
    define(server, "place", fields()).await;
    for (country, city, is_right) in [
        ("NL", "Delft", true),
        ("NL", "Ghent", false),
        ("NL", "Baarle", true),
        ("NL", "Other", true),
        ("BE", "Delft", false),
        ("BE", "Ghent", true),
        ("BE", "Baarle", true),
        ("LU", "Delft", false),
        ("LU", "Baarle", false),
        ("LU", "Other", true),
    ] {
        let values = json!([value("city", city), value("country", country)]);
        if is_right {
            store(server, ana(values), "version").await;
            continue;
        }
        refuse(
            server,
            CLIENT,
            ana(values.clone()),
            "NOT_AN_OPTION",
            &["customInformation", "0", "value"],
        )
        .await;
        let source = "customInformation[0].value: The field city doesn't have this option with this value of country.";
        let answer = json!({ "returnCode": 901, "returnStatus": "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "errorSource": source });
        server.refuses("/api/clients", legacy(values), 400, answer).await;
    }
}

async fn parent_and_value_are_checked_when_one_changes(server: &TestServer) {
    define(server, "place", fields()).await;
    let values = json!([value("country", "NL"), value("city", "Delft")]);
    let ana = store(server, ana(values.clone()), "encodedKey").await;
    let change = |values: Value| json!({ "client": ana, "customInformation": values });
    let place = ["customInformation", "1", "value"];
    let moved = json!([value("country", "BE"), { "fieldId": "city" }]);
    refuse(server, CLIENT, change(moved), "NOT_AN_OPTION", &place).await;
    let moved = json!([value("country", "BE"), value("city", "Delft")]);
    refuse(server, CLIENT, change(moved), "NOT_AN_OPTION", &place).await;
    let alone = json!([{ "fieldId": "city" }]);
    refuse(
        server,
        CLIENT,
        change(alone),
        "PARENT_REQUIRED",
        &["customInformation", "0", "value"],
    )
    .await;
    // When the options have changed, stored values can be sent back.
    let options = json!([{ "value": "Delft", "forValues": ["LU"] }]);
    define(
        server,
        "place",
        json!([{ "fieldId": "country" }, { "fieldId": "city", "options": options }]),
    )
    .await;
    store(server, change(values), "version").await;
    store(
        server,
        change(json!([value("country", "LU"), value("city", "Delft")])),
        "version",
    )
    .await;
    let back = json!([value("country", "NL"), value("city", "Delft")]);
    refuse(server, CLIENT, change(back), "NOT_AN_OPTION", &place).await;
}

async fn parent_is_of_the_same_group(server: &TestServer) {
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code } } }";
    let set = json!({ "setId": "place", "name": "Place", "usage": "GROUPED" });
    let found = data(server, query, json!({ "input": { "set": set, "fields": fields() } })).await;
    assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    let value = |id: &str, group: i32, value: &str| json!({ "fieldId": id, "groupIndex": group, "value": value });
    let right = json!([
        value("country", 0, "NL"),
        value("country", 1, "BE"),
        value("city", 1, "Ghent"),
        value("city", 0, "Delft")
    ]);
    store(server, ana(right), "version").await;
    let crossed = json!([
        value("country", 0, "NL"),
        value("country", 1, "BE"),
        value("city", 0, "Ghent")
    ]);
    refuse(
        server,
        CLIENT,
        ana(crossed),
        "NOT_AN_OPTION",
        &["customInformation", "2", "value"],
    )
    .await;
    let alone = json!([value("country", 0, "NL"), value("city", 1, "Delft")]);
    refuse(
        server,
        CLIENT,
        ana(alone),
        "PARENT_REQUIRED",
        &["customInformation", "1", "value"],
    )
    .await;
}

async fn invalid_parents_are_refused(server: &TestServer) {
    define(server, "place", fields()).await;
    define(
        server,
        "facts",
        json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" }]),
    )
    .await;
    let parent = ["fields", "1", "parentFieldId"];
    let for_values = ["fields", "1", "options", "0", "forValues"];
    let country = json!({ "fieldId": "country" });
    let text = json!({ "fieldId": "text", "name": "T", "type": "TEXT" });
    let delft = |own: Value| json!({ "fieldId": "city", "options": [with(json!({ "value": "Delft" }), own)] });
    let many: Vec<&str> = vec!["NL"; 1_001];
    for (fields, code, place) in [
        (
            json!([country, { "fieldId": "city", "parentFieldId": "city" }]),
            "INVALID",
            &parent[..],
        ),
        (
            json!([country, { "fieldId": "city", "parentFieldId": "absent" }]),
            "NOT_FOUND",
            &parent[..],
        ),
        (
            json!([country, { "fieldId": "city", "parentFieldId": "nick" }]),
            "NOT_FOUND",
            &parent[..],
        ),
        (
            json!([text, { "fieldId": "city", "parentFieldId": "text" }]),
            "INVALID",
            &parent[..],
        ),
        (json!([text, { "fieldId": "city" }]), "NOT_FOUND", &parent[..]),
        (
            json!([country, { "fieldId": "text", "name": "T", "type": "TEXT", "parentFieldId": "country" }]),
            "INVALID",
            &parent[..],
        ),
        (
            json!([country, { "fieldId": "city", "parentFieldId": null }]),
            "INVALID",
            &["fields", "1", "options"][..],
        ),
        (
            json!([country, delft(json!({ "forValues": ["XX"] }))]),
            "NOT_FOUND",
            &for_values[..],
        ),
        (
            json!([country, delft(json!({ "forValues": null }))]),
            "NULL_LIST",
            &for_values[..],
        ),
        (
            json!([country, delft(json!({ "forValues": many }))]),
            "TOO_MANY",
            &for_values[..],
        ),
        (
            json!([{ "fieldId": "country", "options": [{ "value": "NL" }] }, delft(json!({ "forValues": ["BE"] }))]),
            "NOT_FOUND",
            &for_values[..],
        ),
    ] {
        let input = json!({ "set": { "setId": "place" }, "fields": fields });
        refuse(server, SET, input, code, place).await;
    }
    // Two fields can't be each other's parents.
    let circle = json!([{ "fieldId": "country", "parentFieldId": "city" }, { "fieldId": "city" }]);
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code path } } }";
    let input = json!({ "set": { "setId": "place" }, "fields": circle });
    let problem = |index: &str| json!({ "code": "INVALID", "path": ["input", "fields", index, "parentFieldId"] });
    let expected = json!({ "upsertCustomFieldSet": { "userErrors": [problem("0"), problem("1")] } });
    server.graphql(query, json!({ "input": input })).await.data(expected);
}

async fn parents_and_their_values_are_read(server: &TestServer) {
    define(server, "place", fields()).await;
    let query = "{ customFieldSets { fields { parentFieldId options { value forValues } } } }";
    let option = |value: &str, values: Value| json!({ "value": value, "forValues": values });
    let none = json!([]);
    let country = json!([
        option("NL", none.clone()),
        option("BE", none.clone()),
        option("LU", none.clone())
    ]);
    let city = json!([
        option("Delft", json!(["NL"])),
        option("Ghent", json!(["BE"])),
        option("Baarle", json!(["BE", "NL"])),
        option("Other", none)
    ]);
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customFieldSets": [{ "fields": [
        { "parentFieldId": null, "options": country }, { "parentFieldId": "country", "options": city }] }] }));
    let before = server.snapshot().await;
    define(server, "place", fields()).await;
    define(
        server,
        "place",
        json!([{ "fieldId": "country" }, { "fieldId": "city" }]),
    )
    .await;
    assert_eq!(server.snapshot().await, before);
}

async fn too_many_fields_with_a_parent_are_refused(server: &TestServer) {
    define(server, "place", fields()).await;
    for parent in [json!("country"), json!(null)] {
        let mut fields: Vec<Value> = (0..1_001).map(|at| json!({ "fieldId": format!("f{at}") })).collect();
        fields[1_000]["parentFieldId"] = parent;
        for set in ["place", "other"] {
            let input = json!({ "set": { "setId": set, "name": set }, "fields": fields });
            refuse(server, SET, input, "TOO_MANY", &["fields"]).await;
        }
    }
}

async fn stored_pair_can_move_to_another_group(server: &TestServer) {
    let set = json!({ "setId": "place", "name": "Place", "usage": "GROUPED" });
    let define = async |fields: Value| {
        let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
            code } } }";
        let found = data(server, query, json!({ "input": { "set": set, "fields": fields } })).await;
        assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    };
    define(fields()).await;
    let value = |id: &str, group: i32, value: &str| json!({ "fieldId": id, "groupIndex": group, "value": value });
    let both = json!([
        value("country", 0, "NL"),
        value("city", 0, "Delft"),
        value("country", 1, "BE"),
        value("city", 1, "Ghent")
    ]);
    let ana = store(server, ana(both), "encodedKey").await;
    let options = json!([{ "value": "Delft" }, { "value": "Ghent", "forValues": ["LU"] }]);
    define(json!([{ "fieldId": "country" }, { "fieldId": "city", "options": options }])).await;
    let change = |values: Value| json!({ "client": ana, "customInformation": values });
    let new = json!([value("country", 0, "NL"), value("city", 0, "Ghent")]);
    refuse(
        server,
        CLIENT,
        change(new),
        "NOT_AN_OPTION",
        &["customInformation", "1", "value"],
    )
    .await;
    store(
        server,
        change(json!([value("country", 0, "BE"), value("city", 0, "Ghent")])),
        "version",
    )
    .await;
}

async fn fields_that_no_client_could_use_are_refused(server: &TestServer) {
    define(server, "place", fields()).await;
    store(server, ana(json!([value("country", "NL")])), "version").await;
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    define_role(server, json!({ "roleId": "person", "name": "Person" })).await;
    let of = |role: &str| json!([{ "clientRole": { "roleId": role } }]);
    let (country, city) = (json!({ "fieldId": "country" }), json!({ "fieldId": "city" }));
    let off = json!({ "state": "DEACTIVATED" });
    let all_off = json!({ "options": [{ "value": "Delft", "state": "DEACTIVATED" }] });
    let unreachable = json!({ "options": [{ "value": "Delft", "forValues": ["NL"] }] });
    let without_nl = json!({ "options": [{ "value": "NL", "state": "DEACTIVATED" }, { "value": "BE" }] });
    for (fields, code, place) in [
        (
            json!([with(country.clone(), off.clone()), city]),
            "INVALID",
            ["fields", "1", "parentFieldId"],
        ),
        // The parent is deactivated, because clients have it.
        (json!([city]), "INVALID", ["fields", "0", "parentFieldId"]),
        (
            json!([with(country.clone(), json!({ "clientRoles": of("firm") })), city]),
            "INVALID",
            ["fields", "1", "clientRoles"],
        ),
        (
            json!([
                with(country.clone(), json!({ "clientRoles": of("firm") })),
                with(city.clone(), json!({ "clientRoles": of("person") }))
            ]),
            "INVALID",
            ["fields", "1", "clientRoles"],
        ),
        (
            json!([country, with(city.clone(), all_off.clone())]),
            "BLANK",
            ["fields", "1", "options"],
        ),
        (
            json!([with(country.clone(), without_nl), with(city.clone(), unreachable)]),
            "INVALID",
            ["fields", "1", "options"],
        ),
    ] {
        let input = json!({ "set": { "setId": "place" }, "fields": fields });
        refuse(server, SET, input, code, &place).await;
    }
    // A deactivated field can have any of these.
    let city = with(with(city, off), all_off);
    define(server, "place", json!([city])).await;
    define(
        server,
        "place",
        json!([
            with(country, json!({ "state": "ACTIVE", "clientRoles": of("firm") })),
            city
        ]),
    )
    .await;
}

async fn kept_members_follow_the_list(server: &TestServer) {
    define(
        server,
        "place",
        json!([{ "fieldId": "city", "name": "City", "type": "SELECTION", "options": [{ "value": "Delft" }] }]),
    )
    .await;
    let ana = store(server, ana(json!([value("city", "Delft")])), "encodedKey").await;
    // City is in use, and country, its parent from now on, isn't.
    let city = json!({ "fieldId": "city", "parentFieldId": "country",
        "options": [{ "value": "Delft", "forValues": ["NL"] }, { "value": "Ghent", "forValues": ["BE"] }] });
    define(server, "place", json!([fields()[0], city])).await;
    // The kept option Delft is for the deleted value NL.
    let countries = json!({ "fieldId": "country", "options": [{ "value": "BE" }] });
    let cities = json!({ "fieldId": "city", "options": [{ "value": "Ghent" }] });
    define(server, "place", json!([countries, cities])).await;
    define(server, "place", json!([])).await;
    let query = "{ customFieldSets { fields { fieldId state parentFieldId } } }";
    let city = json!({ "fieldId": "city", "state": "DEACTIVATED", "parentFieldId": null });
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customFieldSets": [{ "fields": [city] }] }));
    let input = json!({ "client": ana, "customInformation": [value("city", "Delft")] });
    store(server, input, "version").await;
}
