//! Empty texts in place of other types, and accepted spellings of dates and genders.

use serde_json::{Value, json};

use super::{CLIENTS, FIRST, address, client, create, document, expanded, merged, refusal};
use crate::harness::{TestServer, field};

on_both!(
    empty_text_clears_dates_genders_languages_and_degrees,
    empty_text_is_no_value_on_create,
    empty_key_is_unknown,
    empty_custom_value_is_no_value,
    gender_may_be_in_lower_case,
    dates_may_have_spaces_before_time_and_zone,
);

async fn empty_text_clears_dates_genders_languages_and_degrees(server: &TestServer) {
    create(
        server,
        json!({
            "addresses": [{ "city": "Exampleton", "latitude": 1.5, "longitude": 2.5 }],
            "idDocuments": [{ "documentType": "Passport", "documentId": "1", "validUntil": "2034-01-31" }],
        }),
    )
    .await;
    let scalars = json!({ "birthDate": "1990-04-17", "gender": "MALE", "preferredLanguage": "GERMAN" });
    server.post(FIRST, json!({ "client": scalars })).await;
    let cleared = json!({
        "client": { "birthDate": "", "gender": "", "preferredLanguage": "" },
        "addresses": [{ "encodedKey": "<key 3>", "latitude": "", "longitude": "" }],
        "idDocuments": [{ "encodedKey": "<key 2>", "validUntil": "", "identificationDocumentTemplateKey": "" }],
    });
    server.post(FIRST, cleared).await.is(
        200,
        expanded(
            client(json!({})),
            json!({
                "addresses": [address(3, json!({ "city": "Exampleton" }))], "idDocuments": [document(2, 0, "1")],
            }),
        ),
    );
}

async fn empty_text_is_no_value_on_create(server: &TestServer) {
    let empty = [
        "id",
        "middleName",
        "homePhone",
        "mobilePhone1",
        "mobilePhone2",
        "emailAddress",
        "birthDate",
        "gender",
        "notes",
        "preferredLanguage",
        "assignedUserKey",
        "assignedBranchKey",
        "assignedCentreKey",
    ];
    let names = json!({ "firstName": "Trevor", "lastName": "Linden" });
    let members = empty.iter().map(|name| ((*name).to_owned(), json!("")));
    let body = json!({ "client": merged(names, Value::Object(members.collect())) });
    server
        .post(CLIENTS, body)
        .await
        .is(200, expanded(client(json!({})), json!({})));
    let parameters: Vec<String> = empty.iter().map(|name| format!("{name}=")).collect();
    let path = format!("/api/clients?firstName=Trevor&lastName=Linden&{}", parameters.join("&"));
    let second = client(json!({ "encodedKey": "<key 2>", "id": "<id 2>" }));
    server
        .send(server.request(reqwest::Method::POST, &path))
        .await
        .is(200, second);
}

async fn empty_key_is_unknown(server: &TestServer) {
    create(server, json!({})).await;
    for (body, status, code, name) in [
        (
            json!({ "client": { "encodedKey": "" } }),
            404,
            302,
            "INVALID_CLIENT_KEY",
        ),
        (
            json!({ "idDocuments": [{ "encodedKey": "", "documentType": "a", "documentId": "b" }] }),
            400,
            950,
            "INVALID_ID_DOCUMENT",
        ),
        (
            json!({ "addresses": [{ "encodedKey": "" }] }),
            400,
            1150,
            "INVALID_ADDRESS",
        ),
        (
            json!({ "client": { "clientRole": { "encodedKey": "" } } }),
            400,
            306,
            "INVALID_CLIENT_ROLE_KEY",
        ),
    ] {
        let before = server.snapshot().await;
        let answer = server.post(FIRST, body).await;
        let got = (answer.status, &answer.body["returnCode"], &answer.body["returnStatus"]);
        assert_eq!(got, (status, &json!(code), &json!(name)), "{}", answer.text);
        assert_eq!(server.snapshot().await, before);
    }
}

async fn empty_custom_value_is_no_value(server: &TestServer) {
    server
        .define(vec![field("shoe", clientele::definitions::Kind::Text)])
        .await;
    create(
        server,
        json!({ "customInformation": [{ "customFieldID": "shoe", "value": "41" }] }),
    )
    .await;
    let source = "customInformation[0].value: The field shoe has no value: send value.";
    for none in [json!(""), json!(null)] {
        let body = json!({ "customInformation": [{ "customFieldID": "shoe", "value": none }] });
        let refused = refusal(901, "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE", source);
        server.refuses(FIRST, body, 400, refused).await;
    }
    let kept = json!({ "customInformation": [{ "customFieldID": "shoe" }] });
    assert_eq!(
        server.post(FIRST, kept).await.body["customInformation"][0]["value"],
        "41"
    );
}

async fn gender_may_be_in_lower_case(server: &TestServer) {
    create(server, json!({})).await;
    for (sent, answered) in [("male", "MALE"), ("female", "FEMALE"), ("MALE", "MALE")] {
        let body = json!({ "client": { "gender": sent } });
        server
            .post(FIRST, body)
            .await
            .is(200, expanded(client(json!({ "gender": answered })), json!({})));
    }
    let path = "/api/clients?firstName=Trevor&lastName=Linden&gender=female";
    let second = client(json!({ "encodedKey": "<key 2>", "id": "<id 2>", "gender": "FEMALE" }));
    server
        .send(server.request(reqwest::Method::POST, path))
        .await
        .is(200, second);
    let source = "client.gender: gender must be MALE or FEMALE.";
    for wrong in ["Male", "other", " "] {
        let body = json!({ "client": { "gender": wrong } });
        server
            .refuses(FIRST, body, 400, refusal(4, "INVALID_PARAMETERS", source))
            .await;
    }
}

async fn dates_may_have_spaces_before_time_and_zone(server: &TestServer) {
    create(server, json!({})).await;
    for written in [
        "1990-04-17 12:34:56 +0800",
        "1990-04-17 00:00:00",
        "1990-04-17T23:59:59 -1100",
        "1990-04-17 12:34:56 UTC",
    ] {
        server
            .post(FIRST, json!({ "client": { "birthDate": null }, "idDocuments": [] }))
            .await;
        let born = client(json!({ "birthDate": "1990-04-17T00:00:00+0000" }));
        let body = json!({ "client": { "birthDate": written } });
        server.post(FIRST, body).await.is(200, expanded(born, json!({})));
        let document =
            json!({ "documentType": "Passport", "documentId": "1", "validUntil": written.replace("1990", "2033") });
        let answer = server.post(FIRST, json!({ "idDocuments": [document] })).await;
        assert_eq!(
            answer.body["idDocuments"][0]["validUntil"], "2033-04-17T00:00:00+0000",
            "{}",
            answer.text
        );
    }
    // In a URL, with the plus sign escaped and as it is.
    for query in ["1990-04-17%2012:34:56%20%2B0800", "1990-04-17+12:34:56++0800"] {
        let list = server.get(&format!("/api/clients?birthDate={query}")).await;
        assert_eq!(list.body[0]["encodedKey"], "<key 1>", "{}", list.text);
    }
}
