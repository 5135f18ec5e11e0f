//! The GraphQL API with default settings: costs, and answers to wrong input.

use serde_json::{Value, json};

use crate::harness::program::Server;

async fn ask(server: &Server, body: String) -> Value {
    let request = reqwest::Client::new().post(format!("{}/graphql", server.address));
    let request = request.header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("an answer");
    serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
}

/// The only error, without the request's id.
async fn error(server: &Server, query: &str, variables: Value) -> Value {
    let mut body = ask(server, json!({ "query": query, "variables": variables }).to_string()).await;
    let errors = body["errors"].as_array_mut().expect("errors");
    let [error] = errors.as_mut_slice() else {
        panic!("not one error: {body}");
    };
    error["extensions"]
        .as_object_mut()
        .expect("extensions")
        .remove("requestId");
    error.take()
}

#[tokio::test]
async fn counts_that_scan_are_limited_by_their_price() {
    let server = Server::open(&[]);
    let counts = |count: usize, filter: &str| {
        let fields = (0..count).map(|at| format!("a{at}: clients(filter: {{ {filter} }}) {{ totalCount }}"));
        format!("{{ {} }}", fields.collect::<Vec<_>>().join(" "))
    };
    let by_value = "customField: { fieldId: \"risk\", value: \"LOW\" }";
    for (filter, count, cost) in [
        (by_value, 20, 62_240),
        ("states: [ACTIVE], firstNameStartsWith: \"A\"", 20, 202_240),
        ("states: [ACTIVE], firstNameStartsWith: \"A\"", 5, 50_560),
    ] {
        let message = format!(
            "The document costs {cost}, and at most 50000 is allowed. Ask for fewer fields, smaller pages or simpler \
                filters."
        );
        assert_eq!(
            error(&server, &counts(count, filter), json!({})).await,
            json!({ "message": message, "extensions": { "code": "QUERY_TOO_COMPLEX" } })
        );
    }
    for (filter, count) in [
        ("", 20),
        ("states: [ACTIVE]", 20),
        ("states: [ACTIVE], firstNameStartsWith: \"A\"", 4),
    ] {
        let body = ask(&server, json!({ "query": counts(count, filter) }).to_string()).await;
        assert_eq!(body["data"]["a0"], json!({ "totalCount": 0 }), "{body}");
    }
}

#[tokio::test]
async fn wrong_value_in_variables_is_answered_with_its_path() {
    let server = Server::open(&[]);
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created } }";
    let date = "a string that is not a Date. A calendar date without a time of day, as `YYYY-MM-DD`, for example \
        `1990-04-17`.";
    for (input, path, problem) in [
        (
            json!({ "client": {}, "addresses": [{}, {}, {}, { "latitude": "abc" }] }),
            json!(["addresses", 3, "latitude"]),
            "Float is expected, not a string.",
        ),
        (
            json!({ "client": { "gender": "X" } }),
            json!(["client", "gender"]),
            "not a value of Gender: send MALE or FEMALE.",
        ),
        (
            json!({ "client": { "birthDate": "1990-13-01" } }),
            json!(["client", "birthDate"]),
            date,
        ),
        (
            json!({ "client": { "nick": "X" } }),
            json!(["client", "nick"]),
            "ClientInput has no field \"nick\".",
        ),
        (
            json!({ "client": {}, "customInformation": [{ "value": "X" }] }),
            json!(["customInformation", 0, "fieldId"]),
            "a value is required.",
        ),
        (
            json!({ "client": { "clientRole": {} } }),
            json!(["client", "clientRole"]),
            "exactly one of encodedKey, roleId must be given, and not as null.",
        ),
        (
            json!({ "client": null }),
            json!(["client"]),
            "null is not accepted, ClientInput is expected.",
        ),
    ] {
        let segment = |segment: &Value| segment.as_str().map_or_else(|| segment.to_string(), str::to_owned);
        let segments = path.as_array().expect("a path");
        let place = segments.iter().map(segment).collect::<Vec<_>>().join(".");
        let mut whole = vec![json!("input")];
        whole.extend(segments.iter().cloned());
        assert_eq!(
            error(&server, query, json!({ "input": input })).await,
            json!({ "message": format!("Variable \"$input\" at \"{place}\": {problem}"),
                "locations": [{ "line": 1, "column": 10 }], "extensions": { "code": "BAD_USER_INPUT", "path": whole } })
        );
    }
    let literal =
        "mutation { upsertClient(input: { client: {}, addresses: [{}, { latitude: \"abc\" }] }) { created } }";
    assert_eq!(
        error(&server, literal, json!({})).await,
        json!({ "message": "Invalid value for argument \"input.addresses.1.latitude\", expected type \"Float\"",
            "locations": [{ "line": 1, "column": 25 }],
            "extensions": { "code": "GRAPHQL_VALIDATION_FAILED", "path": ["input", "addresses", 1, "latitude"] } })
    );
}

#[tokio::test]
async fn integer_argument_states_its_bounds() {
    let server = Server::open(&[]);
    for (argument, value) in [
        ("first", "2147483647"),
        ("last", "2147483647"),
        ("first", "501"),
        ("first", "-1"),
    ] {
        let query = format!("{{ clients({argument}: {value}) {{ nodes {{ id fullName }} }} }}");
        assert_eq!(
            error(&server, &query, json!({})).await,
            json!({ "message": format!("`{argument}` must be from 0 to 500."),
                "locations": [{ "line": 1, "column": 3 }],
                "path": ["clients"], "extensions": { "code": "BAD_USER_INPUT", "path": [argument] } })
        );
        let nested =
            format!("{{ clients(first: 1) {{ nodes {{ messages({argument}: {value}) {{ nodes {{ id }} }} }} }} }}");
        let message = format!("`messages.{argument}` must be from 0 to 500.");
        let refused = error(&server, &nested, json!({})).await;
        let found = (&refused["message"], &refused["extensions"]["path"]);
        assert_eq!(found, (&json!(message), &json!(["messages", argument])));
    }
    let none = json!({ "data": { "clients": { "nodes": [] } } });
    for body in [
        r#"{ "query": "{ clients(first: -0) { nodes { id } } }" }"#,
        r#"{ "query": "query($n: Int = -0) { clients(first: $n) { nodes { id } } }" }"#,
        r#"{ "query": "query($n: Int) { clients(first: $n) { nodes { id } } }", "variables": { "n": -0 } }"#,
    ] {
        assert_eq!(ask(&server, body.to_owned()).await, none, "{body}");
    }
}

#[tokio::test]
async fn fields_of_different_types_need_different_keys() {
    let server = Server::open(&[]);
    let query = "{ node(id: \"x\") { ... on Client { a: fullName } ... on Message { a: attempts } } }";
    let message =
        "\"a\" would be of type String! for some objects and of type Int! for others. Give one of them another alias.";
    assert_eq!(
        error(&server, query, json!({})).await,
        json!({ "message": message, "locations": [{ "line": 1, "column": 35 }, { "line": 1, "column": 66 }],
            "extensions": { "code": "GRAPHQL_VALIDATION_FAILED" } })
    );
}

#[tokio::test]
async fn custom_scalars_name_their_specifications() {
    let server = Server::open(&[]);
    let query = "{ __schema { types { name kind specifiedByURL } } }";
    let body = ask(&server, json!({ "query": query }).to_string()).await;
    let types = body["data"]["__schema"]["types"].as_array().expect("a list");
    let custom = types.iter().filter(|ty| {
        ty["kind"] == "SCALAR"
            && !["Boolean", "Float", "ID", "Int", "String"]
                .iter()
                .any(|name| ty["name"] == *name)
    });
    let found: Value = custom.map(|ty| json!([ty["name"], ty["specifiedByURL"]])).collect();
    assert_eq!(
        found,
        json!([
            ["Date", "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"],
            ["DateTime", "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"],
            ["Decimal", "https://www.w3.org/TR/xmlschema11-2/#decimal"],
        ])
    );
}
