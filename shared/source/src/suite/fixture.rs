//! The table of the suite, and a sink that keeps what it is given.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, Dialect, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, Result,
    SnapshotToken, TableName, Wire,
};
use tokio_util::sync::CancellationToken;

use super::{LIMITS, within};
use crate::{ReadRequest, RowSink, Source};

/// Somebody else who writes to the database.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Executes one statement and commits it.
    async fn execute(&self, sql: &str);
}

/// A row of the fixture, by its `id`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub label: Option<String>,
    pub weight: Option<f64>,
}

/// The table of the suite: `id` (64-bit primary key, with both extremes and growing gaps), `label` (text with NULLs,
/// quotes and letters beyond ASCII), `weight` (double with NULLs).
#[derive(Debug, Clone)]
pub struct Fixture {
    pub table: TableName,
    pub relation: Relation,
    pub columns: Vec<ColumnMapping>,
    pub key: Vec<KeyColumn>,
    dialect: Dialect,
}

impl Fixture {
    /// `table` as `inspect` names it.
    pub fn new(dialect: Dialect, table: TableName) -> Self {
        let wire = |wire: Wire| if dialect == Dialect::Sqlite { Wire::Cell } else { wire };
        let types = declared(dialect);
        let column = |at: usize, name: &str, form: Wire, chunk: ChunkType| ColumnMapping {
            name: name.to_owned(),
            declared: types[at].to_owned(),
            nullable: at > 0,
            cast: Cast::None,
            wire: wire(form),
            chunk,
            lossy: None,
            length: None,
        };
        Self {
            relation: Relation::Table(table.clone()),
            columns: vec![
                column(0, "id", Wire::Int { bytes: 8 }, ChunkType::Int64),
                column(1, "label", Wire::Text, ChunkType::Text),
                column(2, "weight", Wire::Float { bytes: 8 }, ChunkType::Float64),
            ],
            key: vec![KeyColumn {
                name: "id".to_owned(),
                kind: KeyKind::Integer,
                nullable: false,
                declared: types[0].to_owned(),
            }],
            table,
            dialect,
        }
    }

    /// Makes and fills the table.
    pub fn statements(&self) -> Vec<String> {
        let name = self.quoted_table();
        let [id, label, weight] = declared(self.dialect);
        let mut statements = vec![format!(
            "CREATE TABLE {name} (id {id} NOT NULL PRIMARY KEY, label {label}, weight {weight})"
        )];
        let rows: Vec<_> = self.rows().into_iter().collect();
        for part in rows.chunks(200) {
            let values: Vec<_> = part.iter().map(|(id, row)| row.values(*id)).collect();
            statements.push(format!(
                "INSERT INTO {name} (id, label, weight) VALUES {}",
                values.join(", ")
            ));
        }
        statements
    }

    /// The table's rows.
    pub fn rows(&self) -> BTreeMap<i64, Row> {
        let ids = (0..1000).map(|n: i64| n * n * 7 - 50_000).chain([i64::MIN, i64::MAX]);
        let row = |id: i64| Row {
            label: (id % 5 != 0).then(|| format!("row {id}: it's é")),
            weight: (id % 3 != 0).then(|| id as f64 / 8.0),
        };
        ids.map(|id| (id, row(id))).collect()
    }

    pub(super) fn quoted_table(&self) -> String {
        let quote = if self.dialect == Dialect::Mysql { '`' } else { '"' };
        format!("{quote}{}{quote}.{quote}{}{quote}", self.table.schema, self.table.name)
    }

    pub(super) fn range(&self, lower: Option<i128>, upper: Option<i128>) -> Range {
        let bound = |value: Option<i128>| value.map(|value| vec![KeyValue::Integer(value)]);
        Range::Keys(KeyRange {
            columns: self.key.clone(),
            lower: bound(lower),
            upper: bound(upper),
        })
    }

    pub(super) fn request<'a>(&'a self, range: &'a Range, cancel: &'a CancellationToken) -> ReadRequest<'a> {
        ReadRequest {
            table: &self.table,
            relation: &self.relation,
            filter: None,
            columns: &self.columns,
            row_key: &self.key,
            range,
            snapshot: None,
            limits: LIMITS,
            cancel,
        }
    }

    pub(super) async fn read(&self, source: &dyn Source, range: &Range, snapshot: Option<&SnapshotToken>) -> Taken {
        let cancel = CancellationToken::new();
        let mut taken = Taken::default();
        let request = ReadRequest {
            snapshot,
            ..self.request(range, &cancel)
        };
        let summary = within(source.read(request, &mut taken))
            .await
            .expect("the range is read");
        assert_eq!(
            summary.rows, taken.count,
            "the summary counts the rows that were pushed"
        );
        taken
    }
}

fn declared(dialect: Dialect) -> [&'static str; 3] {
    match dialect {
        Dialect::Postgres => ["bigint", "text", "double precision"],
        Dialect::Mysql => ["bigint", "varchar(100) CHARACTER SET utf8mb4", "double"],
        Dialect::Sqlite => ["INTEGER", "TEXT", "REAL"],
    }
}

impl Row {
    fn values(&self, id: i64) -> String {
        let label = self
            .label
            .as_ref()
            .map_or("NULL".to_owned(), |label| format!("'{}'", label.replace('\'', "''")));
        let weight = self.weight.map_or("NULL".to_owned(), |weight| format!("{weight:?}"));
        format!("({id}, {label}, {weight})")
    }
}

/// Keeps every row and counts those that come twice.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Bytes that were told as they came.
    pub(super) received: u64,
    pub(super) rows: BTreeMap<i64, Row>,
    pub(super) count: u64,
    pub(super) pushes: usize,
}

impl Taken {
    fn add(&mut self, batch: &RecordBatch) {
        assert!(
            batch.num_rows() <= LIMITS.record_batch_rows,
            "a record batch holds {} rows",
            batch.num_rows()
        );
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let labels = batch.column(1).as_string::<i32>();
        let weights = batch.column(2).as_primitive::<Float64Type>();
        for at in 0..batch.num_rows() {
            let row = Row {
                label: labels.is_valid(at).then(|| labels.value(at).to_owned()),
                weight: weights.is_valid(at).then(|| weights.value(at)),
            };
            assert!(ids.is_valid(at), "an id is never NULL");
            self.rows.insert(ids.value(at), row);
            self.count += 1;
        }
        self.pushes += 1;
    }
}

#[async_trait]
impl RowSink for Taken {
    async fn received(&mut self, bytes: u64) -> Result<()> {
        self.received += bytes;
        Ok(())
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.add(&batch);
        Ok(())
    }
}
