//! A table's split: the boundaries, from which batches are computed when they are asked for.

use sqlextract_model::{Batch, BatchIndex, KeyColumn, KeyRange, Range, Rung};

use crate::blocks::BlockLayout;
use crate::pack::Segment;

/// How a table is split. Its memory grows with the leaves and boundaries that were looked at, not with the batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub rung: Rung,
    /// One sentence that says why this rung, and why no better one.
    pub reason: String,
    /// Sentences about what the user may want to change.
    pub warnings: Vec<String>,
    pub estimated_rows: u64,
    /// Of the rows in the database.
    pub estimated_bytes: u64,
    pub batches: u64,
    pub(crate) layout: Layout,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Layout {
    Whole,
    Blocks(BlockLayout),
    Keys(KeyLayout),
}

/// Ranges of a key, and the batch of its NULLs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyLayout {
    columns: Vec<KeyColumn>,
    segments: Vec<Segment>,
    /// The first batch of each segment.
    firsts: Vec<u64>,
    /// Batches of keys that are not NULL.
    keyed: u64,
    nulls: Option<KeyColumn>,
}

impl Split {
    /// The batches in order, each computed when it is taken.
    pub fn iter(&self) -> impl Iterator<Item = Batch> + '_ {
        (0..self.batches).map(|index| {
            let (range, estimated_rows) = self.batch(index);
            Batch {
                index: BatchIndex(index),
                range,
                estimated_rows,
            }
        })
    }

    pub(crate) fn batch(&self, index: u64) -> (Range, u64) {
        match &self.layout {
            Layout::Whole => (Range::All, self.estimated_rows),
            Layout::Blocks(blocks) => blocks.batch(index),
            Layout::Keys(keys) => keys.batch(index),
        }
    }
}

impl KeyLayout {
    pub(crate) fn new(columns: Vec<KeyColumn>, segments: Vec<Segment>, nulls: Option<KeyColumn>) -> Self {
        let mut keyed = 0;
        let mut firsts = Vec::with_capacity(segments.len());
        for segment in &segments {
            firsts.push(keyed);
            keyed += segment.batches;
        }
        Self {
            columns,
            segments,
            firsts,
            keyed,
            nulls,
        }
    }

    pub(crate) fn batches(&self) -> u64 {
        self.keyed + u64::from(self.nulls.is_some())
    }

    fn batch(&self, index: u64) -> (Range, u64) {
        if let Some(column) = self.nulls.as_ref().filter(|_| index >= self.keyed) {
            return (Range::KeyIsNull(column.clone()), 0);
        }
        let bound = |index: u64| {
            let (segment, part) = self.locate(index);
            segment.start(part)
        };
        // Open at both ends: a row below or above what planning saw belongs to the first or the last batch.
        let lower = (index > 0).then(|| bound(index));
        let upper = (index + 1 < self.keyed).then(|| bound(index + 1));
        (
            Range::Keys(KeyRange {
                columns: self.columns.clone(),
                lower,
                upper,
            }),
            self.locate(index).0.rows,
        )
    }

    fn locate(&self, index: u64) -> (&Segment, u64) {
        let at = self.firsts.partition_point(|first| *first <= index).saturating_sub(1);
        (&self.segments[at], index - self.firsts[at])
    }
}
