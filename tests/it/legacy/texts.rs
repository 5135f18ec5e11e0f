//! Texts: allowed characters, blank names, client ids and e-mail addresses.

use clientele::definitions::Kind;
use serde_json::{Value, json};

use super::{CLIENTS, FIRST, create, create_trevor, merged, refusal};
use crate::harness::{TestServer, field};

const CLIENT_TEXTS: [&str; 6] = [
    "firstName",
    "lastName",
    "middleName",
    "homePhone",
    "mobilePhone1",
    "mobilePhone2",
];
const DOCUMENT_TEXTS: [&str; 3] = ["documentType", "documentId", "issuingAuthority"];
const ADDRESS_TEXTS: [&str; 6] = ["line1", "line2", "city", "region", "postcode", "country"];
/// C0 with NUL, tab and line breaks; DEL; and C1.
const NOT_IN_A_LINE: [char; 9] = ['\0', '\u{1}', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'];
/// Characters that are kept as they are sent: invisible ones, separators of lines, marks of the direction of writing.
const IN_A_LINE: &str = "a\u{a0}\u{ad}\u{200b}\u{200d}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\
                         \u{2066}\u{2800}\u{feff}\u{301}\u{e000}\u{10ffff}b";

/// A body for the first client with one text in one of its parts.
fn with(part: &str, name: &str, text: &str) -> Value {
    match part {
        "client" => json!({ "client": { name: text } }),
        "idDocuments" => {
            json!({ "idDocuments": [merged(json!({ "documentType": "a", "documentId": "b" }), json!({ name: text }))] })
        }
        part => json!({ part: [{ name: text }] }),
    }
}

fn texts() -> impl Iterator<Item = (&'static str, &'static str, u16, &'static str)> {
    let of = |part, code, status| move |name| (part, name, code, status);
    let client = CLIENT_TEXTS.into_iter().map(of("client", 3742, "INVALID_STRING_VALUE"));
    let documents = DOCUMENT_TEXTS
        .into_iter()
        .map(of("idDocuments", 950, "INVALID_ID_DOCUMENT"));
    client
        .chain(documents)
        .chain(ADDRESS_TEXTS.into_iter().map(of("addresses", 1150, "INVALID_ADDRESS")))
}

on_both!(
    control_character_in_a_line_is_refused,
    notes_may_have_line_breaks,
    only_long_custom_texts_may_have_line_breaks,
    name_of_invisible_characters_is_blank,
    client_id_must_fit_into_a_url,
    email_address_is_one_bare_address,
    accepted_text_comes_back_as_it_was_sent,
);

async fn control_character_in_a_line_is_refused(server: &TestServer) {
    create(server, json!({})).await;
    for (part, name, code, status) in texts() {
        for character in NOT_IN_A_LINE {
            let number = u32::from(character);
            let place = if part == "client" {
                format!("client.{name}")
            } else {
                format!("{part}[0].{name}")
            };
            let source = format!("{place}: {name} must not contain the character U+{number:04X}.");
            let body = with(part, name, &format!("a{character}b"));
            server.refuses(FIRST, body, 400, refusal(code, status, &source)).await;
        }
        let answer = server.post(FIRST, with(part, name, IN_A_LINE)).await;
        let stored = answer.body[part].get(0).unwrap_or(&answer.body[part]);
        assert_eq!(
            (answer.status, &stored[name]),
            (200, &json!(IN_A_LINE)),
            "{part} {name} {}",
            answer.text
        );
    }
    let source = "client.assignedUserKey: assignedUserKey must not contain the character U+000A.";
    let body = json!({ "client": { "assignedUserKey": "u1\n" } });
    server
        .refuses(FIRST, body, 400, refusal(3742, "INVALID_STRING_VALUE", source))
        .await;
    let source = "client.emailAddress: emailAddress must not contain the character U+0000.";
    let body = json!({ "client": { "emailAddress": "a\0b" } });
    server
        .refuses(FIRST, body, 400, refusal(3742, "INVALID_STRING_VALUE", source))
        .await;
}

async fn notes_may_have_line_breaks(server: &TestServer) {
    create(server, json!({})).await;
    let notes = format!("one\r\ntwo\n\tthree\rfour\u{2028}{IN_A_LINE}");
    let answer = server.post(FIRST, with("client", "notes", &notes)).await;
    assert_eq!(answer.body["client"]["notes"], json!(notes), "{}", answer.text);
    for character in ['\0', '\u{1}', '\u{b}', '\u{c}', '\u{1b}', '\u{7f}', '\u{85}'] {
        let number = u32::from(character);
        let source = format!("client.notes: notes must not contain the character U+{number:04X}.");
        let body = with("client", "notes", &format!("a{character}b"));
        server
            .refuses(FIRST, body, 400, refusal(3742, "INVALID_STRING_VALUE", &source))
            .await;
    }
}

async fn only_long_custom_texts_may_have_line_breaks(server: &TestServer) {
    server
        .define(vec![
            field("short", Kind::Text),
            field("long", Kind::LongText),
            field("number", Kind::Number),
        ])
        .await;
    create(server, json!({})).await;
    let of = |id: &str, value: &str| json!({ "customInformation": [{ "customFieldID": id, "value": value }] });
    for character in NOT_IN_A_LINE {
        let source = format!(
            "customInformation[0].value: The field short must not contain the character U+{:04X}.",
            u32::from(character)
        );
        let refused = refusal(3742, "INVALID_STRING_VALUE", &source);
        server
            .refuses(FIRST, of("short", &format!("a{character}b")), 400, refused)
            .await;
    }
    let answer = server.post(FIRST, of("long", "a\r\n\tb\u{2028}c")).await;
    assert_eq!(
        answer.body["customInformation"][0]["value"], "a\r\n\tb\u{2028}c",
        "{}",
        answer.text
    );
    let source = "customInformation[0].value: The field long must not contain the character U+001B.";
    server
        .refuses(
            FIRST,
            of("long", "a\u{1b}b"),
            400,
            refusal(3742, "INVALID_STRING_VALUE", source),
        )
        .await;
    // A value of another type has another form altogether.
    let source = "customInformation[0].value: The field number takes a decimal number of up to 30 digits.";
    server
        .refuses(
            FIRST,
            of("number", "1\n"),
            400,
            refusal(901, "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE", source),
        )
        .await;
}

async fn name_of_invisible_characters_is_blank(server: &TestServer) {
    create(server, json!({})).await;
    for invisible in [
        " ",
        "\u{a0}",
        "\u{3000}",
        "\u{200b}",
        "\u{feff}",
        "\u{2060}",
        "\u{3164}",
        "\u{ad}",
        "\u{200e}",
        "\u{2800}",
        "\u{34f}",
        "\u{61c}",
        "\u{115f}",
        "\u{180e}",
        "\u{202e}",
        "\u{fe0f}",
        "\u{ffa0}",
        "\u{e0020}",
        " \u{200b}\u{2800} ",
    ] {
        for name in ["firstName", "lastName"] {
            let source = format!("client.{name}: {name} is required and must not be blank.");
            server
                .refuses(
                    FIRST,
                    with("client", name, invisible),
                    400,
                    refusal(4, "INVALID_PARAMETERS", &source),
                )
                .await;
        }
        for name in ["documentType", "documentId"] {
            let source = format!("idDocuments[0].{name}: {name} is required and must not be blank.");
            server
                .refuses(
                    FIRST,
                    with("idDocuments", name, invisible),
                    400,
                    refusal(950, "INVALID_ID_DOCUMENT", &source),
                )
                .await;
        }
        let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": invisible } });
        let source = "client.id: id must not be blank: leave it out to have one generated.";
        server
            .refuses(CLIENTS, body, 400, refusal(4, "INVALID_PARAMETERS", source))
            .await;
    }
    let visible = server.post(FIRST, with("client", "firstName", "\u{200b}a")).await;
    assert_eq!(visible.body["client"]["firstName"], "\u{200b}a", "{}", visible.text);
}

async fn client_id_must_fit_into_a_url(server: &TestServer) {
    let with_id = |id: &str| json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": id } });
    for reserved in [".", "..", "search"] {
        let source =
            format!("client.id: The id {reserved} is reserved: choose another, or leave id out to have one generated.");
        server
            .refuses(
                CLIENTS,
                with_id(reserved),
                400,
                refusal(316, "CLIENT_ID_ALREADY_IN_USE", &source),
            )
            .await;
    }
    let source = "client.id: id must not begin or end with white space or an invisible character.";
    for at_end in [" a", "a ", "\u{a0}a", "a\u{200b}", "\u{feff}a"] {
        server
            .refuses(
                CLIENTS,
                with_id(at_end),
                400,
                refusal(3742, "INVALID_STRING_VALUE", source),
            )
            .await;
    }
    for character in NOT_IN_A_LINE {
        let source = format!(
            "client.id: id must not contain the character U+{:04X}.",
            u32::from(character)
        );
        let body = with_id(&format!("a{character}b"));
        server
            .refuses(CLIENTS, body, 400, refusal(3742, "INVALID_STRING_VALUE", &source))
            .await;
    }
    for (id, path) in [
        ("...", "..."),
        ("Search", "Search"),
        ("a b", "a%20b"),
        ("a/b?c#d%", "a%2Fb%3Fc%23d%25"),
        ("é", "%C3%A9"),
    ] {
        assert_eq!(server.post(CLIENTS, with_id(id)).await.status, 200, "{id}");
        let answer = server.get(&format!("/api/clients/{path}")).await;
        assert_eq!(
            (answer.status, &answer.body["id"]),
            (200, &json!(id)),
            "{}",
            answer.text
        );
    }
}

async fn email_address_is_one_bare_address(server: &TestServer) {
    create_trevor(server).await;
    let source = "client.emailAddress: emailAddress must be an address of the form name@example.com.";
    for wrong in [
        "Name <a@b.test>",
        "<a@b.test>",
        "a@localhost",
        "a@b.",
        "a@[192.0.2.1]",
        "a@192.0.2.1",
        "\"a b\"@c.test",
        "a@b!c.test",
        "a(b)@c.test",
        "a@b.test, c@d.test",
        " a@b.test",
        "a@b.test ",
        "a\u{200b}@b.test",
        "a@b\u{ad}.test",
    ] {
        server
            .refuses(
                FIRST,
                with("client", "emailAddress", wrong),
                400,
                refusal(711, "EMAIL_ADDRESS_FORMAT_IS_INVALID", source),
            )
            .await;
    }
    for broken in ["a@b.test\r\nBcc: c@d.test", "Na\r\nme <a@b.test>"] {
        let answer = server.post(FIRST, with("client", "emailAddress", broken)).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(711)),
            "{}",
            answer.text
        );
    }
    let long = format!("{}@{}.test", "n".repeat(64), format!("{}.", "d".repeat(60)).repeat(4));
    let answer = server.post(FIRST, with("client", "emailAddress", &long)).await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(3742)),
        "{}",
        answer.text
    );
    for right in [
        "a@b.test",
        "O'Brien+x@mail.example.test",
        "inés@example.test",
        "ines@bücher.test",
        "ines@xn--bcher-kva.test",
    ] {
        let answer = server.post(FIRST, with("client", "emailAddress", right)).await;
        assert_eq!(
            (answer.status, &answer.body["client"]["emailAddress"]),
            (200, &json!(right)),
            "{}",
            answer.text
        );
    }
}

/// Every character of Unicode: accepted and answered as it was sent, or refused and not stored.
async fn accepted_text_comes_back_as_it_was_sent(server: &TestServer) {
    create(server, json!({})).await;
    let (mut line, mut lines) = (Vec::new(), Vec::new());
    for character in '\0'..=char::MAX {
        if !character.is_control() {
            line.push(character);
        }
        if !character.is_control() || matches!(character, '\n' | '\r' | '\t') {
            lines.push(character);
        } else {
            let answer = server
                .post(FIRST, with("client", "notes", &character.to_string()))
                .await;
            assert_eq!(
                (answer.status, &answer.body["returnCode"]),
                (400, &json!(3742)),
                "{character:?}"
            );
        }
        if character.is_control() {
            let answer = server
                .post(FIRST, with("client", "middleName", &character.to_string()))
                .await;
            assert_eq!(
                (answer.status, &answer.body["returnCode"]),
                (400, &json!(3742)),
                "{character:?}"
            );
        }
    }
    for text in lines.chunks(65_535) {
        let text: String = text.iter().collect();
        let answer = server.post(FIRST, with("client", "notes", &text)).await;
        assert!(answer.body["client"]["notes"] == text, "{:?}", text.chars().next());
    }
    // As many at once as a list of documents takes; an x in front keeps a text from being blank.
    let texts: Vec<String> = line
        .chunks(254)
        .map(|text| ['x'].iter().chain(text).collect())
        .collect();
    for texts in texts.chunks(200) {
        let document = |text: &String| json!({ "documentType": "P", "documentId": text });
        let body = json!({ "idDocuments": texts.iter().map(document).collect::<Value>() });
        let answer = server.post(FIRST, body).await;
        for (document, text) in answer.body["idDocuments"]
            .as_array()
            .expect("documents")
            .iter()
            .zip(texts)
        {
            assert!(document["documentId"] == **text, "{:?}", text.chars().nth(1));
        }
        assert_eq!(answer.body["idDocuments"].as_array().map(Vec::len), Some(texts.len()));
    }
}
