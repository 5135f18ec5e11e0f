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
/// So many keys are tried for a token that doesn't name its own: the one that goes and the one that comes, and some more.
const MOST_TRIED: usize = 4;

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
    fetched: Mutex<Option<Instant>>,
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
    /// At least one, of which the token's is one if it is good at all; with the generation that they are of.
    Keys(Vec<Arc<DecodingKey>>, u64),
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

    /// Another number after every change of the keys. To ask for it keeps them fresh: a key that is withdrawn must not go on
    /// for as long as nobody brings another one.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Static(_) => 0,
            Self::Published(published) => {
                published.keep_fresh();
                published.generation.load(SeqCst)
            }
        }
    }

    /// The age of the keys. None before the first fetch, or with a static key.
    pub fn age(&self) -> Option<Duration> {
        match self {
            Self::Static(_) => None,
            Self::Published(published) => {
                let fetched = *published.fetched.lock().unwrap_or_else(PoisonError::into_inner);
                fetched.map(|at| at.elapsed())
            }
        }
    }

    /// The key of this id, or those that fit where none is named. `may_ask`: whether it is a reason to fetch the keys that there
    /// is none.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm, may_ask: bool) -> Found {
        let published = match self {
            Self::Static(key) => return Found::Keys(vec![key.clone()], 0),
            Self::Published(published) => published,
        };
        published.keep_fresh();
        let found = |(keys, generation): (Vec<_>, _)| (!keys.is_empty()).then_some(Found::Keys(keys, generation));
        if let Some(found) = found(published.find(id, algorithm)) {
            return found;
        }
        // It may be a new one.
        let asked = may_ask && published.ask().await;
        let missing = if asked { Found::None } else { Found::Unasked };
        found(published.find(id, algorithm)).unwrap_or(missing)
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
            fetched: Mutex::default(),
        }))
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> (Vec<Arc<DecodingKey>>, u64) {
        let generation = self.generation.load(SeqCst);
        let known = self.known();
        let named = |key: &&Jwk| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id));
        let fitting = known.keys.iter().filter(named).filter(|key| fits(key, algorithm));
        let keys = fitting.filter_map(|key| DecodingKey::from_jwk(key).ok().map(Arc::new));
        (keys.take(MOST_TRIED).collect(), generation)
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
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
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
