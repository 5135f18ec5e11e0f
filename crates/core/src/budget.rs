//! The budget of one request: time, database connections and memory, drawn from the resources that all requests share.
//!
//! It is a task-local value, so callees need no parameter for it: the database takes connections and reserves rows from
//! it, and [`Text`] reserves memory as it grows.

mod memory;
#[cfg(test)]
mod tests;
mod text;

use std::{
    any::Any,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::memory::{Memory, Reservation};
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

tokio::task_local! { static CURRENT: RequestBudget; }

/// The shared resources, and the part of them that each request may use.
#[derive(Clone, Debug)]
pub struct BudgetPool {
    timeout: Duration,
    connections: usize,
    /// The connections, shared fairly by caller.
    queue: FlowQueue,
    memory: Memory,
}

impl BudgetPool {
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

    /// Creates the budget of a request that starts now. Its connections are charged to `flow`; without a flow, only
    /// the request's own limit applies.
    ///
    /// # Errors
    /// [`Error::Busy`] when the answers under way leave no memory for another.
    pub fn start(&self, priority: Priority, flow: Option<Flow>) -> Result<RequestBudget> {
        Ok(RequestBudget(Arc::new(Parts {
            priority,
            deadline: Deadline::after(self.timeout),
            connections: Arc::new(Semaphore::new(self.connections)),
            reservation: Reservation::begin(&self.memory, flow.clone())?,
            flow,
            queue: self.queue.clone(),
            attachment: OnceLock::new(),
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

/// The priority of a request for memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It may be cancelled at any time.
    Read,
    /// Its stored changes must be answered, even late or while memory is short.
    Change,
}

/// The resources that one request may use. Clones share it; dropping the last one returns the memory.
#[derive(Clone, Debug)]
pub struct RequestBudget(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    priority: Priority,
    deadline: Deadline,
    connections: Arc<Semaphore>,
    flow: Option<Flow>,
    queue: FlowQueue,
    reservation: Reservation,
    attachment: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// A permit for one of the connections that a request and its caller may use at once.
#[derive(Debug)]
pub struct ConnectionPermit {
    _of_request: OwnedSemaphorePermit,
    _of_caller: Option<Permit<Flow>>,
}

impl RequestBudget {
    /// The budget of the current task. None outside a request.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `work` within this budget.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    pub fn priority(&self) -> Priority {
        self.0.priority
    }

    /// The state that the storage keeps for this request, created at the first call. None for another type than then.
    pub fn attachment<T: Default + Send + Sync + 'static>(&self) -> Option<&T> {
        let attachment = self.0.attachment.get_or_init(|| Box::<T>::default());
        attachment.downcast_ref()
    }

    pub fn deadline(&self) -> Deadline {
        self.0.deadline
    }

    /// Limit of the memory of the request, in bytes.
    pub fn most(&self) -> usize {
        self.0.reservation.most()
    }

    /// The flow that the request is charged to. None when the caller is unknown.
    pub fn flow(&self) -> Option<&Flow> {
        self.0.flow.as_ref()
    }

    /// Waits for a permit for one statement, within the limits of the request and of its caller.
    pub async fn connection(&self) -> Option<ConnectionPermit> {
        let of_request = self.0.connections.clone().acquire_owned().await.ok()?;
        let of_caller = match &self.0.flow {
            Some(flow) => self.0.queue.acquire(flow.clone()).await.ok(),
            None => None,
        };
        Some(ConnectionPermit {
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
            priority,
            deadline,
            reservation,
            ..
        } = &*self.0;
        match priority {
            Priority::Read if deadline.is_over() => Err(Error::TimedOut),
            priority => reservation.hold(bytes, wish, *priority),
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.reservation.give_back(bytes);
    }

    /// Attaches all memory reserved so far to the pieces of the answer. It is returned when the connection has sent or
    /// dropped the last byte.
    pub fn keep(&self, pieces: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
        let pieces: Vec<Bytes> = pieces.into_iter().collect();
        self.0.reservation.settle(pieces.iter().map(Bytes::len).sum());
        let kept = |bytes| {
            Bytes::from_owner(ReservedBytes {
                bytes,
                _budget: self.clone(),
            })
        };
        pieces.into_iter().map(kept).collect()
    }
}

/// A piece of an answer, with the memory reserved for it.
struct ReservedBytes {
    bytes: Bytes,
    _budget: RequestBudget,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Memory of the current request for rows being read. Dropping it returns the memory unless it was [kept](Self::keep).
#[derive(Debug, Default)]
pub struct Reading {
    budget: Option<RequestBudget>,
    bytes: usize,
}

impl Reading {
    /// For the request of the current task. Unlimited outside a request.
    pub fn begin() -> Self {
        Self {
            budget: RequestBudget::current(),
            bytes: 0,
        }
    }

    /// # Errors
    /// As [`RequestBudget::hold`].
    pub fn hold(&mut self, bytes: usize) -> Result<()> {
        if let Some(budget) = &self.budget {
            budget.hold(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Keeps the memory until the request is answered.
    pub fn keep(mut self) {
        self.budget = None;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.bytes);
        }
    }
}

/// Reserves memory of the current request. Does nothing outside a request.
///
/// # Errors
/// As [`RequestBudget::hold`].
pub fn hold(bytes: usize) -> Result<()> {
    RequestBudget::current().map_or(Ok(()), |budget| budget.hold(bytes))
}
