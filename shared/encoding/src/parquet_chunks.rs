//! Parquet chunks: rows are collected as Arrow arrays and written one row group at a time, column after column.
//!
//! Parquet's own writer keeps a page, a dictionary and a compressor open per column, which for 400 columns is more than
//! any budget. Here one column is being encoded at any moment, and its rows are let go as soon as it is written.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use sqlextract_model::{ChunkType, Code, ColumnMapping, Failure, Result};

use crate::encoder::{ChunkEnd, EncoderSettings, Output, Sink};
use crate::parquet_column::{ColumnForm, Pages};
use crate::{compression, weight};

/// Larger row groups make readers hold more and write no better.
const ROW_GROUP_BYTES: usize = 64 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Bytes are handed out in pieces of at least this size.
const PIECE_BYTES: usize = 256 << 10;
/// A chunk this full is ended rather than topped up with a small row group.
const FULL: f64 = 0.93;

pub(crate) struct ParquetChunks {
    columns: Vec<Column>,
    schema: TypePtr,
    properties: Arc<WriterProperties>,
    chunk_bytes: u64,
    memory_bytes: usize,
    /// What encoding one column takes beside its pages: open page, dictionary, compressor.
    working_bytes: usize,
    pending_rows: usize,
    pending_weight: usize,
    /// The longest value of the pending rows, in bytes.
    longest: usize,
    file: Option<OpenFile>,
    sizes: Sizes,
    peak: usize,
}

struct Column {
    form: ColumnForm,
    pending: Vec<ArrayRef>,
    retained: usize,
    /// Bytes of the pending values as plain pages.
    paged: usize,
}

struct OpenFile {
    writer: SerializedFileWriter<Pipe>,
    pipe: Pipe,
    rows: u64,
    groups: u64,
}

/// What has been learnt about stored sizes.
struct Sizes {
    /// Stored and Arrow bytes of past row groups, the older the lighter.
    stored: f64,
    weighed: f64,
    /// Bytes that a row group adds to the footer.
    footer_per_group: f64,
}

impl Sizes {
    /// Stored bytes per Arrow byte. Before the first row group 1, so that the first is rather too small.
    fn ratio(&self) -> f64 {
        if self.weighed > 0.0 {
            (self.stored / self.weighed).max(0.001)
        } else {
            1.0
        }
    }

    fn learn(&mut self, stored: usize, weighed: usize) {
        self.stored = self.stored * 0.5 + stored as f64;
        self.weighed = self.weighed * 0.5 + weighed as f64;
    }
}

impl ParquetChunks {
    pub(crate) fn new(settings: &EncoderSettings) -> Result<Self> {
        let compression = compression::of_pages(&settings.format)?;
        settings.columns.iter().try_for_each(refuse_unwritable)?;
        let page_bytes = (settings.memory_bytes / 64).clamp(64 << 10, 1 << 20);
        let compressor = compressor_bytes(compression.texts).max(compressor_bytes(compression.others));
        let working_bytes = 6 * page_bytes + compressor;
        if working_bytes > settings.memory_bytes / 2 {
            let message = format!(
                "this compression level takes {working_bytes} of {} bytes",
                settings.memory_bytes
            );
            let remedy = "Choose a lower level, fewer workers, or more memory.";
            return Err(Failure::new(Code::UsageInvalid, message).remedy(remedy));
        }
        let fields: Vec<_> = settings.columns.iter().map(ColumnMapping::field).collect();
        let schema = ArrowSchemaConverter::new()
            .convert(&Schema::new(fields))
            .map_err(broken)?
            .root_schema_ptr();
        let columns = settings
            .columns
            .iter()
            .map(|mapping| {
                Ok(Column {
                    form: ColumnForm::new(mapping, settings.format, page_bytes)?,
                    pending: Vec::new(),
                    retained: 0,
                    paged: 0,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let properties = WriterProperties::builder()
            .set_created_by(settings.created_by.clone())
            .build();
        Ok(Self {
            sizes: Sizes {
                stored: 0.0,
                weighed: 0.0,
                footer_per_group: 120.0 * columns.len() as f64,
            },
            columns,
            schema,
            properties: Arc::new(properties),
            chunk_bytes: settings.chunk_bytes,
            memory_bytes: settings.memory_bytes,
            working_bytes,
            pending_rows: 0,
            pending_weight: 0,
            longest: 0,
            file: None,
            peak: 0,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        let mut rest = batch.clone();
        let longest = weight::longest(batch);
        while rest.num_rows() > 0 {
            self.longest = self.longest.max(longest);
            let rows = self.rows_with_room(&rest).min(ROW_GROUP_ROWS - self.pending_rows);
            if rows == rest.num_rows() {
                self.collect(&rest);
                break;
            }
            // A row that no row group has room for makes one of its own.
            let rows = if rows == 0 && self.pending_rows == 0 { 1 } else { rows };
            if rows > 0 {
                self.collect(&rest.slice(0, rows));
                rest = rest.slice(rows, rest.num_rows() - rows);
            }
            self.write_group(Pages::Many, out)?;
        }
        Ok(())
    }

    /// Writes the pending rows as a row group.
    pub(crate) fn flush(&mut self, out: &mut Sink<'_>) -> Result<()> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        self.write_group(Pages::Many, out)
    }

    /// Makes a large row a row group of its own, which holds the row once when its encoding begins.
    pub(crate) fn write_alone(&mut self, row: RecordBatch, out: &mut Sink<'_>) -> Result<()> {
        self.flush(out)?;
        self.longest = weight::longest(&row);
        self.collect(&row);
        drop(row);
        self.write_group(Pages::One, out)
    }

    pub(crate) fn finish(mut self, out: &mut Sink<'_>) -> Result<()> {
        self.flush(out)?;
        self.end_chunk(out)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.retained).sum()
    }

    pub(crate) fn peak_memory_bytes(&self) -> usize {
        self.peak
    }

    /// The most leading rows of a batch that the pending row group has room for.
    fn rows_with_room(&self, batch: &RecordBatch) -> usize {
        let most = self.group_weight(batch);
        weight::most_rows(batch.num_rows(), |rows| {
            let weight = self.pending_weight + weight::of_batch(batch, 0, rows);
            weight <= most && self.fixed_bytes() + self.growing_bytes(batch, rows) <= self.memory_bytes
        })
    }

    /// Arrow bytes that the pending row group shall have: what is left of the chunk in equal parts.
    fn group_weight(&self, batch: &RecordBatch) -> usize {
        let most = self.most_weight(batch);
        let left = (self.left_in_chunk() / self.sizes.ratio()).max(1.0);
        let groups = (left / most as f64).ceil();
        ((left / groups) as usize).clamp(1, most)
    }

    /// Arrow bytes that a row group may have at most, if its rows go on as they are in `batch`.
    fn most_weight(&self, batch: &RecordBatch) -> usize {
        let rows = batch.num_rows();
        let weight = self.pending_weight + weight::of_batch(batch, 0, rows);
        let room = self.memory_bytes.saturating_sub(self.fixed_bytes());
        let most = room as f64 * weight as f64 / self.growing_bytes(batch, rows) as f64;
        (most as usize).clamp(1, ROW_GROUP_BYTES)
    }

    /// What a row group takes with `rows` rows of a batch added: all its rows, and its largest column once more as pages,
    /// which may grow by a sixth when nothing in it can be compressed.
    fn growing_bytes(&self, batch: &RecordBatch, rows: usize) -> usize {
        let columns = self.columns.iter().zip(batch.columns());
        let (retained, largest) = columns.fold((0, 0), |(retained, largest), (column, array)| {
            let pages = column.paged + weight::as_pages(array.as_ref(), rows);
            (
                retained + column.retained + weight::retained(array, rows),
                pages.max(largest),
            )
        });
        retained + largest + largest / 5
    }

    fn fixed_bytes(&self) -> usize {
        self.working_bytes() + PIECE_BYTES
    }

    /// What encoding a column takes beside its rows and its pages. A page is gathered, then put together with its
    /// levels, then compressed; it has the longest value at least.
    fn working_bytes(&self) -> usize {
        self.working_bytes + 2 * self.longest
    }

    /// Stored bytes until the chunk has its size, with the footer's share taken off.
    fn left_in_chunk(&self) -> f64 {
        let (written, groups) = match &self.file {
            Some(file) => (file.writer.bytes_written() as f64, file.groups as f64),
            None => (4.0, 0.0),
        };
        self.chunk_bytes as f64 - written - (groups + 1.0) * self.sizes.footer_per_group
    }

    fn collect(&mut self, rows: &RecordBatch) {
        self.pending_rows += rows.num_rows();
        self.pending_weight += weight::of_batch(rows, 0, rows.num_rows());
        for (column, array) in self.columns.iter_mut().zip(rows.columns()) {
            column.retained += weight::retained(array, array.len());
            column.paged += weight::as_pages(array.as_ref(), array.len());
            column.pending.push(array.clone());
        }
        self.peak = self.peak.max(self.memory_bytes());
    }

    /// Writes the pending rows as a row group, and ends the chunk if it is full.
    fn write_group(&mut self, pages: Pages, out: &mut Sink<'_>) -> Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_file()?,
        };
        let before = file.writer.bytes_written();
        let mut group = file.writer.next_row_group().map_err(broken)?;
        let (mut held, working) = (self.memory_bytes(), self.working_bytes());
        for column in &mut self.columns {
            let pending = std::mem::take(&mut column.pending);
            let chunk = column.form.encode(pending, pages).map_err(broken)?;
            let stored = usize::try_from(chunk.close().metadata.compressed_size()).unwrap_or(0);
            self.peak = self.peak.max(held + stored + stored / 6 + working + file.pipe.len());
            held -= std::mem::take(&mut column.retained);
            column.paged = 0;
            file.pipe.reserve(stored);
            chunk.append_to_row_group(&mut group).map_err(broken)?;
            if file.pipe.len() >= PIECE_BYTES {
                out(Output::Bytes(file.pipe.take()))?;
            }
        }
        group.close().map_err(broken)?;
        file.rows += self.pending_rows as u64;
        file.groups += 1;
        self.sizes
            .learn(file.writer.bytes_written() - before, self.pending_weight);
        self.file = Some(file);
        self.pending_rows = 0;
        self.pending_weight = 0;
        self.longest = 0;
        if self.left_in_chunk() <= self.chunk_bytes as f64 * (1.0 - FULL) {
            self.end_chunk(out)?;
        }
        Ok(())
    }

    fn open_file(&self) -> Result<OpenFile> {
        let pipe = Pipe::default();
        let writer = SerializedFileWriter::new(pipe.clone(), self.schema.clone(), self.properties.clone());
        Ok(OpenFile {
            writer: writer.map_err(broken)?,
            pipe,
            rows: 0,
            groups: 0,
        })
    }

    fn end_chunk(&mut self, out: &mut Sink<'_>) -> Result<()> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let before = file.writer.bytes_written();
        file.writer.finish().map_err(broken)?;
        let footer = file.writer.bytes_written() - before;
        self.sizes.footer_per_group = footer as f64 / file.groups as f64;
        out(Output::Bytes(file.pipe.take()))?;
        out(Output::End(ChunkEnd {
            rows: file.rows,
            end_of_copy_line: false,
        }))
    }
}

/// The file writer's end of a buffer that is emptied while the writer is in use.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn len(&self) -> usize {
        self.with(|bytes| bytes.len())
    }

    fn reserve(&self, more: usize) {
        self.with(|bytes| bytes.reserve_exact(more));
    }

    fn take(&self) -> Bytes {
        self.with(|bytes| Bytes::from(std::mem::take(bytes)))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.with(|buffer| buffer.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Types that Parquet has no form for.
fn refuse_unwritable(mapping: &ColumnMapping) -> Result<()> {
    fn negative_scale(chunk: &ChunkType) -> bool {
        match chunk {
            ChunkType::Decimal { scale, .. } => *scale < 0,
            ChunkType::List(element) => negative_scale(element),
            _ => false,
        }
    }
    if negative_scale(&mapping.chunk) {
        let message = format!(
            "column `{}` is a decimal with a negative scale, which Parquet lacks",
            mapping.name
        );
        return Err(Failure::new(Code::TypeUnsupported, message).column(&mapping.name));
    }
    Ok(())
}

/// What a compressor allocates for pages of at most 1 MiB.
fn compressor_bytes(compression: Compression) -> usize {
    match compression {
        Compression::ZSTD(level) if level.compression_level() <= 2 => 1 << 20,
        Compression::ZSTD(level) if level.compression_level() <= 3 => 5 << 18,
        Compression::ZSTD(level) if level.compression_level() <= 12 => 8 << 20,
        Compression::ZSTD(_) => 24 << 20,
        Compression::GZIP(_) => 512 << 10,
        _ => 64 << 10,
    }
}

pub(crate) fn broken(error: ParquetError) -> Failure {
    Failure::new(Code::Defect, "a Parquet chunk could not be written").because(error)
}
