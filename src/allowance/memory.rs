//! The memory of answers: how much of it one request may have, and how much all of them together.

use std::{
    fmt::{self, Display, Formatter},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use serde::{Deserialize, Serialize};

use super::Purpose;
use crate::error::{Error, Result};

/// What an operator decides about the memory of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerSettings {
    /// Bytes that one request may have in memory: what is read for it, and what is written of its answer.
    pub bytes: usize,
    /// The same for all requests together, until their callers have taken the answers.
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

/// A number of bytes, for people.
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

/// What is taken of all memory at once, so that the smallest answers ask for it only once.
const BLOCK: usize = 64 << 10;
/// This part of all memory is for first blocks: whoever takes large answers slowly holds up others that want large ones, but
/// nobody else.
const RESERVED: usize = 8;

/// The memory of all answers. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: AnswerSettings,
    taken: AtomicUsize,
}

impl Memory {
    pub fn new(settings: &AnswerSettings) -> Self {
        Self(Arc::new(Shared {
            settings: settings.clone(),
            taken: AtomicUsize::new(0),
        }))
    }

    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Relaxed)
    }

    fn take(&self, bytes: usize, most: usize) -> Result<()> {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= most);
        let taken = self.0.taken.fetch_update(Relaxed, Relaxed, more);
        taken.map(|_| ()).map_err(|_| Error::Busy)
    }

    fn take_anyway(&self, bytes: usize) {
        self.0.taken.fetch_add(bytes, Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.0.taken.fetch_sub(bytes, Relaxed);
    }
}

/// What one request holds.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: usize,
    /// Of all memory: never less than what is used.
    taken: usize,
    /// Why there was no more.
    refusal: Option<Error>,
}

impl Held {
    pub fn begin(memory: &Memory) -> Result<Self> {
        memory.take(BLOCK, memory.0.settings.bytes_together)?;
        Ok(Self {
            memory: memory.clone(),
            state: Mutex::new(State {
                used: 0,
                taken: BLOCK,
                refusal: None,
            }),
        })
    }

    /// Takes `bytes`, or up to `wish` while one request may have that much, and says how many it has taken.
    pub fn hold(&self, bytes: usize, wish: usize, purpose: Purpose) -> Result<usize> {
        let mut state = self.state();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let held = self.hold_in(&mut state, bytes, wish, purpose);
        state.refusal = held.as_ref().err().cloned();
        held
    }

    fn hold_in(&self, state: &mut State, bytes: usize, wish: usize, purpose: Purpose) -> Result<usize> {
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
        if let Some(missing) = used.checked_sub(state.taken).filter(|missing| *missing > 0) {
            let missing = missing.next_multiple_of(BLOCK);
            match purpose {
                Purpose::Read => self.memory.take(missing, bytes_together - bytes_together / RESERVED)?,
                Purpose::Change => self.memory.take_anyway(missing),
            }
            state.taken += missing;
        }
        state.used = used;
        Ok(bytes)
    }

    pub fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        state.used = state.used.saturating_sub(bytes);
    }

    /// From now on exactly this is held.
    pub fn settle(&self, bytes: usize) {
        let mut state = self.state();
        match bytes.checked_sub(state.taken) {
            Some(missing) => self.memory.take_anyway(missing),
            None => self.memory.give_back(state.taken - bytes),
        }
        (state.used, state.taken) = (bytes, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.state().taken);
    }
}
