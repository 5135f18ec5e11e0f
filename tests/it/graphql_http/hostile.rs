//! Hostile documents: variables of wrong types, multiplying responses, and limits of every kind.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, graphql::data};

async fn refused_before_anything_runs(server: &TestServer, query: &str, variables: Value, sentence: &str) {
    let before = server.snapshot().await;
    let answer = server.graphql(query, variables).await;
    let errors = answer.body["errors"].as_array().expect("errors").clone();
    assert_eq!(errors.len(), 1, "{}", answer.text);
    assert_eq!(
        errors[0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED",
        "{}",
        answer.text
    );
    assert_eq!(errors[0]["message"], sentence);
    assert_eq!(answer.body.get("data"), None, "{}", answer.text);
    assert_eq!(server.snapshot().await, before);
}

on_both!(
    variable_of_a_wrong_type_prevents_execution,
    default_allows_a_nullable_variable_in_a_non_null_position,
    multiplying_response_is_refused,
    stored_change_is_reported_when_its_response_is_too_large,
    ids_of_definitions_take_one_statement,
    refusals_are_short,
    repeated_input_is_refused_before_it_is_copied,
    hostile_requests_are_refused_before_any_resolver,
);

async fn variable_of_a_wrong_type_prevents_execution(server: &TestServer) {
    for (query, variables, sentence) in [
        (
            r#"mutation($a: IdDocumentInput!) { upsertClient(input: {
                client: { firstName: "Amara", lastName: "Bellweather" }, addresses: [$a] }) { created } }"#,
            json!({ "a": { "documentType": "x" } }),
            "Argument \"input\" at \"addresses.0\": \"$a\" is declared as IdDocumentInput!, where AddressInput! is \
             expected.",
        ),
        (
            "query($a: ClientInput) { clients(filter: $a) { totalCount } }",
            json!({ "a": { "firstName": "x" } }),
            r#"Argument "filter": "$a" is declared as ClientInput, where ClientFilter is expected."#,
        ),
        (
            r#"mutation($i: UpsertClientInput) {
                    a: upsertClient(input: { client: { firstName: "Amara", lastName: "Bellweather" } }) { created }
                    b: upsertClient(input: $i) { created } }"#,
            json!({}),
            r#"Argument "input": "$i" is declared as UpsertClientInput, where UpsertClientInput! is expected."#,
        ),
        (
            "query($a: String) { clients(first: $a) { totalCount } }",
            json!({}),
            r#"Argument "first": "$a" is declared as String, where Int is expected."#,
        ),
        (
            "query($a: Int!) { __typename @skip(if: $a) }",
            json!({ "a": 1 }),
            r#"Argument "if": "$a" is declared as Int!, where Boolean! is expected."#,
        ),
        (
            "query($a: ID) { node(id: $a) { id } }",
            json!({ "a": "x" }),
            r#"Argument "id": "$a" is declared as ID, where ID! is expected."#,
        ),
        (
            "query($a: String!) { clients(filter: { states: $a }) { totalCount } }",
            json!({ "a": "x" }),
            r#"Argument "filter" at "states": "$a" is declared as String!, where [ClientState!] is expected."#,
        ),
    ] {
        refused_before_anything_runs(server, query, variables, sentence).await;
    }
}

async fn default_allows_a_nullable_variable_in_a_non_null_position(server: &TestServer) {
    let query =
        r#"query($skip: Boolean = true, $id: ID = "x") { clientRoles @skip(if: $skip) { name } node(id: $id) { id } }"#;
    assert_eq!(data(server, query, json!({})).await, json!({ "node": null }));
}

async fn multiplying_response_is_refused(server: &TestServer) {
    server.seed(1).await;
    let mut selection = "fields { fieldId }".to_owned();
    for _ in 0..8 {
        selection = format!("fields {{ set {{ {selection} }} }}");
    }
    let answer = server
        .graphql(&format!("{{ customFieldSets {{ {selection} }} }}"), json!({}))
        .await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX",
        "{:.300}",
        answer.text
    );
    assert_eq!(
        answer.body["errors"][0]["message"],
        "The answer would have more than 1000000 fields: ask for fewer, or for smaller pages."
    );
}

async fn stored_change_is_reported_when_its_response_is_too_large(server: &TestServer) {
    let fields: Vec<Value> = (0..30)
        .map(|number| json!({ "fieldId": format!("f{number}"), "name": "F", "type": "TEXT" }))
        .collect();
    let mut selection = "fields { fieldId }".to_owned();
    for _ in 0..5 {
        selection = format!("fields {{ set {{ {selection} }} }}");
    }
    let query = format!(
        "mutation($input: UpsertCustomFieldSetInput!) {{ upsertCustomFieldSet(input: $input) {{ customFieldSet {{ \
            {selection} }} }} }}"
    );
    let answer = server
        .graphql(
            &query,
            json!({ "input": { "set": { "setId": "s", "name": "S" }, "fields": fields } }),
        )
        .await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "INTERNAL",
        "{:.300}",
        answer.text
    );
    assert_eq!(
        answer.body["errors"][0]["message"],
        "The change has been stored, but its answer could not be completed: read it back, asking for less."
    );
    assert_eq!(
        data(server, "{ customFieldSets { setId } }", json!({})).await,
        json!({ "customFieldSets": [{ "setId": "s" }] })
    );
}

async fn ids_of_definitions_take_one_statement(server: &TestServer) {
    server.seed(1).await;
    let sets = data(
        server,
        "{ customFieldSets { id fields { id } } clientRoles { id } }",
        json!({}),
    )
    .await;
    let mut ids = vec![
        sets["customFieldSets"][0]["id"].clone(),
        sets["clientRoles"][0]["id"].clone(),
    ];
    ids.extend(
        sets["customFieldSets"][0]["fields"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|field| field["id"].clone()),
    );
    server.statements();
    let found = data(
        server,
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        json!({ "ids": ids }),
    )
    .await;
    assert_eq!(found["nodes"].as_array().map(Vec::len), Some(7));
    assert_eq!(server.statements().len(), 1);
}

async fn refusals_are_short(server: &TestServer) {
    let name = "a".repeat(500_000);
    let answer = server.graphql(&format!("{{ {name} }}"), json!({})).await;
    assert!(answer.text.len() < 1_000, "{} bytes", answer.text.len());
    let many: String = (0..1_000).map(|number| format!("unknown{number} ")).collect();
    let answer = server.graphql(&format!("{{ {many} }}"), json!({})).await;
    assert!(answer.text.len() < 10_000, "{} bytes", answer.text.len());
    // One wrong literal that fragments repeat 4,096 times is one error.
    let answer = server
        .graphql(
            &doubling_links(12, "messages(first: 99999999999) { totalCount }"),
            json!({}),
        )
        .await;
    assert_eq!(
        answer.body["errors"].as_array().map(Vec::len),
        Some(1),
        "{:.500}",
        answer.text
    );
    let unknown: String = (0..1_000)
        .map(|number| format!("$a{number}: Unknown{number} "))
        .collect();
    let answer = server
        .graphql(&format!("query({unknown}) {{ __typename }}"), json!({}))
        .await;
    assert!(answer.text.len() < 10_000, "{} bytes", answer.text.len());
}

async fn repeated_input_is_refused_before_it_is_copied(server: &TestServer) {
    let long = "x".repeat(20_000);
    let literal = json!({ "query": doubling_links(12, &format!("messages(after: \"{long}\") {{ totalCount }}")) });
    let pages: String = (0..20)
        .map(|number| format!("a{number}: messages(after: $x) {{ totalCount }} "))
        .collect();
    let variable =
        json!({ "query": format!("query($x: String) {{ {pages} }}"), "variables": { "x": "x".repeat(900_000) } });
    server.statements();
    for body in [literal, variable] {
        let answer = server.send(server.request(Method::POST, "/graphql").json(&body)).await;
        let error = &answer.body["errors"][0];
        assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX", "{:.500}", answer.text);
        let sentence = error["message"].as_str().expect("a sentence");
        assert!(
            sentence
                .ends_with(" bytes with its fragments and variables spelled out, and at most 16994304 are allowed."),
            "{sentence}"
        );
    }
    assert_eq!(server.statements(), Vec::<String>::new());
}

/// A document with twice as many `fields` of a client for each level, each level a fragment.
fn doubling_links(levels: usize, fields: &str) -> String {
    let fragments: String = (0..levels)
        .map(|n| {
            let below = format!("linkedClient {{ ...F{} }}", n + 1);
            format!("fragment F{n} on Client {{ customInformation {{ a: {below} b: {below} }} }} ")
        })
        .collect();
    format!("{{ clients(first: 1) {{ nodes {{ ...F0 }} }} }} {fragments} fragment F{levels} on Client {{ {fields} }}")
}

/// Hostile requests with the expected status for the new media type, code and message.
fn table() -> Vec<(&'static str, Value, u16, &'static str, String)> {
    let query = |text: String| json!({ "query": text });
    let many = |count: usize, of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<Vec<_>>().join(" ");
    let too_many = |what: &str, found: usize, most: usize| {
        format!("The document has {found} {what}, and at most {most} are allowed.")
    };
    let invalid = "GRAPHQL_VALIDATION_FAILED";
    let complex = "QUERY_TOO_COMPLEX";
    let doubling = |levels: usize| {
        let fragments = many(levels, &|n| {
            format!("fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1)
        });
        format!("{{ ...F0 }} {fragments} fragment F{levels} on Query {{ __typename }}")
    };
    let links = |levels: usize| {
        let (open, close) = (
            "{ customInformation { linkedClient ".repeat(levels),
            " } }".repeat(levels),
        );
        format!("{{ clients {{ nodes {open}{{ id }}{close} }} }}")
    };
    vec![
        (
            "deep selections",
            query("{a".repeat(1_000)),
            400,
            complex,
            too_many("levels of brackets", 65, 64),
        ),
        (
            "deep values",
            query(format!("{{ clients(filter: {}", "[".repeat(1_000))),
            400,
            complex,
            too_many("levels of brackets", 65, 64),
        ),
        (
            "deep fields",
            query(links(14)),
            400,
            complex,
            too_many("levels of fields", 31, 20),
        ),
        (
            "aliases",
            query(format!(
                "{{ clientRoles {{ {} }} }}",
                many(51, &|n| format!("a{n}: name"))
            )),
            400,
            complex,
            too_many("aliases", 51, 50),
        ),
        (
            "fields of the root",
            query(format!("{{ {} }}", many(21, &|n| format!("a{n}: __typename")))),
            400,
            complex,
            too_many("fields of the root", 21, 20),
        ),
        (
            "directives",
            query(format!("{{ __typename {} }}", "@include(if: true)".repeat(51))),
            400,
            complex,
            too_many("directives", 51, 50),
        ),
        (
            "tokens",
            query(format!("{{ {} }}", "__typename ".repeat(19_999))),
            400,
            complex,
            too_many("tokens", 20_001, 20_000),
        ),
        (
            "a circle of fragments",
            query("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".into()),
            400,
            invalid,
            "The fragment \"A\" contains itself.".into(),
        ),
        (
            "fragments that double",
            query(doubling(40)),
            400,
            complex,
            too_many(
                "fields with its fragments spelled \
            out",
                3 * (1_usize << 40) - 1,
                50_000,
            ),
        ),
        (
            "pages in pages",
            query(
                "{ clients(first: 500) { nodes { customInformation { linkedClient { customInformation { linkedClient \
                { id } } } } } } }"
                    .into(),
            ),
            400,
            complex,
            "The document costs 111001, and at most 50000 is allowed. Ask for fewer fields, smaller pages or simpler \
                filters."
                .into(),
        ),
        (
            "a page for each linked client",
            query(
                "{ clients(first: 1) { nodes { customInformation { linkedClient { messages(first: 500) { nodes { \
                recipient } } } } } } }"
                    .into(),
            ),
            400,
            complex,
            "The document costs 100203, and at most 50000 is allowed. Ask for fewer fields, smaller pages or simpler \
                filters."
                .into(),
        ),
        (
            "a page for each id in an input",
            json!({
                "query": "mutation($input: ResendMessagesInput!) { resendMessages(input: $input) { messages { client { \
                    messages(first: 500) { nodes { id } } } } } }",
                "variables": { "input": { "ids": vec!["x"; 500] } },
            }),
            400,
            complex,
            "The document costs 501501, and at most 50000 is allowed. Ask for fewer fields, smaller pages or simpler \
                filters."
                .into(),
        ),
        (
            "many ids",
            json!({
                "query": format!("query($x: [ID!]!) {{ {} }}", many(20, &|n| format!("a{n}: nodes(ids: $x) {{ ... on \
                    Client {{ addresses {{ id }} idDocuments {{ id }} }} }}"))),
                "variables": { "x": vec![""; 1_000] },
            }),
            400,
            complex,
            "The document costs 80020, and at most 50000 is allowed. Ask for fewer fields, smaller pages or simpler \
                filters."
                .into(),
        ),
        (
            "a large variable in many places",
            json!({
                "query": format!("query($x: ID!) {{ {} }}", many(400, &|n| format!("a{n}: node(id: $x) {{ id }}"))),
                "variables": { "x": "x".repeat(500_000) },
            }),
            400,
            complex,
            too_many("fields of the root", 400, 20),
        ),
        (
            "a list of ids",
            json!({ "query": "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
                "variables": { "ids": vec!["x"; 50_000] } }),
            400,
            complex,
            "\"variables.ids\" has more than 2000 elements. Send fewer at once.".into(),
        ),
        (
            "introspection in itself",
            query(
                "{ __schema { types { fields { type { fields { type { \
            fields { name } } } } } } } }"
                    .into(),
            ),
            400,
            complex,
            too_many("levels of introspection", 3, 2),
        ),
        (
            "several at once",
            json!([{ "query": "{ __typename }" }, { "query": "{ __typename }" }]),
            400,
            "BAD_REQUEST",
            "Several requests in one body are not supported. Send one JSON object.".into(),
        ),
    ]
}

async fn hostile_requests_are_refused_before_any_resolver(server: &TestServer) {
    server.statements();
    for (name, body, status, code, sentence) in table() {
        let request = server
            .request(Method::POST, "/graphql")
            .header("accept", "application/graphql-response+json")
            .json(&body);
        let answer = server.send(request).await;
        let error = &answer.body["errors"][0];
        assert_eq!(
            (
                answer.status,
                error["extensions"]["code"].as_str(),
                error["message"].as_str()
            ),
            (status, Some(code), Some(sentence.as_str())),
            "{name}"
        );
        assert!(answer.body.get("data").is_none(), "{name}");
    }
    assert_eq!(server.statements(), Vec::<String>::new());
    // A repeated field is one field.
    let again = format!("{{ {} }}", "__typename ".repeat(19_000));
    assert_eq!(data(server, &again, json!({})).await, json!({ "__typename": "Query" }));
}
