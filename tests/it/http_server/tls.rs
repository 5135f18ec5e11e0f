//! TLS, and a certificate that changes while the server runs.

use std::{fs, future::pending, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use clientele::api::metrics::ApiMetrics;
use clientele::server::{HttpSettings, Server};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{connect, header, reading, rest, serve};
use crate::harness::{
    peers::Certificate,
    program::{self, clientele},
};

struct Secured {
    folder: TempDir,
    address: SocketAddr,
}

fn write(folder: &TempDir, certificate: &str, key: &str) {
    fs::write(folder.path().join("server.pem"), certificate).expect("written");
    fs::write(folder.path().join("server.key"), key).expect("written");
}

fn settings(folder: &TempDir) -> HttpSettings {
    HttpSettings {
        certificate_file: Some(folder.path().join("server.pem")),
        key_file: Some(folder.path().join("server.key")),
        certificate_poll: Duration::from_millis(10),
        handshake_timeout: Duration::from_millis(200),
        ..HttpSettings::default()
    }
}

async fn secured(certificate: &Certificate) -> Secured {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder, certificate.pem(), certificate.key_pem());
    let (address, _net) = serve(settings(&folder), reading()).await;
    Secured { folder, address }
}

/// A connection that trusts only the authority of `certificate`.
async fn trusting(
    address: SocketAddr,
    certificate: &Certificate,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(certificate.authority()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, connect(address).await)
        .await
}

#[tokio::test]
async fn server_with_a_certificate_speaks_only_tls() {
    let certificate = Certificate::new();
    let Secured {
        address,
        folder: _folder,
    } = secured(&certificate).await;

    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = trusting(address, &certificate, offered).await.expect("trusted");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    let mut stream = trusting(address, &certificate, &[]).await.expect("trusted");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(header(&answer, "strict-transport-security"), Some("max-age=63072000"));

    let mut plain = connect(address).await;
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("sent");
    assert!(!rest_bytes(&mut plain).await.starts_with(b"HTTP"));
    // A connection without encryption is closed.
    assert_eq!(rest(&mut connect(address).await).await, "");
}

async fn rest_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn new_certificate_is_loaded_and_a_broken_one_is_not() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let Secured { address, folder } = secured(&old).await;
    assert!(trusting(address, &new, &[]).await.is_err());

    for (certificate, key) in [("no PEM", old.key_pem()), (new.pem(), old.key_pem()), ("", "")] {
        write(&folder, certificate, key);
        // The server checks the files several times meanwhile.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            trusting(address, &old, &[]).await.is_ok(),
            "what can't be used changes nothing"
        );
    }
    write(&folder, new.pem(), new.key_pem());
    wait_until_served(address, &new).await;
    assert!(trusting(address, &old, &[]).await.is_err());
}

/// Returns when new connections get this certificate.
async fn wait_until_served(address: SocketAddr, certificate: &Certificate) {
    tokio::time::timeout(super::PATIENCE, async {
        while trusting(address, certificate, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the new certificate is served");
}

/// The event names the settings and not the files.
#[test]
fn certificate_that_is_not_replaced_is_logged_with_the_cause() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder, one.pem(), one.key_pem());
    let files = ["certificate_file=server.pem", "key_file=server.key"];
    let settings = files.map(|file| format!("--set=http.{file}"));
    let arguments = [
        &["--listen", "127.0.0.1:0", "--set=http.certificate_poll_seconds=1"][..],
        &settings.each_ref().map(String::as_str),
    ];
    let environment = [("CLIENTELE_LOG__FORMAT", "json")];
    let mut server = clientele(&folder, &arguments.concat(), &environment)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = server.stderr.take().expect("piped");
    program::Server::event(&mut log, "listening");
    let mut cause = || {
        let (_, event) = program::Server::event(&mut log, "the certificate was not replaced");
        event["cause"].as_str().expect("a text").to_owned()
    };
    fs::write(folder.path().join("server.key"), other.key_pem()).expect("written");
    assert_eq!(
        cause(),
        "the key in http.key_file can't be used with the certificate in http.certificate_file"
    );
    fs::remove_file(folder.path().join("server.pem")).expect("removed");
    assert_eq!(
        cause(),
        "can't read http.certificate_file: No such file or directory (os error 2)"
    );
    server.kill().expect("killed");
    server.wait().expect("ended");
}

/// Migrations lie between reading the files and serving, and may take long.
#[tokio::test]
async fn certificate_changed_during_the_start_is_loaded() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder, old.pem(), old.key_pem());
    let server = Server::new(&settings(&folder), ApiMetrics::default()).expect("valid settings");
    write(&folder, new.pem(), new.key_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(server.serve(listener, reading(), pending(), Duration::ZERO));
    wait_until_served(address, &new).await;
    assert!(trusting(address, &old, &[]).await.is_err());
    serving.abort();
}

#[tokio::test]
async fn slow_handshake_is_cut_off() {
    let certificate = Certificate::new();
    let Secured {
        address,
        folder: _folder,
    } = secured(&certificate).await;
    // The start of a ClientHello of 500 bytes.
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let mut stream = connect(address).await;
    let (mut reading, mut writing) = stream.split();
    let mut answer = [0; 64];
    let begun = std::time::Instant::now();
    tokio::select! {
        read = reading.read(&mut answer) => assert!(!matches!(read, Ok(1..)), "nothing is answered"),
        () = async {
            for byte in hello.iter().chain(std::iter::repeat(&0)) {
                // Each byte arrives well within the timeout of one read.
                let _ = writing.write_all(&[*byte]).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    assert!(begun.elapsed() >= Duration::from_millis(200), "the handshake's time");
    assert!(begun.elapsed() < super::PATIENCE);
}

#[test]
fn unusable_certificate_stops_the_start_with_a_reason() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let folder = tempfile::tempdir().expect("a folder");
    for (certificate, key, sentence) in [
        ("", one.key_pem(), "FOLDER/server.pem holds no certificate in PEM"),
        (one.pem(), "", "FOLDER/server.key holds no private key in PEM"),
        (
            one.pem(),
            other.key_pem(),
            "the key in FOLDER/server.key can't be used with the certificate in FOLDER/server.pem",
        ),
    ] {
        write(&folder, certificate, key);
        let error = Server::new(&settings(&folder), ApiMetrics::default())
            .expect_err(sentence)
            .to_string();
        assert_eq!(error.replace(&folder.path().display().to_string(), "FOLDER"), sentence);
    }
}
