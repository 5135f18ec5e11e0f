//! Limits the rate of requests by caller, with one token bucket for each caller or network.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue},
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

use clientele_core::flow::Flow;

use crate::{
    application::{Application, Refusal},
    proxy::PeerAddress,
    refusal::refuse,
};

/// The names of the IETF draft "RateLimit header fields for HTTP".
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// Beyond these the least used bucket is dropped, which fills it.
const MOST_CALLERS: u64 = 100_000;

/// The rate of all requests of one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Requests per second in the long run; 0 is no limit.
    pub per_second: u32,
    /// Requests at once after a pause; 0 is as many as per second.
    pub burst: u32,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The buckets of all callers.
#[derive(Clone, Debug)]
pub struct RateLimit {
    quota: Quota,
    policy: HeaderValue,
    buckets: Cache<Flow, Arc<Bucket>>,
    clock: DefaultClock,
    caller: fn(&Extensions) -> Option<Flow>,
}

impl RateLimit {
    /// None when there is no limit. `caller` returns the authenticated caller from the extensions of a request;
    /// requests without one share the bucket of their network.
    pub fn new(settings: &RateLimitSettings, caller: fn(&Extensions) -> Option<Flow>) -> Option<Self> {
        let per_second = NonZeroU32::new(settings.per_second)?;
        let burst = NonZeroU32::new(settings.burst).unwrap_or(per_second);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let refill = whole_seconds(quota.burst_size_replenished_in());
        let policy = format!("\"caller\";q={burst};w={refill}");
        // After this time an unused bucket is full again.
        let unused = Duration::from_secs(refill + 1);
        Some(Self {
            quota,
            policy: HeaderValue::from_str(&policy).ok()?,
            buckets: Cache::builder().max_capacity(MOST_CALLERS).time_to_idle(unused).build(),
            clock: DefaultClock::default(),
            caller,
        })
    }

    fn take(&self, flow: Flow) -> Result<StateSnapshot, NotUntil<<DefaultClock as Clock>::Instant>> {
        let new = || Arc::new(RateLimiter::direct(self.quota).with_middleware());
        self.buckets.get_with(flow, new).check()
    }

    /// The bucket of a request. None without a caller and an address.
    fn flow(&self, request: &Request) -> Option<Flow> {
        let extensions = request.extensions();
        let address = || {
            extensions
                .get::<PeerAddress>()
                .map(|address| Flow::of_address(address.0))
        };
        (self.caller)(extensions).or_else(address)
    }

    fn write(&self, headers: &mut HeaderMap, remaining: u32, reset: u64) {
        headers.insert(POLICY, self.policy.clone());
        if let Ok(state) = HeaderValue::from_str(&format!("\"caller\";r={remaining};t={reset}")) {
            headers.insert(STATE, state);
        }
    }
}

/// Puts the limit, if there is one, before these routes. It must be behind authentication, which knows the caller.
pub fn before<A: Application>(router: Router, limit: Option<&RateLimit>) -> Router {
    match limit {
        Some(limit) => router.route_layer(from_fn_with_state(limit.clone(), admit::<A>)),
        None => router,
    }
}

/// Passes a request on when its caller has a token left.
async fn admit<A: Application>(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let Some(flow) = limit.flow(&request) else {
        return next.run(request).await;
    };
    match limit.take(flow) {
        Ok(state) => {
            let left = state.remaining_burst_capacity();
            let missing = limit.quota.burst_size().get().saturating_sub(left);
            let reset = whole_seconds(limit.quota.replenish_interval() * missing);
            let mut response = next.run(request).await;
            limit.write(response.headers_mut(), left, reset);
            response
        }
        Err(refused) => {
            let retry_after_seconds = whole_seconds(refused.wait_time_from(limit.clock.now()));
            let mut response = refuse::<A, _>(&request, Refusal::RateLimit { retry_after_seconds });
            limit.write(response.headers_mut(), 0, retry_after_seconds);
            response
        }
    }
}

/// Rounds up, to at least 1.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}
