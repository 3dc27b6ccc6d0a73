//! The part of the limiter that the whole fleet shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlextract_checkpoint::{ConnectionPermit, SourceBudget, SourceLimits, Unit};
use tokio::sync::Mutex;

use super::Waiting;

/// The fleet's budget, and what this process has of it.
#[derive(Debug)]
pub(super) struct FleetLimit {
    budget: Arc<dyn SourceBudget>,
    meters: [FleetMeter; Unit::ALL.len()],
}

#[derive(Debug, Default)]
struct FleetMeter {
    /// Units that are granted and not used yet. Locked while waiting, which keeps everybody in line.
    credit: Mutex<u64>,
    waiting: AtomicUsize,
}

impl FleetLimit {
    pub(super) fn new(budget: Arc<dyn SourceBudget>) -> Self {
        Self {
            budget,
            meters: Default::default(),
        }
    }

    /// Waits until the fleet's budget has so many units for us.
    pub(super) async fn admit(&self, unit: Unit, amount: u64) {
        let meter = &self.meters[unit as usize];
        let mut credit = meter.credit.lock().await;
        while *credit < amount {
            let Some(grant) = self.budget.take(unit).await else {
                return;
            };
            if !grant.wait.is_zero() {
                let _waiting = Waiting::begin(&meter.waiting);
                tokio::time::sleep(grant.wait).await;
            }
            *credit = credit.saturating_add(grant.units);
        }
        *credit -= amount;
    }

    pub(super) fn set_limits(&self, limits: SourceLimits) {
        self.budget.set_limits(limits);
    }

    pub(super) async fn connection(&self) -> Option<ConnectionPermit> {
        self.budget.connection().await
    }

    /// What somebody waits for.
    pub(super) fn waited_for(&self) -> Option<&'static str> {
        let waited_for = |unit: &Unit| self.meters[*unit as usize].waiting.load(Ordering::Relaxed) > 0;
        Unit::ALL.into_iter().find(waited_for).map(Unit::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use async_trait::async_trait;
    use sqlextract_checkpoint::{BudgetState, Grant};
    use tokio::time::Instant;

    use super::super::{LimiterState, RateLimit, RateLimiter};

    use super::*;

    /// Gives every process of a fleet of two its half of 1000 rows per second, in slices of 100.
    #[derive(Debug)]
    struct HalfOfAThousand {
        next: std::sync::Mutex<Instant>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl SourceBudget for HalfOfAThousand {
        async fn take(&self, unit: Unit) -> Option<Grant> {
            if unit != Unit::Rows {
                return None;
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut next = self.next.lock().unwrap();
            let start = (*next).max(Instant::now());
            *next = start + Duration::from_millis(200);
            Some(Grant {
                units: 100,
                wait: start - Instant::now(),
            })
        }

        async fn connection(&self) -> Option<ConnectionPermit> {
            None
        }

        fn set_limits(&self, _: SourceLimits) {}

        fn state(&self) -> BudgetState {
            BudgetState {
                fleet: 2,
                shared: true,
                connections: 0,
            }
        }
    }

    fn shared(limit: RateLimit) -> (RateLimiter, Arc<HalfOfAThousand>) {
        let budget = Arc::new(HalfOfAThousand {
            next: std::sync::Mutex::new(Instant::now()),
            asked: AtomicUsize::new(0),
        });
        (RateLimiter::new(limit).with_fleet(Arc::clone(&budget) as _), budget)
    }

    #[tokio::test(start_paused = true)]
    async fn the_fleets_budget_is_kept_and_rarely_asked_for() {
        for piece in [1, 10, 100, 1000] {
            let (limiter, budget) = shared(RateLimit::default());
            let begun = Instant::now();
            for _ in 0..5000 / piece {
                limiter.admit(piece, u64::MAX).await;
            }
            let took = begun.elapsed().as_secs_f64();
            assert!((took - 9.8).abs() < 0.1, "pieces of {piece} took {took} s");
            assert_eq!(budget.asked.load(Ordering::Relaxed), 50, "pieces of {piece}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_narrower_of_both_limits_counts() {
        let rows = |rows| RateLimit {
            rows: NonZeroU64::new(rows),
            ..RateLimit::default()
        };
        for (own, expected) in [(250, 19.9), (5000, 9.8)] {
            let (limiter, _) = shared(rows(own));
            let begun = Instant::now();
            for _ in 0..500 {
                limiter.admit(10, 0).await;
            }
            let took = begun.elapsed().as_secs_f64();
            assert!((took - expected).abs() < 0.2, "{own}/s and the fleet's took {took} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_fleet_is_told() {
        let (limiter, _) = shared(RateLimit::default());
        limiter.admit(100, 0).await;
        assert_eq!(limiter.state(), LimiterState::Idle);
        let more = limiter.admit(1, 0);
        tokio::pin!(more);
        assert!(
            tokio::time::timeout(Duration::from_millis(10), &mut more)
                .await
                .is_err()
        );
        assert_eq!(limiter.state(), LimiterState::Limited("rows"));
        more.await;
        assert_eq!(limiter.state(), LimiterState::Idle);
    }
}
