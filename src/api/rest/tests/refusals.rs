//! Tests of refused inputs: the number, the wrong member, and nothing written.

use serde_json::{Value, json};

use super::{Server, refusal};
use clientele_domain::definitions::FieldState;

#[tokio::test]
async fn r8_refused_submissions_change_nothing() {
    let server = Server::start().await;
    server.ines().await;
    let before = server.full().await;
    let custom = |value: Value| json!({"customInformation": [value]});
    let client = |member: &str, value: Value| json!({"client": {member: value}});
    for (body, number, source) in [
        (
            client("firstName", json!("")),
            4,
            "client.firstName: firstName is required and must not be blank.",
        ),
        (
            client("firstName", json!(5)),
            4,
            "client.firstName: firstName must be a text.",
        ),
        (
            client("firstName", json!("a\0")),
            3742,
            "client.firstName: firstName must not contain the character U+0000.",
        ),
        (
            client("notes", json!("n".repeat(65_536))),
            3742,
            "client.notes: notes must have at most 65535 characters.",
        ),
        (
            client("id", json!("OTHER")),
            1906,
            "client.id: id can't be changed once the client exists.",
        ),
        (
            client("state", json!("ACTIVE")),
            305,
            "client.state: state can't be set here: leave it out, or send INACTIVE.",
        ),
        (
            client("gender", json!("Male")),
            4,
            "client.gender: gender must be MALE or FEMALE.",
        ),
        (
            client("birthDate", json!("1990-02-30")),
            309,
            "client.birthDate: birthDate must be a date that exists, as yyyy-MM-dd.",
        ),
        (
            client("preferredLanguage", json!("KLINGON")),
            2427,
            "client.preferredLanguage: preferredLanguage must be ENGLISH, PORTUGESE, SPANISH, RUSSIAN, FRENCH, \
             GEORGIAN, CHINESE, INDONESIAN, ROMANIAN, BURMESE or GERMAN.",
        ),
        (
            client("emailAddress", json!("nobody")),
            711,
            "client.emailAddress: emailAddress must be an address of the form name@example.com.",
        ),
        (
            client("clientRole", json!({"encodedKey": "x"})),
            306,
            "client.clientRole.encodedKey: There is no client role of this name.",
        ),
        (
            client("clientRole", json!({})),
            306,
            "client.clientRole.encodedKey: encodedKey must name the client role.",
        ),
        (
            client("assignedUserKey", json!("a b")),
            4,
            "client.assignedUserKey: assignedUserKey must be a key of 1 to 32 letters and digits.",
        ),
        (json!({"client": [], "addresses": []}), 4, "client must be an object."),
        (json!({"addresses": {}}), 4, "addresses must be a list."),
        (
            json!({"addresses": [5]}),
            4,
            "addresses[0]: each member of the list must be an object.",
        ),
        (
            json!({"addresses": [{"latitude": 91}]}),
            1150,
            "addresses[0].latitude: latitude must be from -90 to 90 degrees.",
        ),
        (
            json!({"addresses": [{"encodedKey": "x"}]}),
            1150,
            "addresses[0].encodedKey: The key x isn't one of this client's addresses: leave encodedKey out to add \
             a new member.",
        ),
        (
            json!({"idDocuments": [{"documentType": "Visa"}]}),
            950,
            "idDocuments[0].documentId: documentId is required and must not be blank.",
        ),
        (
            json!({"idDocuments": [
                {"documentType": "V", "documentId": "1", "identificationDocumentTemplateKey": "t"},
            ]}),
            953,
            "idDocuments[0].identificationDocumentTemplateKey: There is no identification document template with \
             this key: leave identificationDocumentTemplateKey out.",
        ),
        (
            custom(json!({"value": "x"})),
            3600,
            "customInformation[0].customFieldID: Name the custom field by its id.",
        ),
        (
            custom(json!({"customFieldID": "nonsense", "value": "x"})),
            903,
            "customInformation[0].customFieldID: There is no custom field with this id.",
        ),
        (
            custom(json!({"customFieldID": "risk_band", "value": "MEDIUM"})),
            901,
            "customInformation[0].value: The field risk_band takes one of its options only.",
        ),
        (
            custom(json!({"customFieldID": "since", "value": "1990-04-17T00:00:00+0000"})),
            901,
            "customInformation[0].value: The field since takes a date of the form YYYY-MM-DD.",
        ),
        (
            custom(json!({"customFieldID": "code", "value": "x"})),
            917,
            "customInformation[0].value: The field code takes text of the form ##-@@, where # is a digit, @ a \
             letter and $ either.",
        ),
        (
            custom(json!({"customFieldID": "code", "value": "x".repeat(256)})),
            904,
            "customInformation[0].value: The field code takes at most 255 characters.",
        ),
        (
            custom(json!({"customFieldID": "referrer", "linkedEntityKeyValue": "x"})),
            911,
            "customInformation[0].linkedEntityKeyValue: The field referrer links to a client, and there is none \
             with this key.",
        ),
        (
            custom(json!({"customFieldID": "referrer", "value": "x"})),
            901,
            "customInformation[0].value: The field referrer is of type CLIENT_LINK: send linkedEntityKeyValue, not \
             value.",
        ),
        (
            custom(json!({"customFieldID": "code", "value": "11-aa", "customFieldSetGroupIndex": "0"})),
            913,
            "customInformation[0].customFieldSetGroupIndex: The set of code isn't grouped: leave \
             customFieldSetGroupIndex out.",
        ),
        (
            custom(json!({"customFieldID": "income", "value": {}})),
            4,
            "customInformation[0].value: value must be a text, a number or a boolean.",
        ),
        (
            json!({"customInformation": [{"customFieldID": "income"}, {"customFieldID": "income"}]}),
            918,
            "customInformation[1].customFieldID: The field income is named twice.",
        ),
    ] {
        let answer = server.post("/api/clients/INES", body.clone()).await;
        assert_eq!(refusal(&answer), (400, number, source.to_owned()), "{body}");
    }
    assert_eq!(server.full().await, before);
}

#[tokio::test]
async fn r1_a_new_client_needs_names_and_an_id_of_its_own() {
    let server = Server::start().await;
    server.ines().await;
    for (body, number) in [
        (json!({}), 4),
        (json!({"client": {"firstName": "A"}}), 4),
        (
            json!({"client": {"firstName": "A", "lastName": "B", "id": "INES"}}),
            316,
        ),
        (
            json!({"client": {"firstName": "A", "lastName": "B", "id": "I".repeat(33)}}),
            3742,
        ),
        (
            json!({"client": {"firstName": "A", "lastName": "B", "state": "EXITED"}}),
            305,
        ),
    ] {
        assert_eq!(
            refusal(&server.post("/api/clients", body.clone()).await).1,
            number,
            "{body}"
        );
    }
    let half = r#"{"client":{"firstName":"A","lastName":"\ud800"}}"#;
    assert_eq!(
        refusal(&server.post_as("/api/clients", "application/json", half).await).1,
        3742
    );
}

#[tokio::test]
async fn r7_a_required_value_is_missed_by_the_id_of_its_field() {
    let server = Server::start().await;
    server.define_with(None, true).await;
    let client = json!({"firstName": "A", "lastName": "B"});
    for body in [
        json!({"client": client}),
        json!({"client": client, "customInformation": []}),
        json!({"client": client, "customInformation": [{"customFieldID": "income", "value": ""}]}),
        json!({"client": client, "customInformation": [{"customFieldID": "income"}]}),
    ] {
        let answer = server.post("/api/clients", body.clone()).await;
        let expected = r#"{"returnCode":902,"returnStatus":"REQUIRED_CUSTOM_FIELD_MISSING","errorSource":"income"}"#;
        assert_eq!(answer, (400, expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn r6a_a_stored_value_outlives_the_deactivation_of_its_field() {
    let server = Server::start().await;
    server.ines().await;
    server.define_with(Some(FieldState::Deactivated), false).await;
    let before = server.full().await;
    let values = |income: &str| json!({"customInformation": [{"customFieldID": "income", "value": income}]});

    assert_eq!(server.post("/api/clients/INES", before.clone()).await.0, 200);
    assert_eq!(refusal(&server.post("/api/clients/INES", values("1")).await).1, 908);
    assert_eq!(server.full().await, before);
    assert_eq!(
        before["customInformation"][1]["customField"]["state"],
        json!("DEACTIVATED")
    );
    assert_eq!(server.post("/api/clients/INES", values("1250.5")).await.0, 200);
}
