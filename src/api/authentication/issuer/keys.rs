//! The keys of the issuer: one from the configuration, or those it publishes, fetched anew now and then.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use reqwest::{Client, Url, redirect::Policy};
use tokio::{sync::watch, time::timeout};

use super::pem::public_key;
use crate::api::authentication::JwtSettings;

/// What an issuer's keys may take, in bytes and in time.
const LARGEST: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a caller waits for them while others are known.
const PATIENCE_WITH_KEYS: Duration = Duration::from_secs(1);
/// A secret shorter than this can be guessed.
const SHORTEST_SECRET: usize = 32;

#[derive(Debug)]
pub(super) enum Keys {
    Static(Arc<DecodingKey>),
    Published(Arc<Published>),
}

/// Keys that are fetched.
#[derive(Debug)]
pub(super) struct Published {
    url: Url,
    http: Client,
    refresh: Duration,
    pause: Duration,
    known: RwLock<Arc<JwkSet>>,
    generation: AtomicU64,
    asked: Mutex<Asked>,
}

/// When keys were last asked for.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    Never,
    /// They are being fetched; then it says whether that succeeded.
    Now(watch::Receiver<Option<bool>>),
    At(Instant),
}

/// What is known of a key.
pub(super) enum Found {
    /// With the generation that it is of.
    Key(Arc<DecodingKey>, u64),
    /// The issuer has none that fits.
    None,
    /// None of those known fits, and the issuer wasn't asked anew, or didn't answer.
    Unasked,
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

    /// Another number after every change of the keys.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Static(_) => 0,
            Self::Published(published) => published.generation.load(SeqCst),
        }
    }

    /// The key of this id, or the only one that fits. `may_ask`: whether it is a reason to fetch the keys that there is none.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm, may_ask: bool) -> Found {
        let published = match self {
            Self::Static(key) => return Found::Key(key.clone(), 0),
            Self::Published(published) => published,
        };
        published.keep_fresh();
        if let Some((key, generation)) = published.find(id, algorithm) {
            return Found::Key(key, generation);
        }
        // It may be a new one.
        let asked = may_ask && published.ask().await;
        match published.find(id, algorithm) {
            Some((key, generation)) => Found::Key(key, generation),
            None if asked => Found::None,
            None => Found::Unasked,
        }
    }
}

impl Published {
    fn new(settings: &JwtSettings) -> Result<Arc<Self>, String> {
        let url = Url::parse(&settings.jwks_url).ok().filter(|url| {
            let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            url.scheme() == "https" || url.scheme() == "http" && local
        });
        let url = url.ok_or("authentication.jwt.jwks_url must begin with https://")?;
        // Who asks before the server has started names no cryptography otherwise.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(PATIENCE).redirect(Policy::none()).no_proxy();
        Ok(Arc::new(Self {
            url,
            http: http
                .build()
                .map_err(|_| "authentication.jwt.jwks_url can't be fetched on this machine")?,
            refresh: Duration::from_secs(settings.jwks_refresh_seconds),
            pause: Duration::from_secs(settings.jwks_pause_seconds),
            known: RwLock::new(Arc::new(JwkSet { keys: Vec::new() })),
            generation: AtomicU64::new(0),
            asked: Mutex::default(),
        }))
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<(Arc<DecodingKey>, u64)> {
        let generation = self.generation.load(SeqCst);
        let known = self.known();
        let mut fitting = known
            .keys
            .iter()
            .filter(|key| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id)) && fits(key, algorithm));
        let key = fitting.next()?;
        if id.is_none() && fitting.next().is_some() {
            return None;
        }
        Some((Arc::new(DecodingKey::from_jwk(key).ok()?), generation))
    }

    /// Fetches the keys in the background when they have aged.
    fn keep_fresh(self: &Arc<Self>) {
        if !self.known().keys.is_empty() {
            self.join(self.refresh);
        }
    }

    /// Fetches the keys, unless that was done less than the pause ago; says whether they are those of this moment. Nobody
    /// waits long for an issuer that doesn't answer, unless there is nothing else to go by.
    async fn ask(self: &Arc<Self>) -> bool {
        let patience = match self.known().keys.is_empty() {
            true => PATIENCE,
            false => PATIENCE_WITH_KEYS,
        };
        let Some(mut fetched) = self.join(self.pause) else {
            return false;
        };
        let fetched = timeout(patience, fetched.wait_for(Option::is_some)).await;
        matches!(fetched, Ok(Ok(fetched)) if *fetched == Some(true))
    }

    /// Joins whoever is fetching the keys, or begins to, which then goes on whoever waits for it. None: it was done less
    /// than `pause` ago. A failure leaves the keys that are known.
    fn join(self: &Arc<Self>, pause: Duration) -> Option<watch::Receiver<Option<bool>>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &*asked {
            // Without a sender it was given up.
            Asked::Now(fetched) if fetched.has_changed().is_ok() => return Some(fetched.clone()),
            Asked::At(at) if at.elapsed() < pause => return None,
            _ => {}
        }
        let (done, fetched) = watch::channel(None);
        *asked = Asked::Now(fetched.clone());
        let this = self.clone();
        tokio::spawn(async move {
            let keys = this.fetch().await;
            let succeeded = keys.is_some();
            match keys {
                Some(keys) => this.replace(keys),
                None => tracing::warn!("the issuer's keys could not be fetched; those known so far stay"),
            }
            *this.asked.lock().unwrap_or_else(PoisonError::into_inner) = Asked::At(Instant::now());
            done.send_replace(Some(succeeded));
        });
        Some(fetched)
    }

    fn replace(&self, keys: JwkSet) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if **known != keys {
            *known = Arc::new(keys);
            self.generation.fetch_add(1, SeqCst);
        }
    }

    fn known(&self) -> Arc<JwkSet> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Option<JwkSet> {
        let mut response = self.http.get(self.url.clone()).send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.ok()? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST {
                return None;
            }
        }
        let keys: JwkSet = serde_json::from_slice(&body).ok()?;
        (!keys.keys.is_empty()).then_some(keys)
    }
}

/// Whether the key is for signatures of this kind.
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
        // A published secret is none.
        _ => false,
    };
    meant && same && kind
}
