//! Coalesces equal sign-in attempts: one is verified, the others wait for its verdict.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{select, sync::watch, time::sleep};

use super::{
    Account,
    hash_queue::{HashPermit, HashTicket},
    password::PATIENCE,
};
use crate::caller::CredentialKey;
use clientele_core::{error::Error, fair_queue::QueueFull};

/// The result of an attempt to sign in.
#[derive(Clone, Debug)]
pub enum Verdict {
    Right(Arc<Account>),
    Wrong,
    /// There were too many failures: retry after this time.
    TooMany(Duration),
    /// The queue is full.
    Busy,
    /// The check failed.
    Unknown(Error),
}

/// Limit of the requests that wait for one verdict: a burst from a caller whose credentials aren't cached yet.
pub(super) const MOST_TOGETHER: usize = 2_048;

/// Sends the verdict. Each waiting request holds a receiver.
type Answer = watch::Sender<Option<Verdict>>;

/// The attempts under way.
#[derive(Debug, Default)]
pub struct Asking(Mutex<HashMap<CredentialKey, Answer>>);

impl Asking {
    /// Returns the verdict of `look`, which runs once the ticket from `begin` is granted. Joins an equal attempt that
    /// is under way. If all waiters give up before the permit is granted, `look` doesn't run; once it runs, it
    /// finishes.
    pub async fn ask<F: Future<Output = Verdict> + Send + 'static>(
        self: &Arc<Self>,
        mark: CredentialKey,
        begin: impl FnOnce() -> Result<HashTicket, Verdict>,
        look: impl FnOnce(HashPermit) -> F + Send + 'static,
    ) -> Verdict {
        let mut verdict = match self.join(mark, begin) {
            Err(verdict) => return verdict,
            Ok(Joined::Another(verdict)) => verdict,
            Ok(Joined::Begun(verdict, ticket, answer)) => {
                tokio::spawn(Asked::new(self.clone(), mark, answer).find_out(ticket, look));
                verdict
            }
        };
        let verdict = verdict.wait_for(Option::is_some).await;
        let verdict = verdict.ok().and_then(|verdict| verdict.clone());
        verdict.unwrap_or_else(|| Verdict::Unknown(Error::defect("looking at a password was given up")))
    }

    fn join(
        &self,
        mark: CredentialKey,
        begin: impl FnOnce() -> Result<HashTicket, Verdict>,
    ) -> Result<Joined, Verdict> {
        let mut open = self.lock();
        if let Some(answer) = open.get(&mark) {
            let room = answer.receiver_count() < MOST_TOGETHER;
            return room.then(|| Joined::Another(answer.subscribe())).ok_or(Verdict::Busy);
        }
        let ticket = begin()?;
        let (answer, verdict) = watch::channel(None);
        open.insert(mark, answer.clone());
        Ok(Joined::Begun(verdict, ticket, answer))
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialKey, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiver of a verdict, with the ticket and the sender if the attempt is new.
enum Joined {
    Another(watch::Receiver<Option<Verdict>>),
    Begun(watch::Receiver<Option<Verdict>>, HashTicket, Answer),
}

/// One attempt. It can be joined until this is dropped.
struct Asked {
    asking: Arc<Asking>,
    mark: CredentialKey,
    answer: Answer,
    ended: bool,
}

impl Asked {
    fn new(asking: Arc<Asking>, mark: CredentialKey, answer: Answer) -> Self {
        Self {
            asking,
            mark,
            answer,
            ended: false,
        }
    }

    async fn find_out<F: Future<Output = Verdict>>(mut self, ticket: HashTicket, look: impl FnOnce(HashPermit) -> F) {
        let permit = select! {
            permit = ticket.granted() => permit,
            () = sleep(PATIENCE) => Err(QueueFull),
            () = self.given_up() => return,
        };
        let verdict = match permit {
            Ok(permit) => look(permit).await,
            Err(QueueFull) => Verdict::Busy,
        };
        let answer = self.answer.clone();
        drop(self);
        answer.send_replace(Some(verdict));
    }

    /// Returns when no request waits any more, and no request can join.
    async fn given_up(&mut self) {
        loop {
            self.answer.closed().await;
            let mut open = self.asking.lock();
            if self.answer.receiver_count() == 0 {
                open.remove(&self.mark);
                self.ended = true;
                return;
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.ended {
            self.asking.lock().remove(&self.mark);
        }
    }
}
