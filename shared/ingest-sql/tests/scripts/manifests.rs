//! Finished extractions for tests.

use sqlextract_model::{
    BatchIndex, Cast, ChunkRecord, ChunkType, ColumnAggregate, ColumnMapping, Compression, Consistency, Dialect,
    Digest, Epoch, FileFormat, Format, Generation, JobId, Lossy, Manifest, ManifestEntry, ManifestTable, Outcome,
    ParquetVersion, Platform, Range, Rung, SourceIdentity, TableName, Target, TimestampUnit, Totals, Wire, segments,
};

pub(crate) fn postgres(table: Option<&str>) -> Target {
    Target {
        platform: Platform::Postgres,
        table: table.map(str::to_owned),
    }
}

pub(crate) fn target(platform: Platform) -> Target {
    Target { platform, table: None }
}

pub(crate) fn digest() -> Digest {
    Digest::of(b"manifest")
}

pub(crate) fn column(name: &str, declared: &str, chunk: ChunkType) -> ColumnMapping {
    ColumnMapping {
        name: name.to_owned(),
        declared: declared.to_owned(),
        nullable: true,
        cast: Cast::None,
        wire: Wire::Text,
        chunk,
        lossy: None,
        length: None,
    }
}

pub(crate) fn manifest(dialect: Dialect, format: Format, tables: Vec<(TableName, Vec<ColumnMapping>)>) -> Manifest {
    let names: Vec<_> = tables.iter().map(|(name, _)| name.clone()).collect();
    let table = |((table, columns), segment)| ManifestTable {
        table,
        segment,
        generation: Generation::FIRST,
        plan_hash: Digest::of(b"plan"),
        rung: Rung::IntegerKey,
        consistency: Consistency::Snapshot,
        filter: None,
        query: None,
        columns,
        aggregates: Vec::new(),
        totals: Totals::default(),
    };
    Manifest {
        version: 1,
        created_by: "sqlextract".to_owned(),
        job: JobId::new("orders-0123abcd").unwrap(),
        outcome: Outcome::Completed,
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        finished_at: "2026-01-02T03:05:05Z".to_owned(),
        source: SourceIdentity {
            dialect,
            version: "1".to_owned(),
            location: "db.example/shop".to_owned(),
            system: "1".to_owned(),
        },
        consistency: "snapshot".to_owned(),
        format: FileFormat {
            format,
            compression: Compression::None,
            level: None,
            parquet_version: ParquetVersion::V1,
        },
        single_writer: false,
        tables: tables.into_iter().zip(segments(&names)).map(table).collect(),
        pages: Vec::new(),
        totals: Totals::default(),
        source_load: None,
        failures: Vec::new(),
    }
}

/// Adds a batch of one chunk to the table at `position`; all values of it are NULL.
pub(crate) fn batch(manifest: &mut Manifest, position: usize, number: u64, rows: u64) -> ManifestEntry {
    let extension = manifest.format.extension();
    let table = &mut manifest.tables[position];
    let chunk = ChunkRecord {
        key: format!(
            "data/{}/g0001/batch-{number:07}-00000000000000aa-00.{extension}",
            table.segment
        ),
        bytes: 100,
        rows,
        crc32c: "00000000".to_owned(),
        sha256: Digest::of(b"chunk"),
        end_of_copy_line: false,
    };
    table.totals.add_batch(rows, std::slice::from_ref(&chunk));
    let aggregate = |c: &ColumnMapping| ColumnAggregate {
        name: c.name.clone(),
        ..ColumnAggregate::default()
    };
    ManifestEntry {
        table: table.table.clone(),
        generation: Generation::FIRST,
        batch: BatchIndex(number),
        epoch: Epoch::FIRST,
        range: Range::All,
        rows,
        chunks: vec![chunk],
        columns: table.columns.iter().map(aggregate).collect(),
    }
}

fn timestamp(utc: bool) -> ChunkType {
    ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    }
}

/// One column per form of a PostgreSQL source.
pub(crate) fn every_column() -> Vec<ColumnMapping> {
    let text = |declared: &str| column(declared, declared, ChunkType::Text);
    let mut columns = vec![
        ColumnMapping {
            nullable: false,
            ..column("id", "bigint", ChunkType::Int64)
        },
        column("ok", "boolean", ChunkType::Boolean),
        column("small", "smallint", ChunkType::Int16),
        column("int", "integer", ChunkType::Int32),
        column("real", "real", ChunkType::Float32),
        column("double", "double precision", ChunkType::Float64),
        column(
            "price",
            "numeric(10,2)",
            ChunkType::Decimal {
                precision: 10,
                scale: 2,
            },
        ),
        column("uuid", "uuid", ChunkType::Uuid),
        column("json", "json", ChunkType::Json),
        column("jsonb", "jsonb", ChunkType::Json),
        ColumnMapping {
            cast: Cast::Json,
            ..column("array", "integer[]", ChunkType::Json)
        },
        column("bytes", "bytea", ChunkType::Binary),
        column("day", "date", ChunkType::Date),
        column("moment", "timestamp without time zone", timestamp(false)),
        column("instant", "timestamp with time zone", timestamp(true)),
        column("at", "time without time zone", ChunkType::Time),
        ColumnMapping {
            length: Some(40),
            ..text("character varying(40)")
        },
        ColumnMapping {
            length: Some(10),
            ..text("character(10)")
        },
        ColumnMapping {
            lossy: Some(Lossy::AsText),
            ..column("kept as text", "interval", ChunkType::Text)
        },
    ];
    columns.extend(
        [
            "text",
            "numeric",
            "numeric(50,10)",
            "interval",
            "interval day to second(3)",
            "inet",
            "time(3) without time zone",
            "time(3) with time zone",
            "bit(8)",
            "bit varying(8)",
            "int4range",
            "mood",
            "\"in\"\"et\"",
            "hstore",
        ]
        .map(text),
    );
    columns
}
