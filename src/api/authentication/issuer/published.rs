//! The keys that an issuer publishes: fetched at the start, at intervals and for an unknown key, one fetch at a time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::api::authentication::JwtSettings;
use clientele_core::{
    fair_queue::Limits,
    flow::{Flow, FlowQueue},
    trace::{self, ActiveSpan, Details, SpanContext, SpanKind, TRACEPARENT},
};

/// Limits of one fetch: the size of the response in bytes, and its time.
const LARGEST: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// The limit of a request's wait for a fetch when other keys are known, or the issuer is known to be unreachable.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// The maximum number of requests that wait for a fetch, shared fairly by network. Others are answered as if it had
/// failed.
const MOST_WAITING: usize = 64;
/// The shortest pause between two background fetches.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The fetched keys.
#[derive(Debug)]
pub struct PublishedKeys {
    url: Url,
    http: Client,
    refresh: Duration,
    pause: Duration,
    max_age: Duration,
    state: Mutex<State>,
    waiting: FlowQueue,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<Vec<Jwk>>,
    /// Grows with every change of the keys.
    generation: u64,
    /// The last successful fetch.
    fetched: Option<Instant>,
    /// The end of the last fetch.
    attempted: Option<Instant>,
    /// The failure of the last fetch. None when it succeeded.
    failure: Option<FetchError>,
    /// Becomes true when the fetch under way has ended.
    fetching: Option<watch::Receiver<bool>>,
}

/// The outcome of a fetch for an unknown key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::authentication) enum Fetch {
    /// The keys have been fetched since the request.
    Done,
    /// The last fetch is more recent than the pause.
    Recent,
    /// The issuer is unreachable, or hasn't answered in time.
    Failed,
}

impl PublishedKeys {
    pub fn new(settings: &JwtSettings) -> Result<Arc<Self>, String> {
        let url = Url::parse(&settings.jwks_url).ok().filter(|url| {
            let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            url.scheme() == "https" || url.scheme() == "http" && local
        });
        let url =
            url.ok_or("authentication.jwt.jwks_url must begin with https://, or with http:// for this machine only")?;
        // Without this, the client would have no cryptography before the server has started.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(PATIENCE).redirect(Policy::none()).no_proxy();
        Ok(Arc::new(Self {
            url,
            http: http
                .build()
                .map_err(|_| "authentication.jwt.jwks_url can't be fetched on this machine")?,
            refresh: Duration::from_secs(settings.jwks_refresh_seconds),
            pause: Duration::from_secs(settings.jwks_pause_seconds),
            max_age: Duration::from_secs(settings.jwks_max_age_seconds),
            state: Mutex::default(),
            waiting: FlowQueue::new(Limits {
                permits: MOST_WAITING,
                waiting: 0,
                waiting_per_key: 0,
            }),
        }))
    }

    /// The keys and their generation, unless they are too old to be trusted. Starts a fetch when they are due for
    /// renewal.
    pub fn usable(self: &Arc<Self>) -> Option<(Arc<Vec<Jwk>>, u64)> {
        let state = self.state();
        let fetched = state.fetched?;
        let usable = (fetched.elapsed() < self.max_age).then(|| (state.keys.clone(), state.generation));
        drop(state);
        self.join(self.refresh);
        usable
    }

    /// The age of the keys. None before the first successful fetch.
    pub fn age(&self) -> Option<Duration> {
        self.state().fetched.map(|at| at.elapsed())
    }

    /// Returns whether the last fetch succeeded. None before the first.
    pub fn is_up(&self) -> Option<bool> {
        let state = self.state();
        state.attempted.map(|_| state.failure.is_none())
    }

    /// A line for `/health/ready` while the keys can't be fetched.
    pub fn finding(&self) -> Option<&'static str> {
        let state = self.state();
        state.failure.as_ref()?;
        Some(match state.fetched {
            Some(at) if at.elapsed() < self.max_age => {
                "the issuer is unreachable: its tokens are checked with the keys known so far\n"
            }
            _ => "the issuer is unreachable: its tokens are answered 503\n",
        })
    }

    /// The shortest time between two fetches.
    pub const fn pause(&self) -> Duration {
        self.pause
    }

    /// Fetches the keys now, and again whenever they are due for renewal or the last fetch failed. Never returns.
    pub async fn keep_fetching(self: Arc<Self>) {
        loop {
            if let Some(mut fetch) = self.join(Duration::ZERO) {
                let _ = fetch.wait_for(|ended| *ended).await;
            }
            let pause = match self.state().failure {
                Some(_) => self.pause,
                None => self.refresh,
            };
            sleep(pause.max(SHORTEST_PAUSE)).await;
        }
    }

    /// Fetches the keys, unless the last fetch is more recent than the pause, and waits for a limited time.
    pub(in crate::api::authentication) async fn fetch_again(self: &Arc<Self>, flow: Flow) -> Fetch {
        let patience = {
            let state = self.state();
            let is_first = state.fetched.is_none() && state.failure.is_none();
            if is_first { PATIENCE } else { SHORT_PATIENCE }
        };
        let fetch = self.join(self.pause);
        let was_recent = fetch.is_none();
        if let Some(mut fetch) = fetch {
            let Ok(_permit) = self.waiting.acquire(flow).await else {
                return Fetch::Failed;
            };
            if timeout(patience, fetch.wait_for(|ended| *ended)).await.is_err() {
                return Fetch::Failed;
            }
        }
        match &self.state().failure {
            Some(_) => Fetch::Failed,
            None if was_recent => Fetch::Recent,
            None => Fetch::Done,
        }
    }

    /// Joins the fetch under way, or starts one, which continues even if no request waits. None if the last one ended
    /// less than `pause` ago.
    fn join(self: &Arc<Self>, pause: Duration) -> Option<watch::Receiver<bool>> {
        let mut state = self.state();
        // A fetch whose sender was dropped has ended without a result.
        if let Some(fetching) = state.fetching.as_ref().filter(|fetch| fetch.has_changed().is_ok()) {
            return Some(fetching.clone());
        }
        if state.attempted.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        let (done, ended) = watch::channel(false);
        state.fetching = Some(ended.clone());
        drop(state);
        let this = self.clone();
        let fetch = async move {
            let fetched = this.fetch().await;
            this.note(fetched);
            done.send_replace(true);
        };
        // In the trace of the request that needs the keys, if one does.
        tokio::spawn(trace::within(trace::current(), fetch));
        Some(ended)
    }

    /// Stores the outcome of a fetch. A failure keeps the known keys. The log has one line for each outage.
    fn note(&self, fetched: Result<Vec<Jwk>, FetchError>) {
        let mut state = self.state();
        let now = Instant::now();
        (state.attempted, state.fetching) = (Some(now), None);
        match fetched {
            Ok(keys) => {
                if *state.keys != keys {
                    state.keys = Arc::new(keys);
                    state.generation += 1;
                }
                state.fetched = Some(now);
                if state.failure.take().is_some() {
                    tracing::info!(url = self.shown_url(), "issuer reachable again: its keys were fetched");
                }
            }
            Err(cause) => {
                if state.failure.is_none() {
                    let consequence = match state.fetched {
                        Some(_) => "its tokens are checked with the keys known so far",
                        None => "its tokens are answered 503",
                    };
                    tracing::warn!(
                        url = self.shown_url(),
                        %cause,
                        consequence,
                        "issuer unreachable: its keys can't be fetched"
                    );
                }
                state.failure = Some(cause);
            }
        }
    }

    /// The URL for the log, without its query, which may contain a secret.
    fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// Fetches the keys without keeping them.
    pub(super) async fn fetch(&self) -> Result<Vec<Jwk>, FetchError> {
        let span = trace::start(trace::current());
        let keys = self.fetch_within(span.as_ref().map(ActiveSpan::context)).await;
        if let Some(span) = span {
            span.end(|| self.details(&keys));
        }
        keys
    }

    /// The name and the attributes of a fetch's span.
    fn details(&self, keys: &Result<Vec<Jwk>, FetchError>) -> Details {
        let mut attributes = vec![("http.request.method", "GET".into())];
        let host = self.url.host_str();
        attributes.extend(host.map(|host| ("server.address", host.to_owned().into())));
        let port = self.url.port_or_known_default();
        attributes.extend(port.map(|port| ("server.port", port.into())));
        let status = match keys {
            Ok(_) => Some(StatusCode::OK),
            Err(FetchError::Status(status)) => Some(*status),
            Err(_) => None,
        };
        attributes.extend(status.map(|status| ("http.response.status_code", status.as_u16().into())));
        attributes.extend(keys.as_ref().err().map(|error| ("error.type", error.kind().into())));
        Details {
            name: "GET issuer keys".into(),
            kind: SpanKind::Client,
            attributes,
            is_failed: keys.is_err(),
        }
    }

    async fn fetch_within(&self, span: Option<SpanContext>) -> Result<Vec<Jwk>, FetchError> {
        let mut request = self.http.get(self.url.clone());
        if let Some(span) = span {
            request = request.header(TRACEPARENT, span.to_string());
        }
        let mut response = request.send().await?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST {
                return Err(FetchError::TooLarge);
            }
        }
        parse(&body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses a set of keys. Keys of unknown types are ignored, as RFC 7517 requires.
fn parse(body: &[u8]) -> Result<Vec<Jwk>, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(body).map_err(|_| FetchError::NotKeys)?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    let is_known = |key: &Jwk| !matches!(key.algorithm, AlgorithmParameters::Other(_));
    let keys: Vec<Jwk> = keys.filter(is_known).collect();
    match keys.is_empty() {
        true => Err(FetchError::NoKey),
        false => Ok(keys),
    }
}

/// The reason why the keys could not be fetched, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{}", cause(.0))]
    Http(reqwest::Error),
    #[error("it answers with the status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its answer is larger than {} KiB", LARGEST / 1024)]
    TooLarge,
    #[error("its answer isn't a set of keys (JWKS)")]
    NotKeys,
    #[error("its set of keys (JWKS) has no key of a known kind")]
    NoKey,
}

impl FetchError {
    /// One of a small set of words.
    fn kind(&self) -> &'static str {
        match self {
            Self::Http(error) if error.is_timeout() => "timeout",
            Self::Http(_) => "connection",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::NotKeys | Self::NoKey => "no_keys",
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// The innermost cause: reqwest's own text only says that the request failed.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    #[test]
    fn keys_of_unknown_kinds_are_left_out() {
        let known = r#"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}"#;
        let unknown = r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AQAB"}"#;
        let kept = |keys: &str| parse(format!(r#"{{"keys":[{keys}],"more":1}}"#).as_bytes());
        let one = kept(&format!("{unknown},{known},7,null")).expect("one key");
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].common.key_id.as_deref(), Some("a"));
        for (keys, cause) in [
            ("", "its set of keys (JWKS) has no key of a known kind"),
            (unknown, "its set of keys (JWKS) has no key of a known kind"),
            ("]", "its answer isn't a set of keys (JWKS)"),
        ] {
            assert_eq!(kept(keys).map_err(|error| error.to_string()), Err(cause.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_keys_or_a_cause(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                concat!(
                    r#"\{"keys":\[(\{("(kty|kid|use|alg|n|e|crv|x|y)":"#,
                    r#"("(RSA|EC|OKP|oct|P-256|sig|AQAB)"|[0-9]|null|\[\]),?){0,6}\},?){0,3}\]\}"#,
                )
                    .prop_map(String::into_bytes),
            ]
        ) {
            match parse(&body) {
                Ok(keys) => prop_assert!(!keys.is_empty()),
                Err(cause) => prop_assert!(cause.to_string().starts_with("its ")),
            }
        }
    }
}
