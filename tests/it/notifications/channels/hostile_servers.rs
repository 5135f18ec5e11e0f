//! Mail servers and interceptors that violate the protocol.

use clientele::delivery::channel::{Failure, Outcome};
use clientele::delivery::settings::{EmailSettings, EmailTransport, Encryption};
use clientele::enums::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{by_email, down, email};

/// A server that sends each of these replies in turn, after any command, and then `more` without end.
async fn server(says: Vec<&'static str>, more: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut ignored = [0; 4096];
        for (at, line) in says.iter().enumerate() {
            if at > 0 && stream.read(&mut ignored).await.is_ok_and(|read| read == 0) {
                return;
            }
            let _ = stream.write_all(line.as_bytes()).await;
        }
        while !more.is_empty() && stream.write_all(more.as_bytes()).await.is_ok() {}
        // Until the other side hangs up.
        while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    });
    port
}

fn settings(port: u16, encryption: Encryption) -> EmailSettings {
    EmailSettings {
        transport: EmailTransport::Smtp,
        from: "service@bank.test".into(),
        host: "127.0.0.1".into(),
        port: Some(port),
        encryption,
        timeout_seconds: 5,
        ..EmailSettings::default()
    }
}

#[tokio::test]
async fn replies_before_the_encryption_are_discarded() {
    // An attacker on the path appends replies to the STARTTLS reply.
    let injected = "220 go\r\n250 hello\r\n250 sender\r\n250 recipient\r\n354 go on\r\n250 accepted\r\n";
    let port = server(vec!["220 hello\r\n", "250-hello\r\n250 STARTTLS\r\n", injected], "").await;
    let outcome = email(&by_email(settings(port, Encryption::Starttls))).await;
    let Outcome::Deferred {
        failure: Failure { reason, .. },
        provider_down,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((reason, provider_down), (Reason::Tls, true));
}

#[tokio::test]
async fn endless_reply_is_not_waited_for() {
    let line = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (says, more) in [
        (vec!["220 "], line),
        (vec!["220 hello\r\n", "250-hello\r\n"], "250-a\r\n"),
    ] {
        let port = server(says, more).await;
        let outcome = email(&by_email(settings(port, Encryption::None))).await;
        assert_eq!(outcome, down(Reason::Connection, "the answer is too long"));
    }
}
