//! Aggregates, exactly as Rust would compute them from the chunks.

use sqlextract_model::{ChunkType, ColumnAggregate, Lossy};
use sqlextract_source::Source;

use crate::support::{Reading, Scratch, facts};

fn aggregate(name: &str, count: u64, facts: [Option<&str>; 3]) -> ColumnAggregate {
    let [sum, min, max] = facts.map(|f| f.map(str::to_owned));
    ColumnAggregate {
        name: name.to_owned(),
        count,
        nan: None,
        sum,
        min,
        max,
    }
}

#[tokio::test]
async fn numbers_have_exact_sums_and_bounds() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (i BIGINT, u BIGINT UNSIGNED, d DECIMAL(38,10), b BIT(1), y YEAR, f FLOAT, g DOUBLE, w BIT(64))").await;
    let nines = format!("{}.{}", "9".repeat(28), "9".repeat(10));
    let row = format!(
        "(9223372036854775807, 18446744073709551615, {nines}, 1, 2024, 1.1, -1e300, b'{}')",
        "1".repeat(64)
    );
    scratch
        .run(&format!(
            "INSERT INTO t VALUES {row}, {row}, (-1, 0, -0.5, 0, 0, -0.0, 0.1, 1), ({})",
            ["NULL"; 8].join(", ")
        ))
        .await;
    let source = scratch.open().await;
    let reading = Reading::of(&facts(&source, "t").await);
    let (rows, found) = source
        .aggregate(&reading.relation, None, &reading.columns)
        .await
        .unwrap();
    let float = |name, min, max| ColumnAggregate {
        nan: Some(0),
        ..aggregate(name, 3, [None, Some(min), Some(max)])
    };
    let least = format!("-1{}", "0".repeat(300));
    let twice = format!("1{}9.4999999998", "9".repeat(27));
    let expected = [
        aggregate(
            "i",
            3,
            [Some("18446744073709551613"), Some("-1"), Some("9223372036854775807")],
        ),
        aggregate(
            "u",
            3,
            [Some("36893488147419103230"), Some("0"), Some("18446744073709551615")],
        ),
        aggregate("d", 3, [Some(&twice), Some("-0.5000000000"), Some(&nines)]),
        aggregate("b", 3, [Some("2"), None, None]),
        aggregate("y", 3, [Some("4048"), Some("0"), Some("2024")]),
        float("f", "0", "1.1"),
        float("g", &least, "0.1"),
        aggregate(
            "w",
            3,
            [Some("36893488147419103231"), Some("1"), Some("18446744073709551615")],
        ),
    ];
    assert_eq!(rows, 4);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    scratch.drop().await;
}

#[tokio::test]
async fn texts_and_bytes_sum_the_octets_that_are_read() {
    let mut scratch = Scratch::new().await;
    scratch
        .run(
            "CREATE TABLE t (a VARCHAR(9), l VARCHAR(9) CHARACTER SET latin1, x BLOB, e ENUM('é','b'), j JSON, t TIME(2), \
             d DECIMAL(65,30), p CHAR(9))",
        )
        .await;
    scratch.run("INSERT INTO t VALUES ('🦀é', 'é€', X'00FF', 'é', '{\"a\": 1}', '-100:00:00.5', 1.5, 'x  '), ('', '', '', '', NULL, '00:00:00', -1, '')").await;
    let source = scratch.open().await;
    let reading = Reading::of(&facts(&source, "t").await);
    let (_, found) = source
        .aggregate(&reading.relation, None, &reading.columns)
        .await
        .unwrap();
    let rows = reading.rows(&source).await.unwrap();
    for (i, aggregate) in found.iter().enumerate() {
        let octets = |cell: &String| match (cell.as_str(), i) {
            ("NULL", _) => 0,
            // Bytes are printed as two digits each.
            (cell, 2) => cell.len() / 2,
            (cell, _) => cell.len(),
        };
        let sum: usize = rows.iter().map(|row| octets(&row[i])).sum();
        assert_eq!(aggregate.sum, Some(sum.to_string()), "{}", aggregate.name);
        assert_eq!((&aggregate.min, &aggregate.max), (&None, &None));
    }
    assert_eq!(found[1].sum.as_deref(), Some("5"));
    scratch.drop().await;
}

#[tokio::test]
async fn temporal_values_are_counted_in_days_and_microseconds() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (d DATE, x DATETIME(6), s TIMESTAMP(6) NULL, h TIME(6))")
        .await;
    let rows = [
        "('0001-01-01', '0001-01-01 00:00:00.000001', '1970-01-01 00:00:01', '00:00:00.000001')",
        "('9999-12-31', '9999-12-31 23:59:59.999999', '2024-02-29 00:00:00.5', '23:59:59.999999')",
        "('0000-00-00', '2024-00-01', '0000-00-00', '24:00:00')",
        "('2024-02-31', '0000-00-00 00:00:01', NULL, '-00:00:01')",
    ];
    scratch.run(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.columns[3].chunk = ChunkType::Time;
    for column in &mut reading.columns {
        column.lossy = Some(Lossy::NullForUnrepresentable);
    }
    let (rows, found) = source
        .aggregate(&reading.relation, None, &reading.columns)
        .await
        .unwrap();
    let expected = [
        aggregate("d", 2, [Some("2213734"), Some("-719162"), Some("2932896")]),
        aggregate(
            "x",
            2,
            [
                Some("191266704000000000"),
                Some("-62135596799999999"),
                Some("253402300799999999"),
            ],
        ),
        aggregate(
            "s",
            2,
            [Some("1709164801500000"), Some("1000000"), Some("1709164800500000")],
        ),
        aggregate("h", 2, [Some("86400000000"), Some("1"), Some("86399999999")]),
    ];
    assert_eq!(rows, 4);
    assert_eq!(found, expected);
    assert_eq!(
        reading
            .rows(&source)
            .await
            .unwrap()
            .iter()
            .filter(|row| row[0] != "NULL")
            .count(),
        2
    );
    scratch.drop().await;
}

#[tokio::test]
async fn a_table_without_rows_has_neither_sums_nor_bounds() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (i INT, d DECIMAL(9,2), s TEXT)").await;
    let source = scratch.open().await;
    let reading = Reading::of(&facts(&source, "t").await);
    let (rows, found) = source
        .aggregate(&reading.relation, Some("i > 0"), &reading.columns)
        .await
        .unwrap();
    assert_eq!(rows, 0);
    assert!(
        found
            .iter()
            .all(|a| a.count == 0 && a.sum.is_none() && a.min.is_none() && a.max.is_none())
    );
    scratch.drop().await;
}
