//! The description of the API: the committed file, the served document and page, the command, and the comparison with
//! the code.

mod examples;
mod members;

use std::{collections::BTreeSet, fs, path::Path};

use clientele::api::rest::{ROUTES, openapi};
use reqwest::Method;
use serde_json::{Value, json};

use super::refusal;
use crate::harness::{Settings, TestServer, program::run};

pub fn document() -> Value {
    serde_json::from_str(openapi::document()).expect("the document is JSON")
}

/// The operations by their ids: the method, the path and the description.
pub fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods");
        methods
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    operations.collect()
}

/// Follows a reference of the document. Returns any other value unchanged.
pub fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.trim_start_matches('#'));
            found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

#[test]
fn committed_document_is_the_served_document() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&file, openapi::document()).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == openapi::document(),
        "openapi.json is out of date: run UPDATE_OPENAPI=1 bin/test committed_document, and read the difference"
    );
}

#[test]
fn document_has_every_route_with_the_parameters_of_its_path() {
    let document = document();
    let mut described = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        assert!(
            ids.insert(operation["operationId"].as_str().expect("an id")),
            "one id twice"
        );
        let parameters = operation["parameters"].as_array().expect("parameters").iter();
        let named = parameters.filter(|parameter| parameter["in"] == "path");
        let named: Vec<&str> = named
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        let of_path = path.split(['{', '}']).skip(1).step_by(2);
        assert_eq!(of_path.collect::<Vec<_>>(), named, "{method} {path}");
        described.insert((method, path));
    }
    let routes = ROUTES
        .iter()
        .map(|route| (route.method.to_string(), route.path.to_owned()));
    assert_eq!(described, routes.collect());
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_every_component_is_used() {
    fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut referenced = BTreeSet::new();
    collect(&document, &mut referenced);
    let mut components = BTreeSet::new();
    for kind in ["schemas", "responses", "examples"] {
        let named = document["components"][kind].as_object().expect("components").keys();
        components.extend(named.map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(referenced, components.iter().map(String::as_str).collect());
}

/// Each `x-graphql` is a field, an argument or an input field of the GraphQL schema.
#[test]
fn every_graphql_counterpart_exists() {
    fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member) {
                        ("x-graphql", Value::String(counterpart)) => {
                            found.insert(counterpart);
                        }
                        ("x-graphql", Value::Object(counterparts)) => {
                            let texts = counterparts.values().filter_map(Value::as_str);
                            found.extend(texts.filter(|text| !text.is_empty()));
                        }
                        _ => collect(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut named = BTreeSet::new();
    collect(&document, &mut named);
    assert!(named.len() > 80, "{named:?}");
    let known = super::migrating::coordinates();
    let unknown: Vec<&&str> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert_eq!(unknown, [&""; 0]);
}

on_both!(document_and_page_need_no_credentials,);

async fn document_and_page_need_no_credentials(server: &TestServer) {
    let server = server.another(Settings::signed_in()).await;
    for (path, media_type, text) in [
        (
            "/api/openapi.json",
            "application/json; charset=utf-8",
            openapi::document(),
        ),
        ("/api/docs", "text/html; charset=utf-8", openapi::page()),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, text), "{path}");
        assert_eq!(answer.content_type, media_type);
        let head = server.request(Method::HEAD, path).send().await.expect("an answer");
        let length = head
            .headers()
            .get("content-length")
            .map(|value| value.as_bytes().to_vec());
        assert_eq!(
            (head.status().as_u16(), length),
            (200, Some(text.len().to_string().into_bytes())),
            "{path}"
        );
        assert_eq!(head.headers()["cache-control"], "no-cache");
        assert_eq!(head.text().await.expect("a body"), "");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let response = server.request(method, path).send().await.expect("an answer");
            assert_eq!(response.headers()["allow"], "GET,HEAD", "{path}");
            let answer = (
                response.status().as_u16(),
                response.json::<Value>().await.expect("JSON"),
            );
            let expected = refusal(5, "METHOD_NOT_IMPLEMENTED", "This route takes GET.");
            assert_eq!(answer, (405, expected), "{path}");
        }
    }
    let slashed = server
        .request(Method::GET, "/api/docs/")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (slashed.status().as_u16(), slashed.url().path()),
        (200, "/api/docs"),
        "the page links to openapi.json next to it"
    );
    assert_eq!(slashed.text().await.expect("text"), openapi::page());
    // Paths next to them are as before.
    for path in ["/api/openapi.json/", "/api/openapi", "/api/docs/x"] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
    }
    server.stop().await;
}

/// The page works without a network, and its policy lets a browser use its style sheet only.
#[tokio::test]
async fn page_needs_nothing_from_elsewhere() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let page = openapi::page();
    let (_, style) = page.split_once("<style>").expect("a style sheet");
    let (style, _) = style.split_once("</style>").expect("its end");
    let hash = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
    let server = crate::harness::program::Server::open(&[]);
    let response = reqwest::get(format!("{}/api/docs", server.address))
        .await
        .expect("an answer");
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        BASE64_STANDARD.encode(hash)
    );
    assert_eq!(response.headers()["content-security-policy"], policy);
    for word in ["<script", "<link", "<img", "src=", "style=", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    let targets: BTreeSet<&str> = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for target in &targets {
        let is_here = target
            .strip_prefix('#')
            .is_some_and(|id| page.contains(&format!("id=\"{id}\"")));
        assert!(is_here || *target == "openapi.json", "{target}");
    }
    assert!(targets.len() > 50, "{targets:?}");
}

#[test]
fn command_prints_the_document_or_the_page() {
    for (arguments, text) in [
        (&["openapi"][..], openapi::document()),
        (&["openapi", "--html"], openapi::page()),
    ] {
        assert_eq!(
            run(arguments, &[]),
            (text.to_owned(), String::new(), Some(0)),
            "{arguments:?}"
        );
    }
    for (arguments, sentence) in [
        (
            &["openapi", "--htm"][..],
            "unexpected argument '--htm' found; did you mean '--html'? (see clientele openapi --help)",
        ),
        (
            &["openapi", "yaml"],
            "unexpected argument 'yaml' found (see clientele openapi --help)",
        ),
        (
            &["openapi", "--html=x"],
            "unexpected value 'x' for '--html' found; no more were expected (see clientele openapi --help)",
        ),
    ] {
        let (printed, error, code) = run(arguments, &[]);
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{arguments:?}");
        assert_eq!(error, format!("clientele: {sentence}\n"));
    }
}

/// A read-only database and a concurrent change can refuse every request that writes, and no other one.
#[test]
fn operations_that_write_have_the_codes_of_writes() {
    let document = document();
    let codes = |operation: &Value, status: &str| {
        let response = resolve(&document, &operation["responses"][status]);
        response["content"]["application/json"]["schema"]["properties"]["returnCode"]["enum"].clone()
    };
    for (method, path, operation) in operations(&document) {
        let expected = match method == "GET" || path == "/api/clients/search" {
            true => (Value::Null, json!([6])),
            false => (json!([4]), json!([6, 32])),
        };
        assert_eq!(
            (codes(operation, "409"), codes(operation, "503")),
            expected,
            "{method} {path}"
        );
    }
}

#[test]
fn receipts_are_described_with_their_media_types_and_limits() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let receipt = json!({ "$ref": "#/components/schemas/Receipt" });
    let bodies = &document["paths"]["/api/notifications/receipts"]["post"]["requestBody"]["content"];
    let bodies = bodies.as_object().expect("media types").iter();
    let bodies: Vec<(&str, &Value)> = bodies.map(|(name, body)| (name.as_str(), &body["schema"])).collect();
    assert_eq!(
        bodies,
        [
            (
                "application/json",
                &json!({ "anyOf": [receipt, { "type": "array", "items": receipt, "maxItems": 1000 }] })
            ),
            (
                "application/x-www-form-urlencoded",
                &json!({ "$ref": "#/components/schemas/GatewayCallback" })
            ),
            ("message/rfc822", &json!({ "type": "string" })),
            ("multipart/report", &json!({ "type": "string" })),
        ]
    );
    assert_eq!(schemas["Receipt"]["additionalProperties"], false);
    let given = |name: &str| json!({ "required": [name], "properties": { name: { "type": "string" } } });
    assert_eq!(
        schemas["Receipt"]["oneOf"],
        json!([given("messageId"), given("providerId")])
    );
    assert_eq!(schemas["Receipt"]["properties"]["providerId"]["maxLength"], 255);
    for id in ["MessageSid", "SmsSid"] {
        assert_eq!(schemas["GatewayCallback"]["properties"][id]["maxLength"], 255, "{id}");
    }
    let closed = schemas.as_object().expect("schemas").iter();
    let closed = closed.filter(|(_, schema)| schema["additionalProperties"] == false);
    assert_eq!(closed.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Receipt"]);
}

#[test]
fn page_names_counterparts_only_of_operations_that_have_one() {
    let document = document();
    let operations = operations(&document);
    let with_one = operations
        .iter()
        .filter(|(.., operation)| operation["x-graphql"].is_string());
    let page = openapi::page();
    assert!(!page.contains("In GraphQL: ."));
    assert_eq!(page.matches("In GraphQL: <code>").count(), with_one.count());
    // The route without one.
    assert!(page.contains("Needs the permission RECORD_RECEIPTS.</p>"));
}

/// A document that a tool can't read is useless: the parts that the specification requires.
#[test]
fn document_has_the_form_of_openapi_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"], json!([{ "url": "/" }]));
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let response = resolve(&document, response);
            assert!(response["description"].is_string(), "{method} {path} {status}");
            let content = &response["content"]["application/json"];
            assert!(
                status == "431" || content["schema"].is_object(),
                "{method} {path} {status}"
            );
            if let Some(examples) = content["examples"].as_object() {
                for example in examples.values() {
                    assert!(
                        !resolve(&document, example)["value"].is_null(),
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }
}
