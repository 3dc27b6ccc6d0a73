//! The decoder by itself, for tests that feed it arbitrary bytes.

use arrow::record_batch::RecordBatch;
use sqlextract_model::{ColumnMapping, Result, TableName};

use super::copy::{CopyDecoder, Progress};
use crate::ReadLimits;

/// Decodes one stream of `COPY … (FORMAT binary)`, fed in slices of `slice` bytes.
pub fn decode_copy_bytes(
    columns: &[ColumnMapping],
    bytes: &[u8],
    slice: usize,
    limits: ReadLimits,
) -> Result<Vec<RecordBatch>> {
    let mut decoder = CopyDecoder::new(&TableName::new("public", "fuzzed"), columns, &[], limits)?;
    let mut batches = Vec::new();
    for mut part in bytes.chunks(slice.max(1)) {
        while decoder.feed(&mut part)? == Progress::BatchFull {
            batches.extend(decoder.take_batch()?);
        }
    }
    decoder.finish_stream()?;
    batches.extend(decoder.take_batch()?);
    Ok(batches)
}
