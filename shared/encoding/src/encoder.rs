//! The encoder: record batches in, bytes of chunks out.

use std::fmt;

use arrow::array::RecordBatch;
use bytes::Bytes;
use sqlextract_model::{Code, ColumnMapping, Failure, FileFormat, Format, Result};

use crate::check::BatchCheck;
use crate::csv_chunks::CsvChunks;
use crate::parquet_chunks::ParquetChunks;

/// What one encoder makes and within which limits.
#[derive(Debug, Clone)]
pub struct EncoderSettings {
    pub format: FileFormat,
    /// The columns of every batch, in order.
    pub columns: Vec<ColumnMapping>,
    /// Size of a chunk as stored, in bytes; a chunk ends within 15 % of it where the data allows.
    pub chunk_bytes: u64,
    /// What the encoder may hold, in bytes, beside the batch that it is being given. At least 4 MiB.
    ///
    /// One row is never split, so the longest value that stays within the limit is `memory_bytes / VALUE_COPIES`.
    pub memory_bytes: usize,
    /// The `created_by` of a Parquet file; pinned by the caller, since equal rows shall give equal bytes.
    pub created_by: String,
}

/// How often one long value may be in memory while it is encoded: the batch with its builder's slack (2), the value
/// gathered, put into its page, and compressed (3), and what else the encoder needs.
pub const VALUE_COPIES: usize = 6;

/// How often a large row that is encoded alone is in memory at most: a page is gathered, put together with its levels,
/// and compressed, when the row itself is gone.
pub const ROW_COPIES: usize = 3;

/// What an encoder gives: bytes of the current chunk, or the chunk's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Bytes(Bytes),
    End(ChunkEnd),
}

/// Facts about a chunk that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEnd {
    pub rows: u64,
    /// A CSV field of the chunk holds a line that is `\.` alone.
    pub end_of_copy_line: bool,
}

/// Where the encoder's output goes. An error stops the encoder and is returned as it is.
pub type Sink<'a> = dyn FnMut(Output) -> Result<()> + 'a;

/// Turns the record batches of one batch into chunks.
///
/// The same batches in the same order give the same bytes. A chunk always has rows: no rows at all give no chunk.
/// After an error the encoder is of no further use.
pub struct ChunkEncoder {
    check: BatchCheck,
    chunks: Chunks,
}

enum Chunks {
    Parquet(Box<ParquetChunks>),
    Csv(Box<CsvChunks>),
}

/// The least memory that an encoder works with.
const LEAST_MEMORY: usize = 4 << 20;

impl ChunkEncoder {
    /// # Errors
    /// `usage_invalid` for a compression or level that the format does not take and for limits of nothing;
    /// `type_unsupported` for a column that the format cannot hold.
    pub fn new(settings: EncoderSettings) -> Result<Self> {
        if settings.chunk_bytes == 0 {
            return Err(Failure::new(
                Code::UsageInvalid,
                "a chunk size of 0 bytes holds nothing",
            ));
        }
        if settings.memory_bytes < LEAST_MEMORY {
            let message = format!(
                "{} bytes of memory are too few for an encoder; it needs {LEAST_MEMORY}",
                settings.memory_bytes
            );
            return Err(Failure::new(Code::UsageInvalid, message));
        }
        if settings.columns.is_empty() {
            return Err(Failure::new(Code::TypeUnsupported, "a chunk needs at least one column"));
        }
        Ok(Self {
            check: BatchCheck::new(&settings.columns),
            chunks: match settings.format.format {
                Format::Parquet => Chunks::Parquet(Box::new(ParquetChunks::new(&settings)?)),
                Format::Csv => Chunks::Csv(Box::new(CsvChunks::new(&settings)?)),
            },
        })
    }

    /// Encodes a batch and hands out what is complete.
    ///
    /// # Errors
    /// `value_refused`, with column and row, for a value that its form cannot hold exactly; `defect` for a batch whose
    /// columns are not those of the settings; whatever `out` returns.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        self.check.check(batch)?;
        match &mut self.chunks {
            Chunks::Parquet(chunks) => chunks.write(batch, out),
            Chunks::Csv(chunks) => chunks.write(batch, out),
        }
    }

    /// Hands out what the encoder holds of earlier rows, as far as the format allows.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn flush(&mut self, out: &mut Sink<'_>) -> Result<()> {
        match &mut self.chunks {
            Chunks::Parquet(chunks) => chunks.flush(out),
            Chunks::Csv(chunks) => chunks.flush(out),
        }
    }

    /// Encodes a large row by itself, and lets go of it as early as can be: at no moment are there more than
    /// [`ROW_COPIES`] times its bytes. Nothing of it or of earlier rows is left in the encoder afterwards.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_alone(&mut self, row: RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        self.check.check(&row)?;
        match &mut self.chunks {
            Chunks::Parquet(chunks) => chunks.write_alone(row, out),
            Chunks::Csv(chunks) => chunks.write_alone(&row, out),
        }
    }

    /// Ends the last chunk.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(self, out: &mut Sink<'_>) -> Result<()> {
        match self.chunks {
            Chunks::Parquet(chunks) => chunks.finish(out),
            Chunks::Csv(chunks) => chunks.finish(out),
        }
    }

    /// What the encoder holds now, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.chunks {
            Chunks::Parquet(chunks) => chunks.memory_bytes(),
            Chunks::Csv(chunks) => chunks.memory_bytes(),
        }
    }

    /// The most that the encoder has held at any moment, in bytes, inside of `write` too.
    pub fn peak_memory_bytes(&self) -> usize {
        match &self.chunks {
            Chunks::Parquet(chunks) => chunks.peak_memory_bytes(),
            Chunks::Csv(chunks) => chunks.peak_memory_bytes(),
        }
    }
}

impl fmt::Debug for ChunkEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkEncoder")
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}
