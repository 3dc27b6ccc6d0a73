//! One queue: what is ready, what waits out a delay, and what is in somebody's hands.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::{Message, QueueName};

/// A delay that no process outlives stands for those that the clock cannot hold.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct Lane {
    state: Mutex<State>,
    /// Every receiver that waits looks again whenever a message became ready or its time was set.
    changed: Notify,
    /// One permit per message that the queue may hold; handed out in the order of asking.
    places: Arc<Semaphore>,
    capacity: usize,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Held>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// Counts additions, so that messages due at the same instant keep their order.
    sequence: u64,
}

/// A message with its place in the queue.
pub(super) struct Held {
    pub(super) message: Message,
    pub(super) redeliveries: u32,
    pub(super) parked: Option<Parked>,
    _place: OwnedSemaphorePermit,
}

/// Where a parked message came from, and why it was parked.
pub(super) struct Parked {
    pub(super) origin: QueueName,
    pub(super) reason: String,
}

struct Delayed {
    due: Instant,
    sequence: u64,
    held: Held,
}

impl Lane {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
        }
    }

    /// Waits for a place, then holds the message. Cancelled while it waits, nothing is held.
    pub(super) async fn publish(&self, message: Message) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        self.add(message, None, place.expect("the lane never closes its semaphore"));
    }

    /// Holds the message if there is a place for it now, and answers whether.
    pub(super) fn try_publish(&self, message: Message, parked: Parked) -> bool {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return false;
        };
        self.add(message, Some(parked), place);
        true
    }

    fn add(&self, message: Message, parked: Option<Parked>, place: OwnedSemaphorePermit) {
        let held = Held {
            message,
            redeliveries: 0,
            parked,
            _place: place,
        };
        self.lock().ready.push_back(held);
        self.changed.notify_waiters();
    }

    /// Takes a delivery back that ended unsettled: it is the next one that is received.
    pub(super) fn give_back(&self, mut held: Held) {
        held.redeliveries = held.redeliveries.saturating_add(1);
        self.lock().ready.push_front(held);
        self.changed.notify_waiters();
    }

    /// Takes a delivery back that is to come again after a delay.
    pub(super) fn give_back_later(&self, mut held: Held, after: Duration) {
        held.redeliveries = held.redeliveries.saturating_add(1);
        let due = Instant::now() + after.min(LONGEST_DELAY);
        let mut state = self.lock();
        state.sequence += 1;
        let sequence = state.sequence;
        state.delayed.push(Reverse(Delayed { due, sequence, held }));
        drop(state);
        self.changed.notify_waiters();
    }

    /// The next message; waits for one. Nothing is awaited after a message was taken, which makes it cancel-safe.
    pub(super) async fn take(&self) -> Held {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking: what is added after the look wakes us.
            changed.as_mut().enable();
            match self.look() {
                Ok(held) => return held,
                Err(None) => changed.await,
                Err(Some(due)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
            }
        }
    }

    /// A message that is ready, or when the next one is due.
    fn look(&self) -> Result<Held, Option<Instant>> {
        let mut state = self.lock();
        let now = Instant::now();
        while state.delayed.peek().is_some_and(|Reverse(next)| next.due <= now) {
            let due = state.delayed.pop();
            state.ready.extend(due.map(|Reverse(delayed)| delayed.held));
        }
        match state.ready.pop_front() {
            Some(held) => Ok(held),
            None => Err(state.delayed.peek().map(|Reverse(next)| next.due)),
        }
    }

    /// Messages that are ready, delayed or unsettled: those that keep a place.
    pub(super) fn depth(&self) -> u64 {
        (self.capacity - self.places.available_permits()) as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}
