//! Tokens of an issuer (JWT), with keys from a real server on loopback.

use std::sync::{Arc, Mutex};

use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use clientele::{
    api::authentication::{AuthenticationSettings, Guard, JwtSettings},
    secret::Secret,
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::credentials::now;
use crate::harness::{Backend, Settings, TestServer, with};

/// A key of the issuer; an empty name means none.
pub struct Key {
    id: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    pub fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key");
        Self {
            id: id.to_owned(),
            pair,
            random,
        }
    }

    pub fn public(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let key = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": BASE64.encode(x),
            "y": BASE64.encode(y) });
        self.named(key)
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = self.named(json!({ "alg": "ES256", "typ": "JWT" }));
        sealed(&header, claims, |text| {
            self.pair.sign(&self.random, text).expect("signed").as_ref().to_vec()
        })
    }

    fn named(&self, object: Value) -> Value {
        match self.id.as_str() {
            "" => object,
            id => with(object, json!({ "kid": id })),
        }
    }
}

pub fn sealed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims.to_string())
    );
    format!("{text}.{}", BASE64.encode(sign(text.as_bytes())))
}

pub fn claims(own: Value) -> Value {
    let now = now().timestamp();
    let valid = json!({ "iss": "https://issuer.test", "aud": ["clientele", "other"], "sub": "svc-1", "exp": now + 600,
        "nbf": now - 600, "permissions": ["VIEW_CLIENT", "VIEW_SET:facts", "EDIT_SET:*", "UNKNOWN"], "role": "batch" });
    with(valid, own)
}

/// The published keys, which a test can change; None: the endpoint fails.
pub type Published = Arc<Mutex<Option<Value>>>;

pub async fn issuer() -> (String, Published) {
    let published: Published = Arc::default();
    let shown = published.clone();
    let answer = async move || match &*shown.lock().expect("no panic") {
        Some(keys) => (StatusCode::OK, keys.to_string()),
        None => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let router = Router::new().route("/keys", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, published)
}

fn settings(jwks_url: &str, refresh: u64) -> Settings {
    Settings::authenticated(AuthenticationSettings {
        jwt: JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            jwks_url: jwks_url.to_owned(),
            role_claim: "role".to_owned(),
            jwks_refresh_seconds: refresh,
            jwks_pause_seconds: 0,
            ..JwtSettings::default()
        },
        ..AuthenticationSettings::default()
    })
}

pub async fn status(server: &TestServer, token: &str) -> u16 {
    server.as_bearer(token).get("/api/clients").await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jwt_is_accepted_only_when_every_claim_is_valid() {
    let (url, published) = issuer().await;
    let (key, stranger) = (Key::new("one"), Key::new("one"));
    *published.lock().expect("no panic") = Some(json!({ "keys": [key.public()] }));
    let server = TestServer::start(Backend::Sqlite, settings(&url, 600))
        .await
        .expect("SQLite");
    let query = "{ viewer { kind name role permissions viewSets editSets } }";
    server
        .as_bearer(key.sign(&claims(json!({}))))
        .graphql(query, json!({}))
        .await
        .data(json!({ "viewer": {
        "kind": "ISSUER", "name": "svc-1", "role": "batch", "permissions": ["VIEW_CLIENT"], "viewSets": ["facts"],
            "editSets": null } }));

    let now = now().timestamp();
    for (own, expected) in [
        (json!({}), 200),
        (json!({ "aud": "clientele" }), 200),
        (json!({ "exp": now - 10 }), 200),
        (json!({ "exp": now - 60 }), 401),
        (json!({ "exp": null }), 401),
        (json!({ "exp": "soon" }), 401),
        (json!({ "nbf": now + 10 }), 200),
        (json!({ "nbf": now + 60 }), 401),
        (json!({ "iss": "https://evil.test" }), 401),
        (json!({ "iss": null }), 401),
        (json!({ "iss": ["https://issuer.test"] }), 401),
        (json!({ "iss": ["https://issuer.test", "https://evil.test"] }), 401),
        (json!({ "aud": "other" }), 401),
        (json!({ "aud": null }), 401),
        (json!({ "sub": "" }), 401),
        (json!({ "permissions": "VIEW_CLIENT AUDIT" }), 200),
        (json!({ "permissions": null }), 403),
        (json!({ "permissions": 7 }), 403),
    ] {
        // Twice: the result is cached and must not be cached for another token.
        let token = key.sign(&claims(own.clone()));
        for _ in 0..2 {
            assert_eq!(status(&server, &token).await, expected, "{own}");
        }
    }

    let valid = claims(json!({}));
    let public = key.pair.public_key().as_ref().to_vec();
    let by_secret = |text: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), text)
            .as_ref()
            .to_vec()
    };
    let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "one" });
    for (what, token) in [
        ("another's key", stranger.sign(&valid)),
        ("an unknown key", Key::new("two").sign(&valid)),
        ("no signature", sealed(&header("none"), &valid, |_| Vec::new())),
        ("a secret that is public", sealed(&header("HS256"), &valid, by_secret)),
        ("another algorithm", sealed(&header("RS256"), &valid, by_secret)),
        (
            "a critical header",
            sealed(&with(header("ES256"), json!({ "crit": ["x"] })), &valid, |text| {
                key.pair.sign(&key.random, text).expect("signed").as_ref().to_vec()
            }),
        ),
    ] {
        assert_eq!(status(&server, &token).await, 401, "{what}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_keys_outlive_an_unreachable_issuer() {
    let (url, published) = issuer().await;
    let publish = |keys: &[&Key]| {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        *published.lock().expect("no panic") = Some(json!({ "keys": keys }));
    };
    let (old, new) = (Key::new("old"), Key::new("new"));
    let server = TestServer::start(Backend::Sqlite, settings(&url, 600))
        .await
        .expect("SQLite");
    let (by_old, by_new) = (old.sign(&claims(json!({}))), new.sign(&claims(json!({}))));
    assert_eq!(status(&server, &by_old).await, 503, "the issuer is dead from the start");
    publish(&[&old]);
    assert_eq!(status(&server, &by_old).await, 200, "it has come up");
    assert_eq!(status(&server, &by_new).await, 401);
    publish(&[&old, &new]);
    assert_eq!(
        (status(&server, &by_new).await, status(&server, &by_old).await),
        (200, 200),
        "a new key"
    );
    *published.lock().expect("no panic") = None;
    let again = new.sign(&claims(json!({ "jti": "2" })));
    assert_eq!(status(&server, &Key::new("third").sign(&claims(json!({})))).await, 503);
    assert_eq!(
        (status(&server, &by_old).await, status(&server, &again).await),
        (200, 200),
        "the issuer is dead"
    );
    publish(&[&new]);
    assert_eq!(status(&server, &Key::new("third").sign(&claims(json!({})))).await, 401);
    assert_eq!(
        (status(&server, &by_old).await, status(&server, &by_new).await),
        (401, 200),
        "a withdrawn key"
    );
    server.stop().await;
}

#[tokio::test]
async fn settings_that_would_accept_any_jwt_are_refused() {
    let of = |change: &dyn Fn(&mut JwtSettings)| {
        let mut jwt = JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            ..JwtSettings::default()
        };
        change(&mut jwt);
        let settings = AuthenticationSettings {
            jwt,
            ..AuthenticationSettings::default()
        };
        Guard::new(settings).map(|_| ())
    };
    let hs = |jwt: &mut JwtSettings, secret: &str| {
        jwt.algorithms = vec!["HS256".to_owned()];
        jwt.key = Secret::new(secret);
    };
    assert_eq!(of(&|jwt| hs(jwt, &"s".repeat(32))), Ok(()));
    assert_eq!(of(&|jwt| jwt.jwks_url = "https://issuer.test/keys".to_owned()), Ok(()));
    for (sentence, change) in [
        (
            "authentication.jwt needs either a jwks_url or a key",
            &(|_: &mut JwtSettings| {}) as &dyn Fn(&mut JwtSettings),
        ),
        (
            "authentication.jwt.audience is missing: a token must name this server as its audience",
            &|jwt| jwt.audience.clear(),
        ),
        ("authentication.jwt.key must have at least 32 bytes", &|jwt| {
            hs(jwt, "short")
        }),
        (
            "authentication.jwt.jwks_url must begin with https://, or with http:// for this machine only",
            &|jwt| jwt.jwks_url = "http://issuer.test".to_owned(),
        ),
        (
            "authentication.jwt.key must be a public key in PEM: RSA, P-256, P-384 or Ed25519",
            &|jwt| jwt.key = Secret::new("x"),
        ),
        (
            "authentication.jwt.algorithms must be either those of secrets (HS…) or those of public keys",
            &|jwt| jwt.algorithms.push("HS256".to_owned()),
        ),
    ] {
        assert_eq!(of(change), Err(sentence.to_owned()));
    }
}
