//! Filters of client lists: combined with `and`, `or` and `not`, without regard to case, and by ranges.

use clientele::{
    caller::{Rights, Sets},
    client::{MOST_FILTERS, MOST_LEVELS},
    definitions::Kind,
};
use serde_json::{Value, json};

use crate::harness::{
    Backend, TestServer, field,
    graphql::{data, define, define_role, store},
};

/// Clients with the ids a, b, c and d.
async fn four(server: &TestServer) {
    server
        .define(vec![
            field("age", Kind::Number),
            field("since", Kind::Date),
            field("nick", Kind::Text),
        ])
        .await;
    define_role(server, json!({ "roleId": "vip", "name": "VIP" })).await;
    let value = |id: &str, value: &str| json!({ "fieldId": id, "value": value });
    for (client, address, values) in [
        (
            json!({ "clientId": "a", "firstName": "Émile", "lastName": "Öz", "birthDate": "1990-04-17",
                "emailAddress": "Emile@Example.test", "assignedBranchKey": "b1", "assignedUserKey": "u1" }),
            json!([{ "city": "Málaga", "country": "España" }]),
            json!([value("age", "7.5"), value("since", "2020-02-29"), value("nick", "Al")]),
        ),
        (
            json!({ "clientId": "b", "firstName": "EMILE", "lastName": "Ozbek", "birthDate": "1990-04-18",
                "assignedBranchKey": "b2", "assignedCentreKey": "c1", "clientRole": { "roleId": "vip" } }),
            json!([{ "city": "MALAGA", "country": "Chile" }]),
            json!([value("age", "-100"), value("since", "2021-01-01"), value("nick", "al")]),
        ),
        (
            json!({ "clientId": "c", "firstName": "Emilia", "lastName": "Linden", "assignedBranchKey": "b1" }),
            json!([{ "country": "espana" }]),
            json!([value("age", "100")]),
        ),
        (
            json!({ "clientId": "d", "firstName": "Ben", "lastName": "öz", "birthDate": "2001-12-31" }),
            json!([]),
            json!([]),
        ),
    ] {
        let input = json!({ "client": client, "addresses": address, "customInformation": values });
        store(server, input, "version").await;
    }
}

/// The ids of the matching clients, whose number must equal the total.
async fn passing(server: &TestServer, filter: &Value) -> String {
    let query = "query($filter: ClientFilter) { clients(filter: $filter) { nodes { clientId } totalCount } }";
    let found = data(server, query, json!({ "filter": filter })).await;
    let nodes = found["clients"]["nodes"].as_array().expect("a list");
    let ids: String = nodes.iter().filter_map(|node| node["clientId"].as_str()).collect();
    assert_eq!(found["clients"]["totalCount"], ids.len(), "{filter}");
    ids
}

/// The code, the message and the path of the error.
async fn refused(server: &TestServer, filter: &Value) -> Value {
    let query = "query($filter: ClientFilter) { clients(filter: $filter) { nodes { clientId } } }";
    let answer = server.graphql(query, json!({ "filter": filter })).await;
    let error = &answer.body["errors"][0];
    json!([
        error["extensions"]["code"],
        error["message"],
        error["extensions"]["path"]
    ])
}

on_both!(
    filters_combine_in_a_tree,
    new_members_compare_folded_texts_and_ranges,
    custom_values_are_written_as_in_an_input,
    filter_is_refused_beyond_its_limits,
    wrong_definitions_are_refused_with_their_path,
    hidden_field_is_refused_wherever_it_occurs,
    folded_texts_of_a_filter_have_a_limit,
    client_with_equal_values_in_groups_counts_once,
    common_values_are_checked_client_by_client_on_sqlite,
);

async fn custom_values_are_written_as_in_an_input(server: &TestServer) {
    let kind = |id: &str, kind: &str| json!({ "fieldId": id, "name": id, "type": kind });
    define(
        server,
        "facts",
        json!([kind("limit", "NUMBER"), kind("active", "CHECKBOX")]),
    )
    .await;
    let values = json!([{ "fieldId": "limit", "value": "1500.50" }, { "fieldId": "active", "value": "true" }]);
    let client = json!({ "clientId": "a", "firstName": "Ana", "lastName": "Cruz" });
    store(
        server,
        json!({ "client": client, "customInformation": values }),
        "version",
    )
    .await;
    for (field, value, expected) in [
        ("limit", "1500.50", "a"),
        ("limit", "1500.5", "a"),
        ("limit", "1500.51", ""),
        ("limit", "many", ""),
        ("active", "true", "a"),
        ("active", "TRUE", "a"),
        ("active", "false", ""),
    ] {
        let one = json!({ "customField": { "fieldId": field, "value": value } });
        let list = json!({ "customFields": [{ "fieldId": field, "value": { "equals": value } }] });
        for filter in [one, list] {
            assert_eq!(passing(server, &filter).await, expected, "{filter}");
        }
    }
}

async fn filters_combine_in_a_tree(server: &TestServer) {
    four(server).await;
    let branch = |key: &str| json!({ "assignedBranchKey": key });
    let age = |from: &str| json!({ "customFields": [{ "fieldId": "age", "value": { "numbers": { "from": from } } }] });
    for (filter, expected) in [
        (json!({ "and": [] }), "abcd"),
        (json!({ "or": [] }), ""),
        (json!({ "not": {} }), ""),
        (json!({ "and": [{}, {}] }), "abcd"),
        (json!({ "or": [{}] }), "abcd"),
        (json!({ "and": null, "or": null, "not": null }), "abcd"),
        (json!({ "or": [branch("b1"), branch("b2")] }), "abc"),
        (json!({ "and": [branch("b1"), age("50")] }), "c"),
        (json!({ "or": [branch("b2"), age("50")] }), "bc"),
        (json!({ "not": branch("b1") }), "bd"),
        (json!({ "not": { "not": branch("b1") } }), "ac"),
        (json!({ "not": { "birthDate": "1990-04-17" } }), "bcd"),
        (
            json!({ "not": { "or": [branch("b1"), { "lastName": { "equals": "OZ" } }] } }),
            "b",
        ),
        (
            json!({ "or": [{ "and": [branch("b1"), { "not": age("50") }] }, { "lastName": { "startsWith": "ozb" } }] }),
            "ab",
        ),
        (
            json!({ "assignedBranchKey": "b1", "or": [age("50"), branch("b2")] }),
            "c",
        ),
        (json!({ "assignedBranchKey": "b1", "and": [branch("b2")] }), ""),
        // A single object is a list of one.
        (json!({ "or": branch("b2") }), "b"),
    ] {
        assert_eq!(passing(server, &filter).await, expected, "{filter}");
    }
}

async fn new_members_compare_folded_texts_and_ranges(server: &TestServer) {
    four(server).await;
    let custom = |id: &str, value: Value| json!({ "customFields": [{ "fieldId": id, "value": value }] });
    for (filter, expected) in [
        (json!({ "firstName": { "equals": "emile" } }), "ab"),
        (json!({ "firstName": { "equals": "ÉMILE" } }), "ab"),
        (json!({ "firstName": { "startsWith": "émil" } }), "abc"),
        (json!({ "firstName": { "startsWith": "" } }), "abcd"),
        (json!({ "firstName": { "equals": "" } }), ""),
        (json!({ "lastName": { "equals": "oz" } }), "ad"),
        (json!({ "lastName": { "startsWith": "OZ" } }), "abd"),
        (json!({ "lastName": { "equals": "o\u{0}z" } }), ""),
        (json!({ "lastName": { "startsWith": "\u{0}" } }), ""),
        (json!({ "email": "EMILE@example.TEST" }), "a"),
        (json!({ "email": "émile@example.test" }), "a"),
        (json!({ "emailAddress": "emile@example.test" }), ""),
        (json!({ "email": "\u{0}" }), ""),
        (json!({ "city": "malaga" }), "ab"),
        (json!({ "city": "malaga", "country": "CHILE" }), "b"),
        (json!({ "country": "ESPAÑA" }), "ac"),
        (json!({ "clientRoleId": "vip" }), "b"),
        (json!({ "clientRoleId": "client" }), "acd"),
        (json!({ "assignedBranchKey": "b1" }), "ac"),
        (json!({ "assignedBranchKey": "B1" }), ""),
        (json!({ "assignedCentreKey": "c1" }), "b"),
        (json!({ "assignedUserKey": "u1" }), "a"),
        (json!({ "born": { "from": "1990-04-17", "to": "1990-04-17" } }), "a"),
        (json!({ "born": { "from": "1990-04-18" } }), "bd"),
        (json!({ "born": { "to": "1990-04-18" } }), "ab"),
        (json!({ "born": {} }), "abcd"),
        (json!({ "born": { "from": "2000-01-01", "to": "1990-01-01" } }), ""),
        (custom("nick", json!({ "equals": "Al" })), "a"),
        (custom("nick", json!({ "equals": "\u{0}" })), ""),
        (custom("age", json!({ "equals": "7.5" })), "a"),
        (
            custom("age", json!({ "numbers": { "from": "7.5", "to": "7.50" } })),
            "a",
        ),
        (custom("age", json!({ "numbers": { "from": "8" } })), "c"),
        (custom("age", json!({ "numbers": { "to": "99.999" } })), "ab"),
        (
            custom("age", json!({ "numbers": { "from": "-100", "to": "100" } })),
            "abc",
        ),
        (custom("age", json!({ "numbers": {} })), "abc"),
        (
            custom(
                "since",
                json!({ "dates": { "from": "2020-02-29", "to": "2020-12-31" } }),
            ),
            "a",
        ),
        (custom("since", json!({ "dates": { "from": "2020-03-01" } })), "b"),
        (custom("since", json!({ "dates": {} })), "ab"),
        (
            json!({ "customFields": [{ "fieldId": "age", "value": { "numbers": { "to": "10" } } },
                { "fieldId": "nick", "value": { "equals": "al" } }],
                "customField": { "fieldId": "since", "value": "2021-01-01" } }),
            "b",
        ),
        (json!({ "customFields": [] }), "abcd"),
    ] {
        assert_eq!(passing(server, &filter).await, expected, "{filter}");
    }
}

async fn filter_is_refused_beyond_its_limits(server: &TestServer) {
    four(server).await;
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "not": inner }));
    assert_eq!(passing(server, &nested(MOST_LEVELS)).await, "abcd");
    let levels = json!([
        "BAD_USER_INPUT",
        "`filter`: filter must have at most 5 levels of and, or and not.",
        ["filter"]
    ]);
    assert_eq!(refused(server, &nested(MOST_LEVELS + 1)).await, levels);
    assert_eq!(refused(server, &nested(60)).await, levels);
    let filters = |count: usize| json!({ "or": vec![json!({ "assignedBranchKey": "b1" }); count - 1] });
    assert_eq!(passing(server, &filters(MOST_FILTERS)).await, "ac");
    let message = "`filter`: filter must have at most 50 filters and conditions on custom fields.";
    let many = json!(["BAD_USER_INPUT", message, ["filter"]]);
    assert_eq!(refused(server, &filters(MOST_FILTERS + 1)).await, many);
    let age = json!({ "fieldId": "age", "value": { "equals": "100" } });
    let fields = |count: usize| json!({ "not": {}, "customFields": vec![&age; count - 2] });
    assert_eq!(passing(server, &fields(MOST_FILTERS)).await, "");
    assert_eq!(refused(server, &fields(MOST_FILTERS + 1)).await, many);
}

async fn wrong_definitions_are_refused_with_their_path(server: &TestServer) {
    four(server).await;
    let custom = |id: &str, value: Value| json!({ "customFields": [{ "fieldId": id, "value": value }] });
    for (filter, message, path) in [
        (
            json!({ "or": [{}, custom("hat", json!({ "equals": "x" }))] }),
            "`filter.or.1.customFields.0.fieldId`: There is no custom field with this id. The query customFieldSets \
             lists them.",
            json!(["filter", "or", 1, "customFields", 0, "fieldId"]),
        ),
        (
            json!({ "not": { "customField": { "fieldId": "hat", "value": "x" } } }),
            "`filter.not.customField.fieldId`: There is no custom field with this id. The query customFieldSets lists \
             them.",
            json!(["filter", "not", "customField", "fieldId"]),
        ),
        (
            custom("nick", json!({ "numbers": {} })),
            "`filter.customFields.0.value.numbers`: numbers needs a custom field of the type NUMBER.",
            json!(["filter", "customFields", 0, "value", "numbers"]),
        ),
        (
            json!({ "and": [custom("age", json!({ "dates": {} }))] }),
            "`filter.and.0.customFields.0.value.dates`: dates needs a custom field of the type DATE.",
            json!(["filter", "and", 0, "customFields", 0, "value", "dates"]),
        ),
        (
            json!({ "clientRoleId": "hat" }),
            "`filter.clientRoleId`: There is no client role with this id. The query clientRoles lists them.",
            json!(["filter", "clientRoleId"]),
        ),
    ] {
        assert_eq!(refused(server, &filter).await, json!(["BAD_USER_INPUT", message, path]));
    }
}

async fn hidden_field_is_refused_wherever_it_occurs(server: &TestServer) {
    for set in ["open", "secret"] {
        let fields = json!([{ "fieldId": format!("{set}_code"), "name": "Code", "type": "NUMBER" }]);
        define(server, set, fields).await;
    }
    let values = json!([{ "fieldId": "open_code", "value": "1" }, { "fieldId": "secret_code", "value": "2" }]);
    let ana = json!({ "client": { "clientId": "a", "firstName": "A", "lastName": "B" }, "customInformation": values });
    store(server, ana, "version").await;
    let caller = server.as_caller(&Rights {
        view_sets: Sets::These(["open".to_owned()].into()),
        edit_sets: Sets::These([].into()),
        ..Rights::all()
    });
    let by = |id: &str, value: Value| json!({ "customFields": [{ "fieldId": id, "value": value }] });
    assert_eq!(passing(&caller, &by("open_code", json!({ "equals": "1" }))).await, "a");
    for value in [
        json!({ "equals": "2" }),
        json!({ "equals": "3" }),
        json!({ "numbers": { "from": "2" } }),
        // Nor does the type show.
        json!({ "dates": {} }),
    ] {
        let hidden = by("secret_code", value);
        for (filter, path) in [
            (hidden.clone(), "filter"),
            (json!({ "and": [{}, hidden] }), "filter.and.1"),
            (json!({ "or": [hidden] }), "filter.or.0"),
            (json!({ "not": hidden }), "filter.not"),
            (
                json!({ "not": { "or": [{ "and": [hidden] }] } }),
                "filter.not.or.0.and.0",
            ),
            (json!({ "clientRoleId": "hat", "not": hidden }), "filter.not"),
        ] {
            let refusal = refused(&caller, &filter).await;
            let message = format!(
                "`{path}.customFields.0.fieldId`: You may not see the values of this custom field, nor look clients up \
                 by them."
            );
            assert_eq!(
                [&refusal[0], &refusal[1]],
                [&json!("FORBIDDEN"), &json!(message)],
                "{filter}"
            );
            let query = "query($filter: ClientFilter) { clients(search: \"b\", filter: $filter) { totalCount } }";
            let answer = caller.graphql(query, json!({ "filter": filter })).await;
            assert_eq!(answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN", "{filter}");
        }
    }
}

async fn folded_texts_of_a_filter_have_a_limit(server: &TestServer) {
    let stored = "a".repeat(255);
    let address = json!([{ "city": stored, "country": stored }]);
    let client = json!({ "clientId": "a", "firstName": stored, "lastName": stored });
    store(server, json!({ "client": client, "addresses": address }), "version").await;
    let longer = "a".repeat(256);
    let filter = |path: &[&str], text: &str| match path {
        [member, kind] => json!({ *member: { *kind: text } }),
        path => json!({ path[0]: text }),
    };
    for path in [
        &["firstName", "equals"][..],
        &["firstName", "startsWith"],
        &["lastName", "equals"],
        &["lastName", "startsWith"],
        &["email"],
        &["city"],
        &["country"],
    ] {
        // No e-mail address is as long.
        let expected = if path == ["email"] { "" } else { "a" };
        assert_eq!(passing(server, &filter(path, &stored)).await, expected, "{path:?}");
        for (outer, filter) in [
            (json!(["filter"]), filter(path, &longer)),
            (
                json!(["filter", "not", "or", 1]),
                json!({ "not": { "or": [{}, filter(path, &longer)] } }),
            ),
        ] {
            let steps = outer.as_array().expect("a list").iter().cloned();
            let steps: Vec<Value> = steps.chain(path.iter().map(|step| json!(step))).collect();
            let text = |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
            let dotted: Vec<String> = steps.iter().map(text).collect();
            let (dotted, member) = (dotted.join("."), path[path.len() - 1]);
            let message = format!("`{dotted}`: {member} must have at most 255 characters.");
            assert_eq!(
                refused(server, &filter).await,
                json!(["BAD_USER_INPUT", message, steps])
            );
        }
    }
}

async fn client_with_equal_values_in_groups_counts_once(server: &TestServer) {
    let define = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { \
        userErrors { message } } }";
    let input = json!({ "set": { "setId": "pets", "name": "Pets", "usage": "GROUPED" },
        "fields": [{ "fieldId": "pet", "name": "Pet", "type": "TEXT" }] });
    let defined = data(server, define, json!({ "input": input })).await;
    assert_eq!(defined, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    let pets = [0, 1].map(|group| json!({ "fieldId": "pet", "value": "cat", "groupIndex": group }));
    let client = json!({ "clientId": "a", "firstName": "A", "lastName": "B" });
    store(
        server,
        json!({ "client": client, "customInformation": pets }),
        "version",
    )
    .await;
    let filter = json!({ "customField": { "fieldId": "pet", "value": "cat" } });
    assert_eq!(passing(server, &filter).await, "a");
}

async fn common_values_are_checked_client_by_client_on_sqlite(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    let common = json!({ "client": { "clientId": "a", "firstName": "common", "lastName": "common",
            "emailAddress": "common@example.test" },
        "addresses": [{ "city": "common", "country": "common" }],
        "idDocuments": [{ "documentType": "P", "documentId": "common" }],
        "customInformation": [{ "fieldId": "nick", "value": "common" }] });
    store(server, common, "version").await;
    // The other clients are created by statements, for the sake of time.
    let add = async |from: usize, until: usize| {
        for sql in [
            format!(
                "INSERT INTO client (encoded_key, client_id, state, first_name, last_name, preferred_language, \
                 client_role_key, created_at, updated_at, version) WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL \
                 SELECT i + 1 FROM n WHERE i < {until}) SELECT 'k' || n.i, 'k' || n.i, c.state, 'A', 'B', \
                 c.preferred_language, c.client_role_key, c.created_at, c.updated_at, 1 FROM n CROSS JOIN client c \
                 WHERE c.client_id = 'a'"
            ),
            "INSERT INTO client_search (client_key, first_name, last_name, email, city, country, words, text, form) \
             SELECT encoded_key, 'common', 'common', 'common@example.test', 'common', 'common', '', '', 1 FROM client \
             WHERE client_id <> 'a' ON CONFLICT DO NOTHING"
                .to_owned(),
            "INSERT INTO id_document (client_key, encoded_key, position, document_type, document_id) \
             SELECT encoded_key, encoded_key, 0, 'P', 'common' FROM client WHERE client_id <> 'a' \
             ON CONFLICT DO NOTHING"
                .to_owned(),
            "INSERT INTO custom_field_value (client_key, field_key, group_index, encoded_key, position, value) \
             SELECT c.encoded_key, v.field_key, v.group_index, c.encoded_key, 0, 'common' FROM client c \
             CROSS JOIN custom_field_value v WHERE v.client_key <> c.encoded_key AND v.encoded_key <> v.client_key \
             ON CONFLICT DO NOTHING"
                .to_owned(),
        ] {
            server.write(&sql).await.expect("sound");
        }
    };
    let filters = [
        (json!({ "firstName": { "equals": "common" } }), "client_search"),
        (json!({ "lastName": { "startsWith": "com" } }), "client_search"),
        (json!({ "email": "common@example.test" }), "client_search"),
        (json!({ "city": "common" }), "client_search"),
        (json!({ "country": "common" }), "client_search"),
        (json!({ "documentId": "common" }), "id_document"),
        (
            json!({ "customField": { "fieldId": "nick", "value": "common" } }),
            "custom_field_value",
        ),
        (
            json!({ "customFields": [{ "fieldId": "nick", "value": { "equals": "common" } }] }),
            "custom_field_value",
        ),
    ];
    let query = "query($filter: ClientFilter) { clients(first: 1, filter: $filter) { nodes { clientId } totalCount \
        totalCountPrecision } }";
    let check = async |precision: &str, is_common: bool| {
        for (filter, table) in &filters {
            for filter in [filter.clone(), json!({ "and": [{ "and": [filter] }, {}] })] {
                server.statements();
                let found = data(server, query, json!({ "filter": filter })).await;
                let expected = json!({ "nodes": [{ "clientId": "a" }], "totalCount": 10_000,
                    "totalCountPrecision": precision });
                assert_eq!(found["clients"], expected, "{filter}");
                let one_by_one = format!("EXISTS (SELECT 1 FROM {table} WHERE client_key = c.encoded_key AND ");
                let statements = server.statements();
                let is_checked = statements.iter().any(|sql| sql.contains(&one_by_one));
                assert_eq!(is_checked, is_common, "{filter}: {statements:#?}");
            }
        }
    };
    // As many as a count examines, and one more.
    add(1, 9_999).await;
    check("EXACT", false).await;
    add(10_000, 10_000).await;
    check("AT_LEAST", server.backend == Backend::Sqlite).await;
}
