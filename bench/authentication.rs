//! cargo bench --bench authentication -- DATABASE_URL [REQUESTS]
//!
//! Measures the cost of authentication with the cheapest query of a client: with a password, with an API token, with an
//! issued token and without authentication, in turns in one run. First without a socket but with all other layers, then
//! over a persistent connection. The database must be empty or from an earlier run.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::MaybeUndefined::{Undefined, Value};
use axum::{Router, body::Body, http::Request};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::Utc;
use clientele::{
    access::{CreateToken, UpsertUser},
    api::{
        self,
        authentication::{Authentication, AuthenticationSettings, Guard, JwtSettings},
        metrics::ApiMetrics,
    },
    caller::{Caller, Permission},
    db::{Database, DatabaseSettings},
    secret::Secret,
    server::{HttpSettings, Server},
    services::Services,
};
use ring::hmac;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

const ROUNDS: usize = 31;
const PASSWORD: &str = "correct horse battery";
const ISSUER: &str = "https://issuer.test";
const SECRET: &str = "what the issuer signs its tokens with";
const QUERY: &str = r#"{"query":"{ client(by: { clientId: \"SEED00000000\" }) { firstName lastName state } }"}"#;
const ANSWER: &[u8] = br#"{"data":{"client":{"#;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let url = arguments.next();
    let url = url.expect("usage: cargo bench --bench authentication -- DATABASE_URL [REQUESTS]");
    let requests = arguments
        .next()
        .map_or(62_000, |number| number.parse().expect("a number"));
    let db = Database::connect(&url, &DatabaseSettings::default()).await;
    let db = db.expect("the database answers");
    db.migrate().await.expect("migrations run");
    let services = Services::new(db, Default::default());
    services
        .clients
        .seed(1, std::time::SystemTime::now().into(), |_| ())
        .await
        .expect("the database can be written");
    let (password, token) = credentials(&services).await;
    let doors = |authentication| {
        api::router(
            &services,
            api::Settings {
                authentication,
                ..Default::default()
            },
        )
    };
    let (asking, open) = (doors(Authentication::Required(guard())), doors(Authentication::Off));
    let ways = [
        ("authentication is off", &open, None),
        ("password", &asking, Some(password)),
        ("API token", &asking, Some(token)),
        ("issued token", &asking, Some(issued())),
    ];
    let callers = ways.iter().map(|(_, router, authorization)| Way::Direct {
        router: Router::clone(router),
        authorization: authorization.clone(),
    });
    report(
        "without a socket",
        ways.each_ref().map(|way| way.0),
        callers.collect(),
        requests,
    )
    .await;
    let mut callers = Vec::new();
    for (_, router, authorization) in &ways {
        callers.push(Way::connect(Router::clone(router), authorization.as_deref()).await);
    }
    report("over a socket", ways.each_ref().map(|way| way.0), callers, requests).await;
}

/// Runs all variants in turns, and prints the median of each.
async fn report<const N: usize>(how: &str, names: [&str; N], mut ways: Vec<Way>, requests: usize) {
    let mut times = [(); N].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        for turn in 0..N {
            let which = (round + turn) % N;
            let begun = Instant::now();
            for _ in 0..requests / ROUNDS {
                ways[which].ask().await;
            }
            // The first round is a warm-up.
            if round > 0 {
                times[which].push(begun.elapsed().as_secs_f64());
            }
        }
    }
    let each = (requests / ROUNDS) as f64;
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] * 1e6 / each
    });
    println!("{how}:");
    for (name, median) in names.iter().zip(medians) {
        println!("{name:<16} {median:7.1} µs a request, ratio {:.3}", median / medians[0]);
    }
}

/// A way to send the same request repeatedly.
enum Way {
    Direct {
        router: Router,
        authorization: Option<String>,
    },
    Connected {
        stream: TcpStream,
        request: String,
        answer: Vec<u8>,
    },
}

impl Way {
    /// Connects to a server of its own.
    async fn connect(router: Router, authorization: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).await;
        let stream = stream.expect("connected");
        stream.set_nodelay(true).expect("a socket");
        let server = Server::new(&HttpSettings::default(), ApiMetrics::default()).expect("valid settings");
        tokio::spawn(server.serve(listener, router, pending(), Duration::ZERO));
        let authorization = authorization.map_or(String::new(), |value| format!("authorization: {value}\r\n"));
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{authorization}\r\n{QUERY}",
            QUERY.len()
        );
        Self::Connected {
            stream,
            request,
            answer: Vec::new(),
        }
    }

    async fn ask(&mut self) {
        match self {
            Self::Direct { router, authorization } => {
                let mut request = Request::post("/graphql").header("content-type", "application/json");
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization.as_str());
                }
                let request = request.body(Body::from(QUERY)).expect("a request");
                let answer = router.clone().oneshot(request).await.expect("an answer");
                assert_eq!(answer.status(), 200);
                let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
                assert!(body.starts_with(ANSWER), "{}", String::from_utf8_lossy(&body));
            }
            Self::Connected {
                stream,
                request,
                answer,
            } => {
                stream.write_all(request.as_bytes()).await.expect("sent");
                answer.clear();
                // The answer is short, and no other part of it ends like this.
                while !answer.ends_with(b"}}}") {
                    assert!(
                        stream.read_buf(answer).await.expect("received") > 0,
                        "the server hung up"
                    );
                }
                assert!(
                    answer.starts_with(b"HTTP/1.1 200 OK"),
                    "{}",
                    String::from_utf8_lossy(answer)
                );
                assert!(answer.windows(ANSWER.len()).any(|part| part == ANSWER));
            }
        }
    }
}

fn guard() -> Arc<Guard> {
    let settings = AuthenticationSettings {
        jwt: JwtSettings {
            issuer: ISSUER.to_owned(),
            audience: "clientele".to_owned(),
            algorithms: vec!["HS256".to_owned()],
            key: Secret::new(SECRET),
            ..JwtSettings::default()
        },
        ..AuthenticationSettings::default()
    };
    Guard::new(settings).expect("the settings can be meant")
}

/// The header of an issued token of usual length that may view clients for an hour.
#[expect(clippy::disallowed_methods, reason = "a measurement is a door")]
fn issued() -> String {
    let claims = json!({ "iss": ISSUER, "aud": "clientele", "sub": "svc-1", "exp": Utc::now().timestamp() + 3_600,
        "permissions": ["VIEW_CLIENT"], "jti": "0".repeat(36), "scope": "openid profile email".repeat(10) });
    let text =
        [json!({ "alg": "HS256", "typ": "JWT" }), claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = text.join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()));
    format!("Bearer {text}.{signature}")
}

/// The headers of a user and of a token that may view clients.
#[expect(clippy::disallowed_methods, reason = "a measurement is a door")]
async fn credentials(services: &Services) -> (String, String) {
    let (operator, now) = (Caller::operator(), Utc::now());
    let user = UpsertUser {
        name: "ana".to_owned(),
        password: Value(PASSWORD.to_owned()),
        active: None,
        permissions: Value(vec![Permission::ViewClient]),
        view_sets: Undefined,
        edit_sets: Undefined,
        branches: Undefined,
        centres: Undefined,
        role: Undefined,
        client_mutation_id: None,
    };
    let stored = services.accounts.upsert_user(&operator, &user, &(), now).await;
    stored.expect("the database can be written").expect("the user is sound");
    let token = CreateToken {
        name: "a measurement".to_owned(),
        permissions: vec![Permission::ViewClient],
        view_sets: None,
        edit_sets: None,
        branches: None,
        centres: None,
        role: None,
        expires_at: None,
        client_mutation_id: None,
    };
    let created = services.accounts.create_token(&operator, &token, now).await;
    let (_, text) = created
        .expect("the database can be written")
        .expect("the token is sound");
    let basic = BASE64_STANDARD.encode(format!("ana:{PASSWORD}"));
    (format!("Basic {basic}"), format!("Bearer {}", text.reveal()))
}
