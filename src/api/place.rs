//! The places of requests that are in progress, shared fairly by flow.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;
use moka::sync::Cache;
use rand::Rng;
use ring::hmac;

use super::{PeerAddress, authentication::credential_header};
use clientele_core::{
    fair_queue::{Limits, Patience, Permit, Ticket},
    flow::{Flow, FlowQueue},
    network::Network,
};

/// The credentials that are remembered, and for how long after their last use.
const MOST_CREDENTIALS: u64 = 50_000;
const LONGEST_IDLE: Duration = Duration::from_secs(60 * 60);

/// All places. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Places {
    queue: FlowQueue,
    patience: Patience,
    known: Arc<KnownCredentials>,
}

impl Places {
    pub fn new(places: usize, waiting: usize, patience: Patience) -> Self {
        Self {
            queue: FlowQueue::new(Limits {
                permits: places,
                waiting,
                // A flow can have them all: when there are none left, the flow with the most makes room for others.
                waiting_per_key: waiting,
            }),
            patience,
            known: Arc::default(),
        }
    }

    /// The party that a request is charged to: the caller, when these credentials were valid before, or else the
    /// network.
    pub fn origin(&self, headers: &HeaderMap, from: PeerAddress) -> RequestOrigin {
        let credentials = self.known.key(headers, from);
        let known = credentials.as_ref().and_then(|key| self.known.flows.get(key));
        RequestOrigin {
            flow: known.unwrap_or_else(|| Flow::of_address(from.0)),
            credentials,
        }
    }

    /// Counts a request as refused and answers true when it can't even wait for a place.
    pub fn refuses(&self, origin: &RequestOrigin) -> bool {
        self.queue.refuses(&origin.flow)
    }

    /// Waits for a place. None when the request must be refused.
    pub async fn take(&self, origin: RequestOrigin) -> Option<Place> {
        let ticket = self.queue.join(origin.flow.clone()).ok()?;
        let permit = ticket.granted_within(self.patience).await.ok()?;
        Some(Place(Arc::new(Inner {
            places: self.clone(),
            credentials: origin.credentials,
            state: Mutex::new(State {
                flow: origin.flow,
                permit: Some(permit),
                is_refused: false,
            }),
        })))
    }

    /// The number of places in use, and of requests that wait for one.
    pub fn in_use(&self) -> (usize, usize) {
        self.queue.in_use()
    }
}

/// The flow of a request, as far as its head tells.
#[derive(Clone, Debug)]
pub struct RequestOrigin {
    flow: Flow,
    credentials: Option<CredentialKey>,
}

/// The place of a request in progress, in its extensions. Work that goes on after its caller is gone keeps the place,
/// so that callers who hang up can't start more than the server can do. A request that waits for something slow leaves
/// it to others.
#[derive(Clone, Debug)]
pub struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Places,
    credentials: Option<CredentialKey>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    permit: Option<Permit<Flow>>,
    is_refused: bool,
}

impl Place {
    pub fn leave(&self) {
        let permit = self.state().permit.take();
        drop(permit);
    }

    pub fn is_taken(&self) -> bool {
        self.state().permit.is_some()
    }

    /// Returns true when the request had to be refused after it had left its place.
    pub fn is_refused(&self) -> bool {
        self.state().is_refused
    }

    /// Waits for a place again, ahead of requests of the same flow that haven't had one. False when there was none in
    /// time.
    pub async fn come_back(self) -> bool {
        let flow = self.state().flow.clone();
        let ticket = self.0.places.queue.rejoin(flow);
        self.take(Some(ticket)).await
    }

    /// Waits for a place again for a request that has begun to work. What it has stored by now must be answered, so
    /// that it waits as in a burst and is not [refused](Self::is_refused) as a whole. False when there was none in
    /// time.
    pub async fn resume(&self) -> bool {
        let places = &self.0.places;
        let patience = Patience {
            standing: places.patience.draining,
            ..places.patience
        };
        let flow = self.state().flow.clone();
        let permit = places.queue.rejoin(flow).granted_within(patience).await.ok();
        let is_taken = permit.is_some();
        self.state().permit = permit;
        is_taken
    }

    /// Charges the place to the authenticated caller, and remembers the credentials. A caller who has a share already
    /// waits without a place. False when there was none in time.
    pub async fn charge(&self, caller: Flow) -> bool {
        let queue = &self.0.places.queue;
        let permit = {
            let mut state = self.state();
            if state.flow != caller {
                state.flow = caller.clone();
                if let Some(key) = self.0.credentials {
                    self.0.places.known.flows.insert(key, caller.clone());
                }
            }
            state.permit.take()
        };
        // Does nothing when the place was taken by this caller from the start.
        let permit = permit.and_then(|permit| permit.charged_to(&caller));
        if permit.is_some() {
            self.state().permit = permit;
            return true;
        }
        self.take(queue.join(caller).ok()).await
    }

    /// Forgets the credentials, because they aren't known to be valid any more.
    pub fn forget_credentials(&self) {
        if let Some(key) = &self.0.credentials {
            self.0.places.known.flows.invalidate(key);
        }
    }

    async fn take(&self, ticket: Option<Ticket<Flow>>) -> bool {
        let permit = match ticket {
            Some(ticket) => ticket.granted_within(self.0.places.patience).await.ok(),
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

/// A keyed hash of credentials and of the network that they come from: other networks must not learn from waiting times
/// whether credentials are valid.
type CredentialKey = [u8; 32];

/// The flows of credentials that were valid when they were last checked. This decides only whose share a request is
/// charged to: each request is authenticated afterwards.
struct KnownCredentials {
    key: hmac::Key,
    flows: Cache<CredentialKey, Flow>,
}

impl Default for KnownCredentials {
    fn default() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        let flows = Cache::builder()
            .max_capacity(MOST_CREDENTIALS)
            .time_to_idle(LONGEST_IDLE);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
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
    fn key(&self, headers: &HeaderMap, from: PeerAddress) -> Option<CredentialKey> {
        let (header, value) = credential_header(headers)?;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(header.as_str().as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        let network = match Network::of_one_caller(from.0) {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        context.update(&network.octets());
        let mut key = CredentialKey::default();
        key.copy_from_slice(context.sign().as_ref());
        Some(key)
    }
}
