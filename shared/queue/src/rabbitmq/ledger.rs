//! What this process holds and has delayed. The broker tells others how many messages wait, and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::QueueName;

/// Delays beyond this many per queue are not counted; each costs 16 bytes.
const MOST_DELAYED: usize = 100_000;
/// A message is counted for a moment longer than it rests: twice is better than not at all.
const OVERLAP: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<HashMap<QueueName, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    held: u64,
    /// When each delayed message is ready again.
    delayed: Vec<Instant>,
}

/// Counts one message as held for as long as it lives.
#[derive(Debug)]
pub(super) struct Held {
    ledger: Ledger,
    queue: QueueName,
}

impl Ledger {
    pub(super) fn hold(&self, queue: &QueueName) -> Held {
        self.lock().entry(queue.clone()).or_default().held += 1;
        Held {
            ledger: self.clone(),
            queue: queue.clone(),
        }
    }

    pub(super) fn delay(&self, queue: &QueueName, delay: Duration) {
        let now = Instant::now();
        let mut entries = self.lock();
        let delayed = &mut entries.entry(queue.clone()).or_default().delayed;
        if delayed.len() == MOST_DELAYED {
            delayed.retain(|due| *due > now);
        }
        if delayed.len() < MOST_DELAYED {
            delayed.push(now + delay + OVERLAP);
        }
    }

    /// Messages in this process's hands.
    pub(super) fn held(&self, queue: &QueueName) -> u64 {
        self.lock().get(queue).map_or(0, |entry| entry.held)
    }

    pub(super) fn count(&self, queue: &QueueName) -> u64 {
        let now = Instant::now();
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(queue) else {
            return 0;
        };
        entry.delayed.retain(|due| *due > now);
        entry.held + entry.delayed.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(entry) = self.ledger.lock().get_mut(&self.queue) {
            entry.held = entry.held.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_or_delayed_is_counted_until_it_ends() {
        let ledger = Ledger::default();
        let queue = QueueName::Ticks;
        let held = ledger.hold(&queue);
        ledger.delay(&queue, Duration::from_secs(10));
        assert_eq!((ledger.count(&queue), ledger.count(&QueueName::Parked)), (2, 0));
        drop(held);
        assert_eq!(ledger.count(&queue), 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(ledger.count(&queue), 1, "it is counted until the broker surely has it");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ledger.count(&queue), 0);
    }
}
