//! Limits on what a source has to give per second: rows, bytes, queries. This process has a limit of its own, and may
//! share another with the whole fleet.

mod fleet;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter as Governor};
use sqlextract_checkpoint::{ConnectionPermit, SourceBudget, Unit};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use self::fleet::FleetLimit;
use crate::Limits;

/// Cells per second that a limit is divided into at most: a cell's time is then long enough to be counted in
/// nanoseconds without an error that shows.
const MOST_CELLS_PER_SECOND: u64 = 10_000;
/// How much of a second may pass at once.
const BURSTS_PER_SECOND: u64 = 10;

/// What may be taken per second; `None` takes what comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    pub rows: Option<NonZeroU64>,
    pub bytes: Option<NonZeroU64>,
    pub queries: Option<NonZeroU64>,
}

/// What the limiter does now, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimiterState {
    /// There is no limit, or nobody waits for one.
    Idle,
    /// Somebody waits for `rows`, `bytes` or `queries`.
    Limited(&'static str),
    /// Nothing new is begun.
    Paused,
}

/// Holds readers to a limit, all of them together and in the order of asking. Clones are handles of the same limiter.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    own: Arc<watch::Sender<Arc<Meters>>>,
    /// Whether new work may be begun.
    open: Arc<watch::Sender<bool>>,
    fleet: Option<Arc<FleetLimit>>,
}

impl RateLimiter {
    pub fn new(limit: RateLimit) -> Self {
        Self {
            own: Arc::new(watch::Sender::new(Arc::new(Meters::new(limit)))),
            open: Arc::new(watch::Sender::new(true)),
            fleet: None,
        }
    }

    /// Adds a budget that the fleet shares: both limits must admit what is read.
    #[must_use]
    pub fn with_fleet(mut self, budget: Arc<dyn SourceBudget>) -> Self {
        self.fleet = Some(Arc::new(FleetLimit::new(budget)));
        self
    }

    /// Puts other limits in the place of the ones so far, for those who wait too. `None` lets nothing new begin, and what
    /// is under way goes on as before.
    pub fn set(&self, limits: Option<Limits>) {
        self.open
            .send_if_modified(|open| std::mem::replace(open, limits.is_some()) != limits.is_some());
        let Some(limits) = limits else { return };
        if let Some(fleet) = &self.fleet {
            fleet.set_limits(limits.of_source());
        }
        self.own.send_if_modified(|meters| {
            let other = meters.limit != limits.rate;
            if other {
                *meters = Arc::new(Meters::new(limits.rate));
            }
            other
        });
    }

    /// Whether new work may be begun, now and whenever that changes.
    pub fn intake(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Waits until so many rows and bytes may be taken. More than the limit of a second takes several seconds.
    pub async fn admit(&self, rows: u64, bytes: u64) {
        self.pass([(Unit::Rows, rows), (Unit::Bytes, bytes)]).await;
    }

    /// Waits until another query may be sent.
    pub async fn admit_query(&self) {
        self.pass([(Unit::Queries, 1)]).await;
    }

    async fn pass<const N: usize>(&self, amounts: [(Unit, u64); N]) {
        let mut own = self.own.subscribe();
        loop {
            let meters = Arc::clone(&own.borrow_and_update());
            tokio::select! {
                biased;
                () = meters.admit(&amounts) => break,
                // Other limits are in force: they are asked instead.
                Ok(()) = own.changed() => {}
            }
        }
        if let Some(fleet) = &self.fleet {
            for (unit, amount) in amounts {
                fleet.admit(unit, amount).await;
            }
        }
    }

    /// Waits until the fleet has a connection to the source for us, and holds it until it is dropped. `None` where the
    /// fleet has no limit of connections.
    pub async fn connection(&self) -> Option<ConnectionPermit> {
        match &self.fleet {
            Some(fleet) => fleet.connection().await,
            None => None,
        }
    }

    pub fn state(&self) -> LimiterState {
        if !*self.open.borrow() {
            return LimiterState::Paused;
        }
        let waited_for = self.own.borrow().waited_for();
        let waited_for = waited_for.or_else(|| self.fleet.as_ref().and_then(|fleet| fleet.waited_for()));
        waited_for.map_or(LimiterState::Idle, LimiterState::Limited)
    }
}

/// This process's limits, unit by unit.
#[derive(Debug)]
struct Meters {
    limit: RateLimit,
    rows: Option<Meter>,
    bytes: Option<Meter>,
    queries: Option<Meter>,
}

impl Meters {
    fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            rows: limit.rows.map(Meter::new),
            bytes: limit.bytes.map(Meter::new),
            queries: limit.queries.map(Meter::new),
        }
    }

    fn of(&self, unit: Unit) -> Option<&Meter> {
        match unit {
            Unit::Rows => self.rows.as_ref(),
            Unit::Bytes => self.bytes.as_ref(),
            Unit::Queries => self.queries.as_ref(),
        }
    }

    async fn admit(&self, amounts: &[(Unit, u64)]) {
        for (unit, amount) in amounts {
            if let Some(meter) = self.of(*unit) {
                meter.admit(*amount).await;
            }
        }
    }

    fn waited_for(&self) -> Option<&'static str> {
        let waited_for = |unit: &Unit| {
            self.of(*unit)
                .is_some_and(|meter| meter.waiting.load(Ordering::Relaxed) > 0)
        };
        Unit::ALL.into_iter().find(waited_for).map(Unit::as_str)
    }
}

/// One limit. An amount is counted in cells of `cell` units; what a cell holds beyond the amount is kept for the next.
#[derive(Debug)]
struct Meter {
    cell: u64,
    burst: u32,
    clock: TokioClock,
    governor: Governor<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    /// Units that are paid for and not used yet. Locked while waiting, which keeps everybody in line.
    credit: Mutex<u64>,
    waiting: AtomicUsize,
}

impl Meter {
    fn new(limit: NonZeroU64) -> Self {
        let limit = limit.get();
        let cell = limit.div_ceil(MOST_CELLS_PER_SECOND);
        // cell / limit of a second; at least a tenth of a millisecond unless the limit itself is coarser.
        let period = Duration::from_nanos((u128::from(cell) * 1_000_000_000 / u128::from(limit)) as u64);
        let burst = u32::try_from(limit / cell / BURSTS_PER_SECOND)
            .unwrap_or(u32::MAX)
            .max(1);
        let quota = Quota::with_period(period).expect("a cell takes at least a tenth of a millisecond");
        let quota = quota.allow_burst(NonZeroU32::new(burst).expect("at least 1"));
        let clock = TokioClock { origin: Instant::now() };
        Self {
            cell,
            burst,
            clock,
            governor: Governor::direct_with_clock(quota, clock),
            credit: Mutex::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn admit(&self, amount: u64) {
        let mut credit = self.credit.lock().await;
        // Counted only while somebody has to wait for time; the others in line wait for him.
        while *credit < amount {
            let cells = (amount - *credit).div_ceil(self.cell).min(u64::from(self.burst)) as u32;
            self.pay(cells).await;
            *credit = credit.saturating_add(u64::from(cells) * self.cell);
        }
        *credit -= amount;
    }

    async fn pay(&self, cells: u32) {
        let Some(cells) = NonZeroU32::new(cells) else { return };
        loop {
            match self.governor.check_n(cells) {
                Ok(Ok(())) | Err(_) => return,
                Ok(Err(not_yet)) => {
                    let _waiting = Waiting::begin(&self.waiting);
                    tokio::time::sleep(not_yet.wait_time_from(self.clock.now())).await;
                }
            }
        }
    }
}

/// Counts somebody who waits, also when the wait is abandoned.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The runtime's clock, which tests can pause.
#[derive(Debug, Clone, Copy)]
struct TokioClock {
    origin: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rows: u64, bytes: u64, queries: u64) -> RateLimiter {
        RateLimiter::new(RateLimit {
            rows: NonZeroU64::new(rows),
            bytes: NonZeroU64::new(bytes),
            queries: NonZeroU64::new(queries),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn amounts_pass_at_the_rate_whatever_their_size() {
        // The limit, the pieces, and the seconds that all of them take together.
        let cases = [
            (1, vec![1; 11], 10.0),
            (7, vec![1; 71], 10.0),
            (1000, vec![1; 10_000], 9.9),
            (1000, vec![10_000], 9.9),
            (50_000, vec![8192; 60], 9.73),
            (128_000_000, vec![1_000_000; 1280], 9.9),
            (128_000_000, vec![100; 1_000_000], 0.68),
            (u64::MAX / 2, vec![u64::MAX / 8; 40], 9.9),
        ];
        for (limit, pieces, expected) in cases {
            let limiter = limiter(limit, 0, 0);
            let begun = Instant::now();
            for piece in &pieces {
                limiter.admit(*piece, u64::MAX).await;
            }
            let took = begun.elapsed().as_secs_f64();
            assert!(
                (took - expected).abs() < 0.02 * expected + 0.01,
                "{limit}/s: {} took {took} s",
                pieces.len()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_share_one_limit_in_the_order_of_asking() {
        let limiter = limiter(0, 1000, 0);
        let begun = Instant::now();
        let mut readers = tokio::task::JoinSet::new();
        for reader in 0..4 {
            let limiter = limiter.clone();
            readers.spawn(async move {
                limiter.admit(0, 1000).await;
                (reader, Instant::now())
            });
        }
        let mut order = Vec::new();
        while let Some(ended) = readers.join_next().await {
            let (reader, at) = ended.unwrap();
            order.push((reader, (at - begun).as_secs_f64().round() as u64));
        }
        assert_eq!(order, [(0, 1), (1, 2), (2, 3), (3, 4)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_state_says_what_is_waited_for() {
        let limiter = limiter(0, 1000, 1);
        assert_eq!(limiter.state(), LimiterState::Idle);
        limiter.admit_query().await;
        assert_eq!(limiter.state(), LimiterState::Idle);
        let query = limiter.admit_query();
        tokio::pin!(query);
        assert!(
            tokio::time::timeout(Duration::from_millis(10), &mut query)
                .await
                .is_err()
        );
        assert_eq!(limiter.state(), LimiterState::Limited("queries"));
        query.await;
        assert_eq!(limiter.state(), LimiterState::Idle);
        let abandoned = tokio::time::timeout(Duration::from_millis(10), limiter.admit(9, 5000)).await;
        assert!(abandoned.is_err());
        assert_eq!(limiter.state(), LimiterState::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn other_limits_are_in_force_for_those_who_wait_already() {
        let limits = |rows| Limits {
            rate: RateLimit {
                rows: NonZeroU64::new(rows),
                ..RateLimit::default()
            },
            connections: None,
        };
        // Rows, the limit at first, the limit after ten seconds, and the seconds that all takes.
        let cases = [
            (10_000, 10, 1000, 19.9),
            (10_000, 10, 0, 10.0),
            (3000, 0, 1, 0.0),
            (3000, 250, 100, 39.9),
        ];
        for (rows, before, after, expected) in cases {
            let limiter = RateLimiter::new(limits(before).rate);
            let begun = Instant::now();
            let waiting = {
                let limiter = limiter.clone();
                tokio::spawn(async move {
                    limiter.admit(rows, 0).await;
                    Instant::now()
                })
            };
            tokio::time::sleep(Duration::from_secs(10)).await;
            limiter.set(Some(limits(after)));
            let took = (waiting.await.unwrap() - begun).as_secs_f64();
            assert!(
                (took - expected).abs() < 0.3,
                "{rows} rows at {before}, then {after}: {took} s"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_and_slows_nothing_that_is_under_way() {
        let limiter = limiter(0, 0, 0);
        let mut intake = limiter.intake();
        limiter.set(None);
        assert!(intake.has_changed().unwrap() && !*intake.borrow_and_update());
        assert_eq!(limiter.state(), LimiterState::Paused);
        let begun = Instant::now();
        limiter.admit(1_000_000, 1_000_000).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        limiter.set(None);
        assert!(!intake.has_changed().unwrap(), "the same again is no change");
        limiter.set(Some(Limits::default()));
        assert!(intake.has_changed().unwrap() && *intake.borrow_and_update());
        assert_eq!(limiter.state(), LimiterState::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let limiter = RateLimiter::new(RateLimit::default());
        let begun = Instant::now();
        for _ in 0..1000 {
            limiter.admit(u64::MAX, u64::MAX).await;
            limiter.admit_query().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
