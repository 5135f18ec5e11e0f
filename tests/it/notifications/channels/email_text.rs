//! The exact bytes of an e-mail.

use clientele::enums::{Channel, Provider};
use clientele::{delivery::channel::Outgoing, notify::Content};

use super::{by_email, now, outgoing};
use crate::harness::peers::{Mailing, SmtpPeer};

/// The received bytes of a message with this content.
async fn arrived(content: Content) -> String {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let message = Outgoing {
        content,
        ..outgoing("ines@example.test")
    };
    by_email(peer.settings())
        .send(Channel::Email, Provider::Primary, &message, now())
        .await;
    peer.message(0).await.data
}

fn content(subject: &str, text: &str) -> Content {
    Content {
        subject: subject.into(),
        text: text.into(),
        html: None,
    }
}

fn wire(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

#[tokio::test]
async fn text_is_one_part() {
    assert_eq!(
        arrived(content("Welcome", "Dear Ines,\n.\nyours")).await,
        wire(&[
            "Message-ID: <0193a5c0-17@bank.test>",
            "Date: Sun, 22 Nov 2026 12:00:00 +0000",
            "From: Bank <service@bank.test>",
            "To: ines@example.test",
            "Subject: Welcome",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 7bit",
            "",
            "Dear Ines,",
            ".",
            "yours",
        ])
    );
}

#[tokio::test]
async fn text_and_html_are_alternatives_in_utf_8() {
    let content = Content {
        html: Some("<p>Grüße, Zoë</p>".into()),
        ..content("Grüße aus Zürich – 你好", "Grüße, Zoë")
    };
    assert_eq!(
        arrived(content).await,
        wire(&[
            "Message-ID: <0193a5c0-17@bank.test>",
            "Date: Sun, 22 Nov 2026 12:00:00 +0000",
            "From: Bank <service@bank.test>",
            "To: ines@example.test",
            "Subject: =?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?b?WsO8cmljaCDigJMg5L2g5aW9?=",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: multipart/alternative; boundary=\"_0193a5c0-17_\"",
            "",
            "--_0193a5c0-17_",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
            "",
            "R3LDvMOfZSwgWm/Dqw==",
            "--_0193a5c0-17_",
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            "<p>Gr=C3=BC=C3=9Fe, Zo=C3=AB</p>",
            "--_0193a5c0-17_--",
        ])
    );
}

#[tokio::test]
async fn subject_cannot_add_a_header() {
    for subject in [
        "Welcome Ines\r\nBcc: eve@evil.test",
        "Welcome Ines\nBcc: eve@evil.test",
        "Welcome Ines\rBcc: eve@evil.test",
        "Welcome Ines\r\n\r\nBcc: eve@evil.test",
        "Welcome Zoë\r\nBcc: eve@evil.test",
        "Welcome Ines\u{85}Bcc: eve@evil.test",
        "Welcome Ines\u{b}Bcc: eve@evil.test",
    ] {
        let data = arrived(content(subject, "Dear Ines")).await;
        let (head, body) = data.split_once("\r\n\r\n").expect("a head and a body");
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        assert_eq!(
            names,
            [
                "Message-ID",
                "Date",
                "From",
                "To",
                "Subject",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
            ],
            "{subject:?}"
        );
        assert_eq!(body, "Dear Ines\r\n");
    }
    let data = arrived(content("Welcome\r\nBcc: eve@evil.test\t!", "")).await;
    assert!(
        data.contains("\r\nSubject: Welcome  Bcc: eve@evil.test !\r\n"),
        "{data}"
    );
}

#[tokio::test]
async fn text_cannot_end_the_message_or_smuggle_another() {
    for text in [
        "a\r\n.\r\nMAIL FROM:<eve@evil.test>",
        "a\n.\nMAIL FROM:<eve@evil.test>",
        "a\r.\rMAIL FROM:<eve@evil.test>",
        "a\n.\rMAIL FROM:<eve@evil.test>",
        "a\r.\r\nMAIL FROM:<eve@evil.test>",
    ] {
        let data = arrived(content("Welcome", text)).await;
        let (_, body) = data.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(body, "a\r\n.\r\nMAIL FROM:<eve@evil.test>\r\n", "{text:?}");
    }
    let data = arrived(content("Welcome", "a\0b\u{1b}[31mc\td")).await;
    assert!(data.ends_with("\r\n\r\na b [31mc\td\r\n"), "{data:?}");
}

#[tokio::test]
async fn long_lines_are_folded() {
    let long = "A sentence that goes on. ".repeat(200);
    let data = arrived(content(&long, &long)).await;
    assert!(data.lines().all(|line| line.len() <= 998), "{data}");
    let data = arrived(content(&"Zoë ".repeat(200), &"Grüße ".repeat(400))).await;
    assert!(data.is_ascii() && data.lines().all(|line| line.len() <= 78), "{data}");
}

#[tokio::test]
async fn subject_has_bounded_length_and_no_encoded_word() {
    let data = arrived(content("=?utf-8?B?DQpCY2M6IGV2ZUBldmlsLnRlc3Q=?=", "")).await;
    let unfolded = data.replace("\r\n ", " ");
    assert!(
        unfolded.contains("Subject: = ?utf-8?B?DQpCY2M6IGV2ZUBldmlsLnRlc3Q= ?=\r\n"),
        "{data}"
    );
    let data = arrived(content(&"S".repeat(3_000), "")).await;
    assert!(data.lines().all(|line| line.len() <= 998), "{data}");
}
