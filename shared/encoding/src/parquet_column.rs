//! One column of a row group, from arrays to finished pages.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use sqlextract_model::{ChunkType, ColumnMapping, FileFormat, ParquetVersion, Result};

use crate::compression::{self, PageCompression};
use crate::parquet_chunks::broken;
use crate::parquet_policy::Values;
use crate::{parquet_policy, text_statistics};

/// Rows handed to the page encoder at once: it copies and converts them, which is cheap while they stay in the
/// processor's cache.
const WRITE_ROWS: usize = 2048;
/// Rows of a page at most; pages mostly end by their bytes.
const PAGE_ROWS: usize = 128 << 10;

/// How the rows of a column come into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// A page ends when it is large enough.
    Many,
    /// The one page is put together and compressed when its arrays are gone.
    One,
}

/// What stays the same for a column in every row group.
pub(crate) struct ColumnForm {
    chunk: ChunkType,
    field: Field,
    /// The column alone; its descriptor is the one that it has in the whole schema.
    arrow: SchemaRef,
    parquet: TypePtr,
    compression: PageCompression,
    version: ParquetVersion,
    page_bytes: usize,
}

impl ColumnForm {
    pub(crate) fn new(mapping: &ColumnMapping, format: FileFormat, page_bytes: usize) -> Result<Self> {
        let field = mapping.field();
        let arrow = Arc::new(Schema::new(vec![field.clone()]));
        let parquet = ArrowSchemaConverter::new().convert(&arrow).map_err(broken)?;
        Ok(Self {
            chunk: mapping.chunk.clone(),
            field,
            arrow,
            parquet: parquet.root_schema_ptr(),
            compression: compression::of_pages(&format)?,
            version: format.parquet_version,
            page_bytes,
        })
    }

    /// Arrays are let go as they are encoded.
    pub(crate) fn encode(&self, arrays: Vec<ArrayRef>, pages: Pages) -> ParquetResult<ArrowColumnChunk> {
        let policy = parquet_policy::decide(&self.chunk, &arrays, self.page_bytes, self.version);
        let statistics = policy.statistics.then(|| text_statistics::of(&arrays)).flatten();
        let by_writer = policy.statistics && statistics.is_none();
        let properties = Arc::new(self.properties(policy.values, by_writer, pages));
        let file = SerializedFileWriter::new(std::io::sink(), self.parquet.clone(), properties)?;
        let writers = ArrowRowGroupWriterFactory::new(&file, self.arrow.clone()).create_column_writers(0)?;
        let mut writer = writers.into_iter().next().ok_or_else(no_leaf)?;
        for array in arrays {
            for from in (0..array.len()).step_by(WRITE_ROWS) {
                let rows = array.slice(from, WRITE_ROWS.min(array.len() - from));
                for leaf in compute_leaves(&self.field, &rows)? {
                    writer.write(&leaf)?;
                }
            }
        }
        let mut chunk = writer.close()?;
        if let Some(statistics) = statistics {
            let metadata = &mut chunk.close_mut().metadata;
            *metadata = metadata.clone().into_builder().set_statistics(statistics).build()?;
        }
        Ok(chunk)
    }

    fn properties(&self, values: Values, statistics: bool, pages: Pages) -> WriterProperties {
        let most_page_bytes = match pages {
            Pages::Many => self.page_bytes,
            Pages::One => usize::MAX,
        };
        let statistics = if statistics {
            EnabledStatistics::Chunk
        } else {
            EnabledStatistics::None
        };
        let encoding = match values {
            Values::Plain | Values::Dictionary => Encoding::PLAIN,
            Values::Differences => Encoding::DELTA_BINARY_PACKED,
        };
        let compression = match (values, &self.chunk) {
            (Values::Plain, ChunkType::Text | ChunkType::Json) => self.compression.texts,
            _ => self.compression.others,
        };
        WriterProperties::builder()
            .set_compression(compression)
            .set_dictionary_enabled(values == Values::Dictionary)
            .set_encoding(encoding)
            .set_dictionary_page_size_limit(self.page_bytes)
            .set_statistics_enabled(statistics)
            .set_offset_index_disabled(true)
            .set_data_page_size_limit(most_page_bytes)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(WRITE_ROWS)
            .build()
    }
}

fn no_leaf() -> ParquetError {
    ParquetError::General("a column without a leaf".into())
}
