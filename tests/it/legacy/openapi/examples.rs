//! The examples of the document are real: each request is answered like that.

use std::collections::{BTreeMap, BTreeSet};

use clientele::api::rest::openapi;
use reqwest::Method;
use serde_json::{Value, json, value::RawValue};

use super::{document, operations};
use crate::harness::{
    Names, TestServer,
    graphql::{data, define_document_template},
};

/// The operations in the order in which their examples are sent.
const ORDER: [&str; 17] = [
    "createClient",
    "getClient",
    "listClients",
    "recordReceipts",
    "searchClients",
    "changeClient",
    "patchClient",
    "changeCustomValues",
    "changeCustomValue",
    "listCustomFieldSets",
    "getCustomField",
    "listClientRoles",
    "listIdDocumentTemplates",
    "changeGroupedValue",
    "deleteGroupedValue",
    "deleteCustomValue",
    "deleteClient",
];
/// The time of the examples.
const NOW: &str = "2031-05-02T09:30:00+0000";

on_both!(every_example_is_answered_like_that,);

async fn every_example_is_answered_like_that(server: &TestServer) {
    let query = "mutation { upsertCustomFieldSet(input: { set: { setId: \"kyc\", name: \"Know your customer\" }
        fields: [{ fieldId: \"risk_band\", name: \"Risk band\", type: SELECTION, options: [{ value: \"LOW\" }] }]
    }) { userErrors { message } } }";
    let defined = data(server, query, json!({})).await;
    assert_eq!(defined, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    let template = json!({ "templateId": "passport", "documentType": "Passport", "issuingAuthority": "Test Office",
        "pattern": "@#######" });
    define_document_template(server, template).await;
    let document = document();
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids, ORDER.into_iter().collect());
    // The keys and ids of the document, numbered like those of the server.
    let names = Names::default();
    for id in ORDER {
        if id == "changeGroupedValue" {
            let query = "mutation { upsertCustomFieldSet(input: { set: { setId: \"cards\", name: \"Cards\", usage: \
                GROUPED } fields: [{ fieldId: \"card_number\", name: \"Card number\", type: TEXT }]
            }) { userErrors { message } } }";
            data(server, query, json!({})).await;
        }
        let (method, path, operation) = operations
            .iter()
            .find(|(.., operation)| operation["operationId"] == id)
            .expect("an operation");
        let answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
            .as_object()
            .expect("examples");
        let forms: Vec<&String> = answers.keys().collect();
        for form in answers.keys() {
            // A client that was created can't be created as another form, too.
            if id == "createClient" && form == "bare" {
                continue;
            }
            let expected = [
                "paths",
                path,
                &method.to_lowercase(),
                "responses",
                "200",
                "content",
                "application/json",
            ];
            let expected = text(&[&expected[..], &["examples", form, "value"]].concat());
            let expected = expected.replace(NOW, "<time>");
            names.hide_text(&expected);
            let expected = names.hide(serde_json::from_str(&expected).expect("JSON"));
            let (path, query) = target(path, operation, &names, form == "detailed");
            let request = server.request(Method::from_bytes(method.as_bytes()).expect("a method"), &path);
            let request = request.query(&query);
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            let request = match body {
                Value::Null => request,
                body => {
                    let body = server.reveal(&names.hide(body.clone()).to_string());
                    request.header("content-type", "application/json").body(body)
                }
            };
            let answer = server.send(request).await;
            assert_eq!(
                (answer.status, &answer.body),
                (200, &expected),
                "{id} {form} of {forms:?}"
            );
        }
    }
}

/// The path and the parameters of an example.
fn target(path: &str, operation: &Value, names: &Names, is_detailed: bool) -> (String, BTreeMap<String, String>) {
    let (mut path, mut query) = (path.to_owned(), BTreeMap::new());
    for parameter in operation["parameters"].as_array().expect("parameters") {
        let name = parameter["name"].as_str().expect("a name");
        let example = match &parameter["example"] {
            Value::Null => continue,
            Value::String(text) => names.hide_text(text),
            plain => plain.to_string(),
        };
        match parameter["in"].as_str() {
            Some("path") => path = path.replace(&format!("{{{name}}}"), &example),
            _ => {
                query.insert(name.to_owned(), example);
            }
        }
    }
    if is_detailed {
        query.insert("fullDetails".to_owned(), "true".to_owned());
    }
    (path, query)
}

/// A part of the document as it is written there.
fn text(path: &[&str]) -> String {
    path.iter().fold(openapi::document().to_owned(), |text, name| {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).expect("an object");
        members.get(*name).expect("a member").get().to_owned()
    })
}
