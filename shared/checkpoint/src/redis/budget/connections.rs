//! Connections: taken from the fleet's count, renewed by a task, given back on drop or by the death of the process.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::FromRedisValue;
use tokio::time::Instant;

use super::{BEAT, Inner, KEYS_LAST, MEMBER_LASTS, SETTLE, micros, millis, next_slot};
use crate::ConnectionPermit;

/// First and longest pause before a connection is asked for again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// The connections of this process.
#[derive(Debug, Default)]
pub(super) struct Held {
    slots: BTreeSet<String>,
    /// Given back here, and not yet on the server.
    given_back: Vec<String>,
}

impl Held {
    pub(super) fn count(&self) -> u32 {
        self.slots.len() as u32
    }
}

/// Gives its connection back when it is dropped.
struct Slot {
    name: String,
    of: Weak<Inner>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(inner) = self.of.upgrade() {
            let mut state = inner.state();
            state.held.slots.remove(&self.name);
            state.held.given_back.push(std::mem::take(&mut self.name));
            drop(state);
            inner.given_back.notify_one();
        }
    }
}

/// Waits for a connection; `None` where there is no limit.
pub(super) async fn connection(inner: &Arc<Inner>) -> Option<ConnectionPermit> {
    // Given back when it is dropped, also by a caller who does not wait for the answer: it may be a grant.
    let slot = Slot {
        name: next_slot(inner),
        of: Arc::downgrade(inner),
    };
    let (mut pause, longest) = PAUSES;
    loop {
        let freed = inner.freed.notified();
        let limit = inner.state().limits.connections?;
        if ask(inner, limit.get(), &slot.name).await {
            return Some(ConnectionPermit::new(slot));
        }
        let _ = tokio::time::timeout(pause, freed).await;
        pause = (pause * 2).min(longest);
    }
}

async fn ask(inner: &Inner, limit: u32, slot: &str) -> bool {
    let mut call = inner.checkpoint.inner.scripts.connect.prepare_invoke();
    call.key(&inner.keys[..]);
    call.arg(limit).arg(slot).arg(micros(MEMBER_LASTS)).arg(&inner.member);
    call.arg(inner.known()).arg(millis(KEYS_LAST)).arg(micros(SETTLE));
    let answer = inner.ask(&call).await;
    let granted = answer.and_then(|value| <(u8, u32)>::from_redis_value(value).ok());
    let mut state = inner.state();
    let granted = match granted {
        Some((granted, fleet)) => {
            state.fleet.saw(fleet, Instant::now());
            granted == 1
        }
        // Nobody can be asked: the share of this process, one at least.
        None => state.held.count() < (limit / state.fleet.size()).max(1),
    };
    if granted {
        // Not before: what is held is written down on the server by every beat, without a question.
        state.held.slots.insert(slot.to_owned());
    }
    granted
}

/// Tells the server that this member lives, what it holds and what it gave back, as long as somebody has the budget.
pub(super) async fn keep(of: Weak<Inner>) {
    loop {
        let Some(inner) = of.upgrade() else { return };
        let beat = beat(&inner).await;
        // A beat that was not heard is repeated soon.
        let pause = if beat { BEAT } else { PAUSES.1 };
        let given_back = Arc::clone(&inner.given_back);
        drop(inner);
        let _ = tokio::time::timeout(pause, given_back.notified()).await;
    }
}

/// Whether the server has heard it.
async fn beat(inner: &Inner) -> bool {
    let (held, given_back) = {
        let state = inner.state();
        (state.held.slots.clone(), state.held.given_back.clone())
    };
    let mut call = inner.checkpoint.inner.scripts.beat.prepare_invoke();
    call.key(&inner.keys[..]);
    call.arg(micros(MEMBER_LASTS))
        .arg(&inner.member)
        .arg(inner.known())
        .arg(millis(KEYS_LAST));
    call.arg(micros(SETTLE)).arg(held.len());
    for slot in held.iter().chain(&given_back) {
        call.arg(slot);
    }
    let answer = inner.ask(&call).await;
    let Some(fleet) = answer.and_then(|value| u32::from_redis_value(value).ok()) else {
        return false;
    };
    let mut state = inner.state();
    state.fleet.saw(fleet, Instant::now());
    state.held.given_back.retain(|slot| !given_back.contains(slot));
    drop(state);
    if !given_back.is_empty() {
        inner.freed.notify_waiters();
    }
    true
}
