//! Characters in texts of clients. Each refusal is a user error with the path of the text.

use clientele::definitions::Kind;
use serde_json::{Value, json};

use super::{create_trevor, upsert};
use crate::harness::{TestServer, field, graphql::refuse, with};

/// Characters that texts of one line must not contain.
pub const NOT_IN_A_LINE: [char; 5] = ['\0', '\n', '\t', '\u{1b}', '\u{9b}'];
/// Texts without a visible character.
pub const INVISIBLE: [&str; 8] = [
    " ", "\u{200b}", "\u{feff}", "\u{2060}", "\u{3164}", "\u{ad}", "\u{200e}", "\u{2800}",
];

const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    control_characters_in_client_texts_are_refused,
    invisible_names_of_clients_are_blank,
    reserved_and_padded_client_ids_are_refused,
);

async fn control_characters_in_client_texts_are_refused(server: &TestServer) {
    server.define(vec![field("shoe", Kind::Text)]).await;
    create_trevor(server).await;
    for character in NOT_IN_A_LINE {
        let text = format!("a{character}b");
        for name in [
            "firstName",
            "middleName",
            "lastName",
            "homePhone",
            "mobilePhone1",
            "mobilePhone2",
        ] {
            let client = with(json!({ "firstName": "A", "lastName": "B" }), json!({ name: text }));
            let input = json!({ "client": client });
            refuse(server, CLIENT, input, "INVALID_CHARACTER", &["client", name]).await;
        }
        let client = json!({ "firstName": "A", "lastName": "B" });
        let new = |own: Value| with(json!({ "client": client }), own);
        let id = json!({ "client": { "firstName": "A", "lastName": "B", "clientId": text } });
        refuse(server, CLIENT, id, "INVALID_CHARACTER", &["client", "clientId"]).await;
        for name in ["documentType", "documentId", "issuingAuthority"] {
            let document = with(json!({ "documentType": "P", "documentId": "1" }), json!({ name: text }));
            let input = new(json!({ "idDocuments": [document] }));
            refuse(server, CLIENT, input, "INVALID_CHARACTER", &["idDocuments", "0", name]).await;
        }
        for name in ["line1", "line2", "city", "region", "postcode", "country"] {
            let input = new(json!({ "addresses": [{ name: text }] }));
            refuse(server, CLIENT, input, "INVALID_CHARACTER", &["addresses", "0", name]).await;
        }
        let input = new(json!({ "customInformation": [{ "fieldId": "shoe", "value": text }] }));
        refuse(
            server,
            CLIENT,
            input,
            "INVALID_CHARACTER",
            &["customInformation", "0", "value"],
        )
        .await;
    }
    let input = json!({ "client": { "firstName": "A", "lastName": "B", "notes": "a\r\n\tb" } });
    assert_eq!(
        upsert(server, input).await.body["data"]["upsertClient"]["client"]["notes"],
        "a\r\n\tb"
    );
    for notes in ["a\u{1b}b", "a\0b"] {
        let input = json!({ "client": { "firstName": "A", "lastName": "B", "notes": notes } });
        refuse(server, CLIENT, input, "INVALID_CHARACTER", &["client", "notes"]).await;
    }
}

async fn invisible_names_of_clients_are_blank(server: &TestServer) {
    for blank in INVISIBLE {
        for name in ["firstName", "lastName"] {
            let client = with(json!({ "firstName": "A", "lastName": "B" }), json!({ name: blank }));
            refuse(server, CLIENT, json!({ "client": client }), "BLANK", &["client", name]).await;
        }
        let client = json!({ "firstName": "A", "lastName": "B", "clientId": blank });
        for match_on in ["ENCODED_KEY", "CLIENT_ID"] {
            let input = json!({ "client": client, "matchOn": match_on });
            refuse(server, CLIENT, input, "BLANK", &["client", "clientId"]).await;
        }
    }
}

async fn reserved_and_padded_client_ids_are_refused(server: &TestServer) {
    for (id, code) in [
        (".", "TAKEN"),
        ("..", "TAKEN"),
        ("search", "TAKEN"),
        (" a", "INVALID"),
        ("a\u{200b}", "INVALID"),
    ] {
        let input = json!({ "client": { "firstName": "A", "lastName": "B", "clientId": id } });
        refuse(server, CLIENT, input, code, &["client", "clientId"]).await;
    }
}
