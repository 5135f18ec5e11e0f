//! Limits the request rate of each caller with a token bucket. Doesn't depend on the requests' contents.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::{InMemoryState, NotKeyed},
};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::{
    PeerAddress,
    refusal::{Asked, Refusal},
};
use clientele_core::network::Network;
use clientele_domain::caller::{Caller, CallerKind};

/// The header names of the IETF draft, in which policies have names.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// Beyond this number, the least used bucket is dropped, which makes it full.
const MOST_CALLERS: u64 = 100_000;

/// The limit on a caller's requests to both APIs and `/metrics` together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// The sustained rate in requests per second; 0 means no limit.
    pub per_second: u32,
    /// The maximum number of requests at once after a pause; 0 means as many as per second.
    pub burst: u32,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The buckets of all callers.
#[derive(Clone, Debug)]
pub struct RateLimit {
    quota: Quota,
    policy: HeaderValue,
    buckets: Cache<Key, Arc<Bucket>>,
    clock: DefaultClock,
}

/// The party that shares a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Caller(&'static str, Arc<str>),
    Address(IpAddr),
}

impl RateLimit {
    /// None without a limit.
    pub fn new(settings: &RateLimitSettings) -> Option<Self> {
        let per_second = NonZeroU32::new(settings.per_second)?;
        let burst = NonZeroU32::new(settings.burst).unwrap_or(per_second);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let refill = whole_seconds(quota.burst_size_replenished_in());
        let policy = format!("\"caller\";q={burst};w={refill}");
        // A bucket unused for this long is full again and can be dropped.
        let forgotten = Duration::from_secs(refill + 1);
        Some(Self {
            quota,
            policy: HeaderValue::from_str(&policy).ok()?,
            buckets: Cache::builder()
                .max_capacity(MOST_CALLERS)
                .time_to_idle(forgotten)
                .build(),
            clock: DefaultClock::default(),
        })
    }

    fn take(&self, key: Key) -> Result<StateSnapshot, NotUntil<<DefaultClock as Clock>::Instant>> {
        let new = || Arc::new(RateLimiter::direct(self.quota).with_middleware());
        self.buckets.get_with(key, new).check()
    }

    fn tell(&self, headers: &mut HeaderMap, remaining: u32, reset: u64) {
        headers.insert(POLICY, self.policy.clone());
        if let Ok(state) = HeaderValue::from_str(&format!("\"caller\";r={remaining};t={reset}")) {
            headers.insert(STATE, state);
        }
    }
}

/// Applies the limit, if there is one, to these routes. Must run after authentication, which identifies the caller.
pub(super) fn before(router: Router, limit: Option<&RateLimit>) -> Router {
    match limit {
        Some(limit) => router.route_layer(from_fn_with_state(limit.clone(), admit)),
        None => router,
    }
}

/// Passes on a request if its caller has a token left.
async fn admit(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let Some(key) = key(&request) else {
        return next.run(request).await;
    };
    match limit.take(key) {
        Ok(state) => {
            let left = state.remaining_burst_capacity();
            let missing = limit.quota.burst_size().get().saturating_sub(left);
            let reset = whole_seconds(limit.quota.replenish_interval() * missing);
            let mut response = next.run(request).await;
            limit.tell(response.headers_mut(), left, reset);
            response
        }
        Err(refused) => {
            let retry_after_seconds = whole_seconds(refused.wait_time_from(limit.clock.now()));
            let mut response = Asked::by(&request).refused(Refusal::TooMany { retry_after_seconds });
            limit.tell(response.headers_mut(), 0, retry_after_seconds);
            response
        }
    }
}

/// Authenticated callers are identified by their account, others by their address.
fn key(request: &Request) -> Option<Key> {
    let caller = request.extensions().get::<Caller>();
    if let Some(caller) = caller.filter(|caller| caller.kind != CallerKind::Anyone) {
        return Some(Key::Caller(caller.kind.as_str(), caller.id.clone()));
    }
    let PeerAddress(address) = *request.extensions().get::<PeerAddress>()?;
    Some(Key::Address(Network::of_one_caller(address)))
}

/// At least 1, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}
