//! The transitions between the states of a client: the one table that every API follows.

use chrono::{DateTime, Utc};
use entity::client;

use crate::enums::{
    ClientState::{self, Active, Blacklisted, Exited, Inactive, PendingApproval, Rejected},
    Event,
};

/// The effect of a transition on a date of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateEffect {
    Stays,
    /// Becomes the time of the transition.
    Set,
    /// Becomes the time of the transition if there is no date yet.
    SetOnce,
    Cleared,
}

impl DateEffect {
    fn apply(self, date: &mut Option<DateTime<Utc>>, now: DateTime<Utc>) {
        *date = match self {
            Self::Stays => *date,
            Self::Set => Some(now),
            Self::SetOnce => date.or(Some(now)),
            Self::Cleared => None,
        };
    }
}

/// An allowed change of a client's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub from: ClientState,
    pub to: ClientState,
    pub name: &'static str,
    /// The usual event. [`Transition::event_for`] returns the event for one client.
    pub event: Event,
    pub approved: DateEffect,
    pub activated: DateEffect,
    pub closed: DateEffect,
}

const fn transition(from: ClientState, to: ClientState, name: &'static str, event: Event) -> Transition {
    Transition {
        from,
        to,
        name,
        event,
        approved: DateEffect::Stays,
        activated: DateEffect::Stays,
        closed: DateEffect::Stays,
    }
}

impl Transition {
    const fn approved(self, approved: DateEffect) -> Self {
        Self { approved, ..self }
    }

    const fn activated(self, activated: DateEffect) -> Self {
        Self { activated, ..self }
    }

    const fn closed(self, closed: DateEffect) -> Self {
        Self { closed, ..self }
    }
}

const UPDATED: Event = Event::ClientUpdated;

/// All allowed transitions. As in the legacy service, the activation is the first one, and a client is closed when it
/// exits or is blacklisted. There, a client with accounts can't exit; here are no accounts, so an active client can.
pub const TRANSITIONS: [Transition; 13] = [
    transition(PendingApproval, Inactive, "approval", Event::ClientApproved).approved(DateEffect::Set),
    transition(PendingApproval, Rejected, "rejection", Event::ClientRejected),
    transition(PendingApproval, Blacklisted, "blacklisting", Event::ClientBlacklisted).closed(DateEffect::Set),
    transition(Inactive, PendingApproval, "approval undone", UPDATED).approved(DateEffect::Cleared),
    transition(Inactive, Active, "activation", UPDATED).activated(DateEffect::SetOnce),
    transition(Inactive, Exited, "exit", Event::ClientExited).closed(DateEffect::Set),
    transition(Inactive, Blacklisted, "blacklisting", Event::ClientBlacklisted).closed(DateEffect::Set),
    transition(Active, Inactive, "deactivation", UPDATED),
    transition(Active, Exited, "exit", Event::ClientExited).closed(DateEffect::Set),
    transition(Active, Blacklisted, "blacklisting", Event::ClientBlacklisted).closed(DateEffect::Set),
    transition(Exited, Inactive, "exit undone", UPDATED).closed(DateEffect::Cleared),
    transition(Blacklisted, Inactive, "blacklisting undone", UPDATED)
        .approved(DateEffect::SetOnce)
        .closed(DateEffect::Cleared),
    transition(Rejected, PendingApproval, "rejection undone", UPDATED),
];

impl Transition {
    /// Returns the transition between two states, given as texts.
    pub fn between(from: &str, to: &str) -> Option<&'static Self> {
        let mut all = TRANSITIONS.iter();
        all.find(|transition| transition.from.as_str() == from && transition.to.as_str() == to)
    }

    /// Returns the states that a client in this state can change to.
    pub fn targets(from: &str) -> impl Iterator<Item = &'static str> {
        let all = TRANSITIONS
            .iter()
            .filter(move |transition| transition.from.as_str() == from);
        all.map(|transition| transition.to.as_str())
    }

    /// Returns the event of the transition, given the client before it. The first approval of a client always has the
    /// event of an approval.
    pub fn event_for(&self, client: &client::Model) -> Event {
        match self.approved {
            DateEffect::SetOnce if client.approved_at.is_none() => Event::ClientApproved,
            _ => self.event,
        }
    }

    /// Gives the client its new state and dates. A client that leaves the state EXITED is no longer merged.
    pub fn apply(&self, client: &mut client::Model, now: DateTime<Utc>) {
        self.to.as_str().clone_into(&mut client.state);
        self.approved.apply(&mut client.approved_at, now);
        self.activated.apply(&mut client.activated_at, now);
        self.closed.apply(&mut client.closed_at, now);
        client.merged_into_key.take_if(|_| self.from == Exited);
    }
}
