//! Chunks read back into record batches.

use std::fmt;

use arrow::array::RecordBatch;
use bytes::Bytes;
use sqlextract_model::{ColumnMapping, FileFormat, Format, Result};

use crate::decode_csv::CsvReader;
use crate::decode_parquet::ParquetReader;

/// Bytes of values that one record batch aims at.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// Rows of one record batch at most.
pub(crate) const BATCH_ROWS: usize = 8192;

/// Reads a chunk, whole in `bytes`, as record batches of the mapping's types and of a few MiB each.
///
/// The bytes need not be trusted: what is no chunk of these columns is an error, never a panic. Compare the digest first
/// all the same, since a hostile Parquet file can ask for far more memory than it has bytes.
///
/// # Errors
/// `storage_corrupt` here or from the iterator, with the line in CSV. After its first error the iterator ends.
pub fn read_chunk(format: FileFormat, columns: &[ColumnMapping], bytes: Bytes) -> Result<ChunkReader> {
    Ok(ChunkReader(Some(match format.format {
        Format::Parquet => Reader::Parquet(Box::new(ParquetReader::new(columns, bytes)?)),
        Format::Csv => Reader::Csv(Box::new(CsvReader::new(format.compression, columns, bytes)?)),
    })))
}

/// The record batches of a chunk.
pub struct ChunkReader(Option<Reader>);

enum Reader {
    Parquet(Box<ParquetReader>),
    Csv(Box<CsvReader>),
}

impl Iterator for ChunkReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.0.as_mut()? {
            Reader::Parquet(reader) => reader.next(),
            Reader::Csv(reader) => reader.next(),
        };
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        item
    }
}

impl fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkReader").finish_non_exhaustive()
    }
}
