//! What the catalogue tells.

use sqlextract_model::{ChunkType, Code, KeyKind, Relation, Selection, TableKind, TableName};
use sqlextract_source::Source;

use crate::database::{Database, Read, as_text, cell, facts};

#[tokio::test]
async fn columns_come_in_declared_order_with_affinity_and_declaration() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a BIGINT NOT NULL, b VARCHAR(20), c DOUBLE, d DECIMAL(10, 2), e BLOB, f,
           g DATETIME, v INT AS (a) VIRTUAL, s INT AS (a) STORED);",
    );
    let table = facts(&database.source().await, "T").await;
    assert_eq!(
        (table.name, table.kind),
        (TableName::new("main", "t"), TableKind::Table)
    );
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.declared.as_str(), c.base.as_str(), c.nullable))
        .collect();
    let expected = [
        ("id", "INTEGER", "integer", false),
        ("a", "BIGINT", "integer", false),
        ("b", "VARCHAR(20)", "text", true),
        ("c", "DOUBLE", "real", true),
        ("d", "DECIMAL(10, 2)", "numeric", true),
        ("e", "BLOB", "blob", true),
        ("f", "", "blob", true),
        ("g", "DATETIME", "numeric", true),
        ("v", "INT", "integer", true),
        ("s", "INT", "integer", true),
    ];
    assert_eq!(columns, expected);
    assert_eq!(
        (table.columns[4].precision, table.columns[4].scale),
        (Some(10), Some(2))
    );
}

#[tokio::test]
async fn a_primary_key_that_is_no_rowid_may_be_null() {
    let database = Database::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY DESC, x); CREATE TABLE b (id INT PRIMARY KEY);
         CREATE TABLE c (id INT PRIMARY KEY) WITHOUT ROWID;",
    );
    let source = database.source().await;
    let mut nullable = Vec::new();
    for table in ["a", "b", "c"] {
        nullable.push(facts(&source, table).await.columns[0].nullable);
    }
    assert_eq!(nullable, [true, true, false]);
}

#[tokio::test]
async fn kinds_are_told_apart_and_a_schema_holds_its_tables() {
    let database = Database::new(
        "CREATE TABLE t (a); CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID; CREATE VIEW v AS SELECT a, a + 1 AS n FROM t;
         CREATE VIRTUAL TABLE f USING fts5(body); CREATE TABLE q (i INTEGER PRIMARY KEY AUTOINCREMENT);",
    );
    let source = database.source().await;
    let all = source.inspect(&[Selection::Schema(None)]).await.unwrap();
    let kinds: Vec<_> = all.tables.iter().map(|t| (t.name.name.as_str(), t.kind)).collect();
    let expected = [
        ("f", TableKind::Virtual),
        ("q", TableKind::Table),
        ("t", TableKind::Table),
        ("w", TableKind::WithoutRowid),
    ];
    assert_eq!(kinds, expected, "neither views nor shadow tables nor SQLite's own");
    assert!(all.tables[0].keys.is_empty());
    assert_eq!(all.tables[0].columns.len(), 1, "hidden columns stay hidden");

    let view = facts(&source, "v").await;
    assert_eq!(view.kind, TableKind::View);
    assert!(view.keys.is_empty() && view.columns.len() == 2);
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let name = "o'Brien\"; DROP TABLE \"x\".y [`] --é";
    let quoted = name.replace('"', "\"\"");
    let database = Database::new(&format!(
        "CREATE TABLE \"{quoted}\" (\"{quoted}\" INTEGER, \"select\" TEXT); INSERT INTO \"{quoted}\" VALUES (1, 'x');"
    ));
    let source = database.source().await;
    let table = facts(&source, name).await;
    assert_eq!(table.columns[0].name, name);
    let columns = [
        cell(name, "INTEGER", ChunkType::Int64),
        cell("select", "TEXT", ChunkType::Text),
    ];
    let filter = format!("\"{quoted}\".\"{quoted}\" = 1");
    let read = Read {
        filter: Some(&filter),
        ..Read::of(name, &columns)
    };
    assert_eq!(read.rows(&source).await, [["1", "x"]]);
}

#[tokio::test]
async fn a_column_that_is_gone_is_an_error_and_never_its_name_as_text() {
    let database = Database::new("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x');");
    let columns = [cell("gone", "TEXT", ChunkType::Text)];
    let failure = Read::of("t", &columns).failure(&database.source().await).await;
    assert_eq!(
        (failure.code, failure.table.as_deref()),
        (Code::SchemaChanged, Some("main.t"))
    );
}

#[tokio::test]
async fn a_query_has_its_columns_and_is_read_wrapped() {
    let database =
        Database::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');");
    let source = database.source().await;
    let sql = "SELECT id, a AS \"the name\", id + 1 AS n FROM t -- all of it";
    let query = Selection::Query {
        name: "q".to_owned(),
        sql: sql.to_owned(),
        key: Some("ID".to_owned()),
    };
    let found = source.inspect(&[query]).await.unwrap().tables.remove(0);
    assert_eq!(
        (found.name, found.kind),
        (TableName::new("query", "q"), TableKind::Query)
    );
    let columns: Vec<_> = found
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.declared.as_str()))
        .collect();
    assert_eq!(columns, [("id", "INTEGER"), ("the name", "TEXT"), ("n", "")]);
    assert_eq!(
        (found.keys[0].columns[0].name.as_str(), found.keys[0].columns[0].kind),
        ("id", KeyKind::Integer)
    );

    let columns = [cell("id", "INTEGER", ChunkType::Int64), as_text("n")];
    let relation = Relation::Query(sql.to_owned());
    let read = Read {
        relation,
        filter: Some("n > 2"),
        ..Read::of("", &columns)
    };
    assert_eq!(read.rows(&source).await, [["2", "3"]]);
}

#[tokio::test]
async fn sql_that_is_no_expression_or_no_query_by_itself_is_refused() {
    let database = Database::new("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);");
    let source = database.source().await;
    let columns = [cell("a", "INTEGER", ChunkType::Int64)];
    for filter in [
        "1 = 1) OR (1 = 1",
        "a = ?",
        "1 = 1; DELETE FROM t",
        "a = 1 LIMIT 1",
        "1) UNION SELECT (2",
        "",
    ] {
        let failure = Read {
            filter: Some(filter),
            ..Read::of("t", &columns)
        }
        .failure(&source)
        .await;
        assert_eq!(failure.code, Code::SourceQueryInvalid, "{filter}");
    }
    for sql in [
        "SELECT 1 AS a) UNION SELECT * FROM (SELECT 2",
        "DELETE FROM t",
        "SELECT ? AS a",
        "SELECT 1; SELECT 2",
        "x",
    ] {
        let query = Selection::Query {
            name: "q".to_owned(),
            sql: sql.to_owned(),
            key: None,
        };
        let failure = source.inspect(&[query]).await.unwrap_err();
        assert_eq!(
            (failure.code, failure.table.as_deref()),
            (Code::SourceQueryInvalid, Some("query.q")),
            "{sql}"
        );
    }
    let twice = Selection::Query {
        name: "q".to_owned(),
        sql: "SELECT a, 2 AS A FROM t".to_owned(),
        key: None,
    };
    assert!(
        source
            .inspect(&[twice])
            .await
            .unwrap_err()
            .message
            .contains("several columns")
    );
}

#[tokio::test]
async fn sizes_are_shared_out_and_never_more_than_the_file() {
    let database = Database::new(
        "CREATE TABLE many (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE none (a); CREATE TABLE sparse (id INTEGER PRIMARY KEY);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO many SELECT i, 'row number ' || i FROM n;
         INSERT INTO sparse VALUES (-9223372036854775808), (9223372036854775807);",
    );
    let source = database.source().await;
    let (many, none, sparse) = (
        facts(&source, "many").await,
        facts(&source, "none").await,
        facts(&source, "sparse").await,
    );
    let file = std::fs::metadata(database.path()).unwrap().len();
    assert_eq!(many.estimated_rows, 5000);
    assert_eq!((none.estimated_rows, none.estimated_bytes), (0, 0));
    assert!(sparse.estimated_rows < file && sparse.estimated_bytes > 0, "{sparse:?}");
    assert!(many.estimated_bytes + sparse.estimated_bytes <= file);

    database.execute_all("ANALYZE");
    assert_eq!(
        facts(&source, "sparse").await.estimated_rows,
        2,
        "statistics know better"
    );
}

#[tokio::test]
async fn all_missing_tables_are_named_at_once() {
    let database = Database::new("CREATE TABLE t (a)");
    let select = |schema: Option<&str>, name: &str| Selection::Table {
        schema: schema.map(str::to_owned),
        name: name.to_owned(),
    };
    let source = database.source().await;
    let asked = [
        select(None, "x"),
        select(Some("main"), "t"),
        select(Some("other"), "t"),
        Selection::Schema(Some("s".into())),
    ];
    let failure = source.inspect(&asked).await.unwrap_err();
    assert_eq!(failure.code, Code::SourceObjectMissing);
    assert!(failure.message.ends_with("main.x, other.t, s.*"), "{}", failure.message);
}
