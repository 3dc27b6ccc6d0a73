//! Bytes per second on their way into storage.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// What may be made up for where nobody sent, or a timer came late: much less than a second's worth at once.
const MAKE_UP: Duration = Duration::from_millis(50);
/// Pieces per second, as far as their size goes.
const PIECES_PER_SECOND: u64 = 100;
const PIECE_BYTES: (u64, u64) = (1 << 10, 256 << 10);
/// Large bodies on their way at once. More would only share the limit, and each would take longer than it may.
const BODIES_AT_ONCE: usize = 2;
/// Bodies up to this size, such as records, wait for no large one.
const SMALL_BODY_BYTES: u64 = 64 << 10;

/// A limit of bytes per second, for all who send. Each piece gets its place in line: a moment from which it may go.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: NonZeroU64,
    /// When the piece that is asked for next may go.
    next: Mutex<Instant>,
    bodies: Semaphore,
}

/// Permission to send a large body, until it is dropped.
pub(crate) type Turn<'a> = SemaphorePermit<'a>;

impl Pace {
    pub(crate) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            next: Mutex::new(Instant::now()),
            bodies: Semaphore::new(BODIES_AT_ONCE),
        }
    }

    /// Bytes that go at once at most.
    pub(crate) fn piece_bytes(&self) -> usize {
        let (least, most) = PIECE_BYTES;
        (self.bytes_per_second.get() / PIECES_PER_SECOND).clamp(least, most) as usize
    }

    /// Takes the next place in line, for so many bytes, and tells when they may go.
    pub(crate) fn take(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now.checked_sub(MAKE_UP).map_or(*next, |earliest| earliest.max(*next));
        *next = at + self.time_of(bytes as u64);
        at
    }

    /// Waits until so many bytes, a piece at most, may go.
    pub(crate) async fn admit(&self, bytes: usize) {
        tokio::time::sleep_until(self.take(bytes)).await;
    }

    /// Waits until another large body may be sent; small ones need no turn.
    pub(crate) async fn turn(&self, bytes: u64) -> Option<Turn<'_>> {
        if bytes <= SMALL_BODY_BYTES {
            return None;
        }
        // The semaphore is never closed.
        self.bodies.acquire().await.ok()
    }

    /// How long a body of so many bytes may take that has its turn, beside the others.
    pub(crate) fn longest(&self, bytes: u64) -> Duration {
        // Once more for small bodies in between.
        self.time_of(bytes).saturating_mul(BODIES_AT_ONCE as u32 + 1)
    }

    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pace(bytes_per_second: u64) -> Arc<Pace> {
        Arc::new(Pace::new(NonZeroU64::new(bytes_per_second).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate_in_every_quarter_of_a_second() {
        for rate in [20_000, 1_000_000, 50_000_000, 2_000_000_000] {
            let pace = pace(rate);
            let begun = Instant::now();
            let mut senders = tokio::task::JoinSet::new();
            for _ in 0..3 {
                let pace = Arc::clone(&pace);
                senders.spawn(async move {
                    let mut sent = Vec::new();
                    while begun.elapsed() < Duration::from_secs(4) {
                        let bytes = pace.piece_bytes();
                        pace.admit(bytes).await;
                        sent.push((begun.elapsed(), bytes as f64));
                    }
                    sent
                });
            }
            let sent = senders.join_all().await.concat();
            for quarter in 0..16 {
                let within = |(at, _): &&(Duration, f64)| (at.as_secs_f64() * 4.0) as u64 == quarter;
                let bytes: f64 = sent.iter().filter(within).map(|(_, bytes)| bytes).sum();
                let expected = rate as f64 / 4.0;
                // At the beginning an idle line has a little to make up for, and pieces are whole.
                let slack = 0.03 * expected + 3.0 * pace.piece_bytes() as f64;
                assert!(
                    (bytes - expected).abs() < slack,
                    "{rate}/s: {bytes} in quarter {quarter}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_is_not_made_up_for_later() {
        let pace = pace(1_000_000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        for _ in 0..200 {
            pace.admit(10_000).await;
        }
        let took = begun.elapsed().as_secs_f64();
        assert!((1.9..2.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_take_turns_and_small_ones_do_not_wait() {
        let pace = pace(1_000_000);
        let first = pace.turn(1 << 20).await;
        let second = pace.turn(1 << 20).await;
        assert!(first.is_some() && second.is_some());
        assert!(pace.turn(1000).await.is_none());
        let third = tokio::time::timeout(Duration::from_secs(1), pace.turn(1 << 20));
        assert!(third.await.is_err());
        drop(first);
        assert!(pace.turn(1 << 20).await.is_some());
    }
}
