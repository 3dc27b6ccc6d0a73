//! A scratch database per test, and a reader that keeps what it gets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, Failure, KeyColumn, Range, Relation, Result, Selection, SourceColumn, TableFacts,
    TableName, TimestampUnit, Wire,
};
use sqlextract_source::{MysqlSource, ReadLimits, ReadRequest, ReadSummary, RowSink, Source, SourceSettings};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tokio_util::sync::CancellationToken;

pub(crate) struct Scratch {
    pub(crate) admin: MySqlConnection,
    pub(crate) name: String,
    root: String,
}

/// The URL of the server's root, without a path.
fn root() -> String {
    let url = std::env::var("SQLEXTRACT_TEST_MYSQL")
        .expect("SQLEXTRACT_TEST_MYSQL must be the URL of a scratch MySQL or MariaDB server's root");
    let scheme = url.find("://").expect("SQLEXTRACT_TEST_MYSQL must be a URL") + 3;
    let end = url[scheme..].find('/').map_or(url.len(), |at| scheme + at);
    url[..end].to_owned()
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let name = format!(
            "sx_{}_{now:x}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = root();
        let mut scratch = Self {
            admin: connect(&root).await,
            name: name.clone(),
            root,
        };
        scratch
            .run(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))
            .await;
        scratch.run(&format!("USE {name}")).await;
        scratch
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.admin)
            .await;
        done.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let sql = format!("SELECT CAST(({sql}) AS SIGNED)");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.admin)
            .await
            .unwrap()
    }

    pub(crate) async fn is_mariadb(&mut self) -> bool {
        self.number("SELECT VERSION() LIKE '%MariaDB%'").await == 1
    }

    /// Settings for this database as root, with plenty of time.
    pub(crate) fn settings(&self) -> SourceSettings {
        self.settings_of(&format!("{}/{}", self.root, self.name))
    }

    pub(crate) fn settings_of(&self, url: &str) -> SourceSettings {
        SourceSettings {
            url: url.to_owned(),
            allow_plaintext: false,
            max_connections: 4,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
        }
    }

    /// The URL of this database with another user and password.
    pub(crate) fn url_of(&self, account: &str) -> String {
        let (scheme, rest) = self.root.split_once("://").unwrap();
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        format!("{scheme}://{account}@{server}/{}", self.name)
    }

    /// Host and port of the server.
    pub(crate) fn server(&self) -> String {
        let (_, rest) = self.root.split_once("://").unwrap();
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        if server.contains(':') {
            server.to_owned()
        } else {
            format!("{server}:3306")
        }
    }

    /// The URL of this database through another port of this machine.
    pub(crate) fn url_by_port(&self, port: u16) -> String {
        let (account, _) = self.root.rsplit_once('@').unwrap();
        format!("{account}@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) async fn open(&self) -> MysqlSource {
        MysqlSource::open(self.settings()).await.unwrap()
    }

    pub(crate) fn table(&self, name: &str) -> TableName {
        TableName::new(&self.name, name)
    }

    pub(crate) async fn drop(mut self) {
        let name = self.name.clone();
        self.run(&format!("DROP DATABASE {name}")).await;
    }
}

async fn connect(root: &str) -> MySqlConnection {
    let mut admin = MySqlConnection::connect(root)
        .await
        .expect("the server of SQLEXTRACT_TEST_MYSQL must answer");
    // Tables may hold what strict servers refuse, and other tests change the global settings meanwhile.
    let own = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', autocommit = 1, sql_auto_is_null = 0, \
               sql_select_limit = 18446744073709551615, time_zone = '+00:00'";
    sqlx::raw_sql(own).execute(&mut admin).await.unwrap();
    admin
}

pub(crate) async fn facts(source: &MysqlSource, table: &str) -> TableFacts {
    let selection = Selection::Table {
        schema: None,
        name: table.to_owned(),
    };
    let mut facts = source.inspect(&[selection]).await.unwrap();
    facts.tables.remove(0)
}

/// What the type table says of a column.
pub(crate) fn mapping(column: &SourceColumn) -> ColumnMapping {
    let micros = |utc| ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    };
    let whole = |bytes, chunk| {
        (
            Cast::None,
            if column.unsigned {
                Wire::Unsigned { bytes }
            } else {
                Wire::Int { bytes }
            },
            chunk,
        )
    };
    let widest = ChunkType::Decimal {
        precision: 20,
        scale: 0,
    };
    let (cast, wire, chunk) = match column.base.as_str() {
        "tinyint" if column.unsigned => whole(1, ChunkType::Int16),
        "tinyint" => whole(1, ChunkType::Int8),
        "smallint" if column.unsigned => whole(2, ChunkType::Int32),
        "smallint" => whole(2, ChunkType::Int16),
        "int" if column.unsigned => whole(4, ChunkType::Int64),
        "mediumint" | "int" => whole(4, ChunkType::Int32),
        "bigint" if column.unsigned => whole(8, widest),
        "bigint" => whole(8, ChunkType::Int64),
        "decimal" => match (column.precision, column.scale) {
            (Some(precision @ ..=38), Some(scale)) => {
                let chunk = ChunkType::Decimal {
                    precision: precision as u8,
                    scale: scale as i8,
                };
                (Cast::None, Wire::Decimal, chunk)
            }
            _ => (Cast::Text, Wire::Text, ChunkType::Text),
        },
        "float" => (Cast::None, Wire::Float { bytes: 4 }, ChunkType::Float32),
        "double" => (Cast::None, Wire::Float { bytes: 8 }, ChunkType::Float64),
        "bit" if column.length == Some(1) => (Cast::None, Wire::Bit, ChunkType::Boolean),
        "bit" if column.length == Some(64) => (Cast::None, Wire::Bit, widest),
        "bit" => (Cast::None, Wire::Bit, ChunkType::Int64),
        "date" => (Cast::None, Wire::Date, ChunkType::Date),
        "datetime" => (Cast::None, Wire::Timestamp, micros(false)),
        "timestamp" => (Cast::None, Wire::TimestampWithZone, micros(true)),
        "time" => (Cast::None, Wire::Time, ChunkType::Text),
        "year" => (Cast::None, Wire::Year, ChunkType::Int16),
        "json" => (Cast::None, Wire::Json, ChunkType::Json),
        "uuid" | "inet4" | "inet6" => (Cast::Text, Wire::Text, ChunkType::Text),
        "geometry" | "point" => (Cast::WellKnownBinary, Wire::Bytes, ChunkType::Binary),
        _ if column.binary => (Cast::None, Wire::Bytes, ChunkType::Binary),
        _ => (Cast::None, Wire::Text, ChunkType::Text),
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

pub(crate) fn mappings(facts: &TableFacts) -> Vec<ColumnMapping> {
    facts.columns.iter().map(mapping).collect()
}

/// A read with its defaults; tests change the fields.
pub(crate) struct Reading {
    pub(crate) table: TableName,
    pub(crate) relation: Relation,
    pub(crate) filter: Option<String>,
    pub(crate) columns: Vec<ColumnMapping>,
    pub(crate) row_key: Vec<KeyColumn>,
    pub(crate) range: Range,
    pub(crate) limits: ReadLimits,
    pub(crate) cancel: CancellationToken,
}

impl Reading {
    pub(crate) fn of(facts: &TableFacts) -> Self {
        Self {
            table: facts.name.clone(),
            relation: Relation::Table(facts.name.clone()),
            filter: None,
            columns: mappings(facts),
            row_key: facts.keys.first().map(|k| k.columns.clone()).unwrap_or_default(),
            range: Range::All,
            limits: ReadLimits {
                record_batch_bytes: 1 << 20,
                record_batch_rows: 1000,
                alone_bytes: 1 << 20,
                row_bytes: 8 << 20,
            },
            cancel: CancellationToken::new(),
        }
    }

    pub(crate) async fn run(&self, source: &MysqlSource, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let request = ReadRequest {
            table: &self.table,
            relation: &self.relation,
            filter: self.filter.as_deref(),
            columns: &self.columns,
            row_key: &self.row_key,
            range: &self.range,
            snapshot: None,
            limits: self.limits,
            cancel: &self.cancel,
        };
        source.read(request, sink).await
    }

    pub(crate) async fn rows(&self, source: &MysqlSource) -> Result<Vec<Vec<String>>> {
        let mut sink = Kept::default();
        let summary = self.run(source, &mut sink).await?;
        let rows = sink.rows();
        assert_eq!(summary.rows, rows.len() as u64);
        Ok(rows)
    }

    pub(crate) async fn failure(&self, source: &MysqlSource) -> Failure {
        let mut sink = Kept::default();
        self.run(source, &mut sink).await.unwrap_err()
    }
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) batches: Vec<RecordBatch>,
}

#[async_trait]
impl RowSink for Kept {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.batches.push(batch);
        Ok(())
    }
}

impl Kept {
    /// Each cell as Arrow prints it; NULL is `NULL`.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let cell = |array: &ArrayRef, row| match array.data_type() {
            _ if array.is_null(row) => "NULL".to_owned(),
            // Arrow prints no zone that has a name.
            DataType::Timestamp(_, Some(zone)) => {
                assert_eq!(&**zone, "UTC");
                let offset = array
                    .as_primitive::<TimestampMicrosecondType>()
                    .clone()
                    .with_timezone("+00:00");
                array_value_to_string(&offset, row).unwrap()
            }
            _ => array_value_to_string(array, row).unwrap(),
        };
        let rows = |batch: &RecordBatch| -> Vec<Vec<String>> {
            (0..batch.num_rows())
                .map(|row| batch.columns().iter().map(|c| cell(c, row)).collect())
                .collect()
        };
        self.batches.iter().flat_map(rows).collect()
    }
}
