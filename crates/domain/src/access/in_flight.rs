//! Coalesces equal sign-in attempts: one is verified, the others wait for its outcome.

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
use clientele_core::{
    error::{Error, sentence},
    fair_queue::QueueFull,
    trace,
};

/// The reason why a caller isn't signed in, with the message to the caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignInError {
    /// The credentials are missing or have an unknown form. Holds a sentence on how to correct that.
    #[error("{0}")]
    Missing(&'static str),
    /// The credentials are wrong or no longer valid.
    #[error("{}", sentence::WRONG_CREDENTIALS)]
    Wrong,
    /// Too many failures. Holds the time to wait.
    #[error("{}", sentence::TOO_MANY_ATTEMPTS)]
    TooMany(Duration),
    /// The queue for password verification is full, or there is no permit for this caller now.
    #[error("Too many sign-ins at once. Retry in a few seconds.")]
    Busy,
    /// The token can't be verified because the issuer's keys can't be fetched. Holds the time to wait.
    #[error("The token can't be verified, because its issuer is unreachable. Retry in a few seconds.")]
    IssuerUnreachable(Duration),
    /// The credentials could not be verified.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Limit of the requests that wait for one outcome: a burst from a caller whose credentials aren't cached yet.
pub(super) const MOST_TOGETHER: usize = 2_048;

type Outcome = Result<Arc<Account>, SignInError>;

/// Sends the outcome of an attempt. Each waiting request holds a receiver.
type Sender = watch::Sender<Option<Outcome>>;

/// The attempts in progress.
#[derive(Default)]
pub(super) struct InFlight(Mutex<HashMap<CredentialKey, Sender>>);

impl InFlight {
    /// Returns the outcome of `verify`, which runs once the ticket from `begin` is granted. Joins an equal attempt in
    /// progress. If all requests give up before the permit is granted, `verify` doesn't run; once it runs, it finishes.
    pub async fn run<F: Future<Output = Outcome> + Send + 'static>(
        self: &Arc<Self>,
        key: CredentialKey,
        begin: impl FnOnce() -> Result<HashTicket, Outcome>,
        verify: impl FnOnce(HashPermit) -> F + Send + 'static,
    ) -> Outcome {
        let mut receiver = match self.join(key, begin, verify) {
            Ok(receiver) => receiver,
            Err(outcome) => return outcome,
        };
        let outcome = receiver.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Error::defect("the verification of a password has no outcome").into()))
    }

    fn join<F: Future<Output = Outcome> + Send + 'static>(
        self: &Arc<Self>,
        key: CredentialKey,
        begin: impl FnOnce() -> Result<HashTicket, Outcome>,
        verify: impl FnOnce(HashPermit) -> F + Send + 'static,
    ) -> Result<watch::Receiver<Option<Outcome>>, Outcome> {
        let mut attempts = self.lock();
        if let Some(sender) = attempts.get(&key) {
            let has_room = sender.receiver_count() < MOST_TOGETHER;
            return has_room.then(|| sender.subscribe()).ok_or(Err(SignInError::Busy));
        }
        let ticket = begin()?;
        let (sender, receiver) = watch::channel(None);
        attempts.insert(key, sender.clone());
        // Others may join: the first request's trace has the statements.
        let attempt = self.clone().attempt(key, sender, ticket, verify);
        tokio::spawn(trace::within(trace::current(), attempt));
        Ok(receiver)
    }

    async fn attempt<F: Future<Output = Outcome> + Send + 'static>(
        self: Arc<Self>,
        key: CredentialKey,
        sender: Sender,
        ticket: HashTicket,
        verify: impl FnOnce(HashPermit) -> F,
    ) {
        let permit = select! {
            permit = ticket.granted() => permit,
            () = sleep(PATIENCE) => Err(QueueFull),
            () = self.abandoned(&key, &sender) => return,
        };
        let outcome = match permit {
            // A task of its own, so that a panic doesn't leave the attempt behind.
            Ok(permit) => tokio::spawn(trace::within(trace::current(), verify(permit))).await.ok(),
            Err(QueueFull) => Some(Err(SignInError::Busy)),
        };
        self.lock().remove(&key);
        sender.send_replace(outcome);
    }

    /// Returns when no request waits any longer, and no request can join.
    async fn abandoned(&self, key: &CredentialKey, sender: &Sender) {
        loop {
            sender.closed().await;
            let mut attempts = self.lock();
            if sender.receiver_count() == 0 {
                attempts.remove(key);
                return;
            }
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialKey, Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
