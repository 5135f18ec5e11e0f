//! A table of all return codes: a request that is answered with each, and the same problem in the GraphQL API. A code
//! without a row fails, and so does one that the documentation lacks.

mod described;
mod rows;

use std::{collections::BTreeSet, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use clientele::{
    caller::{Permission, Rights},
    client::{CheckLevel, ClientSettings, DuplicateChecks},
};
use reqwest::Method;
use serde_json::{Value, json};

use self::{
    Graphql::{Error, Problem, Without},
    rows::ana,
};
use super::CLIENTS;
use crate::harness::{
    Answer, Settings, TestServer,
    graphql::{data, define, define_role},
    with,
};

/// The status, the return code and its name.
type Code = (u16, u16, &'static str);

/// The codes of the program, from its source.
fn codes() -> BTreeSet<Code> {
    let source = include_str!("../../../src/api/rest/errors/codes.rs");
    let constants = source.split("pub const ").skip(1);
    let parse = |constant: &'static str| {
        let (_, value) = constant.split_once("= ").expect("a value");
        let (function, arguments) = value.split_once('(').expect("a call");
        let (arguments, _) = arguments.split_once(')').expect("an end");
        let mut arguments = arguments
            .split(',')
            .map(str::trim)
            .filter(|argument| !argument.is_empty());
        let status = match function {
            "bad" => 400,
            _ => status(arguments.next().expect("a status")),
        };
        let number = arguments.next().expect("a number").parse().expect("a number");
        (status, number, arguments.next().expect("a name").trim_matches('"'))
    };
    constants.map(parse).collect()
}

/// The statuses and return codes of the table in the documentation.
fn documented() -> BTreeSet<(u16, u16)> {
    let page = include_str!("../../../docs/legacy-rest.md");
    let (_, table) = page.split_once("| status | `returnCode` |").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    let number = |text: &str| {
        text.trim()
            .split([' ', ','])
            .next()
            .and_then(|number| number.parse().ok())
    };
    let mut codes = BTreeSet::new();
    for line in table.lines().skip(2) {
        let (statuses, numbers) = line.trim_matches('|').split_once('|').expect("two columns");
        for status in statuses.split(',').filter_map(number) {
            codes.extend(numbers.split([',', ';']).filter_map(number).map(|code| (status, code)));
        }
    }
    codes
}

fn status(constant: &str) -> u16 {
    match constant.trim_start_matches("StatusCode::") {
        "UNAUTHORIZED" => 401,
        "FORBIDDEN" => 403,
        "NOT_FOUND" => 404,
        "METHOD_NOT_ALLOWED" => 405,
        "REQUEST_TIMEOUT" => 408,
        "CONFLICT" => 409,
        "PAYLOAD_TOO_LARGE" => 413,
        "UNSUPPORTED_MEDIA_TYPE" => 415,
        "UNPROCESSABLE_ENTITY" => 422,
        "TOO_MANY_REQUESTS" => 429,
        "INTERNAL_SERVER_ERROR" => 500,
        "SERVICE_UNAVAILABLE" => 503,
        "GATEWAY_TIMEOUT" => 504,
        other => panic!("{other}: add its number here"),
    }
}

/// The codes that no request to a sound server is answered with: the file and the name of the test that produces each,
/// through both APIs.
const ELSEWHERE: [(Code, &str, &str); 7] = [
    (
        (408, 4, "INVALID_PARAMETERS"),
        "http_server/slow_senders.rs",
        "missing_body_is_answered_408_in_the_form_of_its_api",
    ),
    (
        (409, 4, "INVALID_PARAMETERS"),
        "idempotency/races.rs",
        "waiting_for_a_running_request_is_bounded",
    ),
    (
        (429, 4, "INVALID_PARAMETERS"),
        "http_server/rate_limit.rs",
        "rate_limited_caller_gets_a_retry_time",
    ),
    (
        (500, 6, "INTERNAL_ERROR"),
        "http_server/responses.rs",
        "panic_is_answered_and_the_server_goes_on",
    ),
    (
        (503, 6, "INTERNAL_ERROR"),
        "http_server/overload.rs",
        "surplus_request_is_refused_at_once_in_the_form_of_its_api",
    ),
    (
        (503, 32, "READ_ONLY_MODE"),
        "server/postgres_start.rs",
        "read_only_database_serves_reads_and_refuses_writes",
    ),
    (
        (504, 6, "INTERNAL_ERROR"),
        "graphql_http/timeouts.rs",
        "query_behind_a_lock_times_out_on_both_apis",
    ),
];

/// Each return code with its counterpart in the GraphQL API.
pub fn counterparts() -> Vec<(Code, String)> {
    let of = |graphql: &Graphql| match graphql {
        Problem(_, _, code, _) => format!("`UserErrorCode.{code}`"),
        Error(_, code) => format!("error `{code}`"),
        Without(reason) => format!("none: {reason}"),
    };
    let rows = rows::all();
    let rows = rows.iter().map(|row| (row.code, of(&row.graphql)));
    let elsewhere = ELSEWHERE.iter().map(|(code, ..)| (*code, of_the_server(code.0)));
    let mut all: Vec<_> = rows.chain(elsewhere).collect();
    all.sort();
    all
}

/// The counterpart of a status that no request to a sound server gets.
fn of_the_server(status: u16) -> String {
    let code = match status {
        408 => "TIMEOUT",
        409 => "CONFLICT",
        429 => "RATE_LIMITED",
        500 => "INTERNAL",
        503 => "UNAVAILABLE",
        504 => "TIMEOUT",
        other => panic!("{other}: add its code here"),
    };
    format!("error `{code}`")
}

#[test]
fn every_code_has_a_row() {
    let mut rows: Vec<Code> = rows::all().iter().map(|row| row.code).collect();
    rows.extend(ELSEWHERE.iter().map(|(code, ..)| *code));
    let known: BTreeSet<Code> = rows.iter().copied().collect();
    assert_eq!(known.len(), rows.len(), "a code has one row");
    assert_eq!(known, codes());
    let numbers: BTreeSet<(u16, u16)> = known.iter().map(|(status, number, _)| (*status, *number)).collect();
    assert_eq!(numbers, documented());
    for ((status, ..), file, test) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file);
        let source = std::fs::read_to_string(path).expect("the file exists");
        let body = source.split(&format!("async fn {test}(")).nth(1).expect(test);
        let body = body.split("\n}\n").next().expect("the end of the test");
        assert!(body.contains(&status.to_string()), "{test} names no status {status}");
    }
}

/// The server that a request is sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Open,
    /// Requires credentials.
    SignedIn,
    /// Accepts only documents that name a template, and no e-mail address of another client.
    Strict,
    /// The caller may only view clients.
    Viewer,
}

/// The same problem in the GraphQL API.
enum Graphql {
    /// A mutation with its input: the code and the path of its user error.
    Problem(&'static str, Value, &'static str, &'static [&'static str]),
    /// A document, and the code of the error that it is answered with.
    Error(&'static str, &'static str),
    /// There is no counterpart, for this reason.
    Without(&'static str),
}

struct Row {
    code: Code,
    source: Option<&'static str>,
    server: Server,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    graphql: Graphql,
}

on_both!(every_code_is_answered_through_both_apis,);

async fn every_code_is_answered_through_both_apis(server: &TestServer) {
    let key = prepare(server).await;
    let strict = Settings {
        clients: ClientSettings {
            other_id_documents: false,
            duplicates: DuplicateChecks {
                email_address: CheckLevel::Error,
                ..DuplicateChecks::default()
            },
            ..ClientSettings::default()
        },
        ..Settings::default()
    };
    let signed_in = server.another(Settings::signed_in()).await;
    let strict = server.another(strict).await;
    let viewer = server.as_caller(&Rights::of([Permission::ViewClient]));
    for row in rows::all() {
        let (status, number, name) = row.code;
        let server = match row.server {
            Server::Open => server,
            Server::SignedIn => &signed_in,
            Server::Strict => &strict,
            Server::Viewer => &viewer,
        };
        let before = server.snapshot().await;
        let named = |text: &str| text.replace("<key of C-3>", &key);
        let wrong = format!("Basic {}", BASE64_STANDARD.encode("ana:wrong"));
        let credentials = |request: reqwest::RequestBuilder| match number {
            2 => request.header("authorization", &wrong),
            _ => request,
        };
        let mut request = credentials(server.request(row.method.clone(), row.path));
        for (name, value) in row.headers.iter().filter(|(name, _)| *name != "authorization") {
            request = request.header(*name, *value);
        }
        let body = match String::from_utf8(row.body) {
            Ok(text) => named(&text).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        let answer = server.send(request.body(body)).await;
        let mut expected = json!({ "returnCode": number, "returnStatus": name });
        if let Some(source) = row.source {
            expected["errorSource"] = json!(source);
        }
        assert_eq!(
            (answer.status, &answer.body),
            (status, &expected),
            "{number} {}",
            row.path
        );
        let ask = async |query: &str, variables: Value| -> Answer {
            let body = json!({ "query": query, "variables": variables });
            server
                .send(credentials(server.request(Method::POST, "/graphql")).json(&body))
                .await
        };
        match &row.graphql {
            Problem(mutation, input, code, path) => {
                let mut input_type = format!("{mutation}Input");
                input_type[..1].make_ascii_uppercase();
                let query = format!(
                    "mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}"
                );
                let input: Value = serde_json::from_str(&named(&input.to_string())).expect("JSON");
                let answer = ask(&query, json!({ "input": input })).await;
                let path: Vec<&str> = ["input"].iter().chain(*path).copied().collect();
                let expected = json!([{ "code": code, "path": path }]);
                let found = &answer.body["data"][mutation]["userErrors"];
                assert_eq!(*found, expected, "{number} {}", answer.text);
            }
            Error(query, code) => {
                let answer = ask(query, json!({})).await;
                let found = &answer.body["errors"][0]["extensions"]["code"];
                assert_eq!(found, code, "{number} {}", answer.text);
            }
            Without(reason) => assert!(!reason.is_empty()),
        }
        assert_eq!(
            server.snapshot().await,
            before,
            "{number}: a refusal must write nothing"
        );
    }
    signed_in.stop().await;
    strict.stop().await;
}

/// Stores definitions with every rule, and three clients: C-1 that C-3 links to, and C-2, which is blacklisted. Returns
/// the key of C-3.
async fn prepare(server: &TestServer) -> String {
    for role in [
        json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "allowsAddresses": false,
            "requiresIdDocument": true }),
        json!({ "roleId": "strict", "encodedKey": "strictKey", "name": "Strict" }),
    ] {
        define_role(server, role).await;
    }
    let field = |id: &str, kind: &str, own: Value| with(json!({ "fieldId": id, "name": id, "type": kind }), own);
    let role =
        |id: &str, required: bool| json!({ "clientRoles": [{ "clientRole": { "roleId": id }, "required": required }] });
    let fields = json!([
        field("note", "TEXT", json!({})),
        field("mask", "TEXT", json!({ "pattern": "##" })),
        field("old", "TEXT", json!({ "state": "DEACTIVATED" })),
        field("firm", "TEXT", role("firm", false)),
        field("needed", "TEXT", role("strict", true)),
        field("boss", "CLIENT_LINK", json!({})),
        field("land", "SELECTION", json!({ "options": [{ "value": "A" }] })),
        field(
            "city",
            "SELECTION",
            json!({ "parentFieldId": "land", "options": [
            { "value": "X", "forValues": ["A"] }] })
        ),
        field("crm", "TEXT", json!({ "unique": true })),
    ]);
    define(server, "facts", fields).await;
    let grouped = "mutation { upsertCustomFieldSet(input: { set: { setId: \"cards\", name: \"C\", usage: GROUPED }
        fields: [{ fieldId: \"card\", name: \"c\", type: TEXT }] }) { userErrors { code } } }";
    data(server, grouped, json!({})).await;
    let mut keys = Vec::new();
    for (id, values) in [
        ("C-1", json!([{ "customFieldID": "crm", "value": "A-1" }])),
        ("C-2", json!([])),
        ("C-3", json!([])),
    ] {
        let body = json!({
            "client": ana(json!({ "id": id, "emailAddress": format!("{id}@example.test") })),
            "customInformation": values,
        });
        let request = server
            .request(Method::POST, CLIENTS)
            .header("idempotency-key", if id == "C-1" { "k" } else { id });
        let answer = server.send(request.json(&body)).await;
        let answer: Value = serde_json::from_str(&answer.text).expect("JSON");
        keys.push(answer["client"]["encodedKey"].as_str().expect("a key").to_owned());
    }
    let link = json!({ "customInformation": [{ "customFieldID": "boss", "linkedEntityKeyValue": keys[0] }] });
    assert_eq!(server.post("/api/clients/C-3", link).await.status, 200);
    let state = json!({ "client": { "state": "BLACKLISTED" } });
    assert_eq!(
        server.send_json(Method::PATCH, "/api/clients/C-2", state).await.status,
        200
    );
    keys.remove(2)
}
