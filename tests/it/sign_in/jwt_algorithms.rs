//! Every signature algorithm, with configured keys and with keys that the issuer publishes.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64},
};
use clientele::{
    api::authentication::{AuthenticationSettings, JwtSettings},
    secret::Secret,
};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding,
    },
};
use serde_json::{Value, json};

use super::jwt::{claims, issuer, sealed, status};
use crate::harness::{Backend, Settings, TestServer, with};

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A signer for one algorithm, with its public key as PEM and as JSON.
struct Signer {
    algorithm: &'static str,
    pem: String,
    published: Value,
    sign: Sign,
}

impl Signer {
    fn token(&self) -> String {
        sealed(&json!({ "alg": self.algorithm }), &claims(json!({})), |text| {
            (self.sign)(text)
        })
    }
}

/// A public key of this kind as PEM, which has a constant prefix.
fn pem(before: &[u8], key: &[u8]) -> String {
    let der = BASE64_STANDARD.encode([before, key].concat());
    let lines: Vec<&str> = der
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

fn elliptic(algorithm: &'static str, curve: &str, by: &'static EcdsaSigningAlgorithm, before: &[u8]) -> Signer {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(by, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(by, document.as_ref(), &random).expect("a key");
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(point.len() / 2);
    Signer {
        algorithm,
        pem: pem(before, point),
        published: json!({ "kty": "EC", "crv": curve, "x": BASE64.encode(x), "y": BASE64.encode(y) }),
        sign: Box::new(move |text| pair.sign(&random, text).expect("signed").as_ref().to_vec()),
    }
}

fn edwards() -> Signer {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
    let key = pair.public_key().as_ref();
    let before = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    Signer {
        algorithm: "EdDSA",
        pem: pem(&before, key),
        published: json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(key) }),
        sign: Box::new(move |text| pair.sign(text).as_ref().to_vec()),
    }
}

/// The public example key of RFC 7515, appendix A.2: ring cannot generate RSA keys.
fn rsa_pair() -> rsa::KeyPair {
    let part = |text: &str| BASE64.decode(text).expect("base64");
    let components = rsa::KeyPairComponents {
        public_key: rsa::PublicKeyComponents {
            n: part(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B\
                 m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5\
                 z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7\
                 aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            ),
            e: part("AQAB"),
        },
        d: part(
            "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2N\
             XOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M\
             _V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x\
             _jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        ),
        p: part(
            "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py\
             5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        ),
        q: part(
            "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQ\
             eZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        ),
        dP: part(
            "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu\
             1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        ),
        dQ: part(
            "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0a\
             jaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        ),
        qInv: part(
            "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY\
             7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
        ),
    };
    rsa::KeyPair::from_components(&components).expect("the key of the standard")
}

fn modular(algorithm: &'static str, by: &'static dyn RsaEncoding) -> Signer {
    let pair = rsa_pair();
    let public = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    let before = [
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
        0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
    ];
    Signer {
        algorithm,
        pem: pem(&before, pair.public().as_ref()),
        published: json!({ "kty": "RSA", "n": BASE64.encode(&public.n), "e": BASE64.encode(&public.e) }),
        sign: Box::new(move |text| {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(by, &SystemRandom::new(), text, &mut signature)
                .expect("signed");
            signature
        }),
    }
}

fn signers() -> Vec<Signer> {
    let p256 = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let p384 = [
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
        0x00, 0x22, 0x03, 0x62, 0x00,
    ];
    vec![
        elliptic("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, &p256),
        elliptic("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING, &p384),
        edwards(),
        modular("RS256", &RSA_PKCS1_SHA256),
        modular("RS384", &RSA_PKCS1_SHA384),
        modular("RS512", &RSA_PKCS1_SHA512),
        modular("PS256", &RSA_PSS_SHA256),
        modular("PS384", &RSA_PSS_SHA384),
        modular("PS512", &RSA_PSS_SHA512),
    ]
}

fn of(jwt: JwtSettings) -> Settings {
    Settings::authenticated(AuthenticationSettings {
        jwt: JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            ..jwt
        },
        ..AuthenticationSettings::default()
    })
}

fn by_key(algorithm: &str, key: &str) -> Settings {
    of(JwtSettings {
        algorithms: vec![algorithm.to_owned()],
        key: Secret::new(key),
        ..JwtSettings::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_key_accepts_only_tokens_it_signed() {
    let signers = signers();
    for signer in &signers {
        let server = TestServer::start(Backend::Sqlite, by_key(signer.algorithm, &signer.pem))
            .await
            .expect("SQLite");
        for other in &signers {
            let expected = if other.algorithm == signer.algorithm { 200 } else { 401 };
            let what = format!("{} where {} is allowed", other.algorithm, signer.algorithm);
            assert_eq!(status(&server, &other.token()).await, expected, "{what}");
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_secret_accepts_tokens_it_signed() {
    let secret = "a secret that both have, of some length";
    let server = TestServer::start(Backend::Sqlite, by_key("HS256", secret))
        .await
        .expect("SQLite");
    let token = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        sealed(&json!({ "alg": "HS256" }), &claims(json!({})), |text| {
            hmac::sign(&key, text).as_ref().to_vec()
        })
    };
    assert_eq!(status(&server, &token(secret)).await, 200);
    assert_eq!(
        status(&server, &token("another secret, of some length, too")).await,
        401
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_keys_of_every_kind_accept_their_tokens() {
    let (url, published) = issuer().await;
    let signers = signers();
    let settings = of(JwtSettings {
        algorithms: signers.iter().map(|signer| signer.algorithm.to_owned()).collect(),
        jwks_url: url,
        jwks_pause_seconds: 0,
        ..JwtSettings::default()
    });
    let server = TestServer::start(Backend::Sqlite, settings).await.expect("SQLite");
    for signer in &signers {
        // Without a key id, the only matching key is used.
        let key = with(
            signer.published.clone(),
            json!({ "alg": signer.algorithm, "use": "sig" }),
        );
        *published.lock().expect("no panic") = Some(json!({ "keys": [key] }));
        assert_eq!(status(&server, &signer.token()).await, 200, "{}", signer.algorithm);
    }
    server.stop().await;
}
