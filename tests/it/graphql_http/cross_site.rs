//! Cross-site requests that browsers send without a preflight, to both APIs, and CORS for listed origins.

use clientele::api::{self, cors::CorsSettings};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Backend, Settings, TestServer, run};

const EVIL: &str = "https://evil.example";
const FRIEND: &str = "https://app.bank.test";
const WRITE: &str = concat!(
    r#"{"query":"mutation { upsertClient("#,
    r#"input: { client: { firstName: \"Amara\", lastName: \"Bellweather\" } }) { created } }"}"#
);
const READ: &str = r#"{"query":"{ clients { nodes { clientId } } }"}"#;
const AS_QUERY: &str = "/graphql?query=%7Bclients%7Bnodes%7BclientId%7D%7D%7D";
const AS_MUTATION: &str = "/graphql?query=mutation%7BupsertClient(input%3A%7Bclient%3A%7B\
     firstName%3A%22A%22%2ClastName%3A%22B%22%7D%7D)%7Bcreated%7D%7D";
const FORM: &str = "firstName=A&lastName=B";
const LEGACY: &str = r#"{"client":{"firstName":"Amara","lastName":"Bellweather"}}"#;

const REFUSED: &str =
    "A page of another site can't submit clients unless its origin is in the setting cors.allowed_origins.";

/// Method, path, content type, body, whether cross-site headers are sent, and the status of the refusal.
type Shape = (Method, &'static str, Option<&'static str>, &'static str, bool, u16);

fn shapes() -> Vec<Shape> {
    let json = Some("application/json");
    let form = Some("application/x-www-form-urlencoded");
    vec![
        (Method::POST, "/graphql", json, WRITE, true, 403),
        (Method::POST, "/graphql", json, READ, true, 403),
        (Method::POST, "/graphql", Some("text/plain"), WRITE, true, 403),
        (Method::POST, "/graphql", Some("text/plain"), WRITE, false, 415),
        (Method::POST, "/graphql", form, WRITE, false, 415),
        (
            Method::POST,
            "/graphql",
            Some("multipart/form-data; boundary=x"),
            WRITE,
            false,
            415,
        ),
        (Method::POST, "/graphql", None, WRITE, false, 415),
        (
            Method::POST,
            "/graphql",
            Some("application/json; charset=utf-16"),
            WRITE,
            false,
            415,
        ),
        (
            Method::POST,
            "/graphql",
            Some("text/plain; application/json"),
            WRITE,
            false,
            415,
        ),
        (Method::GET, AS_QUERY, None, "", true, 403),
        (Method::GET, AS_QUERY, Some("text/plain"), "", false, 415),
        (Method::GET, AS_MUTATION, None, "", false, 405),
        (Method::GET, AS_MUTATION, None, "", true, 403),
        (Method::HEAD, AS_MUTATION, None, "", false, 405),
        (Method::PUT, "/graphql", json, WRITE, false, 405),
        (Method::POST, "/api/clients", json, LEGACY, true, 403),
        (Method::POST, "/api/clients", form, FORM, true, 403),
        (Method::POST, "/api/clients", Some("text/plain"), LEGACY, true, 403),
        (Method::POST, "/api/clients?firstName=A&lastName=B", None, "", true, 403),
        (Method::POST, "/api/clients/a", json, LEGACY, true, 403),
    ]
}

fn request(server: &TestServer, (method, path, content_type, body, _, _): &Shape) -> RequestBuilder {
    let request = server.request(method.clone(), path).body(*body);
    match content_type {
        Some(content_type) => request.header("content-type", *content_type),
        None => request,
    }
}

on_both!(
    cross_site_requests_never_reach_a_resolver,
    cross_site_submissions_get_the_legacy_refusal,
    same_origin_pages_and_other_programs_can_submit,
);

async fn cross_site_requests_never_reach_a_resolver(server: &TestServer) {
    let before = server.snapshot().await;
    server.statements();
    for shape in shapes() {
        let (.., foreign, status) = &shape;
        let signs: &[(&str, &str)] = match foreign {
            true => &[
                ("origin", EVIL),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ],
            false => &[("accept", "*/*")],
        };
        for (name, value) in signs {
            for credentials in [None, Some("Basic YW5hOnNlY3JldA=="), Some("Bearer token")] {
                let request = request(server, &shape).header(*name, *value);
                let request = match credentials {
                    Some(credentials) => request
                        .header("authorization", credentials)
                        .header("cookie", "session=1"),
                    None => request,
                };
                let answer = server.send(request).await;
                assert_eq!(answer.status, *status, "{shape:?} {name}: {value}\n{}", answer.text);
                // The operator learns which setting lets the page in.
                assert_eq!(
                    *foreign,
                    answer.text.contains("cors.allowed_origins"),
                    "{}",
                    answer.text
                );
            }
        }
    }
    assert_eq!(server.statements(), Vec::<String>::new());
    assert_eq!(server.snapshot().await, before);
}

async fn cross_site_submissions_get_the_legacy_refusal(server: &TestServer) {
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
                    "errorSource": REFUSED,
                }),
            );
        }
    }
    assert_eq!(server.snapshot().await, before);
    let client = json!({ "client": { "id": "C-1", "firstName": "A", "lastName": "B" } });
    assert_eq!(server.post("/api/clients", client).await.status, 200);
    let before = server.snapshot().await;
    for (method, path, body) in [
        (
            Method::PATCH,
            "/api/clients/C-1",
            json!({ "client": { "firstName": "C" } }),
        ),
        (Method::DELETE, "/api/clients/C-1", Value::Null),
        (
            Method::PATCH,
            "/api/clients/C-1/custominformation",
            json!({ "customInformation": [] }),
        ),
        (
            Method::PATCH,
            "/api/clients/C-1/custominformation/f",
            json!({ "value": "x" }),
        ),
        (Method::DELETE, "/api/clients/C-1/custominformation/f", Value::Null),
        (Method::POST, "/api/clients/search", json!({ "filterConstraints": [] })),
    ] {
        let request = server.request(method, path).header("sec-fetch-site", "cross-site");
        server.send(request.json(&body)).await.is(
            403,
            json!({
                "returnCode": 15,
                "returnStatus": "INVALID_PERMISSIONS",
                "errorSource": REFUSED,
            }),
        );
    }
    assert_eq!(server.snapshot().await, before);
}

async fn same_origin_pages_and_other_programs_can_submit(server: &TestServer) {
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

async fn with_friend(scenario: impl AsyncFnOnce(&TestServer)) {
    let cors = CorsSettings {
        allowed_origins: vec![FRIEND.to_owned()],
        ..CorsSettings::default()
    };
    run(Backend::Sqlite, async |server| {
        let settings = Settings {
            doors: api::Settings {
                cors,
                ..api::Settings::default()
            },
            ..Settings::default()
        };
        let friendly = server.another(settings).await;
        scenario(&friendly).await;
        friendly.stop().await;
    })
    .await;
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().expect("a header is text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_succeeds_for_listed_origins_only() {
    with_friend(async |server| {
        for path in ["/graphql", "/api/clients"] {
            for (origin, allowed) in [
                (FRIEND, Some(FRIEND)),
                (EVIL, None),
                ("https://app.bank.test.evil.example", None),
                ("null", None),
            ] {
                let asking = server
                    .request(Method::OPTIONS, path)
                    .header("origin", origin)
                    .header("access-control-request-method", "POST")
                    .header("access-control-request-headers", "authorization,content-type");
                let answer = asking.send().await.expect("an answer");
                assert_eq!(answer.status(), 200);
                assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{origin}");
                assert_eq!(
                    header(&answer, "access-control-allow-methods"),
                    Some("GET,POST,PATCH,DELETE")
                );
                assert_eq!(header(&answer, "access-control-max-age"), Some("600"));
                assert_eq!(header(&answer, "access-control-allow-credentials"), None);
                assert!(header(&answer, "access-control-allow-headers").is_some());
                assert!(header(&answer, "vary").is_some_and(|names| names.contains("origin")));
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_headers_and_max_age_follow_the_settings() {
    run(Backend::Sqlite, async |server| {
        let cors = CorsSettings {
            allowed_origins: vec![FRIEND.to_owned()],
            allowed_headers: vec!["X-Tenant".to_owned(), "Authorization".to_owned()],
            max_age_seconds: 5,
        };
        let settings = Settings {
            doors: api::Settings {
                cors,
                ..api::Settings::default()
            },
            ..Settings::default()
        };
        let friendly = server.another(settings).await;
        let asking = friendly
            .request(Method::OPTIONS, "/graphql")
            .header("origin", FRIEND)
            .header("access-control-request-method", "POST");
        let answer = asking.send().await.expect("an answer");
        assert_eq!(header(&answer, "access-control-max-age"), Some("5"));
        assert_eq!(
            header(&answer, "access-control-allow-headers"),
            Some(
                "apikey,apollo-require-preflight,authorization,content-type,graphql-cost,graphql-require-preflight,\
                 idempotency-key,x-apollo-operation-name,x-tenant"
            )
        );
        friendly.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_origins_can_use_both_apis() {
    with_friend(async |server| {
        for (path, body) in [("/graphql", WRITE), ("/api/clients", LEGACY)] {
            let from = |origin: &str| {
                server
                    .request(Method::POST, path)
                    .header("origin", origin)
                    .header("sec-fetch-site", "cross-site")
                    .header("content-type", "application/json")
                    .body(body)
            };
            let answer = from(FRIEND).send().await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
                (200, Some(FRIEND))
            );
            assert!(header(&answer, "vary").is_some_and(|names| names.contains("origin")));
            let before = server.snapshot().await;
            let answer = from(EVIL).send().await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
                (403, None)
            );
            assert_eq!(server.snapshot().await, before);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listed_origins_can_send_and_read_every_used_header() {
    with_friend(async |server| {
        let sent = "apikey,apollo-require-preflight,apollographql-client-name,apollographql-client-version,\
                    authorization,content-type,graphql-cost,graphql-require-preflight,idempotency-key,traceparent,\
                    tracestate,x-apollo-operation-name,x-request-id";
        let asking = server
            .request(Method::OPTIONS, "/graphql")
            .header("origin", FRIEND)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", sent);
        let answer = asking.send().await.expect("an answer");
        assert_eq!(header(&answer, "access-control-allow-headers"), Some(sent));
        let asking = server
            .request(Method::GET, "/graphql?query={__typename}")
            .header("origin", FRIEND);
        let answer = asking.send().await.expect("an answer");
        assert_eq!(
            header(&answer, "access-control-expose-headers"),
            Some("allow,retry-after,www-authenticate,ratelimit,ratelimit-policy,x-request-id")
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_origin_is_allowed_without_a_list() {
    run(Backend::Sqlite, async |server| {
        let asking = server.request(Method::OPTIONS, "/graphql").header("origin", FRIEND);
        let answer = asking
            .header("access-control-request-method", "POST")
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
            (405, None)
        );
    })
    .await;
}
