//! The examples of the API's documentation, as they are written there.

use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENTS, client, create, expanded, merged, stored};
use crate::harness::{TestServer, field, options};

const MINIMAL: &str = r#"{
"client":{
"firstName":"Trevor",
"lastName":"Linden",
"middleName":"Good",
"homePhone":"7899221665",
"emailAddress":"trevor.linden@mambu.com",
"mobilePhone1":"211111111",
"mobilePhone2":"122222222",
"gender":"MALE",
"clientRole": {"encodedKey":"d9df8bc78a0234ccc934a845c"}
}
}"#;

on_both!(
    first_example_creates_from_query_parameters,
    second_example_creates_from_json,
    removal_example_empties_every_array,
    contract_example_is_answered_as_documented,
    bare_and_expanded_clients_have_different_members,
);

async fn first_example_creates_from_query_parameters(server: &TestServer) {
    let path = "/api/clients?firstName=Trevor&lastName=Linden&emailAddress=trevor.linden%40mambu.com";
    let answer = server.send(server.request(Method::POST, path)).await;
    answer.is(200, client(json!({ "emailAddress": "trevor.linden@mambu.com" })));
    assert_eq!(answer.content_type, "application/json; charset=utf-8");
}

async fn second_example_creates_from_json(server: &TestServer) {
    let request = server
        .request(Method::POST, CLIENTS)
        .header("content-type", "application/json")
        .body(MINIMAL);
    let members = json!({
        "middleName": "Good", "homePhone": "7899221665", "emailAddress": "trevor.linden@mambu.com",
        "mobilePhone1": "211111111", "mobilePhone2": "122222222", "gender": "MALE",
    });
    server
        .send(request)
        .await
        .is(200, expanded(client(members.clone()), json!({})));
    stored(server, client(members), json!({})).await;
}

async fn removal_example_empties_every_array(server: &TestServer) {
    server.define(vec![field("shoe", Kind::Text)]).await;
    create(
        server,
        json!({
            "idDocuments": [{ "documentType": "Passport", "documentId": "1" }],
            "addresses": [{ "city": "Exampleton" }],
            "customInformation": [{ "customFieldID": "shoe", "value": "left" }],
        }),
    )
    .await;
    let body =
        json!({ "client": { "encodedKey": "<key 1>" }, "idDocuments": [], "addresses": [], "customInformation": [] });
    server
        .post("/api/clients/<id 1>", body)
        .await
        .is(200, expanded(client(json!({})), json!({})));
    stored(server, client(json!({})), json!({})).await;
}

async fn contract_example_is_answered_as_documented(server: &TestServer) {
    let band = CustomFieldInput {
        options: options(&["LOW", "HIGH"]),
        name: async_graphql::MaybeUndefined::Value("Risk band".to_owned()),
        encoded_key: async_graphql::MaybeUndefined::Value("riskBandKey".to_owned()),
        ..field("risk_band", Kind::Selection)
    };
    server.define(vec![band]).await;
    let body = json!({
        "client": {
            "firstName": "Ines", "lastName": "Okafor", "emailAddress": "ines@example.test",
            "birthDate": "1990-04-17", "gender": "FEMALE",
        },
        "addresses": [{ "line1": "1 Test Lane", "city": "Exampleton", "country": "Nowhere" }],
        "idDocuments": [{
            "documentType": "Passport", "documentId": "X1234567", "issuingAuthority": "Test Office",
            "validUntil": "2034-01-31",
        }],
        "customInformation": [{ "customFieldID": "risk_band", "value": "LOW" }],
    });
    let answer = server.post(CLIENTS, body).await;
    let members = json!({
        "firstName": "Ines", "lastName": "Okafor", "emailAddress": "ines@example.test",
        "birthDate": "1990-04-17T00:00:00+0000", "gender": "FEMALE",
    });
    let mut collections = json!({
        "customInformation": [{
            "encodedKey": "<key 2>", "parentKey": "<key 1>", "customFieldKey": "riskBandKey",
            "customField": {
                "encodedKey": "riskBandKey", "id": "risk_band", "name": "Risk band", "type": "CLIENT_INFO",
                "dataType": "SELECTION", "isRequired": false, "state": "NORMAL", "unique": false,
            },
            "value": "LOW", "indexInList": 0, "customFieldID": "risk_band", "customFieldSetGroupIndex": -1,
        }],
        "idDocuments": [{
            "encodedKey": "<key 3>", "clientKey": "<key 1>", "documentType": "Passport", "documentId": "X1234567",
            "issuingAuthority": "Test Office", "validUntil": "2034-01-31T00:00:00+0000", "indexInList": 0,
        }],
        "addresses": [{
            "encodedKey": "<key 4>", "parentKey": "<key 1>", "line1": "1 Test Lane", "city": "Exampleton",
            "country": "Nowhere", "indexInList": 0,
        }],
    });
    answer.is(200, expanded(client(members.clone()), collections.clone()));
    in_order(
        &answer.text,
        &[
            "client",
            "encodedKey",
            "state",
            "id",
            "creationDate",
            "lastModifiedDate",
            "approvedDate",
            "firstName",
            "lastName",
            "emailAddress",
            "birthDate",
            "gender",
            "loanCycle",
            "groupLoanCycle",
            "clientRole",
            "preferredLanguage",
            "customInformation",
            "encodedKey",
            "parentKey",
            "customFieldKey",
            "customField",
            "value",
            "indexInList",
            "customFieldID",
            "customFieldSetGroupIndex",
            "idDocuments",
            "encodedKey",
            "clientKey",
            "documentType",
            "documentId",
            "issuingAuthority",
            "validUntil",
            "indexInList",
            "addresses",
            "encodedKey",
            "parentKey",
            "line1",
            "city",
            "country",
            "indexInList",
        ],
    );

    // A caller sends back what it got, with one change.
    let mut whole: Value = answer.body.clone();
    whole["addresses"][0]["city"] = json!("Elsewhere");
    whole["appkey"] = json!("callers send this too");
    collections["addresses"][0]["city"] = json!("Elsewhere");
    let expected = expanded(client(members.clone()), collections.clone());
    server.post("/api/clients/<id 1>", whole).await.is(200, expected);
    stored(server, client(members), collections).await;
}

async fn bare_and_expanded_clients_have_different_members(server: &TestServer) {
    create(server, json!({ "addresses": [{ "city": "Exampleton" }] })).await;
    let bare = client(json!({}));
    for path in [
        "/api/clients/<key 1>",
        "/api/clients/<id 1>",
        "/api/clients/<id 1>/",
        "/api/clients/<key 1>?fullDetails=false",
    ] {
        server.get(path).await.is(200, bare.clone());
    }
    let address = json!([{ "encodedKey": "<key 2>", "parentKey": "<key 1>", "city": "Exampleton", "indexInList": 0 }]);
    let whole = merged(
        expanded(bare, json!({ "addresses": address })),
        json!({ "groupKeys": [] }),
    );
    server.get("/api/clients/<id 1>?fullDetails=true").await.is(200, whole);
}

/// Asserts that the names stand in the text in this order.
fn in_order(text: &str, names: &[&str]) {
    let mut rest = text;
    for name in names {
        let name = format!("\"{name}\":");
        let (_, after) = rest
            .split_once(&name)
            .unwrap_or_else(|| panic!("{name} is missing in {rest} of {text}"));
        rest = after;
    }
}
