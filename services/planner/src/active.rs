//! A job that this planner holds open: its plans, its snapshot, and where its batches lie in the fan-out's order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlextract_model::{BatchIndex, Epoch, JobRecord, TablePlan};
use sqlextract_source::Snapshot;
use sqlextract_storage::Stored;
use tokio::time::Instant;

/// The fan-out's order is the tables' order, then the batches'. A position counts over all of them.
#[derive(Debug)]
pub(crate) struct ActiveJob {
    pub(crate) record: JobRecord,
    pub(crate) tables: Vec<ActiveTable>,
    pub(crate) epoch: Epoch,
    pub(crate) snapshot: Option<KeptSnapshot>,
    /// The round of the fan-out that is under way, drawn by lot: ticks of others drive nothing.
    pub(crate) round: u64,
    /// Whether the round's first tick is held. Until then nothing drives the job, however open it is.
    begun: AtomicBool,
    /// Where the round has come to, so that a tick that comes twice publishes once.
    reached: AtomicU64,
}

/// A snapshot, and since when it is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptSnapshot {
    pub(crate) snapshot: Arc<dyn Snapshot>,
    pub(crate) since: Instant,
}

#[derive(Debug)]
pub(crate) struct ActiveTable {
    pub(crate) plan: Stored<TablePlan>,
    /// Committed when the epoch opened: not published again.
    pub(crate) done: DoneSet,
}

/// A set of batches as a bitmap.
#[derive(Debug, Clone, Default)]
pub(crate) struct DoneSet {
    words: Vec<u64>,
    count: u64,
}

impl DoneSet {
    pub(crate) fn from_sorted(batches: &[BatchIndex]) -> Self {
        let mut set = Self::default();
        for batch in batches {
            let (word, bit) = ((batch.0 / 64) as usize, batch.0 % 64);
            if set.words.len() <= word {
                set.words.resize(word + 1, 0);
            }
            set.count += u64::from(set.words[word] >> bit & 1 == 0);
            set.words[word] |= 1 << bit;
        }
        set
    }

    pub(crate) fn contains(&self, batch: u64) -> bool {
        self.words
            .get((batch / 64) as usize)
            .is_some_and(|word| word >> (batch % 64) & 1 == 1)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

impl ActiveJob {
    pub(crate) fn new(
        record: JobRecord,
        tables: Vec<ActiveTable>,
        epoch: Epoch,
        snapshot: Option<KeptSnapshot>,
        round: u64,
    ) -> Self {
        Self {
            record,
            tables,
            epoch,
            snapshot,
            round,
            begun: AtomicBool::new(false),
            reached: AtomicU64::new(0),
        }
    }

    pub(crate) fn snapshot_age(&self) -> Option<Duration> {
        self.snapshot.as_ref().map(|kept| kept.since.elapsed())
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Acquire)
    }

    pub(crate) fn reach(&self, position: u64) {
        self.reached.fetch_max(position, Ordering::AcqRel);
    }

    pub(crate) fn batches(&self) -> u64 {
        self.tables.iter().map(|t| t.plan.record.batches).sum()
    }

    pub(crate) fn done(&self) -> u64 {
        self.tables.iter().map(|t| t.done.count()).sum()
    }

    /// The next batches to publish from `position` on, at most `limit`, as table number and batch, with the position
    /// behind the last one looked at.
    pub(crate) fn owed(&self, position: u64, limit: u64) -> (Vec<(usize, u64)>, u64) {
        let mut owed = Vec::new();
        let mut first = 0;
        let mut reached = position;
        for (number, table) in self.tables.iter().enumerate() {
            let batches = table.plan.record.batches;
            let skip = reached.saturating_sub(first);
            for batch in skip..batches {
                if owed.len() as u64 == limit {
                    return (owed, reached);
                }
                if !table.done.contains(batch) {
                    owed.push((number, batch));
                }
                reached = first + batch + 1;
            }
            first += batches;
        }
        (owed, reached)
    }
}
