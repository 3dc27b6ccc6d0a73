//! A database of a test, and short ways to ask a source about it.

use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use rusqlite::Connection;
use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, Failure, KeyColumn, KeyFacts, Range, Relation, Result, Selection, SnapshotToken,
    TableFacts, TableName, Wire,
};
use sqlextract_source::suite::Writer;
use sqlextract_source::{
    Probe, ProbeAnswer, ReadLimits, ReadRequest, ReadSummary, RowSink, Source, SourceSettings, SqliteSource,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Database {
    folder: tempfile::TempDir,
    pub(crate) writer: std::sync::Mutex<Connection>,
}

impl Database {
    /// A file in which `sql` was executed.
    pub(crate) fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("data base.db")).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch(sql).unwrap();
        Self {
            folder,
            writer: std::sync::Mutex::new(writer),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data base.db")
    }

    pub(crate) fn try_execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.writer.lock().unwrap().execute_batch(sql)
    }

    pub(crate) fn execute_all(&self, sql: &str) {
        self.try_execute(sql).unwrap();
    }

    pub(crate) async fn source(&self) -> SqliteSource {
        SqliteSource::open(settings(&self.path().display().to_string()))
            .await
            .unwrap()
    }
}

#[async_trait]
impl Writer for Database {
    async fn execute(&self, sql: &str) {
        self.execute_all(sql);
    }
}

pub(crate) fn settings(path: &str) -> SourceSettings {
    SourceSettings {
        url: format!("sqlite://{path}"),
        allow_plaintext: false,
        max_connections: sqlextract_source::suite::CONNECTIONS,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        lock_timeout: Duration::from_millis(50),
        statement_timeout: Duration::from_secs(60),
    }
}

pub(crate) const LIMITS: ReadLimits = ReadLimits {
    record_batch_bytes: 1 << 16,
    record_batch_rows: 1000,
    alone_bytes: 1 << 20,
    row_bytes: 1 << 24,
};

#[derive(Debug, Default)]
pub(crate) struct Batches(pub(crate) Vec<RecordBatch>);

#[async_trait]
impl RowSink for Batches {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.0.push(batch);
        Ok(())
    }
}

impl Batches {
    /// Rows as texts, NULL as `∅`, sorted.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = self.0.iter().flat_map(batch_rows).collect();
        rows.sort();
        rows
    }

    pub(crate) fn integers(&self) -> Vec<i64> {
        let columns = self
            .0
            .iter()
            .map(|batch| batch.column(0).as_primitive::<Int64Type>().clone());
        let mut values: Vec<i64> = columns.flat_map(|column| column.values().to_vec()).collect();
        values.sort_unstable();
        values
    }
}

fn batch_rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: &dyn Array, at: usize| match column.data_type() {
        _ if column.is_null(at) => "∅".to_owned(),
        DataType::Binary => column
            .as_binary::<i32>()
            .value(at)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
        DataType::Timestamp(_, Some(_)) => column.as_primitive::<TimestampMicrosecondType>().value(at).to_string(),
        _ => array_value_to_string(column, at).unwrap(),
    };
    (0..batch.num_rows())
        .map(|at| batch.columns().iter().map(|column| cell(column, at)).collect())
        .collect()
}

pub(crate) fn mapping(name: &str, declared: &str, wire: Wire, chunk: ChunkType) -> ColumnMapping {
    ColumnMapping {
        name: name.to_owned(),
        declared: declared.to_owned(),
        nullable: true,
        cast: Cast::None,
        wire,
        chunk,
        lossy: None,
        length: None,
    }
}

pub(crate) fn cell(name: &str, declared: &str, chunk: ChunkType) -> ColumnMapping {
    mapping(name, declared, Wire::Cell, chunk)
}

pub(crate) fn as_text(name: &str) -> ColumnMapping {
    mapping(name, "", Wire::CellAsText, ChunkType::Text)
}

/// A read with everything that most tests leave as it is.
pub(crate) struct Read<'a> {
    pub(crate) relation: Relation,
    pub(crate) filter: Option<&'a str>,
    pub(crate) columns: &'a [ColumnMapping],
    pub(crate) row_key: &'a [KeyColumn],
    pub(crate) range: Range,
    pub(crate) snapshot: Option<&'a SnapshotToken>,
    pub(crate) limits: ReadLimits,
}

impl<'a> Read<'a> {
    pub(crate) fn of(table: &str, columns: &'a [ColumnMapping]) -> Self {
        Self {
            relation: Relation::Table(TableName::new("main", table)),
            filter: None,
            columns,
            row_key: &[],
            range: Range::All,
            snapshot: None,
            limits: LIMITS,
        }
    }

    pub(crate) async fn from(&self, source: &dyn Source) -> Result<(ReadSummary, Batches)> {
        let mut batches = Batches::default();
        let summary = self.push_to(source, &mut batches).await?;
        Ok((summary, batches))
    }

    pub(crate) async fn push_to(&self, source: &dyn Source, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let table = match &self.relation {
            Relation::Table(table) => table.clone(),
            Relation::Query(_) => TableName::new("query", "q"),
        };
        let cancel = CancellationToken::new();
        let request = ReadRequest {
            table: &table,
            relation: &self.relation,
            filter: self.filter,
            columns: self.columns,
            row_key: self.row_key,
            range: &self.range,
            snapshot: self.snapshot,
            limits: self.limits,
            cancel: &cancel,
        };
        source.read(request, sink).await
    }

    pub(crate) async fn rows(&self, source: &dyn Source) -> Vec<Vec<String>> {
        self.from(source).await.unwrap().1.rows()
    }

    pub(crate) async fn integers(&self, source: &dyn Source) -> Vec<i64> {
        self.from(source).await.unwrap().1.integers()
    }

    pub(crate) async fn failure(&self, source: &dyn Source) -> Failure {
        self.from(source).await.expect_err("the read is refused")
    }
}

pub(crate) async fn facts(source: &dyn Source, table: &str) -> TableFacts {
    let selection = Selection::Table {
        schema: None,
        name: table.to_owned(),
    };
    source.inspect(&[selection]).await.unwrap().tables.remove(0)
}

pub(crate) async fn key(source: &dyn Source, table: &str) -> KeyFacts {
    facts(source, table).await.keys.remove(0)
}

pub(crate) async fn probe(source: &dyn Source, table: &str, question: Probe) -> ProbeAnswer {
    let relation = Relation::Table(TableName::new("main", table));
    source
        .probe(&relation, None, &[question], None)
        .await
        .unwrap()
        .remove(0)
}
