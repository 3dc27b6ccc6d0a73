//! The budget of a source: what all processes together may take of it. The second port of this crate, since a budget is
//! shared state as checkpoints are.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use async_trait::async_trait;

/// What the whole fleet may take of a source; `None` takes what comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Per second.
    pub rows: Option<NonZeroU64>,
    /// Per second.
    pub bytes: Option<NonZeroU64>,
    /// Per second.
    pub queries: Option<NonZeroU64>,
    /// At once.
    pub connections: Option<NonZeroU32>,
}

impl SourceLimits {
    /// The limit per second of a unit.
    pub fn per_second(&self, unit: Unit) -> Option<NonZeroU64> {
        match unit {
            Unit::Rows => self.rows,
            Unit::Bytes => self.bytes,
            Unit::Queries => self.queries,
        }
    }
}

/// What is counted per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    Rows,
    Bytes,
    Queries,
}

impl Unit {
    pub const ALL: [Self; 3] = [Self::Rows, Self::Bytes, Self::Queries];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Queries => "queries",
        }
    }
}

/// A slice of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// At least one.
    pub units: u64,
    /// The units may be used when this time has passed.
    pub wait: Duration,
}

/// What is known of the fleet, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// Processes that share the budget, as known last.
    pub fleet: u32,
    /// Whether the budget is shared now. Otherwise this process holds itself to its share of the limit.
    pub shared: bool,
    /// Connections that this process holds.
    pub connections: u32,
}

/// One connection to the source. It is given back when this is dropped, and when the process dies.
pub struct ConnectionPermit {
    _given_back: Box<dyn Send + Sync>,
}

impl ConnectionPermit {
    /// A permit that drops `given_back` with itself.
    pub fn new(given_back: impl Send + Sync + 'static) -> Self {
        Self {
            _given_back: Box::new(given_back),
        }
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionPermit")
    }
}

/// What the fleet may take of one source.
///
/// # Contract
///
/// - No method fails: where the shared state is away, this process holds itself to the limit divided by the processes
///   that were known last.
/// - `take` grants a slice, large enough that it is asked for a few times a second and not for every record batch.
///   Whoever asks waits as long as the grant says; what he does not use of it is his for later.
/// - `connection` waits until one is free. Connections of a process that died are free after some seconds.
#[async_trait]
pub trait SourceBudget: Send + Sync + fmt::Debug {
    /// `None` where the unit has no limit.
    async fn take(&self, unit: Unit) -> Option<Grant>;

    /// `None` where connections have no limit.
    async fn connection(&self) -> Option<ConnectionPermit>;

    /// Puts other limits in the place of the ones so far, for this process.
    fn set_limits(&self, limits: SourceLimits);

    fn state(&self) -> BudgetState;
}
