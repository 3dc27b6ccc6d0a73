//! A scratch database, a source on it, and short ways to read.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use sqlextract_model::{
    BlockRange, Cast, ChunkType, ColumnMapping, Failure, KeyColumn, Range, Relation, Result, Selection, SnapshotToken,
    SourceColumn, TableFacts, TimestampUnit, TypeClass, Wire,
};
use sqlextract_source::{PostgresSource, ReadLimits, ReadRequest, ReadSummary, RowSink, Source, SourceSettings};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row, raw_sql};
use tokio_util::sync::CancellationToken;

pub(crate) const LIMITS: ReadLimits = ReadLimits {
    record_batch_bytes: 256 << 10,
    record_batch_rows: 1000,
    alone_bytes: 1 << 20,
    row_bytes: 8 << 20,
};

/// A database of one test.
pub(crate) struct Scratch {
    pub(crate) name: String,
    /// `postgres://user:password@host:port`, without the database.
    pub(crate) server: String,
    pub(crate) admin: PgConnection,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        let url = std::env::var("SQLEXTRACT_TEST_POSTGRES").expect(
            "SQLEXTRACT_TEST_POSTGRES must be the URL of a superuser on a scratch server: postgres://user:password@host:port/postgres",
        );
        let (server, _) = url.rsplit_once('/').expect("the URL names a database");
        let name = format!("sqlextract_{:016x}", RandomState::new().hash_one(std::process::id()));
        let mut first = PgConnection::connect(&url).await.expect("the scratch server answers");
        execute(&mut first, &format!("CREATE DATABASE {name}")).await;
        first.close().await.unwrap();
        let admin = PgConnection::connect(&format!("{server}/{name}")).await.unwrap();
        Self {
            name,
            server: server.to_owned(),
            admin,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        let (_, address) = self.server.rsplit_once('@').expect("the URL names a user");
        format!("postgres://{user}:{password}@{address}/{}", self.name)
    }

    pub(crate) async fn execute(&mut self, sql: &str) {
        execute(&mut self.admin, sql).await;
    }

    /// The first column of the first row, as text.
    pub(crate) async fn value(&mut self, sql: &str) -> String {
        let row = raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut self.admin)
            .await
            .unwrap();
        row.try_get_unchecked(0).unwrap()
    }

    pub(crate) async fn open(&self) -> PostgresSource {
        PostgresSource::open(settings(self.url())).await.unwrap()
    }

    /// A role that may log in, named after the database so that tests do not meet.
    pub(crate) async fn role(&mut self) -> (String, String) {
        let role = format!("{}_user", self.name);
        self.execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA public TO {role}"
        ))
        .await;
        let url = self.url_as(&role, "pw");
        (role, url)
    }

    pub(crate) async fn remove(self) {
        let Self { name, server, admin } = self;
        admin.close().await.unwrap();
        let mut last = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
        execute(&mut last, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        execute(&mut last, &format!("DROP ROLE IF EXISTS {name}_user")).await;
    }
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(crate) fn settings(url: String) -> SourceSettings {
    SourceSettings {
        url,
        allow_plaintext: false,
        max_connections: 4,
        connect_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        lock_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(120),
    }
}

pub(crate) fn table(name: &str) -> Selection {
    Selection::Table {
        schema: None,
        name: name.to_owned(),
    }
}

pub(crate) async fn inspect(source: &PostgresSource, name: &str) -> TableFacts {
    source.inspect(&[table(name)]).await.unwrap().tables.remove(0)
}

/// Collects what is read.
#[derive(Default)]
pub(crate) struct Collected(pub(crate) Vec<RecordBatch>);

#[async_trait]
impl RowSink for Collected {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.0.push(batch);
        Ok(())
    }
}

impl Collected {
    /// Every row as text, NULL as `∅`, fields separated by `|`, in sorted order.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for batch in &self.0 {
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|c| {
                        if c.is_null(row) {
                            "∅".to_owned()
                        } else {
                            shown(c, row)
                        }
                    })
                    .collect();
                rows.push(cells.join("|"));
            }
        }
        rows.sort();
        rows
    }
}

fn shown(column: &ArrayRef, row: usize) -> String {
    // Arrow writes instants with a zone only by a table of zones.
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(instants) if instants.timezone().is_some() => {
            let local = instants.clone().with_timezone_opt(None::<String>);
            array_value_to_string(&local, row).unwrap() + "Z"
        }
        _ => array_value_to_string(column, row).unwrap(),
    }
}

/// A read in short: everything of a table, unless changed.
pub(crate) struct Reading<'a> {
    pub(crate) facts: &'a TableFacts,
    pub(crate) relation: Relation,
    pub(crate) columns: Vec<ColumnMapping>,
    pub(crate) row_key: Vec<KeyColumn>,
    pub(crate) range: Range,
    pub(crate) filter: Option<&'a str>,
    pub(crate) snapshot: Option<&'a SnapshotToken>,
    pub(crate) limits: ReadLimits,
    pub(crate) cancel: CancellationToken,
}

impl<'a> Reading<'a> {
    pub(crate) fn all(facts: &'a TableFacts) -> Self {
        Self {
            facts,
            relation: Relation::Table(facts.name.clone()),
            columns: facts.columns.iter().map(mapping).collect(),
            row_key: facts.keys.first().map(|key| key.columns.clone()).unwrap_or_default(),
            range: Range::All,
            filter: None,
            snapshot: None,
            limits: LIMITS,
            cancel: CancellationToken::new(),
        }
    }

    pub(crate) fn range(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    pub(crate) fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    pub(crate) fn snapshot(mut self, token: &'a SnapshotToken) -> Self {
        self.snapshot = Some(token);
        self
    }

    pub(crate) async fn push_to(&self, source: &PostgresSource, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let request = ReadRequest {
            table: &self.facts.name,
            relation: &self.relation,
            filter: self.filter,
            columns: &self.columns,
            row_key: &self.row_key,
            range: &self.range,
            snapshot: self.snapshot,
            limits: self.limits,
            cancel: &self.cancel,
        };
        source.read(request, sink).await
    }

    pub(crate) async fn rows(&self, source: &PostgresSource) -> Vec<String> {
        let mut collected = Collected::default();
        let summary = self.push_to(source, &mut collected).await.unwrap();
        let rows = collected.rows();
        assert_eq!(summary.rows, rows.len() as u64);
        rows
    }

    pub(crate) async fn failure(&self, source: &PostgresSource) -> Failure {
        self.push_to(source, &mut Collected::default())
            .await
            .expect_err("the read must fail")
    }
}

/// All blocks of all leaves, in ranges of `blocks`.
pub(crate) fn block_ranges(facts: &TableFacts, blocks: u64) -> Vec<Range> {
    let mut ranges = Vec::new();
    for leaf in &facts.leaves {
        let mut from = 0;
        while from < leaf.blocks {
            let to = (from + blocks < leaf.blocks).then_some(from + blocks);
            ranges.push(Range::Blocks(vec![BlockRange {
                oid: leaf.oid,
                name: leaf.name.clone(),
                from,
                to,
            }]));
            from += blocks;
        }
        if leaf.blocks == 0 {
            ranges.push(Range::Blocks(vec![BlockRange {
                oid: leaf.oid,
                name: leaf.name.clone(),
                from: 0,
                to: None,
            }]));
        }
    }
    ranges
}

/// The forms that the project's type table gives these types.
pub(crate) fn mapping(column: &SourceColumn) -> ColumnMapping {
    let microseconds = |utc| ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    };
    let text = (Cast::Text, Wire::Text, ChunkType::Text);
    let (cast, wire, chunk) = match (column.class, column.base.as_str()) {
        (TypeClass::Array | TypeClass::Composite, _) => (Cast::Json, Wire::Json, ChunkType::Json),
        (TypeClass::Enum | TypeClass::Range | TypeClass::Other, _) => text,
        (_, "bool") => (Cast::None, Wire::Bool, ChunkType::Boolean),
        (_, "int2") => (Cast::None, Wire::Int { bytes: 2 }, ChunkType::Int16),
        (_, "int4") => (Cast::None, Wire::Int { bytes: 4 }, ChunkType::Int32),
        (_, "int8") => (Cast::None, Wire::Int { bytes: 8 }, ChunkType::Int64),
        (_, "oid") => (Cast::None, Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
        (_, "float4") => (Cast::None, Wire::Float { bytes: 4 }, ChunkType::Float32),
        (_, "float8") => (Cast::None, Wire::Float { bytes: 8 }, ChunkType::Float64),
        (_, "numeric") if column.precision.is_some_and(|p| p <= 38) && column.scale.is_some_and(|s| s >= 0) => {
            let (precision, scale) = (column.precision.unwrap() as u8, column.scale.unwrap() as i8);
            (Cast::None, Wire::Decimal, ChunkType::Decimal { precision, scale })
        }
        (_, "money") => (
            Cast::Decimal {
                precision: 19,
                scale: 2,
            },
            Wire::Decimal,
            ChunkType::Decimal {
                precision: 19,
                scale: 2,
            },
        ),
        (_, "text" | "varchar" | "bpchar" | "name") => (Cast::None, Wire::Text, ChunkType::Text),
        (_, "bytea") => (Cast::None, Wire::Bytes, ChunkType::Binary),
        (_, "date") => (Cast::None, Wire::Date, ChunkType::Date),
        (_, "timestamp") => (Cast::None, Wire::Timestamp, microseconds(false)),
        (_, "timestamptz") => (Cast::None, Wire::TimestampWithZone, microseconds(true)),
        (_, "uuid") => (Cast::None, Wire::Uuid, ChunkType::Uuid),
        (_, "json") => (Cast::None, Wire::Json, ChunkType::Json),
        (_, "jsonb") => (Cast::None, Wire::Jsonb, ChunkType::Json),
        _ => text,
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
