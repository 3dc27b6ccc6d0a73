//! Free queries, filters, views and names that try to break out.

use sqlextract_model::{Code, KeyKind, KeyRange, KeyValue, Range, Relation, Selection, TableFacts, TableKind};
use sqlextract_source::{MysqlSource, Source};

use crate::support::{Reading, Scratch, facts};

fn query(sql: &str, key: Option<&str>) -> [Selection; 1] {
    [Selection::Query {
        name: "q".to_owned(),
        sql: sql.to_owned(),
        key: key.map(str::to_owned),
    }]
}

async fn query_facts(source: &MysqlSource, sql: &str, key: Option<&str>) -> TableFacts {
    source.inspect(&query(sql, key)).await.unwrap().tables.remove(0)
}

fn reading_of(facts: &TableFacts, sql: &str) -> Reading {
    Reading {
        relation: Relation::Query(sql.to_owned()),
        ..Reading::of(facts)
    }
}

#[tokio::test]
async fn a_query_is_described_and_read_with_its_own_types() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, d DECIMAL(12,3), s VARCHAR(7) COLLATE utf8mb4_bin, x BLOB)").await;
    scratch
        .run("INSERT INTO t VALUES (1, 1.5, 'a', X'FF'), (2, 2.5, 'b', NULL), (18446744073709551615, NULL, NULL, NULL)")
        .await;
    let source = scratch.open().await;
    let sql = "SELECT id, d AS price, s, x, COUNT(*) AS n, NULL AS nothing FROM t GROUP BY id -- the end";
    let found = query_facts(&source, sql, Some("id")).await;
    assert_eq!(
        (found.kind, found.name.to_string().as_str()),
        (TableKind::Query, "query.q")
    );
    let bases: Vec<_> = found.columns.iter().map(|c| c.base.as_str()).collect();
    assert_eq!(bases[..5], ["bigint", "decimal", "varchar", "blob", "bigint"]);
    assert_eq!(
        (found.columns[1].precision, found.columns[1].scale),
        (Some(12), Some(3))
    );
    assert!(found.columns[0].unsigned && !found.columns[4].unsigned && found.columns[3].binary);
    assert_eq!(
        (found.keys[0].columns[0].kind, found.keys[0].unique),
        (KeyKind::Integer, true)
    );
    let mut reading = reading_of(&found, sql);
    let rows = reading.rows(&source).await.unwrap();
    assert_eq!(rows[0], ["1", "1.500", "a", "ff", "1", "NULL"]);
    assert_eq!(rows[2][0], u64::MAX.to_string());
    let upper = Some(vec![KeyValue::Integer(2)]);
    reading.range = Range::Keys(KeyRange {
        columns: found.keys[0].columns.clone(),
        lower: None,
        upper,
    });
    assert_eq!(reading.rows(&source).await.unwrap().len(), 1);
    scratch.drop().await;
}

#[tokio::test]
async fn queries_that_cannot_be_read_are_refused() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY, f DOUBLE)").await;
    let source = scratch.open().await;
    let cases = [
        ("SELECT id, id FROM t", None, Code::SourceQueryInvalid),
        ("SELEC id FROM t", None, Code::SourceQueryInvalid),
        ("SELECT id FROM t;", None, Code::SourceQueryInvalid),
        (
            "SELECT 1) q; DROP TABLE t; SELECT * FROM (SELECT 1",
            None,
            Code::SourceQueryInvalid,
        ),
        ("SELECT id FROM t WHERE id = ?", None, Code::SourceQueryInvalid),
        ("DELETE FROM t", None, Code::SourceQueryInvalid),
        ("SELECT id FROM missing", None, Code::SourceObjectMissing),
        ("SELECT id FROM t", Some("ids"), Code::SourceObjectMissing),
        ("SELECT f FROM t", Some("f"), Code::PlanRefused),
    ];
    for (sql, key, expected) in cases {
        let failure = source.inspect(&query(sql, key)).await.unwrap_err();
        assert_eq!(failure.code, expected, "{sql}: {failure:?}");
    }
    assert_eq!(scratch.number("SELECT COUNT(*) FROM t").await, 0);
    scratch.drop().await;
}

#[tokio::test]
async fn filters_are_wrapped_and_never_write() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(9))").await;
    scratch.run("INSERT INTO t VALUES (1, 'a'), (2, 'b?'), (3, 'c')").await;
    scratch
        .run("CREATE FUNCTION w() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM t; RETURN 1; END")
        .await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    let lower = Some(vec![KeyValue::Integer(2)]);
    let columns = reading.row_key.clone();
    reading.range = Range::Keys(KeyRange {
        columns,
        lower,
        upper: None,
    });
    for (filter, rows) in [
        ("id = 1 OR id = 3 -- x", 1),
        ("s = 'b?'", 1),
        ("TRUE # y", 2),
        ("s > 'b'", 2),
    ] {
        reading.filter = Some(filter.to_owned());
        assert_eq!(reading.rows(&source).await.unwrap().len(), rows, "{filter}");
    }
    // The first would leave the brackets, and with them the key's range.
    for filter in ["TRUE) OR (TRUE", "id = ?", "nonsense(", "TRUE LIMIT 1", "w() = 1"] {
        reading.filter = Some(filter.to_owned());
        let failure = reading.failure(&source).await;
        assert_eq!(failure.code, Code::SourceQueryInvalid, "{filter}: {failure:?}");
    }
    assert_eq!(scratch.number("SELECT COUNT(*) FROM t").await, 3);
    scratch.drop().await;
}

#[tokio::test]
async fn hostile_names_are_names() {
    let mut scratch = Scratch::new().await;
    let table = "we`ird \"t.a,b'le\\; DROP";
    let quoted = table.replace('`', "``");
    scratch
        .run(&format!(
            "CREATE TABLE `{quoted}` (`a``b` INT PRIMARY KEY, `select` INT, `ü?\\\\` VARCHAR(9))"
        ))
        .await;
    scratch
        .run(&format!("INSERT INTO `{quoted}` VALUES (1, 2, '3'), (4, 5, '6')"))
        .await;
    let source = scratch.open().await;
    let found = facts(&source, table).await;
    assert_eq!(found.name.name, table);
    let mut reading = Reading::of(&found);
    let columns = reading.row_key.clone();
    reading.range = Range::Keys(KeyRange {
        columns,
        lower: Some(vec![KeyValue::Integer(4)]),
        upper: None,
    });
    assert_eq!(reading.rows(&source).await.unwrap(), [["4", "5", "6"]]);
    let (rows, aggregates) = source
        .aggregate(&reading.relation, None, &reading.columns)
        .await
        .unwrap();
    assert_eq!((rows, aggregates[0].sum.as_deref()), (2, Some("5")));
    scratch.drop().await;
}

#[tokio::test]
async fn a_schema_is_its_tables_and_a_view_is_read_by_name() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE b (id INT PRIMARY KEY, d DECIMAL(9,2) NOT NULL)")
        .await;
    scratch.run("CREATE TABLE a (id INT)").await;
    scratch
        .run("CREATE VIEW v AS SELECT id, d * 2 AS double_d FROM b")
        .await;
    scratch.run("INSERT INTO b VALUES (1, 1.50)").await;
    let source = scratch.open().await;
    let all = source.inspect(&[Selection::Schema(None)]).await.unwrap();
    let names: Vec<_> = all.tables.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(all.identity.location.ends_with(&scratch.name) && !all.identity.system.is_empty());
    assert!(all.free_connections.is_some_and(|free| free > 1) && all.pooler.is_none());
    let view = facts(&source, "v").await;
    assert_eq!((view.kind, view.keys.len()), (TableKind::View, 0));
    assert_eq!(Reading::of(&view).rows(&source).await.unwrap(), [["1", "3.00"]]);
    scratch.drop().await;
}
