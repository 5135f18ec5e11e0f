//! cargo bench --bench authentication -- DATABASE_URL [REQUESTS]
//!
//! What it costs to find out who is calling: the cheapest query of a client, with a password, with an API token and on a
//! server that asks nobody, in turns in one run. Everything but the socket takes part. The database must be empty or of an
//! earlier run.

use std::{sync::Arc, time::Instant};

use async_graphql::MaybeUndefined::{Undefined, Value};
use axum::{Router, body::Body, http::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::Utc;
use clientele::{
    Clientele,
    access::{Caller, CreateToken, Permission, UpsertUser, create_token, upsert_user},
    api::{
        self,
        authentication::{Authentication, AuthenticationSettings, Guard},
    },
    db::{Database, DatabaseSettings},
};
use tower::ServiceExt;

const ROUNDS: usize = 31;
const PASSWORD: &str = "correct horse battery";
const QUERY: &str = r#"{"query":"{ client(by: { clientId: \"SEED00000000\" }) { firstName lastName state } }"}"#;

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
    let clientele = Arc::new(Clientele::new(db, Default::default()));
    clientele
        .seed(1, std::time::SystemTime::now().into(), |_| ())
        .await
        .expect("the database can be written");
    let (password, token) = credentials(&clientele).await;
    let guard = Guard::new(AuthenticationSettings::default()).expect("the settings can be meant");
    let doors = |authentication| {
        api::router(
            clientele.clone(),
            api::Settings {
                authentication,
                ..Default::default()
            },
        )
    };
    let (asking, open) = (doors(Authentication::Required(guard)), doors(Authentication::Off));
    let ways = [
        ("nobody is asked", &open, None),
        ("password", &asking, Some(password)),
        ("API token", &asking, Some(token)),
    ];
    let mut times = ways.each_ref().map(|_| Vec::new());
    for round in 0..=ROUNDS {
        for turn in 0..ways.len() {
            let which = (round + turn) % ways.len();
            let (_, router, authorization) = &ways[which];
            let begun = Instant::now();
            for _ in 0..requests / ROUNDS {
                ask(router, authorization.as_deref()).await;
            }
            // Nothing is measured of what is done for the first time.
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
    for ((name, ..), median) in ways.iter().zip(medians) {
        println!("{name:<16} {median:7.1} µs a request, ratio {:.3}", median / medians[0]);
    }
}

async fn ask(router: &Router, authorization: Option<&str>) {
    let mut request = Request::post("/graphql").header("content-type", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let request = request.body(Body::from(QUERY)).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    assert!(
        body.starts_with(br#"{"data":{"client":{"#),
        "{}",
        String::from_utf8_lossy(&body)
    );
}

/// The headers of a user and of a token that may see clients.
#[expect(clippy::disallowed_methods, reason = "a measurement is a door")]
async fn credentials(clientele: &Clientele) -> (String, String) {
    let (operator, now) = (Caller::operator(), Utc::now());
    let user = UpsertUser {
        name: "ana".to_owned(),
        password: Value(PASSWORD.to_owned()),
        active: None,
        permissions: Value(vec![Permission::ViewClient]),
        view_sets: Undefined,
        edit_sets: Undefined,
        role: Undefined,
        client_mutation_id: None,
    };
    let stored = upsert_user(clientele, &operator, &user, now).await;
    stored.expect("the database can be written").expect("the user is sound");
    let token = CreateToken {
        name: "a measurement".to_owned(),
        permissions: vec![Permission::ViewClient],
        view_sets: None,
        edit_sets: None,
        role: None,
        expires_at: None,
        client_mutation_id: None,
    };
    let created = create_token(clientele, &operator, &token, now).await;
    let (_, text) = created
        .expect("the database can be written")
        .expect("the token is sound");
    let basic = BASE64_STANDARD.encode(format!("ana:{PASSWORD}"));
    (format!("Basic {basic}"), format!("Bearer {}", text.reveal()))
}
