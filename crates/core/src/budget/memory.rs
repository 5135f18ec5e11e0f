//! Limits the memory of answers: of one request, of all requests of one caller, and of all requests together.

use std::{
    collections::HashMap,
    fmt::{self, Display, Formatter},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::Priority;
use crate::{
    error::{Error, Result},
    flow::Flow,
};

/// The settings for the memory of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerSettings {
    /// Bytes that one request may hold in memory: the rows it reads and the answer it writes.
    pub bytes: usize,
    /// Bytes that all requests together may hold until their answers are sent.
    pub bytes_together: usize,
}

impl Default for AnswerSettings {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            bytes_together: 256 << 20,
        }
    }
}

/// A number of bytes, formatted for people.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl Display for Size {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(out, "{} MiB", bytes >> 20),
            bytes => write!(out, "{bytes} bytes"),
        }
    }
}

/// The unit reserved from the shared memory: the smallest answers reserve only once.
const BLOCK: usize = 64 << 10;
/// The part of the shared memory reserved for first blocks: callers who receive large answers slowly delay only other
/// large answers.
const RESERVED: usize = 8;
/// A caller may hold this many times the memory that it leaves free, so a single caller leaves a quarter to others.
const SHARE: usize = 3;

/// The memory of all answers. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: AnswerSettings,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    in_use: usize,
    by_flow: HashMap<Flow, usize>,
}

impl Used {
    fn add(&mut self, bytes: usize, flow: Option<&Flow>) {
        self.in_use += bytes;
        if let Some(flow) = flow {
            *self.by_flow.entry(flow.clone()).or_default() += bytes;
        }
    }

    fn remove(&mut self, bytes: usize, flow: Option<&Flow>) {
        self.in_use -= bytes;
        let Some(flow) = flow else { return };
        if let Some(of_flow) = self.by_flow.get_mut(flow) {
            *of_flow -= bytes;
            if *of_flow == 0 {
                self.by_flow.remove(flow);
            }
        }
    }
}

impl Memory {
    pub fn new(settings: &AnswerSettings) -> Self {
        Self(Arc::new(Shared {
            settings: settings.clone(),
            used: Mutex::default(),
        }))
    }

    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        self.used().in_use
    }

    fn take(&self, bytes: usize, most: usize, flow: Option<&Flow>) -> Result<()> {
        let mut used = self.used();
        let left = used
            .in_use
            .checked_add(bytes)
            .and_then(|in_use| most.checked_sub(in_use));
        let left = left.ok_or(Error::Busy)?;
        let of_flow = flow.and_then(|flow| used.by_flow.get(flow)).copied();
        if of_flow.is_some_and(|of_flow| of_flow + bytes > left.saturating_mul(SHARE)) {
            return Err(Error::Busy);
        }
        used.add(bytes, flow);
        Ok(())
    }

    fn take_anyway(&self, bytes: usize, flow: Option<&Flow>) {
        self.used().add(bytes, flow);
    }

    fn give_back(&self, bytes: usize, flow: Option<&Flow>) {
        self.used().remove(bytes, flow);
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that one request holds.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: Memory,
    flow: Option<Flow>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: usize,
    /// Bytes reserved from the shared memory: never fewer than are used.
    reserved: usize,
    /// The reason why a reservation was refused.
    refusal: Option<Error>,
}

impl Reservation {
    pub fn begin(memory: &Memory, flow: Option<Flow>) -> Result<Self> {
        memory.take(BLOCK, memory.0.settings.bytes_together, flow.as_ref())?;
        Ok(Self {
            memory: memory.clone(),
            flow,
            state: Mutex::new(State {
                used: 0,
                reserved: BLOCK,
                refusal: None,
            }),
        })
    }

    pub fn most(&self) -> usize {
        self.memory.0.settings.bytes
    }

    /// Reserves `bytes`, or up to `wish` within the limit of one request. Returns the number reserved.
    pub fn hold(&self, bytes: usize, wish: usize, priority: Priority) -> Result<usize> {
        let mut state = self.state();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let held = self.hold_in(&mut state, bytes, wish, priority);
        state.refusal = held.as_ref().err().cloned();
        held
    }

    fn hold_in(&self, state: &mut State, bytes: usize, wish: usize, priority: Priority) -> Result<usize> {
        let AnswerSettings {
            bytes: most,
            bytes_together,
        } = self.memory.0.settings;
        let left = most.saturating_sub(state.used);
        if bytes > left {
            return Err(Error::TooLarge { most });
        }
        let bytes = wish.clamp(bytes, left);
        let used = state.used + bytes;
        if let Some(missing) = used.checked_sub(state.reserved).filter(|missing| *missing > 0) {
            let (missing, flow) = (missing.next_multiple_of(BLOCK), self.flow.as_ref());
            let most = bytes_together - bytes_together / RESERVED;
            match priority {
                Priority::Read => self.memory.take(missing, most, flow)?,
                Priority::Change => self.memory.take_anyway(missing, flow),
            }
            state.reserved += missing;
        }
        state.used = used;
        Ok(bytes)
    }

    pub fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        state.used = state.used.saturating_sub(bytes);
    }

    /// Sets the reserved memory to exactly `bytes`.
    pub fn settle(&self, bytes: usize) {
        let mut state = self.state();
        match bytes.checked_sub(state.reserved) {
            Some(missing) => self.memory.take_anyway(missing, self.flow.as_ref()),
            None => self.memory.give_back(state.reserved - bytes, self.flow.as_ref()),
        }
        (state.used, state.reserved) = (bytes, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.give_back(self.state().reserved, self.flow.as_ref());
    }
}
