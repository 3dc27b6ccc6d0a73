//! Aggregates of SQL against what the chunks hold.

use sqlextract_model::{ChunkType, ColumnAggregate, ColumnMapping, Relation, TableName};
use sqlextract_source::Source;

use crate::database::{Database, Read, as_text, cell};

async fn aggregate(database: &Database, column: ColumnMapping) -> ColumnAggregate {
    let relation = Relation::Table(TableName::new("main", "t"));
    database
        .source()
        .await
        .aggregate(&relation, None, &[column])
        .await
        .unwrap()
        .1
        .remove(0)
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test]
async fn sums_of_integers_do_not_overflow() {
    let database = Database::new(
        "CREATE TABLE t (c INTEGER);
         INSERT INTO t VALUES (9223372036854775807), (9223372036854775807), (9223372036854775807), (-1), (NULL);",
    );
    let found = aggregate(&database, cell("c", "INTEGER", ChunkType::Int64)).await;
    assert_eq!((found.count, found.sum), (4, text("27670116110564327420")));
    assert_eq!((found.min, found.max), (text("-1"), text("9223372036854775807")));
    database.execute_all("DELETE FROM t; INSERT INTO t VALUES (-9223372036854775808), (-9223372036854775808);");
    assert_eq!(
        aggregate(&database, cell("c", "INTEGER", ChunkType::Int64)).await.sum,
        text("-18446744073709551616")
    );
}

#[tokio::test]
async fn reals_have_their_ends_in_shortest_digits() {
    let database = Database::new("CREATE TABLE t (c REAL); INSERT INTO t VALUES (0.1), (-9e999), (2.5e-7), (NULL);");
    let found = aggregate(&database, cell("c", "REAL", ChunkType::Float64)).await;
    assert_eq!((found.count, found.nan, found.sum), (3, Some(0), None));
    assert_eq!((found.min, found.max), (text("-inf"), text("0.1")));
    database.execute_all("DELETE FROM t; INSERT INTO t VALUES (-0.0);");
    assert_eq!(
        aggregate(&database, cell("c", "REAL", ChunkType::Float64)).await.min,
        text("0")
    );
}

#[tokio::test]
async fn octets_are_those_of_the_chunk() {
    let database =
        Database::new("CREATE TABLE t (c); INSERT INTO t VALUES ('aé' || char(0) || 'b'), (x'00ff'), (-12), (NULL);");
    let columns = [as_text("c")];
    let rows = Read::of("t", &columns).rows(&database.source().await).await.concat();
    let octets: usize = rows.iter().filter(|text| *text != "∅").map(String::len).sum();
    let found = aggregate(&database, as_text("c")).await;
    assert_eq!((found.count, found.sum), (3, Some(octets.to_string())));

    database.execute_all("INSERT INTO t VALUES (0.1)");
    let found = aggregate(&database, as_text("c")).await;
    assert_eq!(
        (found.count, found.sum),
        (4, None),
        "SQLite writes reals with other digits"
    );

    database.execute_all("DELETE FROM t; INSERT INTO t VALUES ('é'), (x'00');");
    assert_eq!(
        aggregate(&database, cell("c", "", ChunkType::Binary)).await.sum,
        text("3")
    );
    assert_eq!(
        aggregate(&database, cell("c", "TEXT", ChunkType::Text)).await.sum,
        text("2")
    );
    assert_eq!(
        aggregate(&database, cell("c", "BLOB", ChunkType::Binary)).await.sum,
        text("1")
    );
}

#[tokio::test]
async fn other_types_have_what_sql_computes_exactly() {
    let database = Database::new("CREATE TABLE t (c); INSERT INTO t VALUES ('1970-01-02'), ('0000-01-01'), (NULL);");
    let found = aggregate(&database, cell("c", "", ChunkType::Date)).await;
    assert_eq!((found.count, found.sum), (2, text("-719527")));
    assert_eq!((found.min, found.max), (text("-719528"), text("1")));
    let decimal = ChunkType::Decimal {
        precision: 10,
        scale: 2,
    };
    let found = aggregate(&database, cell("c", "", decimal)).await;
    assert_eq!((found.count, found.sum, found.min), (2, None, None));
    database.execute_all("DELETE FROM t; INSERT INTO t VALUES (1), (0), (1), (NULL);");
    let found = aggregate(&database, cell("c", "BOOL", ChunkType::Boolean)).await;
    assert_eq!((found.count, found.sum), (3, text("2")));
}

#[tokio::test]
async fn texts_of_a_utf16_database_are_counted_only() {
    let database = Database::new("PRAGMA encoding = 'UTF-16be'; CREATE TABLE t (c TEXT); INSERT INTO t VALUES ('é');");
    let found = aggregate(&database, cell("c", "TEXT", ChunkType::Text)).await;
    assert_eq!(
        (found.count, found.sum),
        (1, None),
        "its octets are not those of the chunk"
    );
}

#[tokio::test]
async fn wide_tables_are_aggregated_in_one_instant() {
    let names: Vec<String> = (0..700).map(|n| format!("c{n}")).collect();
    let values: Vec<String> = (0..700).map(|n| n.to_string()).collect();
    let database = Database::new(&format!(
        "CREATE TABLE t ({}); INSERT INTO t VALUES ({});",
        names.join(","),
        values.join(",")
    ));
    let columns: Vec<_> = names.iter().map(|name| cell(name, "", ChunkType::Int64)).collect();
    let relation = Relation::Table(TableName::new("main", "t"));
    let (rows, found) = database
        .source()
        .await
        .aggregate(&relation, None, &columns)
        .await
        .unwrap();
    assert_eq!((rows, found.len()), (1, 700));
    assert!(
        found
            .iter()
            .zip(&values)
            .all(|(column, value)| column.sum.as_ref() == Some(value))
    );
    assert_eq!(
        database.source().await.aggregate(&relation, None, &[]).await.unwrap(),
        (1, Vec::new())
    );
}
