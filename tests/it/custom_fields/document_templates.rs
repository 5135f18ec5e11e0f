//! Templates of identification documents, and the documents that name them.

use clientele::client::ClientSettings;
use serde_json::{Value, json};

use crate::harness::{
    Settings, TestServer,
    graphql::{data, define_document_template, refuse, store},
    with,
};

const TEMPLATE: (&str, &str) = ("upsertIdDocumentTemplate", "UpsertIdDocumentTemplateInput");
const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    template_is_created_changed_and_read,
    invalid_templates_are_refused,
    document_that_does_not_fit_its_template_is_950,
    unknown_template_is_953,
    missing_mandatory_document_is_951,
    document_without_a_template_can_be_forbidden,
    stored_document_stays_when_its_template_changes,
    blank_member_is_reported_once,
);

const READ: &str = "{ idDocumentTemplates { encodedKey templateId documentType issuingAuthority pattern mandatory \
    active } }";

/// The template `passport`, of one authority and with a form of the number.
async fn define_passport(server: &TestServer) {
    define_document_template(
        server,
        json!({ "templateId": "passport", "encodedKey": "passportKey", "documentType": "Passport",
            "issuingAuthority": "Office", "pattern": "@##" }),
    )
    .await;
}

fn passport(own: Value) -> Value {
    with(
        json!({ "documentType": "Passport", "documentId": "A12", "templateKey": "passportKey" }),
        own,
    )
}

fn ana(documents: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "idDocuments": documents })
}

fn legacy(document: &Value) -> Value {
    let text = document
        .to_string()
        .replace("templateKey", "identificationDocumentTemplateKey");
    ana(json!([serde_json::from_str::<Value>(&text).expect("JSON")]))
}

async fn template_is_created_changed_and_read(server: &TestServer) {
    define_passport(server).await;
    define_document_template(
        server,
        json!({ "templateId": "card", "encodedKey": "cardKey", "documentType": "Card" }),
    )
    .await;
    let template = |id: &str, own: Value| {
        let all = json!({ "encodedKey": format!("{id}Key"), "templateId": id, "issuingAuthority": null,
            "pattern": null, "mandatory": false, "active": true });
        with(all, own)
    };
    let passport = json!({ "documentType": "Passport", "issuingAuthority": "Office", "pattern": "@##" });
    let expected = json!([
        template("passport", passport.clone()),
        template("card", json!({ "documentType": "Card" }))
    ]);
    assert_eq!(
        data(server, READ, json!({})).await,
        json!({ "idDocumentTemplates": expected })
    );
    let before = server.snapshot().await;
    define_passport(server).await;
    assert_eq!(server.snapshot().await, before, "the same template writes nothing");
    let change = json!({ "templateId": "card", "mandatory": true, "active": false, "pattern": "#" });
    define_document_template(server, change).await;
    let card = json!({ "documentType": "Card", "mandatory": true, "active": false, "pattern": "#" });
    let expected = json!([template("passport", passport), template("card", card)]);
    assert_eq!(
        data(server, READ, json!({})).await,
        json!({ "idDocumentTemplates": expected })
    );
}

async fn invalid_templates_are_refused(server: &TestServer) {
    define_passport(server).await;
    let long = "x".repeat(256);
    for (own, code, member) in [
        (json!({ "templateId": " " }), "BLANK", "templateId"),
        (json!({ "templateId": "x".repeat(33) }), "TOO_LONG", "templateId"),
        (json!({ "documentType": null }), "BLANK", "documentType"),
        (json!({ "documentType": "\u{200b}" }), "BLANK", "documentType"),
        (json!({ "documentType": long }), "TOO_LONG", "documentType"),
        (json!({ "issuingAuthority": long }), "TOO_LONG", "issuingAuthority"),
        (
            json!({ "issuingAuthority": "a\nb" }),
            "INVALID_CHARACTER",
            "issuingAuthority",
        ),
        (json!({ "pattern": long }), "TOO_LONG", "pattern"),
        (json!({ "pattern": "#\0" }), "INVALID_CHARACTER", "pattern"),
        (json!({ "encodedKey": "no key" }), "MALFORMED", "encodedKey"),
        (json!({ "encodedKey": "passportKey" }), "TAKEN", "encodedKey"),
    ] {
        let input = with(json!({ "templateId": "card", "documentType": "Card" }), own);
        refuse(server, TEMPLATE, input, code, &[member]).await;
    }
    refuse(
        server,
        TEMPLATE,
        json!({ "templateId": "passport", "encodedKey": "k" }),
        "INVALID",
        &["encodedKey"],
    )
    .await;
}

async fn document_that_does_not_fit_its_template_is_950(server: &TestServer) {
    define_passport(server).await;
    let type_message = "idDocuments[0].documentType: The template passport needs the documentType Passport.";
    let authority = "idDocuments[0].issuingAuthority: The template passport needs the issuingAuthority Office.";
    let number = "idDocuments[0].documentId: The template passport needs a number of the form @##.";
    for (own, code, member, source) in [
        (
            json!({ "documentType": "passport" }),
            "INVALID",
            "documentType",
            type_message,
        ),
        (
            json!({ "issuingAuthority": "Other" }),
            "INVALID",
            "issuingAuthority",
            authority,
        ),
        (
            json!({ "issuingAuthority": null }),
            "INVALID",
            "issuingAuthority",
            authority,
        ),
        (json!({ "documentId": "A1" }), "PATTERN_MISMATCH", "documentId", number),
        (json!({ "documentId": "112" }), "PATTERN_MISMATCH", "documentId", number),
        (
            json!({ "documentId": "A123" }),
            "PATTERN_MISMATCH",
            "documentId",
            number,
        ),
    ] {
        let document = passport(own);
        refuse(
            server,
            CLIENT,
            ana(json!([document])),
            code,
            &["idDocuments", "0", member],
        )
        .await;
        let answer = json!({ "returnCode": 950, "returnStatus": "INVALID_ID_DOCUMENT", "errorSource": source });
        server.refuses("/api/clients", legacy(&document), 400, answer).await;
    }
    // The authority is that of the template when the document names none.
    let documents = "idDocuments { documentId issuingAuthority templateKey template { templateId pattern } }";
    let stored = store(server, ana(json!([passport(json!({}))])), documents).await;
    let template = json!({ "templateId": "passport", "pattern": "@##" });
    let expected = json!({ "documentId": "A12", "issuingAuthority": "Office", "templateKey": "passportKey",
        "template": template });
    assert_eq!(stored["idDocuments"], json!([expected]));
    let answer = server
        .post("/api/clients", legacy(&passport(json!({ "documentId": "é99" }))))
        .await;
    let document = &answer.body["idDocuments"][0];
    assert_eq!(
        (
            answer.status,
            &document["identificationDocumentTemplateKey"],
            &document["issuingAuthority"]
        ),
        (200, &json!("passportKey"), &json!("Office")),
        "{}",
        answer.text
    );
}

async fn unknown_template_is_953(server: &TestServer) {
    define_passport(server).await;
    define_document_template(server, json!({ "templateId": "passport", "active": false })).await;
    for key in ["absent", "passport", "passportKey", "no key", "a\0b"] {
        let document = passport(json!({ "templateKey": key }));
        refuse(
            server,
            CLIENT,
            ana(json!([document])),
            "NOT_FOUND",
            &["idDocuments", "0", "templateKey"],
        )
        .await;
        let source = "idDocuments[0].identificationDocumentTemplateKey: There is no identification document template \
            with this key: leave identificationDocumentTemplateKey out.";
        let answer = json!({ "returnCode": 953, "returnStatus": "INVALID_ID_DOCUMENT_TEMPLATE_KEY",
            "errorSource": source });
        server.refuses("/api/clients", legacy(&document), 400, answer).await;
    }
    for none in [Value::Null, json!("")] {
        store(
            server,
            ana(json!([passport(json!({ "templateKey": none }))])),
            "version",
        )
        .await;
    }
}

async fn missing_mandatory_document_is_951(server: &TestServer) {
    let other = store(server, ana(json!([])), "encodedKey").await;
    define_passport(server).await;
    define_document_template(server, json!({ "templateId": "passport", "mandatory": true })).await;
    let names = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } });
    let licence = json!({ "documentType": "Licence", "documentId": "1" });
    for input in [names.clone(), ana(json!([])), ana(json!([licence]))] {
        refuse(server, CLIENT, input.clone(), "REQUIRED", &["idDocuments"]).await;
        let source = "idDocuments: A client needs an identification document of the template passport.";
        let answer =
            json!({ "returnCode": 951, "returnStatus": "REQUIRED_ID_DOCUMENT_MISSING", "errorSource": source });
        server.refuses("/api/clients", input, 400, answer).await;
    }
    store(server, ana(json!([licence, passport(json!({}))])), "version").await;
    // A stored client needs one with its next list.
    store(
        server,
        json!({ "client": with(other.clone(), json!({ "notes": "n" })) }),
        "version",
    )
    .await;
    refuse(
        server,
        CLIENT,
        json!({ "client": other, "idDocuments": [] }),
        "REQUIRED",
        &["idDocuments"],
    )
    .await;
    define_document_template(server, json!({ "templateId": "passport", "active": false })).await;
    store(server, names, "version").await;
}

async fn document_without_a_template_can_be_forbidden(server: &TestServer) {
    define_passport(server).await;
    let licence = json!({ "documentType": "Licence", "documentId": "1" });
    let documents = "encodedKey idDocuments { encodedKey documentType documentId }";
    let ana_with_licence = store(server, ana(json!([licence])), documents).await;
    let settings = Settings {
        clients: ClientSettings {
            other_id_documents: false,
            ..ClientSettings::default()
        },
        ..Settings::default()
    };
    let strict = server.another(settings).await;
    let place = ["idDocuments", "0", "templateKey"];
    refuse(&strict, CLIENT, ana(json!([licence])), "BLANK", &place).await;
    let source = "idDocuments[0].identificationDocumentTemplateKey: A document must name one of the templates by \
        identificationDocumentTemplateKey.";
    let answer = json!({ "returnCode": 952, "returnStatus": "ADDING_OTHER_ID_DOCUMENTS_IS_DISABLED",
        "errorSource": source });
    strict.refuses("/api/clients", legacy(&licence), 400, answer).await;
    store(&strict, ana(json!([passport(json!({}))])), "version").await;
    // A stored one can be sent back, and not changed.
    let key = json!({ "encodedKey": ana_with_licence["encodedKey"] });
    let stored = &ana_with_licence["idDocuments"];
    store(&strict, json!({ "client": key, "idDocuments": stored }), "version").await;
    let changed = json!([with(stored[0].clone(), json!({ "documentId": "2" }))]);
    refuse(
        &strict,
        CLIENT,
        json!({ "client": key, "idDocuments": changed }),
        "BLANK",
        &place,
    )
    .await;
    strict.stop().await;
}

async fn stored_document_stays_when_its_template_changes(server: &TestServer) {
    define_passport(server).await;
    let documents = "encodedKey idDocuments { encodedKey documentType documentId issuingAuthority templateKey }";
    let ana = store(server, ana(json!([passport(json!({}))])), documents).await;
    let change = json!({ "templateId": "passport", "documentType": "New", "pattern": "#", "active": false });
    define_document_template(server, change).await;
    let key = json!({ "encodedKey": ana["encodedKey"] });
    let back = |own: Value| json!({ "client": key, "idDocuments": [with(ana["idDocuments"][0].clone(), own)] });
    store(server, back(json!({})), "version").await;
    store(server, back(json!({ "validUntil": "2034-01-31" })), "version").await;
    let place = ["idDocuments", "0", "documentType"];
    refuse(server, CLIENT, back(json!({ "documentId": "1" })), "INVALID", &place).await;
    store(
        server,
        back(json!({ "documentId": "1", "documentType": "New" })),
        "version",
    )
    .await;
}

async fn blank_member_is_reported_once(server: &TestServer) {
    define_passport(server).await;
    for (document, member) in [
        (json!({ "documentId": "A12" }), "documentType"),
        (json!({ "documentType": "Passport", "documentId": "" }), "documentId"),
    ] {
        let document = with(document, json!({ "templateKey": "passportKey" }));
        let input = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "idDocuments": [document] });
        refuse(server, CLIENT, input, "BLANK", &["idDocuments", "0", member]).await;
    }
}
