//! Replaced lists, members that keep their keys, and atomic requests.

use clientele::definitions::Kind;
use serde_json::json;

use super::{CLIENTS, FIRST, address, client, create, document, expanded, merged, refusal, stored, text_field, value};
use crate::harness::{TestServer, field};

fn passports(numbers: &[&str]) -> serde_json::Value {
    numbers
        .iter()
        .map(|number| json!({ "documentType": "Passport", "documentId": number }))
        .collect()
}

on_both!(
    absent_list_stays,
    empty_list_empties_only_its_own_collection,
    list_replaces_the_collection,
    matched_member_keeps_its_key_at_its_new_position,
    values_match_by_the_id_of_their_field,
    key_of_another_client_is_refused,
    key_may_be_named_once,
    new_document_needs_its_type_and_number,
    only_the_first_address_is_read,
    any_error_changes_nothing,
    first_problem_in_the_order_of_parts_is_reported,
);

async fn absent_list_stays(server: &TestServer) {
    create(
        server,
        json!({ "idDocuments": passports(&["1", "2"]), "addresses": [{ "city": "Exampleton" }] }),
    )
    .await;
    let collections = json!({
        "idDocuments": [document(2, 0, "1"), document(3, 1, "2")],
        "addresses": [address(4, json!({ "city": "Exampleton" }))],
    });
    for body in [
        json!({ "client": { "encodedKey": "<key 1>", "notes": "n" } }),
        json!({ "client": { "encodedKey": "<key 1>" }, "idDocuments": null, "addresses": null,
            "customInformation": null }),
    ] {
        let expected = expanded(client(json!({ "notes": "n" })), collections.clone());
        server.post(FIRST, body).await.is(200, expected);
    }
    stored(server, client(json!({ "notes": "n" })), collections).await;
}

async fn empty_list_empties_only_its_own_collection(server: &TestServer) {
    server.define(vec![field("shoe", Kind::Text)]).await;
    create(
        server,
        json!({
            "idDocuments": passports(&["1"]), "addresses": [{ "city": "Exampleton" }],
            "customInformation": [{ "customFieldID": "shoe", "value": "left" }],
        }),
    )
    .await;
    let whole = json!({
        "customInformation": [value(2, 0, "shoe", text_field("shoe"), "left")],
        "idDocuments": [document(3, 0, "1")],
        "addresses": [address(4, json!({ "city": "Exampleton" }))],
    });
    stored(server, client(json!({})), whole.clone()).await;
    let mut rest = whole;
    for list in ["addresses", "customInformation", "idDocuments"] {
        rest[list] = json!([]);
        server
            .post(FIRST, json!({ list: [] }))
            .await
            .is(200, expanded(client(json!({})), rest.clone()));
    }
    stored(server, client(json!({})), json!({})).await;
}

async fn list_replaces_the_collection(server: &TestServer) {
    create(server, json!({ "idDocuments": passports(&["1", "2", "3"]) })).await;
    let body =
        json!({ "idDocuments": [{ "encodedKey": "<key 3>" }, { "documentType": "Passport", "documentId": "4" }] });
    let documents = json!({ "idDocuments": [document(3, 0, "2"), document(5, 1, "4")] });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), documents.clone()));
    stored(server, client(json!({})), documents).await;
}

async fn matched_member_keeps_its_key_at_its_new_position(server: &TestServer) {
    create(server, json!({ "idDocuments": passports(&["1", "2", "3"]) })).await;
    let body = json!({ "idDocuments": [
        { "encodedKey": "<key 4>" }, { "documentType": "Passport", "documentId": "9", "indexInList": 7 },
        { "encodedKey": "<key 2>", "documentId": "8", "indexInList": 0 }, { "encodedKey": "<key 3>" },
    ] });
    let documents =
        json!({ "idDocuments": [document(4, 0, "3"), document(5, 1, "9"), document(2, 2, "8"), document(3, 3, "2")] });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), documents.clone()));
    stored(server, client(json!({})), documents).await;
}

async fn values_match_by_the_id_of_their_field(server: &TestServer) {
    server
        .define(vec![
            field("shoe", Kind::Text),
            field("hat", Kind::Text),
            field("glove", Kind::Text),
        ])
        .await;
    let named = |id, value| json!({ "customFieldID": id, "value": value });
    create(
        server,
        json!({ "customInformation": [named("shoe", "1"), named("hat", "2")] }),
    )
    .await;
    let body = json!({ "customInformation": [
        named("glove", "3"), { "customFieldID": "hat", "value": "2", "encodedKey": "ignored",
            "customFieldKey": "ignored" },
    ] });
    let values = json!({ "customInformation": [
        value(4, 0, "glove", text_field("glove"), "3"), value(3, 1, "hat", text_field("hat"), "2"),
    ] });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), values.clone()));
    stored(server, client(json!({})), values).await;
}

async fn key_of_another_client_is_refused(server: &TestServer) {
    create(
        server,
        json!({ "idDocuments": passports(&["1"]), "addresses": [{ "city": "Exampleton" }] }),
    )
    .await;
    create(
        server,
        json!({ "idDocuments": passports(&["2"]), "addresses": [{ "city": "Elsewhere" }] }),
    )
    .await;
    let theirs = server.snapshot().await;
    assert_eq!((theirs.rows("id_document").len(), theirs.rows("address").len()), (2, 2));
    for (list, code, status, keys) in [
        (
            "idDocuments",
            950,
            "INVALID_ID_DOCUMENT",
            ["<key 5>", "<key 3>", "<key 1>", "absent"],
        ),
        (
            "addresses",
            1150,
            "INVALID_ADDRESS",
            ["<key 6>", "<key 2>", "<key 1>", "absent"],
        ),
    ] {
        for key in keys {
            let source = format!(
                "{list}[0].encodedKey: The key {key} isn't one of this client's {list}: leave encodedKey out to add a \
                    new member."
            );
            let body = json!({ list: [{ "encodedKey": key, "documentType": "Passport", "documentId": "1",
                "city": "Nowhere" }] });
            server.refuses(FIRST, body, 400, refusal(code, status, &source)).await;
        }
        // A malformed key is not repeated in the message.
        let source = format!(
            "{list}[0].encodedKey: The key given isn't one of this client's {list}: leave encodedKey out to add a new \
                member."
        );
        let body = json!({ list: [{ "encodedKey": "no key\n", "documentType": "Passport", "documentId": "1" }] });
        server.refuses(FIRST, body, 400, refusal(code, status, &source)).await;
    }
}

async fn key_may_be_named_once(server: &TestServer) {
    create(server, json!({ "idDocuments": passports(&["1"]) })).await;
    let body = json!({ "idDocuments": [{ "encodedKey": "<key 2>" }, { "encodedKey": "<key 2>" }] });
    let source =
        "idDocuments[1].encodedKey: The key <key 2> is named twice: each member of idDocuments may be named once.";
    server
        .refuses(FIRST, body, 400, refusal(950, "INVALID_ID_DOCUMENT", source))
        .await;
}

async fn new_document_needs_its_type_and_number(server: &TestServer) {
    create(server, json!({})).await;
    for (document, name) in [
        (json!({ "documentId": "1" }), "documentType"),
        (json!({ "documentType": "Passport" }), "documentId"),
        (json!({ "documentType": "Passport", "documentId": null }), "documentId"),
        (json!({ "documentType": " ", "documentId": "1" }), "documentType"),
        (json!({}), "documentType"),
    ] {
        let source = format!("idDocuments[0].{name}: {name} is required and must not be blank.");
        server
            .refuses(
                FIRST,
                json!({ "idDocuments": [document] }),
                400,
                refusal(950, "INVALID_ID_DOCUMENT", &source),
            )
            .await;
    }
}

async fn only_the_first_address_is_read(server: &TestServer) {
    create(
        server,
        json!({ "addresses": [
        { "city": "Exampleton" }, { "encodedKey": "absent", "city": 5, "latitude": "north" }, "nonsense", null, 7,
    ] }),
    )
    .await;
    let city = json!({ "addresses": [address(2, json!({ "city": "Exampleton" }))] });
    stored(server, client(json!({})), city).await;
    let body = json!({ "addresses": [{ "city": "Elsewhere" }, { "encodedKey": "<key 2>" }] });
    let other = json!({ "addresses": [address(3, json!({ "city": "Elsewhere" }))] });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), other.clone()));
    stored(server, client(json!({})), other).await;
    assert_eq!(server.snapshot().await.rows("address").len(), 1);
}

async fn any_error_changes_nothing(server: &TestServer) {
    server.define(vec![field("shoe", Kind::Text)]).await;
    create(server, json!({ "idDocuments": passports(&["1"]) })).await;
    let body = json!({
        "client": { "firstName": "Changed", "notes": "changed" },
        "idDocuments": [{ "documentType": "Visa", "documentId": "2" }],
        "addresses": [{ "city": "Changed" }],
        "customInformation": [{ "customFieldID": "nonsense", "value": "x" }],
    });
    let source = "customInformation[0].customFieldID: There is no custom field with this id.";
    let answer = refusal(903, "INVALID_CUSTOM_FIELD_ID", source);
    server.refuses(FIRST, body.clone(), 400, answer.clone()).await;
    server
        .refuses(
            CLIENTS,
            merged(
                body,
                json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
            ),
            400,
            answer,
        )
        .await;
}

async fn first_problem_in_the_order_of_parts_is_reported(server: &TestServer) {
    create(server, json!({})).await;
    let mut body = json!({
        "customInformation": [{ "customFieldID": "nonsense", "value": "x" }],
        "addresses": [{ "latitude": 91 }],
        "idDocuments": [{ "documentType": "Visa" }],
        "client": { "assignedUserKey": "no key", "clientRole": { "encodedKey": "absent" },
            "emailAddress": "no address", "firstName": "" },
    });
    for (code, member) in [
        (4, "firstName"),
        (711, "emailAddress"),
        (306, "clientRole"),
        (4, "assignedUserKey"),
    ] {
        let answer = server.post(FIRST, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{}",
            answer.text
        );
        body["client"].as_object_mut().expect("an object").remove(member);
    }
    for (code, list) in [(950, "idDocuments"), (1150, "addresses"), (903, "customInformation")] {
        let answer = server.post(FIRST, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{}",
            answer.text
        );
        body.as_object_mut().expect("an object").remove(list);
    }
    assert_eq!(server.post(FIRST, body).await.status, 200);
}
