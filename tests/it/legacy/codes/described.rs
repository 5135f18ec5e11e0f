//! The return codes of the OpenAPI document: each example is a real answer, and each route answers exactly the codes
//! that the document has for it.

use std::collections::{BTreeMap, BTreeSet};

use clientele::{
    api::{self, authentication::AuthenticationSettings},
    budget::AnswerSettings,
    caller::{Permission, Rights},
    client::{CheckLevel, ClientSettings, DuplicateChecks},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ELSEWHERE, Row, Server, ana, rows};
use crate::{
    harness::{Settings, TestServer},
    legacy::DEFAULT_ROLE,
    legacy::openapi::{document, operations, resolve},
};

/// A status and a return code.
type Number = (u16, u16);

#[test]
fn each_code_has_an_example_with_its_real_answer() {
    let document = document();
    let mut examples: BTreeMap<String, Value> = BTreeMap::new();
    for (name, example) in document["components"]["examples"].as_object().expect("examples") {
        examples.insert(name.clone(), example["value"].clone());
    }
    let mut real = BTreeMap::new();
    for Row { code, source, .. } in rows::all() {
        let (status, number, name) = code;
        let mut body = json!({ "returnCode": number, "returnStatus": name });
        if let Some(source) = source {
            body["errorSource"] = json!(source);
        }
        real.insert(format!("{status}-{number}"), body);
    }
    // The tests in that table produce these answers.
    for ((status, number, name), file, test) in ELSEWHERE {
        let example = &examples[&format!("{status}-{number}")];
        assert_eq!(
            (&example["returnCode"], &example["returnStatus"]),
            (&json!(number), &json!(name))
        );
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it")
            .join(file);
        let source = std::fs::read_to_string(path).expect("the file exists");
        // A constant of the file may hold the sentence, and a line may end in it.
        let source: String = source.replace("\\\n", " ").split_whitespace().collect();
        let sentence: String = example["errorSource"]
            .as_str()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert!(source.contains(&sentence), "{test}: {sentence}");
        real.insert(format!("{status}-{number}"), example.clone());
    }
    assert_eq!(examples, real);
}

/// A request, whose path is that of any route.
#[derive(Clone)]
struct Probe {
    server: Recipient,
    /// The client, the custom field and the group in the path.
    named: [&'static str; 3],
    query: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Recipient {
    Of(Server),
    /// The caller has no permissions.
    Powerless,
    /// Answers have hardly any memory.
    Small,
}

const NAMED: [&str; 3] = ["C-1", "note", "0"];
const JSON: (&str, &str) = ("content-type", "application/json");

fn probe(body: &Value) -> Probe {
    Probe {
        server: Recipient::Of(Server::Open),
        named: NAMED,
        query: String::new(),
        headers: vec![JSON],
        body: body.to_string().into_bytes(),
    }
}

impl Probe {
    fn to(self, server: Recipient) -> Self {
        Self { server, ..self }
    }

    fn named(self, client: &'static str, field: &'static str, group: &'static str) -> Self {
        Self {
            named: [client, field, group],
            ..self
        }
    }

    fn query(self, query: &str) -> Self {
        Self {
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            ..self
        }
    }
}

/// The requests of the table of codes, and those that other routes need.
fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = rows::all().into_iter().map(of_row).collect();
    let empty = json!({});
    for query in [
        "nope=1",
        "fullDetails=x",
        "type=x",
        "for=x",
        "state=x",
        "birthDate=x",
        "a=%FF",
        "fullDetails=true",
    ] {
        probes.push(probe(&empty).query(query));
    }
    // Also of a route with a body, in which the query is read after it.
    for (query, body) in [
        ("a=%FF", json!({ "client": {}, "filterConstraints": [] })),
        ("nope=1", json!({ "value": "x" })),
    ] {
        probes.push(Probe {
            query: query.to_owned(),
            ..probe(&body)
        });
    }
    for query in ["offset=x", "offset=-1", "limit=x", "limit=0"] {
        probes.push(Probe {
            query: query.to_owned(),
            ..probe(&json!({ "filterConstraints": [] }))
        });
    }
    // A key that is malformed, and one of another request.
    for (key, body) in [("\"k", json!({})), ("k", one("note", "x"))] {
        let headers = vec![JSON, ("idempotency-key", key)];
        probes.push(Probe {
            headers,
            ..probe(&body)
        });
    }
    for server in [Recipient::Powerless, Recipient::Small] {
        probes.push(
            probe(&json!({ "filterConstraints": [], "client": {} }))
                .to(server)
                .query(""),
        );
        probes.push(probe(&json!({ "filterConstraints": [] })).to(server));
    }
    for (client, field, group) in [
        ("NOPE", "note", "0"),
        ("", "note", "0"),
        ("C-1", "", "0"),
        ("C-1", "note", ""),
        ("C-1", "absent", "0"),
        ("C-1", "note", "x"),
        ("C-1", "card", "5"),
    ] {
        for body in [
            json!({ "client": { "notes": "n" } }),
            json!({ "value": "x" }),
            one("note", "x"),
        ] {
            probes.push(probe(&body).named(client, field, group));
        }
    }
    // Values, each in the path, in a list of its own and with a client.
    for (client, field, group, value) in [
        ("C-1", "note", "-1", json!("")),
        ("C-1", "note", "-1", json!("x".repeat(256))),
        ("C-1", "note", "-1", json!("a\u{7}")),
        ("C-1", "note", "-1", json!({})),
        ("C-1", "absent", "-1", json!("x")),
        ("C-1", "old", "-1", json!("x")),
        ("C-1", "firm", "-1", json!("x")),
        ("C-1", "boss", "-1", json!(null)),
        ("C-1", "city", "-1", json!("X")),
        ("C-1", "land", "-1", json!("x")),
        ("C-1", "mask", "-1", json!("x")),
        ("C-1", "crm", "-1", json!("B-1")),
        ("C-1", "note", "0", json!("x")),
        ("C-1", "card", "-1", json!("x")),
        ("C-1", "card", "7", json!("x")),
        ("C-6", "note", "-1", json!("y")),
        ("C-4", "needed", "-1", json!("")),
        ("C-4", "needed", "-1", json!(null)),
    ] {
        let values = json!([{ "customFieldID": field, "customFieldSetGroupIndex": group, "value": value }]);
        for body in [
            json!({ "value": value }),
            json!({ "customInformation": values }),
            json!({ "client": ana(json!({})), "customInformation": values }),
        ] {
            probes.push(probe(&body).named(client, field, group));
        }
    }
    let link = json!({ "linkedEntityKeyValue": "absent" });
    probes.push(probe(&link).named("C-1", "boss", "-1"));
    let link = json!({ "customInformation": [{ "customFieldID": "boss", "linkedEntityKeyValue": "absent" }] });
    probes.push(probe(&link));
    probes.push(probe(&one("", "x")));
    let twice = json!({ "customFieldID": "note", "value": "x" });
    probes.push(probe(&json!({ "customInformation": [twice, twice] })));
    // Members that the first client must not have already.
    for client in [
        json!({ "id": "C-5" }),
        json!({ "encodedKey": "absent" }),
        json!({ "state": "REJECTED" }),
        json!({ "state": "nothing" }),
        json!({ "clientRole": { "encodedKey": "absent" } }),
        json!({ "birthDate": "x" }),
        json!({ "clientRole": { "encodedKey": "firmKey" } }),
    ] {
        probes.push(probe(&json!({ "client": client })));
    }
    let blacklisted = json!({ "client": { "encodedKey": "<key of C-2>", "notes": "n" } });
    probes.push(probe(&blacklisted));
    let renamed = json!({ "client": ana(json!({ "encodedKey": "<key of C-3>", "id": "other" })) });
    probes.push(probe(&renamed));
    let same = json!({ "client": ana(json!({ "emailAddress": "c-5@example.test" })) });
    probes.push(probe(&same).to(Recipient::Of(Server::Strict)));
    let firm = json!({ "client": { "clientRole": { "encodedKey": "firmKey" } }, "idDocuments": [] });
    probes.push(probe(&firm));
    let document = json!({ "idDocuments": [{ "documentType": "Passport", "documentId": "1" }] });
    probes.push(probe(&document).to(Recipient::Of(Server::Strict)));
    probes
}

/// One custom value in a list.
fn one(field: &str, value: &str) -> Value {
    json!({ "customInformation": [{ "customFieldID": field, "value": value }] })
}

fn of_row(row: Row) -> Probe {
    let (path, query) = row.path.split_once('?').unwrap_or((row.path, ""));
    let client = path.strip_prefix("/api/clients/").unwrap_or("C-1");
    let headers = row.headers.iter().filter(|(name, _)| *name != "authorization").copied();
    let wrong = row.headers.iter().any(|(name, _)| *name == "authorization");
    let wrong = wrong.then_some(("authorization", "Basic YW5hOndyb25n"));
    Probe {
        server: Recipient::Of(row.server),
        named: [client, "note", "0"],
        query: query.to_owned(),
        headers: headers.chain(wrong).collect(),
        body: row.body,
    }
}

on_both!(each_route_answers_exactly_the_codes_of_its_description,);

async fn each_route_answers_exactly_the_codes_of_its_description(server: &TestServer) {
    let keys = prepare(server).await;
    let strict = server.another(strict()).await;
    // Each route is asked with wrong credentials.
    let signed_in = Settings::authenticated(AuthenticationSettings {
        failures_per_user: 1_000,
        failures_per_address: 1_000,
        ..AuthenticationSettings::default()
    });
    let signed_in = server.another(signed_in).await;
    let small = Settings {
        doors: api::Settings {
            answers: AnswerSettings {
                bytes: 1,
                ..AnswerSettings::default()
            },
            ..api::Settings::default()
        },
        ..Settings::default()
    };
    let small = server.another(small).await;
    let (viewer, powerless) = (
        server.as_caller(&Rights::of([Permission::ViewClient])),
        server.as_caller(&Rights::of([])),
    );
    let elsewhere: BTreeSet<Number> = ELSEWHERE
        .iter()
        .map(|((status, number, _), ..)| (*status, *number))
        .collect();
    let document = document();
    let mut differences = Vec::new();
    for (method, path, operation) in operations(&document) {
        let mut found: BTreeSet<Number> = BTreeSet::new();
        for probe in probes() {
            let server = match probe.server {
                Recipient::Of(Server::Open) => server,
                Recipient::Of(Server::SignedIn) => &signed_in,
                Recipient::Of(Server::Strict) => &strict,
                Recipient::Of(Server::Viewer) => &viewer,
                Recipient::Powerless => &powerless,
                Recipient::Small => &small,
            };
            let [client, field, group] = probe.named;
            let is_renamed = String::from_utf8_lossy(&probe.body).contains("\"id\":\"other\"");
            match operation["operationId"].as_str() {
                // The other clients, to which no client links, would be deleted.
                Some("deleteClient") if !["C-1", "NOPE", ""].contains(&client) => continue,
                Some("patchClient") if is_renamed => continue,
                // Such a path is that of another route.
                _ if path.contains("custominformation") && probe.named.contains(&"") => continue,
                _ => {}
            }
            let target = path
                .replace("{id}", client)
                .replace("{field}", field)
                .replace("{group}", group);
            let target = format!("{target}?{}", probe.query);
            let mut request = server.request(Method::from_bytes(method.as_bytes()).expect("a method"), &target);
            for (name, value) in &probe.headers {
                request = request.header(*name, *value);
            }
            let body = match String::from_utf8(probe.body.clone()) {
                // The body of a read stays unread, and a long one ends the connection.
                _ if method == "GET" => Vec::new(),
                Ok(text) => {
                    let named = keys.iter().fold(text, |text, (name, key)| text.replace(name, key));
                    named.into_bytes()
                }
                Err(bytes) => bytes.into_bytes(),
            };
            let answer = server.send(request.body(body)).await;
            match answer.body["returnCode"].as_u64() {
                Some(number) if answer.status != 200 => {
                    found.insert((answer.status, u16::try_from(number).expect("a code")));
                }
                _ => assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text),
            }
        }
        // A probe may have given it another role, and a value that only this role can have.
        let role = json!({ "client": { "clientRole": { "encodedKey": DEFAULT_ROLE } }, "customInformation": [] });
        let restored = server.post("/api/clients/C-1", role).await;
        assert_eq!(restored.status, 200, "{}", restored.text);
        let described = described(&document, operation);
        let described: BTreeSet<Number> = described.difference(&elsewhere).copied().collect();
        if described != found {
            let missing: Vec<&Number> = found.difference(&described).collect();
            let surplus: Vec<&Number> = described.difference(&found).collect();
            differences.push(format!(
                "{method} {path}: not described {missing:?}, never answered {surplus:?}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    for server in [strict, signed_in, small] {
        server.stop().await;
    }
}

fn strict() -> Settings {
    Settings {
        clients: ClientSettings {
            other_id_documents: false,
            duplicates: DuplicateChecks {
                email_address: CheckLevel::Error,
                ..DuplicateChecks::default()
            },
            ..ClientSettings::default()
        },
        ..Settings::default()
    }
}

/// The codes that the document has for an operation, each with an example of its own.
fn described(document: &Value, operation: &Value) -> BTreeSet<Number> {
    let mut codes = BTreeSet::new();
    for (status, response) in operation["responses"].as_object().expect("responses") {
        let content = &resolve(document, response)["content"]["application/json"];
        let Some(numbers) = content["schema"]["properties"]["returnCode"]["enum"].as_array() else {
            assert!(["200", "431"].contains(&status.as_str()), "{status}");
            continue;
        };
        let status: u16 = status.parse().expect("a status");
        let examples = content["examples"].as_object().expect("examples");
        assert_eq!(examples.len(), numbers.len());
        for (name, example) in examples {
            let value = &resolve(document, example)["value"];
            assert_eq!(*name, value["returnCode"].to_string());
            assert!(numbers.contains(&value["returnCode"]), "{status} {name}");
            codes.insert((status, name.parse().expect("a code")));
        }
    }
    codes
}

/// Creates the data of the table of codes, and three more clients: one of a role with a required field, one with a
/// unique value and one that is blacklisted. Returns the keys by the names that probes have for them.
async fn prepare(server: &TestServer) -> Vec<(String, String)> {
    let mut keys = vec![("<key of C-3>".to_owned(), super::prepare(server).await)];
    for (id, own, values) in [
        (
            "C-4",
            json!({ "clientRole": { "encodedKey": "strictKey" } }),
            json!([{ "customFieldID": "needed", "value": "x" }]),
        ),
        ("C-5", json!({}), json!([{ "customFieldID": "crm", "value": "B-1" }])),
        ("C-6", json!({}), json!([{ "customFieldID": "note", "value": "x" }])),
    ] {
        let client = crate::harness::with(
            ana(json!({ "id": id, "emailAddress": format!("{id}@example.test") })),
            own,
        );
        let body = json!({ "client": client, "customInformation": values });
        assert_eq!(server.post("/api/clients", body).await.status, 200);
    }
    let state = json!({ "client": { "state": "BLACKLISTED" } });
    let blacklisted = server.send_json(Method::PATCH, "/api/clients/C-6", state).await;
    assert_eq!(blacklisted.status, 200, "{}", blacklisted.text);
    let answer = server.get("/api/clients/C-2").await;
    let client: Value = serde_json::from_str(&answer.text).expect("JSON");
    keys.push((
        "<key of C-2>".to_owned(),
        client["encodedKey"].as_str().expect("a key").to_owned(),
    ));
    keys
}
