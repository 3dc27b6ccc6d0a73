//! What an extraction put on its source.

use serde::{Deserialize, Serialize};

/// What the read of one batch put on the source, as its reader saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadLoad {
    /// The longest of its statements, in milliseconds, from its beginning to its last row.
    pub statement_ms: u64,
    /// Its transaction.
    pub transaction_ms: u64,
    /// Bytes of rows, off the wire; of a file, the bytes of the values.
    pub wire_bytes: u64,
    /// Connections that the reader's process had open to the source when the read ended; a file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

impl ReadLoad {
    /// This and another read, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            statement_ms: self.statement_ms.max(other.statement_ms),
            transaction_ms: self.transaction_ms.max(other.transaction_ms),
            wire_bytes: self.wire_bytes.saturating_add(other.wire_bytes),
            connections: self.connections.max(other.connections),
        }
    }

    /// One more statement, in a transaction of its own.
    pub fn add_statement(&mut self, ms: u64) {
        self.statement_ms = self.statement_ms.max(ms);
        self.transaction_ms = self.transaction_ms.max(ms);
    }
}

/// What a server has counted so far. Others are counted as well, so that a difference is an upper bound of our own share.
/// What the server does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounters {
    /// Blocks of the tables that were read, from the server's cache or not; without those of indexes and long values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_read: Option<u64>,
    /// Blocks that the tables have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_blocks: Option<u64>,
    /// Of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary_bytes: Option<u64>,
    /// When the server began to count, in microseconds since 1970, if it was told to begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<i64>,
}

impl SourceCounters {
    /// What came since `earlier`. Counters that were reset meanwhile tell nothing, and none may run backwards.
    pub fn since(&self, earlier: &Self) -> Self {
        let whole = self.counted_since == earlier.counted_since;
        let grown = |now: Option<u64>, then: Option<u64>| now?.checked_sub(then?).filter(|_| whole);
        Self {
            counted_since: None,
            blocks_read: grown(self.blocks_read, earlier.blocks_read),
            table_blocks: self.table_blocks,
            temporary_bytes: grown(self.temporary_bytes, earlier.temporary_bytes),
        }
    }
}

/// What a job put on its source, for the manifest. What nobody told is `None`, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLoad {
    /// Of the batches that count: the longest statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_statement_ms: Option<u64>,
    /// The longest transaction of a reader. A snapshot that readers share is kept by one that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_transaction_ms: Option<u64>,
    /// How old the last snapshot was when the job was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_bytes: Option<u64>,
    /// The most that one process had open. Of several extractors, each may have had so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_connections: Option<u32>,
    /// What the server counted from the beginning of the job to its end.
    #[serde(flatten)]
    pub counters: SourceCounters,
}

/// The reads of a job's batches, put together.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadLoads {
    sum: SourceLoad,
    /// A batch did not tell, so that nothing is known of all.
    untold: bool,
}

impl ReadLoads {
    /// Adds the read of a batch, if its commit record tells of it.
    pub fn add(&mut self, read: Option<&ReadLoad>) {
        let Some(read) = read else {
            self.untold = true;
            return;
        };
        let sum = &mut self.sum;
        sum.longest_statement_ms = sum.longest_statement_ms.max(Some(read.statement_ms));
        sum.longest_transaction_ms = sum.longest_transaction_ms.max(Some(read.transaction_ms));
        sum.wire_bytes = Some(sum.wire_bytes.unwrap_or_default().saturating_add(read.wire_bytes));
        sum.peak_connections = sum.peak_connections.max(read.connections);
    }

    /// What they put on the source together; a part is never shown as the whole.
    pub fn together(self) -> SourceLoad {
        match self.untold {
            true => SourceLoad::default(),
            false => self.sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_counts_and_bytes_add_up() {
        let mut loads = ReadLoads::default();
        assert_eq!(loads.together(), SourceLoad::default());
        for (statement_ms, transaction_ms, wire_bytes, connections) in
            [(5, 9, 100, Some(2)), (7, 8, 20, Some(3)), (0, 0, 0, None)]
        {
            loads.add(Some(&ReadLoad {
                statement_ms,
                transaction_ms,
                wire_bytes,
                connections,
            }));
        }
        let load = loads.together();
        let found = (
            load.longest_statement_ms,
            load.longest_transaction_ms,
            load.wire_bytes,
            load.peak_connections,
        );
        assert_eq!(found, (Some(7), Some(9), Some(120), Some(3)));
        loads.add(None);
        assert_eq!(loads.together(), SourceLoad::default(), "one batch did not tell");
    }

    #[test]
    fn counters_that_were_reset_or_not_told_tell_nothing() {
        let counters = |blocks_read, temporary_bytes| SourceCounters {
            blocks_read,
            table_blocks: Some(10),
            temporary_bytes,
            counted_since: None,
        };
        let anew = SourceCounters {
            counted_since: Some(1),
            ..counters(Some(25), Some(9))
        };
        let found = anew.since(&counters(Some(5), Some(7)));
        assert_eq!(
            (found.blocks_read, found.temporary_bytes, found.counted_since),
            (None, None, None)
        );
        let cases = [
            ((Some(5), Some(7)), (Some(25), Some(7)), (Some(20), Some(0))),
            ((Some(5), Some(7)), (Some(4), None), (None, None)),
            ((None, Some(7)), (Some(4), Some(9)), (None, Some(2))),
        ];
        for (before, after, grown) in cases {
            let found = counters(after.0, after.1).since(&counters(before.0, before.1));
            assert_eq!((found.blocks_read, found.temporary_bytes), grown);
        }
    }
}
