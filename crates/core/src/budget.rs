//! The budget of one request: time, database connections and memory, out of what all requests share.
//!
//! It is a task-local value, so that functions on the way needn't pass it on: the database takes connections and
//! reserves rows from it, and [`Text`] grows by it.

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

/// What there is, and how much of it each request may have.
#[derive(Clone, Debug)]
pub struct Means {
    timeout: Duration,
    connections: usize,
    /// The connections, shared fairly by caller.
    queue: FlowQueue,
    memory: Memory,
}

impl Means {
    /// How long a request may take, and how many connections there are: a request may use some of them at once, its
    /// caller more, and other statements of theirs wait for one another.
    pub fn new(timeout: Duration, connections: Connections, answers: &AnswerSettings) -> Self {
        let Connections { all, of_request } = connections;
        Self {
            timeout,
            connections: of_request,
            queue: FlowQueue::unbounded(all),
            memory: Memory::new(answers),
        }
    }

    /// What a request may take that begins now. Its connections are charged to `flow`; without one, only the request's
    /// own limit holds.
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
    /// What one request may use at once.
    pub of_request: usize,
}

impl Connections {
    /// A single connection.
    pub const ONE: Self = Self { all: 1, of_request: 1 };
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It may be given up at any time.
    Read,
    /// What it has stored is to be answered, be it late or while memory is short.
    Change,
}

/// What one request may take. Cloning shares it; the memory is given back when the last one goes away.
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

/// One of the connections that a request, and its caller, may use at once.
#[derive(Debug)]
pub struct ConnectionPlace {
    _of_request: OwnedSemaphorePermit,
    _of_caller: Option<Permit<Flow>>,
}

impl Allowance {
    /// That of the task that asks; none outside of a request.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// `work` within it.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    pub fn deadline(&self) -> Deadline {
        self.0.deadline
    }

    /// The flow that the request is charged to. None when its caller can't be told from others.
    pub fn flow(&self) -> Option<&Flow> {
        self.0.flow.as_ref()
    }

    /// A place for one statement among those of the request and of its caller.
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

    /// Takes memory for so many bytes.
    ///
    /// # Errors [`Error::TooLarge`] beyond what one request may have, [`Error::Busy`] beyond what there is, and
    /// [`Error::TimedOut`] past the deadline. What has been refused once is refused from then on.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        self.hold_more(bytes, bytes).map(|_| ())
    }

    /// As [`hold`](Self::hold), and up to `wish` while there is that much. Answers how much it is.
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

    /// The answer: all that is held from now on, until its last byte has been taken by the connection, or thrown away.
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

/// A part of an answer, with what it counts as.
struct Kept {
    bytes: Bytes,
    _allowance: Allowance,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Memory of the current request for what has been read, given back when it goes away before it is [kept](Self::keep).
#[derive(Debug, Default)]
pub struct Reading {
    allowance: Option<Allowance>,
    bytes: usize,
}

impl Reading {
    /// For the request of this task; without bounds outside of one.
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

    /// It stays taken until the request is answered.
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

/// Takes memory of the current request, if this is one.
///
/// # Errors
/// As [`Allowance::hold`].
pub fn hold(bytes: usize) -> Result<()> {
    Allowance::current().map_or(Ok(()), |allowance| allowance.hold(bytes))
}
