//! The budget of one request: time, database connections and memory, drawn from the resources that all requests share.
//!
//! It is a task-local value, so callees need no parameter for it: the database takes connections and reserves rows from
//! it, and [`Text`] reserves memory as it grows.

mod memory;
#[cfg(test)]
mod tests;
mod text;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::memory::{Held, Memory};
pub use self::{
    memory::{AnswerSettings, Size},
    text::Text,
};
use crate::{
    deadline::Deadline,
    error::{Error, Result},
    fair_queue::Permit,
    flow::{Flow, FlowQueue},
};

tokio::task_local! { static CURRENT: Allowance; }

/// The shared resources, and the part of them that each request may use.
#[derive(Clone, Debug)]
pub struct Means {
    timeout: Duration,
    connections: usize,
    /// The connections, shared fairly by caller.
    queue: FlowQueue,
    memory: Memory,
}

impl Means {
    /// `timeout` is the time limit of a request. `connections` limits the connections that a request and its caller use
    /// at once; further statements of that caller wait.
    pub fn new(timeout: Duration, connections: Connections, answers: &AnswerSettings) -> Self {
        let Connections { all, of_request } = connections;
        Self {
            timeout,
            connections: of_request,
            queue: FlowQueue::unbounded(all),
            memory: Memory::new(answers),
        }
    }

    /// Creates the allowance of a request that starts now. Its connections are charged to `flow`; without a flow, only
    /// the request's own limit applies.
    ///
    /// # Errors
    /// [`Error::Busy`] when the answers under way leave no memory for another.
    pub fn allow(&self, purpose: Purpose, flow: Option<Flow>) -> Result<Allowance> {
        Ok(Allowance(Arc::new(Parts {
            purpose,
            deadline: Deadline::after(self.timeout),
            connections: Arc::new(Semaphore::new(self.connections)),
            held: Held::begin(&self.memory, flow.clone())?,
            flow,
            queue: self.queue.clone(),
        })))
    }
}

/// The connections of the database.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    pub all: usize,
    /// Connections that one request may use at once.
    pub of_request: usize,
}

impl Connections {
    pub const ONE: Self = Self { all: 1, of_request: 1 };
}

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It may be cancelled at any time.
    Read,
    /// Its stored changes must be answered, even late or while memory is short.
    Change,
}

/// The resources that one request may use. Clones share it; dropping the last one returns the memory.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    purpose: Purpose,
    deadline: Deadline,
    connections: Arc<Semaphore>,
    flow: Option<Flow>,
    queue: FlowQueue,
    held: Held,
}

/// A permit for one of the connections that a request and its caller may use at once.
#[derive(Debug)]
pub struct ConnectionPlace {
    _of_request: OwnedSemaphorePermit,
    _of_caller: Option<Permit<Flow>>,
}

impl Allowance {
    /// The allowance of the current task. None outside a request.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `work` within this allowance.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    pub fn deadline(&self) -> Deadline {
        self.0.deadline
    }

    /// The flow that the request is charged to. None when the caller is unknown.
    pub fn flow(&self) -> Option<&Flow> {
        self.0.flow.as_ref()
    }

    /// Waits for a permit for one statement, within the limits of the request and of its caller.
    pub async fn connection(&self) -> Option<ConnectionPlace> {
        let of_request = self.0.connections.clone().acquire_owned().await.ok()?;
        let of_caller = match &self.0.flow {
            Some(flow) => self.0.queue.acquire(flow.clone()).await.ok(),
            None => None,
        };
        Some(ConnectionPlace {
            _of_request: of_request,
            _of_caller: of_caller,
        })
    }

    /// Reserves `bytes` of memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the limit of one request, [`Error::Busy`] beyond the limit of all requests, and
    /// [`Error::TimedOut`] past the deadline. After one refusal, all further reservations are refused.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        self.hold_more(bytes, bytes).map(|_| ())
    }

    /// Like [`hold`](Self::hold), but reserves up to `wish` bytes if they are available. Returns the number reserved.
    fn hold_more(&self, bytes: usize, wish: usize) -> Result<usize> {
        let Parts {
            purpose,
            deadline,
            held,
            ..
        } = &*self.0;
        match purpose {
            Purpose::Read if deadline.is_over() => Err(Error::TimedOut),
            purpose => held.hold(bytes, wish, *purpose),
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.held.give_back(bytes);
    }

    /// Attaches all memory held so far to the pieces of the answer. It is returned when the connection has sent or
    /// dropped the last byte.
    pub fn keep(&self, pieces: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
        let pieces: Vec<Bytes> = pieces.into_iter().collect();
        self.0.held.settle(pieces.iter().map(Bytes::len).sum());
        let kept = |bytes| {
            Bytes::from_owner(Kept {
                bytes,
                _allowance: self.clone(),
            })
        };
        pieces.into_iter().map(kept).collect()
    }
}

/// A piece of an answer, with the memory reserved for it.
struct Kept {
    bytes: Bytes,
    _allowance: Allowance,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Memory of the current request for rows being read. Dropping it returns the memory unless it was [kept](Self::keep).
#[derive(Debug, Default)]
pub struct Reading {
    allowance: Option<Allowance>,
    bytes: usize,
}

impl Reading {
    /// For the request of the current task. Unlimited outside a request.
    pub fn begin() -> Self {
        Self {
            allowance: Allowance::current(),
            bytes: 0,
        }
    }

    /// # Errors
    /// As [`Allowance::hold`].
    pub fn hold(&mut self, bytes: usize) -> Result<()> {
        if let Some(allowance) = &self.allowance {
            allowance.hold(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Keeps the memory until the request is answered.
    pub fn keep(mut self) {
        self.allowance = None;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.give_back(self.bytes);
        }
    }
}

/// Reserves memory of the current request. Does nothing outside a request.
///
/// # Errors
/// As [`Allowance::hold`].
pub fn hold(bytes: usize) -> Result<()> {
    Allowance::current().map_or(Ok(()), |allowance| allowance.hold(bytes))
}
