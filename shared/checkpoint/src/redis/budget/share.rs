//! What one process may take when nobody can be asked: its share of the limit.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Grant, Unit};

/// How much of a second a slice is of, all members together.
pub(super) const SLICE: Duration = Duration::from_millis(200);
/// Time that was lost while waiting for an answer may be caught up with, up to this.
const CATCH_UP: Duration = Duration::from_secs(1);
/// A smaller fleet is believed after this time: members that the server has forgotten are still there.
const FLEET_MEMORY: Duration = Duration::from_secs(30);

/// The processes that share a budget, as known last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    size: u32,
    seen: Option<Instant>,
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self { size: 1, seen: None }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Whether any size was told yet.
    pub(super) fn known(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn saw(&mut self, size: u32, now: Instant) {
        let size = size.max(1);
        let old = self.seen.is_none_or(|seen| now - seen > FLEET_MEMORY);
        if size >= self.size || old {
            self.size = size;
            self.seen = Some(now);
        }
    }
}

/// When the next slice of each unit may begin, if every member takes the same.
#[derive(Debug, Default)]
pub(super) struct LocalShare {
    next: [Option<Instant>; Unit::ALL.len()],
}

impl LocalShare {
    /// The next slice of this process alone.
    pub(super) fn grant(&mut self, unit: Unit, rate: NonZeroU64, fleet: u32, now: Instant) -> Grant {
        let share = share(rate, fleet);
        let units = ((share * SLICE.as_secs_f64()) as u64).max(1);
        let start = self.next[unit as usize].map_or(now, |next| match now.checked_sub(CATCH_UP) {
            Some(earliest) => next.max(earliest),
            None => next,
        });
        self.next[unit as usize] = Some(start + cost(units, share));
        Grant {
            units,
            wait: start.saturating_duration_since(now),
        }
    }

    /// Takes account of what the fleet's budget has granted, so that a change to the local share gives nothing twice.
    pub(super) fn note(&mut self, unit: Unit, grant: Grant, (rate, fleet): (NonZeroU64, u32), now: Instant) {
        self.next[unit as usize] = Some(now + grant.wait + cost(grant.units, share(rate, fleet)));
    }
}

/// Units per second.
fn share(rate: NonZeroU64, fleet: u32) -> f64 {
    rate.get() as f64 / f64::from(fleet.max(1))
}

fn cost(units: u64, share: f64) -> Duration {
    // A slice is a fifth of a second, or one unit; a limit of one unit per second has the longest.
    Duration::from_secs_f64((units as f64 / share).min(1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU64 = NonZeroU64::new(1000).unwrap();

    #[tokio::test(start_paused = true)]
    async fn shares_add_up_to_the_limit() {
        for fleet in [1, 2, 3, 4, 7, 2000] {
            let (mut local, mut taken, begun) = (LocalShare::default(), 0, Instant::now());
            loop {
                let grant = local.grant(Unit::Rows, RATE, fleet, Instant::now());
                tokio::time::advance(grant.wait).await;
                if begun.elapsed() >= Duration::from_secs(20) {
                    break;
                }
                taken += grant.units;
            }
            let together = taken * u64::from(fleet);
            assert!((20_000..20_000 + 2000).contains(&together), "{fleet} take {together}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lost_time_is_caught_up_with_for_a_second_at_most() {
        let mut local = LocalShare::default();
        local.grant(Unit::Rows, RATE, 2, Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        let mut at_once = 0;
        loop {
            let grant = local.grant(Unit::Rows, RATE, 2, Instant::now());
            if !grant.wait.is_zero() {
                break;
            }
            at_once += grant.units;
        }
        assert_eq!(at_once, 600, "a second's share and the slice that begins now");
        assert_eq!(local.grant(Unit::Bytes, RATE, 2, Instant::now()).wait, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_fleet_granted_is_not_granted_again() {
        let mut local = LocalShare::default();
        let granted = Grant {
            units: 100,
            wait: Duration::from_millis(50),
        };
        local.note(Unit::Rows, granted, (RATE, 2), Instant::now());
        let next = local.grant(Unit::Rows, RATE, 2, Instant::now());
        assert_eq!(next.wait, Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_forgot_the_fleet_is_not_believed_at_once() {
        let mut fleet = Fleet::new();
        assert!(!fleet.known());
        for (after, told, believed) in [
            (0, 4, 4),
            (5, 1, 4),
            (5, 2, 4),
            (5, 8, 8),
            (29, 3, 8),
            (2, 3, 3),
            (0, 0, 3),
        ] {
            tokio::time::advance(Duration::from_secs(after)).await;
            fleet.saw(told, Instant::now());
            assert_eq!(fleet.size(), believed, "{told} after {after} s");
        }
    }
}
