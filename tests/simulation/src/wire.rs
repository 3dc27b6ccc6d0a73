//! Between a process and its ports: where calls are late, fail, lose their answers, and where processes die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};
use sqlextract_runtime::Surroundings;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Chance, Trace};

/// How often, of a hundred calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Fail before they act, and as many after: their answer is lost.
    pub failing: u64,
    /// Come late, before they act and after.
    pub late: u64,
    /// Are doubled, where they are messages.
    pub doubled: u64,
    /// Break the connection, where they receive.
    pub broken: u64,
    /// Take longer than a batch may, where they bring rows.
    pub slow: u64,
}

/// The await at which a process dies. Every call of a port has two: before it acted, and after.
#[derive(Debug)]
pub struct Life {
    awaits: AtomicU64,
    last: u64,
    pub dead: CancellationToken,
}

impl Life {
    /// Ends at its `last` await.
    pub fn until(last: u64) -> Self {
        Self {
            awaits: AtomicU64::new(0),
            last,
            dead: CancellationToken::new(),
        }
    }

    pub fn endless() -> Self {
        Self::until(u64::MAX)
    }

    /// An await; a process that dies here, or is dead already, never returns from it.
    pub async fn pass(&self) {
        if self.awaits.fetch_add(1, Ordering::Relaxed) + 1 >= self.last {
            self.dead.cancel();
            std::future::pending::<()>().await;
        }
    }
}

/// The wire of one process. Clones are the same wire.
#[derive(Debug, Clone)]
pub struct Wire {
    pub process: &'static str,
    pub chance: Arc<Chance>,
    pub trace: Arc<Trace>,
    pub life: Arc<Life>,
    pub faults: Faults,
}

impl Wire {
    /// One without faults, to a process that does not die.
    pub fn perfect() -> Self {
        Self {
            process: "test",
            chance: Arc::new(Chance::new(0)),
            trace: Arc::default(),
            life: Arc::new(Life::endless()),
            faults: Faults::default(),
        }
    }

    /// Acts late, not at all, or without saying so.
    pub async fn call<T>(&self, what: String, away: Code, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.delay().await;
        self.life.pass().await;
        self.trace.note(format_args!("{} {what}", self.process));
        if self.chance.strikes(self.faults.failing) {
            self.trace.note(format_args!("nothing was done"));
            return Err(Failure::new(away, "simulated: nothing was done"));
        }
        let answer = call.await;
        self.trace
            .note(format_args!("{} {what}: {}", self.process, answer.is_ok()));
        self.life.pass().await;
        self.delay().await;
        if self.chance.strikes(self.faults.failing) {
            self.trace.reached("an answer was lost");
            self.trace.note(format_args!("the answer is lost"));
            return Err(Failure::new(away, "simulated: the answer is lost"));
        }
        answer
    }

    pub async fn delay(&self) {
        if self.chance.strikes(self.faults.late) {
            tokio::time::sleep(Duration::from_millis(self.chance.below(6))).await;
        }
    }
}

/// The clock of the simulation, and its chance.
#[derive(Debug)]
pub struct GivenSurroundings {
    pub begun: Instant,
    pub chance: Arc<Chance>,
}

impl Surroundings for GivenSurroundings {
    fn now_millis(&self) -> i64 {
        1_800_000_000_000 + i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> Result<u64> {
        Ok(self.chance.bits().max(1))
    }
}
