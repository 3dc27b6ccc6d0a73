//! What happened, in order.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Every call of a port and every death, in order. Two runs are the same run if their traces have the same hash.
#[derive(Debug, Default)]
pub struct Trace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hasher: DefaultHasher,
    events: u64,
    seen: BTreeMap<&'static str, u64>,
    /// The events themselves, to follow one seed.
    kept: Option<Vec<String>>,
}

impl Trace {
    /// One that keeps the events themselves, to follow one seed.
    pub fn keeping() -> Self {
        let state = State {
            kept: Some(Vec::new()),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    pub fn note(&self, event: fmt::Arguments<'_>) {
        let mut state = self.lock();
        let text = event.to_string();
        text.hash(&mut state.hasher);
        state.events += 1;
        if let Some(kept) = &mut state.kept {
            kept.push(text);
        }
    }

    /// Counts that a hard path was reached.
    pub fn reached(&self, path: &'static str) {
        *self.lock().seen.entry(path).or_default() += 1;
    }

    /// The hash of all events, and how many they are.
    pub fn sum(&self) -> (u64, u64) {
        let state = self.lock();
        (state.hasher.finish(), state.events)
    }

    /// The events, where they are kept.
    pub fn events(&self) -> Vec<String> {
        self.lock().kept.clone().unwrap_or_default()
    }

    /// How often each hard path was reached.
    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.lock().seen.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
