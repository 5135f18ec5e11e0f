//! More requests than the server takes on at once.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use clientele::server::HttpSettings;
use tokio::{io::AsyncWriteExt, sync::Semaphore};

use super::{connect, exchange, header, parse, rest, serve};

fn ask(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Ends when it is let.
fn waiting(begun: &Arc<Semaphore>, may_end: &Arc<Semaphore>) -> Router {
    let (begun, may_end) = (begun.clone(), may_end.clone());
    let wait = async move || {
        begun.add_permits(1);
        may_end.acquire().await.expect("open").forget();
        "done"
    };
    Router::new()
        .route("/wait", get(wait))
        .route("/health/live", get(async || "live"))
}

#[tokio::test]
async fn a_request_too_many_is_refused_at_once_in_the_form_of_its_door() {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let address = serve(settings, waiting(&begun, &may_end)).await;
    let first = tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();

    let sentence = "The server has more to do than it can. Try again shortly.";
    for (path, start) in [
        (
            "/api/clients",
            format!("{{\"returnCode\":6,\"returnStatus\":\"INTERNAL_ERROR\",\"errorSource\":\"{sentence}\"}}"),
        ),
        (
            "/graphql",
            format!(
                "{{\"errors\":[{{\"message\":\"{sentence}\",\"extensions\":{{\"code\":\"UNAVAILABLE\",\"requestId\":\""
            ),
        ),
        ("/wait", format!("{sentence}\n")),
    ] {
        let mut stream = connect(address).await;
        stream.write_all(&ask(path)).await.expect("sent");
        let answer = rest(&mut stream).await;
        let (status, body) = parse(&answer);
        assert_eq!(status, "503 Service Unavailable");
        assert_eq!(header(&answer, "retry-after"), Some("1"), "{path}");
        assert!(body.starts_with(&start), "{path}: {body}");
    }
    let (status, _) = exchange(address, &ask("/health/live")).await;
    assert_eq!(status, "200 OK");
    may_end.add_permits(1);
    assert_eq!(first.await.expect("ended").1, "done");
}

#[tokio::test]
async fn a_few_wait_for_a_moment() {
    let settings = HttpSettings {
        requests: 1,
        queue: 1,
        queue_timeout: Duration::from_secs(60),
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let address = serve(settings, waiting(&begun, &may_end)).await;
    let ask_one = || tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    // One runs, one waits, and whichever comes third is refused.
    let mut all: Vec<_> = (0..3).map(|_| ask_one()).collect();
    let (refused, _, others) = futures_util::future::select_all(all.drain(..)).await;
    assert_eq!(refused.expect("ended").0, "503 Service Unavailable");
    may_end.add_permits(2);
    for other in others {
        assert_eq!(other.await.expect("ended").1, "done");
    }
}
