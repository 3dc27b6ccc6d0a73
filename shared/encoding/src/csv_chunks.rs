//! CSV chunks: records into a stream that may be compressed, cut at the chunk's size.

use std::io::Write;

use arrow::array::RecordBatch;
use bytes::Bytes;
use flate2::write::GzEncoder;
use sqlextract_model::{Code, ColumnMapping, Failure, Result};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::compression::{self, StreamCompression};
use crate::csv::{CsvRows, header};
use crate::encoder::{ChunkEnd, EncoderSettings, Output, Sink};

/// Bytes are compressed in blocks, and handed out in pieces, of at least these sizes.
const BLOCK_BYTES: usize = 64 << 10;
const PIECE_BYTES: usize = 256 << 10;
/// One MiB of history: further back is worth little in tables, and readers hold it too.
const ZSTD_WINDOW_LOG: u32 = 20;
/// A chunk that is this full when its compressor is flushed is ended.
const FULL: f64 = 0.97;

pub(crate) struct CsvChunks {
    columns: Vec<ColumnMapping>,
    compression: StreamCompression,
    chunk_bytes: u64,
    chunk: Option<OpenChunk>,
    /// Stored bytes per byte of CSV, as the last chunk had it.
    ratio: f64,
    rows_before: u64,
    peak: usize,
}

struct OpenChunk {
    stream: Stream,
    /// Records that are not compressed yet.
    raw: Vec<u8>,
    rows: u64,
    /// Bytes of CSV that the stream has taken, and stored bytes that were handed out.
    taken: u64,
    handed_out: u64,
    /// Both at the last flush, where the stored size was known exactly.
    known_taken: u64,
    known_stored: u64,
    end_of_copy_line: bool,
}

/// What the values of a batch are known to be.
#[derive(Clone, Copy)]
enum Values {
    Short,
    Long,
}

enum Stream {
    Plain,
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
}

impl CsvChunks {
    pub(crate) fn new(settings: &EncoderSettings) -> Result<Self> {
        let compression = compression::of_stream(&settings.format)?;
        header(&settings.columns, &mut Vec::new())?;
        Ok(Self {
            columns: settings.columns.clone(),
            compression,
            chunk_bytes: settings.chunk_bytes,
            chunk: None,
            ratio: 1.0,
            rows_before: 0,
            peak: 0,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        self.write_each(batch, Values::Short, out)
    }

    /// Writes a large row, its values in pieces that are handed out one by one.
    pub(crate) fn write_alone(&mut self, row: &RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        self.write_each(row, Values::Long, out)?;
        self.flush(out)
    }

    fn write_each(&mut self, batch: &RecordBatch, values: Values, out: &mut Sink<'_>) -> Result<()> {
        let columns = std::mem::take(&mut self.columns);
        let written = self.write_rows(&columns, batch, values, out);
        self.columns = columns;
        written
    }

    fn write_rows(
        &mut self,
        columns: &[ColumnMapping],
        batch: &RecordBatch,
        values: Values,
        out: &mut Sink<'_>,
    ) -> Result<()> {
        let mut rows = CsvRows::new(columns, batch)?;
        for row in 0..batch.num_rows() {
            let chunk = match &mut self.chunk {
                Some(chunk) => chunk,
                none => none.insert(OpenChunk::new(self.compression, columns)?),
            };
            self.rows_before += 1;
            match values {
                Values::Short => rows.write(row, self.rows_before, &mut chunk.raw)?,
                Values::Long => rows.write_long(row, self.rows_before, &mut |piece| chunk.take(piece, out))?,
            }
            chunk.rows += 1;
            chunk.end_of_copy_line |= std::mem::take(&mut rows.end_of_copy_line);
            if chunk.raw.len() >= BLOCK_BYTES {
                self.peak = self.peak.max(chunk.memory_bytes());
                chunk.compress()?;
                self.peak = self.peak.max(chunk.memory_bytes());
                chunk.hand_out(PIECE_BYTES, out)?;
            }
            if chunk.estimated(self.ratio) >= self.chunk_bytes as f64 && chunk.is_full(self.chunk_bytes)? {
                self.end_chunk(out)?;
            }
        }
        Ok(())
    }

    /// Compresses and hands out the records so far, but for what the compressor itself holds back.
    pub(crate) fn flush(&mut self, out: &mut Sink<'_>) -> Result<()> {
        match &mut self.chunk {
            Some(chunk) => {
                chunk.compress()?;
                chunk.hand_out(1, out)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn finish(mut self, out: &mut Sink<'_>) -> Result<()> {
        self.end_chunk(out)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunk.as_ref().map_or(0, OpenChunk::memory_bytes)
    }

    pub(crate) fn peak_memory_bytes(&self) -> usize {
        self.peak.max(self.memory_bytes())
    }

    fn end_chunk(&mut self, out: &mut Sink<'_>) -> Result<()> {
        let Some(mut chunk) = self.chunk.take() else {
            return Ok(());
        };
        chunk.compress()?;
        let end = ChunkEnd {
            rows: chunk.rows,
            end_of_copy_line: chunk.end_of_copy_line,
        };
        let (taken, handed_out) = (chunk.taken, chunk.handed_out);
        let last = chunk.close()?;
        if taken > 0 {
            self.ratio = (handed_out + last.len() as u64) as f64 / taken as f64;
        }
        if !last.is_empty() {
            out(Output::Bytes(Bytes::from(last)))?;
        }
        out(Output::End(end))
    }
}

impl OpenChunk {
    fn new(compression: StreamCompression, columns: &[ColumnMapping]) -> Result<Self> {
        let mut raw = Vec::with_capacity(BLOCK_BYTES + 4096);
        header(columns, &mut raw)?;
        Ok(Self {
            stream: Stream::new(compression)?,
            raw,
            rows: 0,
            taken: 0,
            handed_out: 0,
            known_taken: 0,
            known_stored: 0,
            end_of_copy_line: false,
        })
    }

    /// Collects a piece of a record, and passes on what is a block by now.
    fn take(&mut self, piece: &[u8], out: &mut Sink<'_>) -> Result<()> {
        self.raw.extend_from_slice(piece);
        if self.raw.len() >= BLOCK_BYTES {
            self.compress()?;
            self.hand_out(PIECE_BYTES, out)?;
        }
        Ok(())
    }

    /// Moves the collected records into the stream.
    fn compress(&mut self) -> Result<()> {
        let Some(stream) = self.stream.writer() else {
            return Ok(());
        };
        stream.write_all(&self.raw).map_err(broken)?;
        self.taken += self.raw.len() as u64;
        self.raw.clear();
        // One long value is no reason to hold its size for the rest of the chunk.
        self.raw.shrink_to(2 * BLOCK_BYTES);
        Ok(())
    }

    /// Hands out what the stream has made, once that is `least` bytes.
    fn hand_out(&mut self, least: usize, out: &mut Sink<'_>) -> Result<()> {
        let made = self.stream.made(&mut self.raw);
        if made.len() < least {
            return Ok(());
        }
        let made = std::mem::take(made);
        self.handed_out += made.len() as u64;
        out(Output::Bytes(Bytes::from(made)))
    }

    /// The stored size of all rows so far, where `ratio` serves until this chunk has shown its own.
    fn estimated(&self, ratio: f64) -> f64 {
        if matches!(self.stream, Stream::Plain) {
            return (self.handed_out + self.raw.len() as u64) as f64;
        }
        let ratio = if self.known_taken > 0 {
            self.known_stored as f64 / self.known_taken as f64
        } else {
            ratio
        };
        let unknown = self.taken + self.raw.len() as u64 - self.known_taken;
        self.known_stored as f64 + unknown as f64 * ratio
    }

    /// Whether the chunk really has its size. A compressor holds back an unknown part of its output, so it is flushed,
    /// which costs a few bytes and happens a few times per chunk.
    fn is_full(&mut self, chunk_bytes: u64) -> Result<bool> {
        if matches!(self.stream, Stream::Plain) {
            return Ok(true);
        }
        self.compress()?;
        if let Some(stream) = self.stream.writer() {
            stream.flush().map_err(broken)?;
        }
        self.known_taken = self.taken;
        self.known_stored = self.handed_out + self.stream.made(&mut self.raw).len() as u64;
        Ok(self.known_stored as f64 >= chunk_bytes as f64 * FULL)
    }

    fn close(self) -> Result<Vec<u8>> {
        match self.stream {
            Stream::Plain => Ok(self.raw),
            Stream::Gzip(stream) => stream.finish().map_err(broken),
            Stream::Zstd(stream) => stream.finish().map_err(broken),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.raw.capacity() + self.stream.memory_bytes()
    }
}

impl Stream {
    fn new(compression: StreamCompression) -> Result<Self> {
        Ok(match compression {
            StreamCompression::None => Self::Plain,
            StreamCompression::Gzip(level) => {
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(level))))
            }
            StreamCompression::Zstd(level) => {
                let mut stream = ZstdEncoder::new(Vec::new(), level).map_err(broken)?;
                stream
                    .set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))
                    .map_err(broken)?;
                Self::Zstd(Box::new(stream))
            }
        })
    }

    fn writer(&mut self) -> Option<&mut dyn Write> {
        match self {
            Self::Plain => None,
            Self::Gzip(stream) => Some(stream.as_mut()),
            Self::Zstd(stream) => Some(stream.as_mut()),
        }
    }

    /// The stored bytes that are ready; without compression those are the records themselves.
    fn made<'a>(&'a mut self, raw: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
        match self {
            Self::Plain => raw,
            Self::Gzip(stream) => stream.get_mut(),
            Self::Zstd(stream) => stream.get_mut(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Gzip(stream) => stream.get_ref().capacity() + (512 << 10),
            Self::Zstd(stream) => stream.get_ref().capacity() + (4 << 20),
        }
    }
}

/// Compression into memory fails only by a fault of its library.
fn broken(error: std::io::Error) -> Failure {
    Failure::new(Code::Defect, "a CSV chunk could not be compressed").because(error)
}
