//! Every type, every storage class, and what is refused by its row.

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{ChunkType, Code, KeyColumn, KeyKind, Result, TimestampUnit, Wire};
use sqlextract_source::{ReadLimits, RowSink};

use crate::database::{Database, LIMITS, Read, as_text, cell, mapping};

const INTEGERS: [&str; 4] = ["-9223372036854775808", "-1", "0", "9223372036854775807"];

fn timestamp(utc: bool) -> ChunkType {
    ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    }
}

#[tokio::test]
async fn each_class_arrives_as_the_type_of_its_column() {
    let database = Database::new(
        "CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB, f BOOLEAN);
         INSERT INTO t VALUES (-9223372036854775808, 9e999, '', x'', 0), (9223372036854775807, -9e999, 'é' || char(0), x'00ff', 1),
           (NULL, NULL, NULL, NULL, NULL), (0, 1, '7', x'37', 1);",
    );
    let columns = [
        cell("i", "INTEGER", ChunkType::Int64),
        cell("r", "REAL", ChunkType::Float64),
        cell("t", "TEXT", ChunkType::Text),
        cell("b", "BLOB", ChunkType::Binary),
        cell("f", "BOOLEAN", ChunkType::Boolean),
    ];
    let rows = Read::of("t", &columns).rows(&database.source().await).await;
    let expected = [
        ["-9223372036854775808", "inf", "", "", "false"],
        ["0", "1.0", "7", "37", "true"],
        ["9223372036854775807", "-inf", "é\0", "00ff", "true"],
        ["∅", "∅", "∅", "∅", "∅"],
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn types_by_name_take_what_they_hold_exactly() {
    let cases = [
        ("'2000-02-29'", ChunkType::Date, "2000-02-29"),
        ("'12:34:56.789'", ChunkType::Time, "12:34:56.789"),
        ("'1999-12-31 23:59:59.5'", timestamp(false), "1999-12-31T23:59:59.500"),
        ("'2000-01-01T01:00:00+01:00'", timestamp(true), "946684800000000"),
        ("-128", ChunkType::Int8, "-128"),
        ("32767", ChunkType::Int16, "32767"),
        ("-2147483648", ChunkType::Int32, "-2147483648"),
        ("9007199254740992", ChunkType::Float64, "9007199254740992.0"),
        (
            "0.1",
            ChunkType::Decimal {
                precision: 10,
                scale: 2,
            },
            "0.10",
        ),
        (
            "'123.45'",
            ChunkType::Decimal {
                precision: 10,
                scale: 2,
            },
            "123.45",
        ),
        (
            "-7",
            ChunkType::Decimal {
                precision: 10,
                scale: 2,
            },
            "-7.00",
        ),
        ("'{\"a\": [1]}'", ChunkType::Json, "{\"a\": [1]}"),
        ("CAST(x'ff00' AS TEXT)", ChunkType::Binary, "ff00"),
    ];
    for (value, chunk, expected) in cases {
        let database = Database::new(&format!("CREATE TABLE t (c); INSERT INTO t VALUES ({value});"));
        let columns = [cell("c", "", chunk.clone())];
        let rows = Read::of("t", &columns).rows(&database.source().await).await;
        assert_eq!(rows, [[expected]], "{value} as {chunk:?}");
    }
}

const DECIMAL: ChunkType = ChunkType::Decimal {
    precision: 10,
    scale: 2,
};
const NAIVE: ChunkType = ChunkType::Timestamp {
    unit: TimestampUnit::Microsecond,
    utc: false,
};

/// Declared type, value, type of the chunk, and how the value is shown.
const MISFITS: &[(&str, &str, ChunkType, &str)] = &[
    ("INTEGER", "'abc'", ChunkType::Int64, "the text 'abc'"),
    ("INTEGER", "1.5", ChunkType::Int64, "the real 1.5"),
    ("INTEGER", "x'01'", ChunkType::Int64, "1 bytes: x'01'"),
    ("REAL", "'abc'", ChunkType::Float64, "the text 'abc'"),
    (
        "",
        "9007199254740993",
        ChunkType::Float64,
        "the integer 9007199254740993",
    ),
    ("TEXT", "x'00'", ChunkType::Text, "1 bytes: x'00'"),
    ("BLOB", "'abc'", ChunkType::Binary, "the text 'abc'"),
    ("BLOB", "1", ChunkType::Binary, "the integer 1"),
    ("BOOLEAN", "2", ChunkType::Boolean, "the integer 2"),
    ("BOOLEAN", "'true'", ChunkType::Boolean, "the text 'true'"),
    ("INT", "32768", ChunkType::Int16, "the integer 32768"),
    ("INT", "2147483648", ChunkType::Int32, "the integer 2147483648"),
    ("", "0.125", DECIMAL, "the real 0.125"),
    ("", "9e999", DECIMAL, "the real Infinity"),
    ("DATE", "'2023-02-29'", ChunkType::Date, "the text '2023-02-29'"),
    ("DATE", "2460000.5", ChunkType::Date, "the real 2460000.5"),
    ("DATETIME", "1700000000", NAIVE, "the integer 1700000000"),
    (
        "DATETIME",
        "'2000-01-01 00:00:00Z'",
        NAIVE,
        "the text '2000-01-01 00:00:00Z'",
    ),
    ("", "'{'", ChunkType::Json, "the text '{'"),
];

#[tokio::test]
async fn a_cell_of_another_class_is_refused_by_its_row_and_read_by_the_remedy() {
    for (declared, value, chunk, shown) in MISFITS {
        let database = Database::new(&format!(
            "CREATE TABLE \"a.t\" (c {declared}); INSERT INTO \"a.t\" (rowid, c) VALUES (7, NULL), (-8, {value});"
        ));
        let source = database.source().await;
        let columns = [cell("c", declared, chunk.clone())];
        let row_key = [rowid()];
        let read = Read {
            row_key: &row_key,
            ..Read::of("a.t", &columns)
        };
        let failure = read.failure(&source).await;
        assert_eq!(failure.code, Code::ValueRefused, "{value} as {chunk:?}: {failure:?}");
        assert_eq!(failure.table.as_deref(), Some("main.\"a.t\""));
        assert_eq!(
            (failure.column.as_deref(), failure.row.as_deref()),
            (Some("c"), Some("rowid=-8"))
        );
        assert!(failure.message.contains(shown), "{}", failure.message);
        assert!(
            failure.action().contains("`--column-type \"a.t\".c=text`"),
            "{}",
            failure.action()
        );

        let columns = [as_text("c")];
        let by_remedy = Read::of("a.t", &columns).from(&source).await.unwrap();
        assert_eq!(by_remedy.0.rows, 2, "the remedy reads {value}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_and_read_as_bytes() {
    let database = Database::new("CREATE TABLE t (c TEXT); INSERT INTO t VALUES (CAST(x'61ff' AS TEXT));");
    let source = database.source().await;
    for columns in [[cell("c", "TEXT", ChunkType::Text)], [as_text("c")]] {
        let failure = Read::of("t", &columns).failure(&source).await;
        assert_eq!(failure.code, Code::ValueRefused);
        assert_eq!(failure.row.as_deref(), Some("number 1 of its range"));
        assert!(failure.message.contains("not UTF-8: x'61ff'"), "{}", failure.message);
        assert!(
            failure.action().contains("`--column-type t.c=binary`"),
            "{}",
            failure.action()
        );
    }
    let columns = [cell("c", "TEXT", ChunkType::Binary)];
    assert_eq!(Read::of("t", &columns).rows(&source).await, [["61ff"]]);
}

#[tokio::test]
async fn as_text_no_value_is_lost() {
    let database = Database::new(
        "CREATE TABLE t (c);
         INSERT INTO t VALUES (-9223372036854775808), (9223372036854775807), (0.1), (1.0), (1e300), (9e999), (-9e999),
           ('text'), (''), (x'00abff'), (x''), (NULL), (0.30000000000000004), (123456789012345680.0);",
    );
    let columns = [as_text("c")];
    let rows: Vec<_> = Read::of("t", &columns).rows(&database.source().await).await.concat();
    let mut expected = [
        INTEGERS[0],
        INTEGERS[3],
        "0.1",
        "1.0",
        "1e300",
        "Infinity",
        "-Infinity",
        "text",
        "",
        "00abff",
        "",
        "∅",
        "0.30000000000000004",
        "1.2345678901234568e17",
    ];
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn strict_tables_and_their_any_columns_keep_every_class() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY, i INT) STRICT;
         INSERT INTO t VALUES (1, '007', 1), (2, 7, 2), (3, x'07', 3), (4, 7.0, NULL);",
    );
    let columns = [
        cell("id", "INTEGER", ChunkType::Int64),
        as_text("v"),
        cell("i", "INT", ChunkType::Int64),
    ];
    let rows = Read::of("t", &columns).rows(&database.source().await).await;
    assert_eq!(
        rows,
        [["1", "007", "1"], ["2", "7", "2"], ["3", "07", "3"], ["4", "7.0", "∅"]]
    );
}

#[tokio::test]
async fn generated_columns_are_read_like_others() {
    let database = Database::new(
        "CREATE TABLE t (a INTEGER, v INTEGER AS (a * 2), s REAL AS (a * 1) STORED);
         INSERT INTO t VALUES (21);",
    );
    let columns = [
        cell("v", "INTEGER", ChunkType::Int64),
        cell("s", "REAL", ChunkType::Float64),
    ];
    assert_eq!(
        Read::of("t", &columns).rows(&database.source().await).await,
        [["42", "21.0"]]
    );
}

#[tokio::test]
async fn texts_of_a_utf16_database_arrive_in_utf8() {
    let database =
        Database::new("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (c TEXT); INSERT INTO t VALUES ('aé🦀');");
    let columns = [cell("c", "TEXT", ChunkType::Text)];
    assert_eq!(Read::of("t", &columns).rows(&database.source().await).await, [["aé🦀"]]);
}

#[tokio::test]
async fn a_row_beyond_the_budget_names_its_column_and_size() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB, b BLOB);
         INSERT INTO t VALUES (1, zeroblob(600), NULL), (5, zeroblob(600), zeroblob(600));",
    );
    let source = database.source().await;
    let columns = [
        cell("id", "INTEGER", ChunkType::Int64),
        cell("a", "BLOB", ChunkType::Binary),
        cell("b", "BLOB", ChunkType::Binary),
    ];
    let row_key = [rowid()];
    let limits = ReadLimits {
        row_bytes: 1000,
        ..LIMITS
    };
    let failure = Read {
        limits,
        row_key: &row_key,
        ..Read::of("t", &columns)
    }
    .failure(&source)
    .await;
    assert_eq!(
        (failure.code, failure.column.as_deref()),
        (Code::ValueTooLarge, Some("b"))
    );
    assert_eq!(failure.row.as_deref(), Some("rowid=5"));
    assert!(failure.message.contains("600 bytes"), "{}", failure.message);
}

#[tokio::test]
async fn a_value_of_20_megabytes_arrives_whole() {
    let database = Database::new("CREATE TABLE t (c BLOB); INSERT INTO t VALUES (randomblob(20000000)), (x'01');");
    let source = database.source().await;
    let columns = [cell("c", "BLOB", ChunkType::Binary)];
    let limits = ReadLimits {
        row_bytes: 1 << 25,
        ..LIMITS
    };
    let (summary, batches) = Read {
        limits,
        ..Read::of("t", &columns)
    }
    .from(&source)
    .await
    .unwrap();
    assert_eq!(
        (summary.rows, batches.0.len()),
        (2, 2),
        "the large row ends its record batch"
    );
    assert!(summary.load.wire_bytes > 20_000_000);
}

/// Notes the rows of each push, and what is admitted before which of them.
#[derive(Default)]
struct Admitting {
    admitted: Vec<(usize, usize)>,
    pushed: Vec<usize>,
}

#[async_trait]
impl RowSink for Admitting {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.pushed.push(batch.num_rows());
        Ok(())
    }

    async fn admit(&mut self, bytes: usize) -> Result<()> {
        self.admitted.push((self.pushed.len(), bytes));
        Ok(())
    }
}

#[tokio::test]
async fn a_large_row_is_admitted_before_it_is_copied_and_ends_its_record_batch() {
    let database = Database::new(
        "CREATE TABLE t (a BLOB, b BLOB);
         INSERT INTO t VALUES (x'01', x'02'), (zeroblob(300000), zeroblob(400000)), (x'01', NULL), (NULL, zeroblob(800000));",
    );
    let source = database.source().await;
    let columns = [
        cell("a", "BLOB", ChunkType::Binary),
        cell("b", "BLOB", ChunkType::Binary),
    ];
    let limits = ReadLimits {
        alone_bytes: 500_000,
        row_bytes: 2_000_000,
        ..LIMITS
    };
    let mut sink = Admitting::default();
    let summary = Read {
        limits,
        ..Read::of("t", &columns)
    }
    .push_to(&source, &mut sink)
    .await
    .unwrap();
    assert_eq!((summary.rows, sink.pushed), (4, vec![2, 2]));
    // SQLite's own copy is counted.
    let [(0, first), (1, second)] = sink.admitted[..] else {
        panic!(
            "each large row is admitted before its record batch: {:?}",
            sink.admitted
        );
    };
    assert!(first > 700_000 / 3 * 4 && second > 800_000 / 3 * 4, "{first}, {second}");
}

#[tokio::test]
async fn a_mapping_of_another_database_is_a_defect() {
    let database = Database::new("CREATE TABLE t (c TEXT)");
    let columns = [mapping("c", "TEXT", Wire::Jsonb, ChunkType::Json)];
    assert_eq!(
        Read::of("t", &columns).failure(&database.source().await).await.code,
        Code::Defect
    );
}

fn rowid() -> KeyColumn {
    KeyColumn {
        name: "rowid".to_owned(),
        kind: KeyKind::Integer,
        nullable: false,
        declared: "INTEGER".to_owned(),
    }
}
