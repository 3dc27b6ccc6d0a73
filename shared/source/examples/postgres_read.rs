//! Reads a whole PostgreSQL table and says how long it took: `postgres_read URL SCHEMA TABLE`.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{
    BlockRange, Cast, ChunkType, Code, ColumnMapping, Failure, Range, Relation, Result, Selection, SourceColumn,
    TimestampUnit, Wire,
};
use sqlextract_source::{PostgresSource, ReadLimits, ReadRequest, RowSink, Source, SourceSettings};
use tokio_util::sync::CancellationToken;

const LIMITS: ReadLimits = ReadLimits {
    record_batch_bytes: 8 << 20,
    record_batch_rows: 65_536,
    alone_bytes: 8 << 20,
    row_bytes: 64 << 20,
};

#[derive(Default)]
struct Counted {
    rows: u64,
    batches: u64,
    bytes: u64,
}

#[async_trait]
impl RowSink for Counted {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.batches += 1;
        self.bytes += batch.get_array_memory_size() as u64;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, schema, table] = arguments.as_slice() else {
        return Err(Failure::new(
            Code::UsageInvalid,
            "usage: postgres_read URL SCHEMA TABLE",
        ));
    };
    let source = PostgresSource::open(SourceSettings {
        url: url.clone(),
        allow_plaintext: false,
        max_connections: 3,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        lock_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(600),
    })
    .await?;
    let started = Instant::now();
    let facts = source
        .inspect(&[Selection::Table {
            schema: Some(schema.clone()),
            name: table.clone(),
        }])
        .await?;
    let table = &facts.tables[0];
    println!(
        "inspected in {:?}: about {} rows, keys {:?}",
        started.elapsed(),
        table.estimated_rows,
        table.keys
    );
    let columns: Vec<_> = table.columns.iter().map(mapping).collect();
    let snapshot = source.snapshot().await?;
    let token = snapshot.as_ref().map(|s| s.token());
    let ranges = table.leaves.iter().map(|leaf| BlockRange {
        oid: leaf.oid,
        name: leaf.name.clone(),
        from: 0,
        to: None,
    });
    let request = ReadRequest {
        table: &table.name,
        relation: &Relation::Table(table.name.clone()),
        filter: None,
        columns: &columns,
        row_key: &[],
        range: &Range::Blocks(ranges.collect()),
        snapshot: token,
        limits: LIMITS,
        cancel: &CancellationToken::new(),
    };
    let mut counted = Counted::default();
    let started = Instant::now();
    let summary = source.read(request, &mut counted).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} rows, {} bytes off the wire, {} batches of {} bytes, in {seconds:.2} s",
        summary.rows, summary.load.wire_bytes, counted.batches, counted.bytes
    );
    Ok(())
}

/// The plain forms that a benchmark needs; everything else as text.
fn mapping(column: &SourceColumn) -> ColumnMapping {
    let (cast, wire, chunk) = match column.base.as_str() {
        "bool" => (Cast::None, Wire::Bool, ChunkType::Boolean),
        "int4" => (Cast::None, Wire::Int { bytes: 4 }, ChunkType::Int32),
        "int8" => (Cast::None, Wire::Int { bytes: 8 }, ChunkType::Int64),
        "float8" => (Cast::None, Wire::Float { bytes: 8 }, ChunkType::Float64),
        "date" => (Cast::None, Wire::Date, ChunkType::Date),
        "numeric" if column.precision.is_some() => {
            let precision = column.precision.unwrap_or(38) as u8;
            let scale = column.scale.unwrap_or(0) as i8;
            (Cast::None, Wire::Decimal, ChunkType::Decimal { precision, scale })
        }
        "timestamp" => (
            Cast::None,
            Wire::Timestamp,
            ChunkType::Timestamp {
                unit: TimestampUnit::Microsecond,
                utc: false,
            },
        ),
        "text" | "varchar" | "bpchar" => (Cast::None, Wire::Text, ChunkType::Text),
        _ => (Cast::Text, Wire::Text, ChunkType::Text),
    };
    ColumnMapping {
        name: column.name.clone(),
        declared: column.declared.clone(),
        nullable: column.nullable,
        cast,
        wire,
        chunk,
        lossy: None,
        length: column.length,
    }
}
