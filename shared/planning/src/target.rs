//! How large a batch should be.

use sqlextract_model::{Compression, Format, TableFacts};

use crate::options::PlanOptions;

/// What a second of reading is worth on an ordinary server, in source bytes.
pub(crate) const BYTES_PER_SECOND: u64 = 100_000_000;
/// Seconds of work that a batch should be, and those above which a chunk is not worth waiting for.
const AIMED_SECONDS: u64 = 4;
const MOST_SECONDS: u64 = 10;
/// A table is cut into at least this many batches, so that several workers share it, as long as each stays worth a
/// statement of its own.
const FEWEST_SHARES: u64 = 8;
const SMALLEST_SHARE: u64 = 64_000_000;
/// Batches of a source that is slower than this would be more than they are worth.
const SLOWEST_BYTES_PER_SECOND: u64 = 1_000_000;
/// Stands in where nothing is known about rows.
const ASSUMED_ROW_BYTES: u64 = 100;
const BLOCK_BYTES: u64 = 8192;

/// What planning aims at for one table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Target {
    /// Estimated rows of the table; 0 where nothing at all is known.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Rows that a batch should have, at least 1.
    pub(crate) batch_rows: u64,
    /// Neither rows nor bytes are known, which is not the same as an empty table.
    pub(crate) unknown: bool,
}

impl Target {
    pub(crate) fn of(facts: &TableFacts, options: &PlanOptions) -> Self {
        let blocks: u64 = facts.leaves.iter().map(|leaf| leaf.blocks).fold(0, u64::saturating_add);
        let bytes = match facts.estimated_bytes {
            0 => blocks.saturating_mul(BLOCK_BYTES),
            known => known,
        };
        let rows = match facts.estimated_rows {
            0 => bytes / ASSUMED_ROW_BYTES,
            known => known,
        };
        let bytes = if bytes == 0 {
            rows.saturating_mul(ASSUMED_ROW_BYTES)
        } else {
            bytes
        };
        let unknown = rows == 0 && bytes == 0 && facts.leaves.is_empty();
        let row_bytes = bytes.checked_div(rows).map_or(ASSUMED_ROW_BYTES, |bytes| bytes.max(1));
        let batch_rows = options
            .batch_rows
            .unwrap_or_else(|| (batch_bytes(bytes, options) / row_bytes).max(1));
        Self {
            rows,
            bytes,
            batch_rows: batch_rows.max(1),
            unknown,
        }
    }

    /// Batches that the table should have, at least 1.
    pub(crate) fn batches(&self) -> u64 {
        self.batches_of(self.rows)
    }

    pub(crate) fn batches_of(&self, rows: u64) -> u64 {
        // A remainder below half a batch is not worth a batch of its own.
        let half = self.batch_rows / 2;
        (rows.saturating_add(half) / self.batch_rows).max(1)
    }
}

/// Source bytes that a batch should read: whole chunks of about 2 to 10 seconds of work, or a share of a smaller table.
fn batch_bytes(table_bytes: u64, options: &PlanOptions) -> u64 {
    let chunk = source_bytes_of_chunk(options);
    // A fast source gets no larger batches: what was read for a moment from its memory says little of the rest.
    let pace = options.bytes_per_second.unwrap_or(BYTES_PER_SECOND);
    let pace = pace.clamp(SLOWEST_BYTES_PER_SECOND, BYTES_PER_SECOND);
    let aimed = if chunk > MOST_SECONDS * pace {
        AIMED_SECONDS * pace
    } else {
        whole_chunks(AIMED_SECONDS * pace, chunk).max(chunk)
    };
    let shares = FEWEST_SHARES.min(table_bytes / SMALLEST_SHARE).max(1);
    let share = table_bytes / shares;
    if share >= aimed || shares == 1 {
        return aimed;
    }
    match whole_chunks(share, chunk) {
        0 => share.max(1),
        whole => whole,
    }
}

/// `bytes` rounded to a multiple of `chunk`.
fn whole_chunks(bytes: u64, chunk: u64) -> u64 {
    (bytes + chunk / 2) / chunk * chunk
}

/// Source bytes that make one stored chunk, by what formats and compressions usually save.
fn source_bytes_of_chunk(options: &PlanOptions) -> u64 {
    let percent = match (options.format.format, options.format.compression) {
        (_, Compression::Zstd | Compression::Gzip) => 25,
        (Format::Parquet, Compression::Snappy | Compression::Lz4) => 40,
        _ => 100,
    };
    (options.chunk_bytes.max(1).saturating_mul(100) / percent).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::{Consistency, FileFormat, ParquetVersion, TableKind, TableName};

    fn batches(rows: u64, bytes: u64, batch_rows: Option<u64>, chunk_bytes: u64) -> u64 {
        let facts = TableFacts {
            name: TableName::new("public", "t"),
            kind: TableKind::Table,
            columns: Vec::new(),
            estimated_rows: rows,
            estimated_bytes: bytes,
            keys: Vec::new(),
            leaves: Vec::new(),
            logged: true,
        };
        let options = PlanOptions {
            consistency: Consistency::Batch,
            shared_snapshot: false,
            batch_rows,
            bytes_per_second: None,
            chunk_bytes,
            format: FileFormat {
                format: Format::Parquet,
                compression: Compression::Zstd,
                level: None,
                parquet_version: ParquetVersion::default(),
            },
        };
        Target::of(&facts, &options).batches()
    }

    #[test]
    fn lineitem_is_a_handful_of_batches() {
        for chunk in [16_000_000, 64_000_000, 128_000_000, 256_000_000, u64::MAX] {
            let count = batches(6_001_215, 880_000_000, None, chunk);
            assert!((6..=10).contains(&count), "{count} batches with chunks of {chunk}");
        }
    }

    #[test]
    fn a_large_table_has_batches_of_seconds_and_a_small_one_is_not_cut() {
        let seconds = 100e9 / batches(1_000_000_000, 100_000_000_000, None, 128_000_000) as f64 / 100e6;
        assert!((2.0..=10.0).contains(&seconds), "{seconds} seconds");
        assert_eq!(batches(100_000, 20_000_000, None, 128_000_000), 1);
    }

    #[test]
    fn rows_of_a_batch_can_be_given() {
        assert_eq!(batches(1_000_000, 50_000_000, Some(1_000), 1), 1_000);
        assert_eq!(
            batches(0, 50_000_000, Some(1_000), 1),
            500,
            "rows are derived from bytes"
        );
        assert_eq!(batches(10, 100, Some(0), 1), 10);
    }

    #[test]
    fn a_slow_source_has_smaller_batches_and_a_fast_one_no_larger_ones() {
        let bytes = |pace| {
            let options = PlanOptions {
                consistency: Consistency::Batch,
                shared_snapshot: false,
                batch_rows: None,
                bytes_per_second: pace,
                chunk_bytes: 128_000_000,
                format: FileFormat {
                    format: Format::Parquet,
                    compression: Compression::Zstd,
                    level: None,
                    parquet_version: ParquetVersion::default(),
                },
            };
            batch_bytes(100_000_000_000, &options)
        };
        let usual = bytes(None);
        assert_eq!(bytes(Some(BYTES_PER_SECOND)), usual);
        assert_eq!(bytes(Some(u64::MAX)), usual);
        // What a batch takes at the pace that was measured.
        for pace in [60_000_000, 10_000_000, 2_000_000] {
            let seconds = bytes(Some(pace)) / pace;
            assert!((2..=10).contains(&seconds), "{seconds} s at {pace}/s");
        }
        assert_eq!(bytes(Some(1)), AIMED_SECONDS * SLOWEST_BYTES_PER_SECOND);
    }
}
