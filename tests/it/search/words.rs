//! `clients(search:)`: what it finds, in which order, and in which pages.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clientele::{
    caller::{Limit, Rights},
    client::{LONGEST_SEARCH, MOST_RANKED, MOST_WORDS},
    definitions::Kind,
};
use serde_json::{Value, json};

use crate::harness::{
    Backend, TestServer, field,
    graphql::{data, store},
};

/// Clients with the ids A1, B2, C3, D4, E5 and F6.
async fn six(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    for (client, documents) in [
        (
            json!({ "clientId": "A1", "firstName": "Ana María", "lastName": "García",
                "emailAddress": "lovelace@example.test", "homePhone": "+47 900-00 123" }),
            json!([{ "documentType": "Passport", "documentId": "AB 123-45" }]),
        ),
        (
            json!({ "clientId": "B2", "firstName": "Margareta", "middleName": "Zoë", "lastName": "Linden",
                "mobilePhone1": "0049 30 4455667" }),
            json!([]),
        ),
        (
            json!({ "clientId": "C3", "firstName": "Ana", "lastName": "Johnson", "birthDate": "1990-04-17" }),
            json!([{ "documentType": "Licence", "documentId": "garcia" }]),
        ),
        (
            json!({ "clientId": "D4", "firstName": "Иван", "lastName": "Петров" }),
            json!([]),
        ),
        (
            json!({ "clientId": "E5", "firstName": "伟明", "lastName": "王" }),
            json!([]),
        ),
        (
            json!({ "clientId": "F6", "firstName": "Seán", "lastName": "O’Brien", "mobilePhone2": "A1" }),
            json!([]),
        ),
    ] {
        let values = json!([{ "fieldId": "nick", "value": "secretive" }]);
        store(
            server,
            json!({ "client": client, "idDocuments": documents, "customInformation": values }),
            "version",
        )
        .await;
    }
}

/// The ids of the found clients, best first, whose number must equal the total.
async fn found(server: &TestServer, search: &str, filter: Value) -> String {
    let query = "query($search: String, $filter: ClientFilter) { clients(search: $search, filter: $filter) { \
        nodes { clientId } totalCount totalCountPrecision } }";
    let found = data(server, query, json!({ "search": search, "filter": filter })).await;
    let nodes = found["clients"]["nodes"].as_array().expect("a list");
    let ids: Vec<&str> = nodes.iter().filter_map(|node| node["clientId"].as_str()).collect();
    assert_eq!(found["clients"]["totalCount"], ids.len(), "{search}");
    assert_eq!(found["clients"]["totalCountPrecision"], "EXACT", "{search}");
    ids.join(" ")
}

on_both!(
    clients_are_found_by_parts_of_their_texts,
    every_word_must_be_found,
    words_with_a_wrong_letter_are_found_on_postgres,
    search_and_filter_combine,
    pages_follow_the_rank,
    ranked_clients_are_limited,
    last_ranked_client_is_the_thousandth,
    whole_first_name_comes_before_longer_names,
    exact_matches_are_limited_after_the_filter,
    search_combines_with_other_arguments,
    cursors_of_other_orders_are_refused,
    search_is_refused_beyond_its_limits,
    search_takes_one_statement_for_rows_and_one_for_the_total,
    changed_and_deleted_clients_are_found_by_new_texts_only,
);

async fn clients_are_found_by_parts_of_their_texts(server: &TestServer) {
    six(server).await;
    for (search, expected) in [
        ("Linden", "B2"),
        ("LINDEN", "B2"),
        ("linde", "B2"),
        ("garet", "B2"),
        ("zoe", "B2"),
        ("maria", "A1"),
        ("obrien", "F6"),
        ("o'brien", "F6"),
        ("SEAN", "F6"),
        ("lovelace", "A1"),
        ("lovelace@example.test", "A1"),
        ("LOVELACE@Example.Test", "A1"),
        ("example", ""),
        ("90000", "A1"),
        ("0123", "A1"),
        ("+47 90000123", "A1"),
        ("0047/900-00.123", "A1"),
        ("5566", "B2"),
        // As the numbers are dialled within their country.
        ("0900 00 123", "A1"),
        ("(030) 445-5667", "B2"),
        ("0130 4455667", ""),
        ("AB 123-45", "A1"),
        ("ab12345", "A1"),
        ("12345", "A1"),
        ("Иван", "D4"),
        ("иван петров", "D4"),
        ("ПЕТРО", "D4"),
        ("王", "E5"),
        ("伟明", "E5"),
        ("王 伟明", "E5"),
        ("li", "B2"),
        ("secretive", ""),
        ("nobody", ""),
        ("ana%", "A1 C3"),
        ("' OR 1=1 --", ""),
    ] {
        assert_eq!(found(server, search, json!({})).await, expected, "{search}");
    }
    // The id itself comes before texts that contain it.
    assert_eq!(found(server, "A1", json!({})).await, "A1");
    assert_eq!(
        found(server, "c3", json!({})).await,
        "",
        "two letters must begin a name"
    );
    let garcia = found(server, "garcia", json!({})).await;
    assert_eq!(garcia, "C3 A1", "the number of a document first");
}

async fn every_word_must_be_found(server: &TestServer) {
    six(server).await;
    for (search, expected) in [
        ("ana garcia", "A1 C3"),
        ("garcia ana maria", "A1"),
        ("ana johnson", "C3"),
        ("ana linden", ""),
        ("an jo", "C3"),
        ("lovelace 900", "A1"),
        ("zoe linden 4455", "B2"),
        ("ana ana ana", "A1 C3"),
    ] {
        assert_eq!(found(server, search, json!({})).await, expected, "{search}");
    }
}

async fn words_with_a_wrong_letter_are_found_on_postgres(server: &TestServer) {
    six(server).await;
    for (search, expected) in [
        ("lindem", "B2"),
        ("margaretta", "B2"),
        ("margreta", "B2"),
        ("jonson", "C3"),
        ("jonson ana", "C3"),
        ("lovelacy", "A1"),
        ("петрав", "D4"),
        ("lxxdxn", ""),
        // Not in numbers.
        ("90001", ""),
    ] {
        let expected = match server.backend {
            Backend::Postgres => expected,
            Backend::Sqlite => "",
        };
        assert_eq!(found(server, search, json!({})).await, expected, "{search}");
    }
}

async fn search_and_filter_combine(server: &TestServer) {
    six(server).await;
    for (filter, expected) in [
        (json!({}), "A1 C3"),
        (json!({ "birthDate": "1990-04-17" }), "C3"),
        (json!({ "not": { "birthDate": "1990-04-17" } }), "A1"),
        (json!({ "states": ["ACTIVE"] }), ""),
        (
            json!({ "customField": { "fieldId": "nick", "value": "secretive" } }),
            "A1 C3",
        ),
        (
            json!({ "documentId": "garcia", "lastName": { "startsWith": "JOHN" } }),
            "C3",
        ),
    ] {
        assert_eq!(found(server, "ana", filter.clone()).await, expected, "{filter}");
        assert_eq!(found(server, "ana garcia", filter.clone()).await, expected, "{filter}");
    }
    // Exact matches are filtered, too.
    assert_eq!(found(server, "A1", json!({ "states": ["ACTIVE"] })).await, "");
}

/// The keys and cursors of one page, and whether there are more in the direction of paging.
async fn page(server: &TestServer, arguments: &str) -> (Vec<String>, Option<String>, bool) {
    let query = format!(
        "{{ clients(search: \"anders\", {arguments}) {{ edges {{ cursor node {{ encodedKey }} }} \
         pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
    );
    let found = data(server, &query, json!({})).await;
    let edges = found["clients"]["edges"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let keys = edges
        .iter()
        .filter_map(|edge| text(&edge["node"]["encodedKey"]))
        .collect();
    let info = &found["clients"]["pageInfo"];
    match arguments.starts_with("first") {
        true => (keys, text(&info["endCursor"]), info["hasNextPage"] == true),
        false => (keys, text(&info["startCursor"]), info["hasPreviousPage"] == true),
    }
}

async fn pages_follow_the_rank(server: &TestServer) {
    let mut expected = Vec::new();
    for (last, count) in [("Anders", 4), ("Andersson", 3), ("Xanders", 2)] {
        for number in 0..count {
            let input = json!({ "client": { "firstName": format!("N{number}"), "lastName": last } });
            let client = store(server, input, "encodedKey").await;
            expected.push(client["encodedKey"].as_str().expect("a key").to_owned());
        }
    }
    let (all, ..) = page(server, "first: 500").await;
    assert_eq!(
        all, expected,
        "whole words, then beginnings, then other parts; by key among equals"
    );
    for size in [1, 2, 4] {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor
                .map(|cursor| format!(", after: \"{cursor}\""))
                .unwrap_or_default();
            let (page, end, has_more) = page(server, &format!("first: {size}{after}")).await;
            keys.extend(page);
            cursor = end;
            if !has_more {
                break;
            }
        }
        assert_eq!(keys, expected, "{size}");
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let before = cursor
                .map(|cursor| format!(", before: \"{cursor}\""))
                .unwrap_or_default();
            let (page, start, has_more) = page(server, &format!("last: {size}{before}")).await;
            keys.splice(0..0, page);
            cursor = start;
            if !has_more {
                break;
            }
        }
        assert_eq!(keys, expected, "{size}, backward");
    }
    // A better match that comes later is before the cursor.
    let (_, end, _) = page(server, "first: 5").await;
    let late = json!({ "client": { "firstName": "Late", "lastName": "Anders" } });
    store(server, late, "version").await;
    let after = format!("first: 500, after: \"{}\"", end.expect("a cursor"));
    assert_eq!(page(server, &after).await.0, expected[5..]);
    // A cursor of another order.
    let by_name = data(server, "{ clients(first: 1) { pageInfo { endCursor } } }", json!({})).await;
    let query = "query($after: String) { clients(search: \"anders\", after: $after) { nodes { clientId } } }";
    let after = &by_name["clients"]["pageInfo"]["endCursor"];
    let answer = server.graphql(query, json!({ "after": after })).await;
    assert_eq!(
        answer.body["errors"][0]["message"],
        "`after`: This isn't a cursor of this list in this order: send one that a page has given you."
    );
}

async fn ranked_clients_are_limited(server: &TestServer) {
    server.seed(3 * MOST_RANKED as u32 / 2).await;
    let total =
        |count: i64, precision: &str| json!({ "clients": { "totalCount": count, "totalCountPrecision": precision } });
    let query = "query($search: String, $filter: ClientFilter) { clients(search: $search, filter: $filter) { \
        totalCount totalCountPrecision } }";
    for (search, filter, expected) in [
        ("client999", json!({}), total(1, "EXACT")),
        ("seed", json!({}), total(MOST_RANKED, "AT_LEAST")),
        ("seed", json!({ "lastNameStartsWith": "Kim" }), total(120, "EXACT")),
        ("seed", json!({ "birthDate": "1950-01-02" }), total(1, "EXACT")),
    ] {
        let answer = server
            .graphql(query, json!({ "search": search, "filter": filter }))
            .await;
        answer.data(expected);
    }
    // An exact match is among them whatever else matches.
    let query = "{ clients(search: \"SEED00001499\", first: 1) { nodes { clientId } } }";
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "clients": { "nodes": [{ "clientId": "SEED00001499" }] } }));
}

/// The total of a search, and the number of different clients on its pages.
async fn counted(server: &TestServer, search: &str, filter: &Value) -> (Value, usize) {
    let query = "query($search: String, $filter: ClientFilter, $after: String) { \
        clients(search: $search, filter: $filter, first: 400, after: $after) { \
        nodes { clientId } totalCount totalCountPrecision pageInfo { hasNextPage endCursor } } }";
    let (mut ids, mut after) = (BTreeSet::new(), Value::Null);
    loop {
        let variables = json!({ "search": search, "filter": filter, "after": after });
        let found = &data(server, query, variables).await["clients"];
        let nodes = found["nodes"].as_array().expect("a list");
        ids.extend(nodes.iter().map(|node| node["clientId"].to_string()));
        after = found["pageInfo"]["endCursor"].clone();
        if found["pageInfo"]["hasNextPage"] == false {
            return (json!([found["totalCount"], found["totalCountPrecision"]]), ids.len());
        }
    }
}

async fn last_ranked_client_is_the_thousandth(server: &TestServer) {
    server.seed(MOST_RANKED as u32).await;
    let most = MOST_RANKED as usize;
    let all = (json!([MOST_RANKED, "EXACT"]), most);
    assert_eq!(counted(server, "seed", &json!({})).await, all);
    let another = json!({ "client": { "clientId": "SEEDED", "firstName": "A", "lastName": "B" } });
    store(server, another, "version").await;
    let some = (json!([MOST_RANKED, "AT_LEAST"]), most);
    assert_eq!(counted(server, "seed", &json!({})).await, some);
    let filter = json!({ "not": { "firstName": { "equals": "a" } } });
    assert_eq!(counted(server, "seed", &filter).await, all);
}

async fn whole_first_name_comes_before_longer_names(server: &TestServer) {
    server.seed(MOST_RANKED as u32).await;
    let names = "UPDATE client_search SET first_name = 'dana', last_name = 'linden', words = 'dana linden'";
    server.write(names).await.expect("the statement is sound");
    let client = json!({ "client": { "clientId": "LW", "firstName": "Li", "lastName": "Wang" } });
    store(server, client, "version").await;
    let query =
        "query($search: String) { clients(search: $search, first: 1) { nodes { clientId } totalCountPrecision } }";
    for search in ["li", "LI", "li wang"] {
        let found = data(server, query, json!({ "search": search })).await;
        assert_eq!(found["clients"]["nodes"], json!([{ "clientId": "LW" }]), "{search}");
    }
}

async fn exact_matches_are_limited_after_the_filter(server: &TestServer) {
    // The first half is outside the branch, of which the last client is in a centre.
    server.seed(2 * MOST_RANKED as u32 + 2).await;
    for sql in [
        "UPDATE client SET assigned_branch_key = 'b9' WHERE client_id > 'SEED00001000'",
        "UPDATE client SET assigned_centre_key = 'c1' WHERE client_id = 'SEED00002001'",
        // Each client has two documents.
        "UPDATE id_document_search SET document_id = '00'",
        "UPDATE client_search SET mobile_phone2 = '12', email = 'x@example.test'",
    ] {
        server.write(sql).await.expect("sound");
    }
    let limited = Rights {
        branches: Limit::To(["b9".to_owned()].into()),
        ..Rights::all()
    };
    let limited = server.as_caller(&limited);
    let most = MOST_RANKED as usize;
    let (last, some) = ((json!([1, "EXACT"]), 1), (json!([MOST_RANKED, "AT_LEAST"]), most));
    for search in ["00", "12", "x@example.test"] {
        let in_centre = json!({ "assignedCentreKey": "c1" });
        assert_eq!(counted(server, search, &in_centre).await, last, "{search}");
        assert_eq!(counted(&limited, search, &in_centre).await, last, "{search}");
        let without_last = json!({ "not": { "documentId": "SEED00002001" } });
        assert_eq!(counted(&limited, search, &without_last).await, some, "{search}");
        assert_eq!(counted(server, search, &json!({})).await.0, some.0, "{search}");
    }
    // One fewer than are ranked, and as many.
    let sql = "UPDATE client SET assigned_branch_key = 'b8' WHERE client_id > 'SEED00001999'";
    server.write(sql).await.expect("sound");
    let fewer = (json!([MOST_RANKED - 1, "EXACT"]), most - 1);
    assert_eq!(counted(&limited, "00", &json!({})).await, fewer);
    let sql = "UPDATE client SET assigned_branch_key = 'b9' WHERE client_id = 'SEED00002000'";
    server.write(sql).await.expect("sound");
    let all = (json!([MOST_RANKED, "EXACT"]), most);
    assert_eq!(counted(&limited, "00", &json!({})).await, all);
}

async fn search_combines_with_other_arguments(server: &TestServer) {
    six(server).await;
    let ids = async |arguments: &str| {
        let query = format!("{{ clients({arguments}) {{ nodes {{ clientId }} }} }}");
        let found = data(server, &query, json!({})).await;
        let nodes = found["clients"]["nodes"].as_array().expect("a list").clone();
        let ids: Vec<&str> = nodes.iter().filter_map(|node| node["clientId"].as_str()).collect();
        ids.join(" ")
    };
    for (arguments, expected) in [
        ("search: null", "A1 B2 C3 D4 E5 F6"),
        (
            "search: null, orderBy: { field: NAME, direction: DESC }",
            "E5 D4 F6 B2 C3 A1",
        ),
        ("search: \"ana\", orderBy: null", "A1 C3"),
        (
            "search: \"ana\", filter: { or: [{ documentId: \"garcia\" }, { city: \"x\" }] }",
            "C3",
        ),
        ("search: \"ana\", filter: { or: [] }", ""),
        (
            "search: \"ana\", filter: { and: [{}, { not: { documentId: \"garcia\" } }] }",
            "A1",
        ),
        (
            "search: \"garcia\", filter: { not: { birthDate: \"1990-04-17\" } }",
            "A1",
        ),
        (
            "search: \"ana\", filter: { customFields: [{ fieldId: \"nick\", value: { equals: \"secretive\" } }] }",
            "A1 C3",
        ),
        (
            "search: \"ana\", filter: { customFields: [{ fieldId: \"nick\", value: { equals: \"x\" } }] }",
            "",
        ),
    ] {
        assert_eq!(ids(arguments).await, expected, "{arguments}");
    }
    let query = "{ clients(search: \"ana\", orderBy: {}) { nodes { clientId } } }";
    let answer = server.graphql(query, json!({})).await;
    let message = "`orderBy` can't be combined with `search`, which lists the best matches first.";
    assert_eq!(answer.body["errors"][0]["message"], message);
}

async fn cursors_of_other_orders_are_refused(server: &TestServer) {
    for number in 0..5 {
        let input = json!({ "client": { "clientId": format!("A{number}"), "firstName": "Ana", "lastName": "Anders" } });
        store(server, input, "version").await;
    }
    let query = "query($search: String, $after: String, $before: String) { \
        clients(search: $search, after: $after, before: $before) { edges { cursor node { clientId } } } }";
    let all = data(server, query, json!({ "search": "anders" })).await;
    let edges = &all["clients"]["edges"];
    let between = json!({ "search": "anders", "after": edges[0]["cursor"], "before": edges[3]["cursor"] });
    let answer = server.graphql(query, between).await;
    answer.data(json!({ "clients": { "edges": [edges[1], edges[2]] } }));
    let key = "0123456789abcdef0123456789abcdef";
    let encoded = |content: Value| BASE64_URL_SAFE_NO_PAD.encode(content.to_string());
    let of_search = edges[0]["cursor"].as_str().expect("a cursor").to_owned();
    let content = BASE64_URL_SAFE_NO_PAD.decode(&of_search).expect("base64");
    let content: Value = serde_json::from_slice(&content).expect("JSON");
    let name = &content[0];
    let forged = |values: Value| encoded(json!([name, values]));
    for (search, cursor, is_valid) in [
        (json!(null), of_search.clone(), false),
        (json!("ANDERS "), encoded(json!([name, ["1", key]])), false),
        (json!("ana"), of_search, false),
        (json!("anders"), encoded(json!(["rank", ["1", key]])), false),
        (
            json!("anders"),
            encoded(json!(["created", ["2026-01-02T03:04:05.000000Z", key]])),
            false,
        ),
        (json!("anders"), forged(json!(["1", key])), true),
        (json!("anders"), forged(json!(["-9223372036854775808", key])), true),
        (json!("anders"), forged(json!(["9223372036854775808", key])), false),
        (json!("anders"), forged(json!(["x", key])), false),
        (json!("anders"), forged(json!(["1e3", key])), false),
        (json!("anders"), forged(json!(["01", key])), false),
        (json!("anders"), forged(json!(["", key])), false),
        (json!("anders"), forged(json!(["1"])), false),
        (json!("anders"), forged(json!(["1", "\0"])), false),
        (json!("anders"), forged(json!([1, key])), false),
    ] {
        let answer = server
            .graphql(query, json!({ "search": search, "after": cursor }))
            .await;
        let error = &answer.body["errors"][0];
        let message = "`after`: This isn't a cursor of this list in this order: send one that a page has given you.";
        let expected = if is_valid { json!(null) } else { json!(message) };
        assert_eq!(error["message"], expected, "{cursor}");
        if !is_valid {
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{}", answer.text);
        }
    }
}

async fn search_is_refused_beyond_its_limits(server: &TestServer) {
    six(server).await;
    let query = "query($search: String, $order: ClientOrder) { clients(search: $search, orderBy: $order) { \
        nodes { clientId } } }";
    let words = |count: usize| (0..count).map(|at| format!("word{at} ")).collect::<String>();
    for (search, message) in [
        ("x".repeat(LONGEST_SEARCH), None),
        (
            "x".repeat(LONGEST_SEARCH + 1),
            Some("`search`: search must have at most 200 characters."),
        ),
        (words(MOST_WORDS), None),
        (
            words(MOST_WORDS + 1),
            Some("`search`: search must have at most 8 words."),
        ),
        (" ".to_owned(), Some("`search`: search must have a letter or a digit.")),
        ("%".to_owned(), Some("`search`: search must have a letter or a digit.")),
        ("a\0b".to_owned(), None),
        ("\u{10ffff}x".to_owned(), None),
    ] {
        let answer = server.graphql(query, json!({ "search": search })).await;
        match message {
            None => drop(answer.data(json!({ "clients": { "nodes": [] } }))),
            Some(message) => {
                let error = &answer.body["errors"][0];
                assert_eq!(error["message"], message);
                assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
                assert_eq!(error["extensions"]["path"], json!(["search"]));
            }
        }
    }
    let both = json!({ "search": "ana", "order": { "field": "NAME" } });
    let answer = server.graphql(query, both).await;
    let message = "`orderBy` can't be combined with `search`, which lists the best matches first.";
    assert_eq!(answer.body["errors"][0]["message"], message);
}

async fn search_takes_one_statement_for_rows_and_one_for_the_total(server: &TestServer) {
    six(server).await;
    let query =
        "query($search: String) { clients(search: $search) { nodes { clientId addresses { city } } totalCount } }";
    for search in ["ana", "ana garcia", "nobody at all"] {
        data(server, query, json!({ "search": search })).await;
        server.statements();
        data(server, query, json!({ "search": search })).await;
        let statements = server.statements();
        assert_eq!(statements.len(), 2, "{statements:#?}");
    }
}

async fn changed_and_deleted_clients_are_found_by_new_texts_only(server: &TestServer) {
    six(server).await;
    let renamed = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "B2", "lastName": "Quetzal" } });
    store(server, renamed, "version").await;
    assert_eq!(found(server, "linden", json!({})).await, "");
    assert_eq!(found(server, "quetzal", json!({})).await, "B2");
    let erase = "mutation { eraseClient(input: { by: { clientId: \"B2\" } }) { userErrors { message } } }";
    data(server, erase, json!({})).await;
    for search in ["quetzal", "margareta", "B2", "4455667"] {
        assert_eq!(found(server, search, json!({})).await, "", "{search}");
    }
}
