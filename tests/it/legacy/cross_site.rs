//! What another site's page can send without asking: it is refused before anything is read.

use reqwest::Method;
use serde_json::json;

use crate::harness::TestServer;

on_both!(
    a_foreign_page_submits_nothing,
    a_page_of_this_site_and_what_is_no_browser_may_submit,
);

async fn a_foreign_page_submits_nothing(server: &TestServer) {
    let before = server.snapshot().await;
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for form in [false, true] {
            let request = server
                .request(Method::POST, "/api/clients?firstName=A&lastName=B")
                .header(header, value);
            let request = if form {
                request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body("middleName=C")
            } else {
                request
            };
            server.send(request).await.is(
                403,
                json!({
                    "returnCode": 15,
                    "returnStatus": "INVALID_PERMISSIONS",
                    "errorSource": "A page of another site can't submit clients.",
                }),
            );
        }
    }
    assert_eq!(server.snapshot().await, before);
}

async fn a_page_of_this_site_and_what_is_no_browser_may_submit(server: &TestServer) {
    let path = "/api/clients?firstName=A&lastName=B";
    for request in [
        server.request(Method::POST, path),
        server
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(server.send(request).await.status, 200);
    }
}
