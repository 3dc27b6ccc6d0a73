//! Parquet chunks read back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use sqlextract_model::{ChunkType, Code, ColumnMapping, Failure, Result};

use crate::check::same_type;
use crate::decode::{BATCH_BYTES, BATCH_ROWS};

pub(crate) struct ParquetReader {
    batches: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl ParquetReader {
    pub(crate) fn new(columns: &[ColumnMapping], bytes: Bytes) -> Result<Self> {
        let fields: Vec<_> = columns.iter().map(ColumnMapping::field).collect();
        let batches = guarded(|| {
            let stored = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(corrupt)?;
            let held = ArrowReaderOptions::new().with_schema(as_held(stored.schema()));
            let metadata = ArrowReaderMetadata::try_new(stored.metadata().clone(), held).map_err(corrupt)?;
            check_schema(columns, metadata.schema())?;
            let rows = batch_rows(metadata.metadata());
            ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
                .with_batch_size(rows)
                .build()
                .map_err(corrupt)
        })?;
        Ok(Self {
            batches,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    pub(crate) fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batches = &mut self.batches;
        let schema = &self.schema;
        guarded(|| match batches.next() {
            None => Ok(None),
            Some(batch) => {
                let batch = batch.map_err(corrupt)?;
                let columns = batch.columns().to_vec();
                RecordBatch::try_new(schema.clone(), columns).map(Some).map_err(corrupt)
            }
        })
        .transpose()
    }
}

/// Parquet's reader meets some impossible files with a panic; here that is a corrupt chunk like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(corrupt("the reader gave up on an impossible file")))
}

/// The schema as chunks have it in memory: Parquet's reader holds every decimal in 128 bits unless it is told.
fn as_held(schema: &Schema) -> SchemaRef {
    fn held(data_type: &DataType) -> DataType {
        match data_type {
            &DataType::Decimal128(precision, scale) => ChunkType::Decimal { precision, scale }.arrow(),
            DataType::List(element) => {
                let held = held(element.data_type());
                DataType::List(Arc::new(element.as_ref().clone().with_data_type(held)))
            }
            other => other.clone(),
        }
    }
    let fields = schema.fields().iter().map(|field| {
        let held = held(field.data_type());
        field.as_ref().clone().with_data_type(held)
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

fn check_schema(columns: &[ColumnMapping], schema: &Schema) -> Result<()> {
    if schema.fields().len() != columns.len() {
        let message = format!("{} columns where the plan has {}", schema.fields().len(), columns.len());
        return Err(corrupt(message));
    }
    for (mapping, field) in columns.iter().zip(schema.fields()) {
        let expected = mapping.chunk.arrow();
        if field.name() != &mapping.name || !same_type(field.data_type(), &expected) {
            let message = format!(
                "column `{}` of {} where the plan has `{}` of {expected}",
                field.name(),
                field.data_type(),
                mapping.name
            );
            return Err(corrupt(message).column(&mapping.name));
        }
    }
    Ok(())
}

/// Rows that make a batch of a few MiB, by the average row.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let groups = metadata.row_groups();
    let bytes: u64 = groups
        .iter()
        .map(|g| g.total_byte_size().max(0).unsigned_abs())
        .fold(0, u64::saturating_add);
    let rows: u64 = groups
        .iter()
        .map(|g| g.num_rows().max(0).unsigned_abs())
        .fold(0, u64::saturating_add);
    let row_bytes = (bytes / rows.max(1)).max(1);
    usize::try_from(BATCH_BYTES as u64 / row_bytes)
        .unwrap_or(1)
        .clamp(1, BATCH_ROWS)
}

fn corrupt(cause: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::StorageCorrupt,
        "a Parquet chunk cannot be read as what was written",
    )
    .because(cause)
}
