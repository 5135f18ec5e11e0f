//! Permits of requests in progress, shared fairly by flow.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue};
use moka::sync::Cache;

use crate::proxy::PeerAddress;
use clientele_core::{
    fair_queue::{Limits, Patience, Permit, Ticket},
    flow::{Flow, FlowQueue},
    network::Network,
};

/// The number of credentials that are remembered, and the time after their last use.
const MOST_CREDENTIALS: u64 = 50_000;
const LONGEST_IDLE: Duration = Duration::from_secs(60 * 60);

/// All permits. Cloning shares them.
#[derive(Clone, Debug)]
pub struct RequestPermits {
    queue: FlowQueue,
    patience: Patience,
    known: Arc<KnownCredentials>,
}

impl RequestPermits {
    pub fn new(permits: usize, waiting: usize, patience: Patience) -> Self {
        Self {
            queue: FlowQueue::new(Limits {
                permits,
                waiting,
                // A flow can use the whole queue: when it is full, the flow with the most tickets loses one to others.
                waiting_per_key: waiting,
            }),
            patience,
            known: Arc::default(),
        }
    }

    /// The party that a request is charged to: the caller, when these credentials were valid before, or else the
    /// network.
    pub fn origin(&self, credentials: Option<Credentials<'_>>, from: PeerAddress) -> RequestOrigin {
        let credentials = self.known.key(credentials, from);
        let known = credentials.as_ref().and_then(|key| self.known.flows.get(key));
        RequestOrigin {
            flow: known.unwrap_or_else(|| Flow::of_address(from.0)),
            credentials,
        }
    }

    /// Returns true, and counts a refusal, when the request can't even wait for a permit.
    pub fn refuses(&self, origin: &RequestOrigin) -> bool {
        self.queue.refuses(&origin.flow)
    }

    /// Waits for a permit. None when the request must be refused.
    pub async fn acquire(&self, origin: RequestOrigin) -> Option<RequestPermit> {
        let ticket = self.queue.join(origin.flow.clone()).ok()?;
        let permit = ticket.granted_within(self.patience).await.ok()?;
        Some(RequestPermit(Arc::new(Inner {
            permits: self.clone(),
            credentials: origin.credentials,
            state: Mutex::new(State {
                flow: origin.flow,
                permit: Some(permit),
                is_refused: false,
            }),
        })))
    }

    /// The number of permits in use, and of requests that wait for one.
    pub fn in_use(&self) -> (usize, usize) {
        self.queue.in_use()
    }
}

/// The flow of a request before authentication.
#[derive(Clone, Debug)]
pub struct RequestOrigin {
    flow: Flow,
    credentials: Option<CredentialKey>,
}

/// The permit of a request in progress, in its extensions. Work that continues after its caller has hung up keeps the
/// permit, so that such callers can't start unlimited work. A request that waits for something slow releases it.
#[derive(Clone, Debug)]
pub struct RequestPermit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: RequestPermits,
    credentials: Option<CredentialKey>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    permit: Option<Permit<Flow>>,
    is_refused: bool,
}

impl RequestPermit {
    /// Releases the permit while the request waits for something slow.
    pub fn leave(&self) {
        let permit = self.state().permit.take();
        drop(permit);
    }

    pub fn is_held(&self) -> bool {
        self.state().permit.is_some()
    }

    /// Returns true when the request had to be refused after it had released its permit.
    pub fn is_refused(&self) -> bool {
        self.state().is_refused
    }

    /// Waits for a permit again, ahead of requests of the same flow that haven't had one. False when there was none in
    /// time.
    pub async fn reacquire(self) -> bool {
        let flow = self.state().flow.clone();
        let ticket = self.0.permits.queue.rejoin(flow);
        self.wait(Some(ticket)).await
    }

    /// Waits for a permit again for a request that has begun to work. The caller must learn what it has stored by now,
    /// so that it waits as in a burst and is not [refused](Self::is_refused) as a whole. False when there was none in
    /// time.
    pub async fn resume(&self) -> bool {
        let permits = &self.0.permits;
        let patience = Patience {
            standing: permits.patience.draining,
            ..permits.patience
        };
        let flow = self.state().flow.clone();
        let permit = permits.queue.rejoin(flow).granted_within(patience).await.ok();
        let is_held = permit.is_some();
        self.state().permit = permit;
        is_held
    }

    /// Charges the permit to the authenticated caller, and remembers the credentials. A caller that has its share
    /// already waits without a permit. False when there was none in time.
    pub async fn charge(&self, caller: Flow) -> bool {
        let queue = &self.0.permits.queue;
        let permit = {
            let mut state = self.state();
            if state.flow != caller {
                state.flow = caller.clone();
                if let Some(key) = self.0.credentials {
                    self.0.permits.known.flows.insert(key, caller.clone());
                }
            }
            state.permit.take()
        };
        // Changes nothing when the permit was charged to this caller from the start.
        let permit = permit.and_then(|permit| permit.charged_to(&caller));
        if permit.is_some() {
            self.state().permit = permit;
            return true;
        }
        self.wait(queue.join(caller).ok()).await
    }

    /// Forgets the credentials, because they may be invalid now.
    pub fn forget_credentials(&self) {
        if let Some(key) = &self.0.credentials {
            self.0.permits.known.flows.invalidate(key);
        }
    }

    async fn wait(&self, ticket: Option<Ticket<Flow>>) -> bool {
        let permit = match ticket {
            Some(ticket) => ticket.granted_within(self.0.permits.patience).await.ok(),
            None => None,
        };
        let mut state = self.state();
        state.is_refused = permit.is_none();
        state.permit = permit;
        !state.is_refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The header with the credentials of a request.
type Credentials<'a> = (&'a HeaderName, &'a HeaderValue);

/// A keyed hash of credentials and of the network that they come from: other networks must not learn from waiting times
/// whether credentials are valid.
type CredentialKey = [u64; 2];

/// The flows of credentials that were valid when they were last checked. This decides only whose share a request is
/// charged to: each request is authenticated afterwards.
struct KnownCredentials {
    /// With random keys, so that no caller can find credentials with the hashes of others.
    hashers: [RandomState; 2],
    flows: Cache<CredentialKey, Flow>,
}

impl Default for KnownCredentials {
    fn default() -> Self {
        let flows = Cache::builder()
            .max_capacity(MOST_CREDENTIALS)
            .time_to_idle(LONGEST_IDLE);
        Self {
            hashers: Default::default(),
            flows: flows.build(),
        }
    }
}

impl fmt::Debug for KnownCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownCredentials")
    }
}

impl KnownCredentials {
    /// None without credentials.
    fn key(&self, credentials: Option<Credentials<'_>>, from: PeerAddress) -> Option<CredentialKey> {
        let (header, value) = credentials?;
        let network = Network::of_one_caller(from.0);
        let hash = |hasher: &RandomState| hasher.hash_one((header.as_str(), value.as_bytes(), network));
        Some(self.hashers.each_ref().map(hash))
    }
}
