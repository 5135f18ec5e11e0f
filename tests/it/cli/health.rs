//! `clientele health`: the health check of a container, which has no other program to ask the server with.

use std::{fs, net::TcpListener};

use crate::harness::{
    peers::Certificate,
    program::{Server, clientele, directory, run},
};

/// The outcome of the check for a server that was started with these settings.
fn check(listen: &str, environment: &[(&str, &str)]) -> (String, String, Option<i32>) {
    run(&["health", "--listen", listen], environment)
}

fn failure(sentence: String, code: i32) -> (String, String, Option<i32>) {
    (String::new(), format!("clientele: {sentence}\n"), Some(code))
}

#[test]
fn health_tells_a_ready_server_from_a_stopping_one() {
    let server = Server::start(&[("CLIENTELE_SHUTDOWN_DELAY_SECONDS", "600")]);
    let listen = server.address.strip_prefix("http://").expect("no TLS").to_owned();
    let ready = ("ready\n".to_owned(), String::new(), Some(0));
    assert_eq!(check(&listen, &[]), ready);
    // A server in a container listens on all addresses.
    let everywhere = listen.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(check(&everywhere, &[]), ready);
    server.signal("TERM");
    // Signals are handled in turn with requests: the check is repeated until the server has noticed.
    let noticed = std::iter::repeat_with(|| check(&listen, &[])).find(|outcome| *outcome != ready);
    let stopping = failure(format!("http://{listen} isn't ready: stopping"), 1);
    assert_eq!(noticed, Some(stopping));
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
}

#[test]
fn health_of_a_server_with_tls_needs_no_name_in_its_certificate() {
    let (files, certificate) = (directory(), Certificate::new());
    let path = |name: &str| files.path().join(name).display().to_string();
    fs::write(path("server.pem"), certificate.pem()).expect("written");
    fs::write(path("server.key"), certificate.key_pem()).expect("written");
    let (chain, key) = (path("server.pem"), path("server.key"));
    let settings = [
        ("CLIENTELE_HTTP__CERTIFICATE_FILE", chain.as_str()),
        ("CLIENTELE_HTTP__KEY_FILE", key.as_str()),
    ];
    let server = Server::start(&settings);
    let listen = server.address.strip_prefix("https://").expect("TLS");
    assert_eq!(check(listen, &settings), ("ready\n".to_owned(), String::new(), Some(0)));
    // Without the settings of the server, the check speaks the wrong protocol.
    let (printed, reason, code) = check(listen, &[]);
    assert_eq!((printed.as_str(), code), ("", Some(1)));
    let expected = format!("clientele: http://{listen} doesn't answer: ");
    assert!(reason.starts_with(&expected), "{reason}");
}

#[test]
fn health_without_a_server_fails_with_a_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let refused = format!(
        "http://{free} doesn't answer: Connection refused (os error 111); is the server running at this address?"
    );
    assert_eq!(check(&free, &[]), failure(refused, 1));
    assert_eq!(
        check("127.0.0.1:0", &[]),
        failure(
            "the port of the server isn't known: set listen to the address that the server has printed".to_owned(),
            2
        )
    );
    assert_eq!(
        check("nowhere.invalid:80", &[]),
        failure(
            "can't reach nowhere.invalid:80: the host name nowhere.invalid can't be resolved: check it, and the name \
             service"
                .to_owned(),
            1
        )
    );
    // It creates no database.
    let directory = directory();
    let outcome = clientele(&directory, &["health", "--listen", &free], &[]).output();
    assert_eq!(outcome.expect("the program starts").status.code(), Some(1));
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
}
