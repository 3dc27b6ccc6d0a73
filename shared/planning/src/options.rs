//! What planning is told and what it asks.

use sqlextract_model::{Consistency, FileFormat, KeyColumn, KeyRange, KeyValue, Range};

/// The choices of a job that shape a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    pub consistency: Consistency,
    /// All readers see one snapshot, so that a row's block address means the same to each of them.
    pub shared_snapshot: bool,
    /// Rows of a batch; `None` aims at seconds of work and full chunks.
    pub batch_rows: Option<u64>,
    /// What a timed probe read of the table; `None` takes an ordinary server's pace.
    pub bytes_per_second: Option<u64>,
    /// Target size of a stored chunk, in bytes.
    pub chunk_bytes: u64,
    pub format: FileFormat,
}

/// A question about a key's values or the optimizer's view: an index look-up or an EXPLAIN, never a scan.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// The smallest and the largest key that is not NULL.
    Bounds { columns: Vec<KeyColumn> },
    /// The smallest key at or above `at_least` and inside `within`. `at_least` has as many values as the columns of
    /// `within` or fewer (a prefix, which sorts before everything that begins with it).
    NextKey { within: KeyRange, at_least: Vec<KeyValue> },
    /// The optimizer's estimate of the rows in a range.
    EstimateRows { range: Range },
    /// Whether reading the range would sort or scan more than the range.
    Explain { range: Range },
}

/// The answer to the question of the same name.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `None` for a table without such rows.
    Bounds(Option<(Vec<KeyValue>, Vec<KeyValue>)>),
    NextKey(Option<Vec<KeyValue>>),
    Rows(Option<u64>),
    /// The offending step in the database's words; `None` where all is well or nothing can tell.
    Explain(Option<String>),
}

impl Answer {
    pub(crate) fn fits(&self, question: &Question) -> bool {
        matches!(
            (question, self),
            (Question::Bounds { .. }, Self::Bounds(_))
                | (Question::NextKey { .. }, Self::NextKey(_))
                | (Question::EstimateRows { .. }, Self::Rows(_))
                | (Question::Explain { .. }, Self::Explain(_))
        )
    }
}
