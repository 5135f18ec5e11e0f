//! Attempts to sign in that wait for their turn to be looked at: the same attempt, made many times at once, is one.
//! Knows neither whose it is nor how it is looked at.

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

/// What came of an attempt to sign in.
#[derive(Clone, Debug)]
pub enum Verdict {
    Right(Arc<Account>),
    Wrong,
    /// There were too many failures, so that it wasn't looked at: how long to wait.
    TooMany(Duration),
    /// Too many wait to be looked at.
    Busy,
    /// Nobody can tell.
    Unknown(Error),
}

/// Requests that can wait for one verdict: a burst of a caller whose credentials aren't known yet.
pub(super) const MOST_TOGETHER: usize = 2_048;

/// Where a verdict will be heard. Whoever waits for it holds a receiver.
type Answer = watch::Sender<Option<Verdict>>;

/// The attempts under way.
#[derive(Debug, Default)]
pub struct Asking(Mutex<HashMap<CredentialKey, Answer>>);

impl Asking {
    /// The verdict of `look`, once its turn has come, for which `begin` finds a place in the queue. Who comes before it
    /// is known begins nothing and hears the same. When all of them give up before its turn, nothing is looked at; from
    /// then on it goes on, whoever still waits.
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

    /// Whether nobody waits for a verdict.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialKey, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the verdict is heard of, and what begins if it is nobody else's.
enum Joined {
    Another(watch::Receiver<Option<Verdict>>),
    Begun(watch::Receiver<Option<Verdict>>, HashTicket, Answer),
}

/// One attempt, which can be joined until this ends, however it does.
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

    /// Comes back when nobody waits any more, and nobody can join.
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
