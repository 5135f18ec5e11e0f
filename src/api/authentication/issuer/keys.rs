//! The keys that verify the issuer's tokens: one from the configuration, or those that the issuer publishes.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};

use super::{
    pem::public_key,
    published::{Fetch, Outage, Published},
};
use crate::api::authentication::JwtSettings;
use clientele_core::flow::Flow;

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 32;
/// The maximum number of keys tried for a token without a key id: during a rotation an old and a new key exist, with
/// some margin.
const MOST_TRIED: usize = 4;

#[derive(Debug)]
pub(in crate::api::authentication) enum Keys {
    Static(Arc<DecodingKey>),
    Published(Arc<Published>),
}

impl Keys {
    pub fn of(settings: &JwtSettings, algorithms: &[Algorithm]) -> Result<Self, String> {
        let section = "authentication.jwt";
        let symmetric = algorithms
            .iter()
            .filter(|algorithm| algorithm.family() == AlgorithmFamily::Hmac)
            .count();
        if algorithms.is_empty() || symmetric > 0 && symmetric < algorithms.len() {
            return Err(format!(
                "{section}.algorithms must be either those of secrets (HS…) or those of public keys"
            ));
        }
        match (settings.jwks_url.is_empty(), settings.key.is_empty()) {
            (false, true) if symmetric > 0 => {
                Err(format!("{section}.algorithms: published keys can't be secrets (HS…)"))
            }
            (false, true) => Published::new(settings).map(Self::Published),
            (true, false) if symmetric > 0 && settings.key.reveal().len() < SHORTEST_SECRET => {
                Err(format!("{section}.key must have at least {SHORTEST_SECRET} bytes"))
            }
            (true, false) if symmetric > 0 => Ok(Self::Static(Arc::new(DecodingKey::from_secret(
                settings.key.reveal().as_bytes(),
            )))),
            (true, false) => public_key(settings.key.reveal())
                .map(|key| Self::Static(Arc::new(key)))
                .ok_or_else(|| format!("{section}.key must be a public key in PEM: RSA, P-256, P-384 or Ed25519")),
            _ => Err(format!("{section} needs either a jwks_url or a key")),
        }
    }

    /// A number that grows with every change of the keys. None while no keys can be trusted.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Static(_) => Some(0),
            Self::Published(published) => published.usable().map(|(_, generation)| generation),
        }
    }

    /// The key of this id, or all fitting keys if the token has no key id, with their generation. Empty when none is
    /// known.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> (Vec<Arc<DecodingKey>>, u64) {
        let published = match self {
            Self::Static(key) => return (vec![key.clone()], 0),
            Self::Published(published) => published,
        };
        let Some((known, generation)) = published.usable() else {
            return (Vec::new(), 0);
        };
        let named = |key: &&Jwk| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id));
        let fitting = known.iter().filter(named).filter(|key| fits(key, algorithm));
        let keys = fitting.filter_map(|key| DecodingKey::from_jwk(key).ok().map(Arc::new));
        (keys.take(MOST_TRIED).collect(), generation)
    }

    /// Fetches the keys again because of an unknown key, and waits for a limited time.
    pub async fn fetch_again(&self, flow: Flow) -> Fetch {
        match self {
            Self::Static(_) => Fetch::Recent,
            Self::Published(published) => published.fetch_again(flow).await,
        }
    }

    fn published(&self) -> Option<&Arc<Published>> {
        match self {
            Self::Static(_) => None,
            Self::Published(published) => Some(published),
        }
    }

    /// The age of the keys. None before the first fetch, or with a static key.
    pub fn age(&self) -> Option<Duration> {
        self.published()?.age()
    }

    /// Returns whether the last fetch succeeded. None before the first fetch, or with a static key.
    pub fn is_up(&self) -> Option<bool> {
        self.published()?.is_up()
    }

    pub fn outage(&self) -> Option<Outage> {
        self.published()?.outage()
    }

    /// The time after which a caller may retry when the issuer is unreachable.
    pub fn retry_after(&self) -> Duration {
        self.published().map_or(Duration::ZERO, |published| published.pause())
    }

    /// Keeps published keys fresh. Never returns.
    pub async fn keep_fetching(&self) {
        match self {
            Self::Static(_) => std::future::pending().await,
            Self::Published(published) => published.clone().keep_fetching().await,
        }
    }
}

/// Returns true when the key is for signatures of this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let meant = key
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    let same = key
        .common
        .key_algorithm
        .is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), _) => algorithm.family() == AlgorithmFamily::Rsa,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        // A published secret is no secret.
        _ => false,
    };
    meant && same && kind
}
