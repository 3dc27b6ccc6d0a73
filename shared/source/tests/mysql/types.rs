//! Every type with its extremes: exact, or refused with its row.

use sqlextract_model::{Cast, ChunkType, Code, Lossy, TypeClass, Wire};

use crate::support::{Reading, Scratch, facts};

async fn read(ddl: &str, values: &[&str]) -> (Vec<Vec<String>>, Scratch) {
    let mut scratch = Scratch::new().await;
    scratch.run(&format!("CREATE TABLE t ({ddl})")).await;
    for row in values {
        scratch.run(&format!("INSERT INTO t VALUES ({row})")).await;
    }
    let source = scratch.open().await;
    let rows = Reading::of(&facts(&source, "t").await).rows(&source).await.unwrap();
    (rows, scratch)
}

#[tokio::test]
async fn integers_keep_their_extremes() {
    let ddl = "a TINYINT, b TINYINT UNSIGNED, c SMALLINT, d SMALLINT UNSIGNED, e MEDIUMINT, f MEDIUMINT UNSIGNED, \
               g INT, h INT UNSIGNED, i BIGINT, j BIGINT UNSIGNED, k TINYINT(1), l INT(5) UNSIGNED ZEROFILL";
    let least = "-128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0, -5, 7";
    let most = "127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807, \
                18446744073709551615, 5, 42";
    let nulls = ["NULL"; 12].join(", ");
    let (rows, scratch) = read(ddl, &[least, most, &nulls]).await;
    assert_eq!(rows[0].join(", "), least);
    assert_eq!(rows[1].join(", "), most);
    assert_eq!(rows[2].join(", "), nulls);
    scratch.drop().await;
}

#[tokio::test]
async fn decimals_floats_and_bits_are_exact() {
    let nines = |whole: usize, fraction: usize| format!("{}.{}", "9".repeat(whole), "9".repeat(fraction));
    let (wide, widest) = (nines(28, 10), nines(35, 30));
    let ddl = "a DECIMAL(38,10), b DECIMAL(65,30), c DECIMAL(5), d FLOAT, e DOUBLE, f BIT(1), g BIT(12), h BIT(64)";
    let first = format!(
        "-{wide}, -{widest}, -99999, 1.1, 0.1, b'1', b'100000000001', b'{}'",
        "1".repeat(64)
    );
    let second = "0.0000000001, 0, 0, -3.4028234e38, 1.7976931348623157e308, b'0', 0, 0";
    let (rows, scratch) = read(ddl, &[&first, second]).await;
    let ones = u64::MAX.to_string();
    let bits = ["true", "2049", ones.as_str()];
    assert_eq!(
        rows[0],
        [
            &[&format!("-{wide}"), &format!("-{widest}"), "-99999", "1.1", "0.1"],
            &bits[..]
        ]
        .concat()
    );
    let zero = format!("0.{}", "0".repeat(30));
    assert_eq!(rows[1][..3], ["0.0000000001", zero.as_str(), "0"]);
    assert_eq!(rows[1][3].parse(), Ok(-3.402_823_4e38_f32));
    assert_eq!(rows[1][4].parse(), Ok(f64::MAX));
    assert_eq!(rows[1][5..], ["false", "0", "0"]);
    scratch.drop().await;
}

#[tokio::test]
async fn temporal_values_keep_their_extremes() {
    let ddl = "a DATE, b DATETIME(6), c DATETIME, d TIMESTAMP(6) NULL, e TIME, f TIME(6), g TIME(3), h YEAR";
    let least = "'0001-01-01', '0001-01-01 00:00:00.000001', '0001-01-01 00:00:00', '1970-01-01 00:00:01.000001', \
                 '-838:59:59', '-838:59:58.999999', '-00:00:00.5', 0";
    let most = "'9999-12-31', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00', '2038-01-19 03:14:07.999999', \
                '838:59:59', '01:02:03.4', '100:00:00', 2155";
    let (rows, scratch) = read(ddl, &[least, most]).await;
    let expected = [
        "0001-01-01",
        "0001-01-01T00:00:00.000001",
        "0001-01-01T00:00:00",
        "1970-01-01T00:00:01.000001Z",
        "-838:59:59",
        "-838:59:58.999999",
        "-00:00:00.500",
        "0",
    ];
    assert_eq!(rows[0], expected);
    let expected = [
        "9999-12-31",
        "9999-12-31T23:59:59.999999",
        "2024-02-29T12:00:00",
        "2038-01-19T03:14:07.999999Z",
        "838:59:59",
        "01:02:03.400000",
        "100:00:00.000",
        "2155",
    ];
    assert_eq!(rows[1], expected);
    scratch.drop().await;
}

#[tokio::test]
async fn texts_and_bytes_arrive_as_they_are() {
    let ddl = "a CHAR(3), b VARCHAR(20), c TEXT, d ENUM('x','y'), e SET('p','q','r'), f VARCHAR(5) CHARACTER SET latin1, \
               g VARCHAR(5) CHARACTER SET utf16, h BINARY(3), i VARBINARY(9), j BLOB, k VARCHAR(4) CHARACTER SET binary, \
               l LONGTEXT, m VARCHAR(9) COLLATE utf8mb4_bin, n JSON";
    let first =
        "'ab ', '🦀é', '', '', 'p,r', 'é€', '🦀', 'a', X'00FF', X'', X'FE', 'long', 'Bin', '{\"a\": [1, null]}'";
    let second = "'', 'a\\nb\\\\', NULL, 'y', '', '', '', '', '', NULL, '', NULL, '', NULL";
    let (rows, scratch) = read(ddl, &[first, second]).await;
    let expected = [
        "ab",
        "🦀é",
        "",
        "",
        "p,r",
        "é€",
        "🦀",
        "610000",
        "00ff",
        "",
        "fe",
        "long",
        "Bin",
        "{\"a\": [1, null]}",
    ];
    assert_eq!(rows[0], expected);
    let expected = [
        "", "a\nb\\", "NULL", "y", "", "", "", "000000", "", "NULL", "", "NULL", "", "NULL",
    ];
    assert_eq!(rows[1], expected);
    scratch.drop().await;
}

#[tokio::test]
async fn own_types_of_mariadb_and_geometries_arrive() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE g (id INT PRIMARY KEY, p POINT)").await;
    scratch
        .run("INSERT INTO g VALUES (1, ST_GeomFromText('POINT(1 2)')), (2, NULL)")
        .await;
    let source = scratch.open().await;
    let rows = Reading::of(&facts(&source, "g").await).rows(&source).await.unwrap();
    assert_eq!(rows[0][1], "0101000000000000000000f03f0000000000000040");
    assert_eq!(rows[1][1], "NULL");
    if scratch.is_mariadb().await {
        scratch.run("CREATE TABLE u (id UUID PRIMARY KEY, a INET6)").await;
        scratch
            .run("INSERT INTO u VALUES ('123E4567-e89b-12d3-a456-426655440000', '::1')")
            .await;
        let rows = Reading::of(&facts(&source, "u").await).rows(&source).await.unwrap();
        assert_eq!(rows, [["123e4567-e89b-12d3-a456-426655440000", "::1"]]);
    }
    scratch.drop().await;
}

#[tokio::test]
async fn columns_are_described_as_declared_and_hidden_ones_left_out() {
    let mut scratch = Scratch::new().await;
    scratch
        .run(
            "CREATE TABLE t (id BIGINT(20) UNSIGNED PRIMARY KEY, d DECIMAL(12,3) NOT NULL, s VARCHAR(7), \
             b VARCHAR(4) CHARACTER SET binary, e ENUM('a'), w BIT(9), x DATETIME(3), g INT AS (id + 1) VIRTUAL, \
             h INT INVISIBLE DEFAULT 1)",
        )
        .await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let names: Vec<_> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "d", "s", "b", "e", "w", "x", "g"]);
    let column = |name: &str| table.columns.iter().find(|c| c.name == name).unwrap().clone();
    let id = column("id");
    assert!(id.unsigned && !id.nullable && id.base == "bigint" && id.declared.starts_with("bigint"));
    let d = column("d");
    assert_eq!(
        (d.precision, d.scale, d.declared.as_str()),
        (Some(12), Some(3), "decimal(12,3)")
    );
    assert_eq!((column("s").length, column("s").nullable), (Some(7), true));
    assert!(column("b").binary && column("b").base == "varbinary" && !column("s").binary);
    assert_eq!(
        (column("e").class, column("w").length, column("x").precision),
        (TypeClass::Enum, Some(9), Some(3))
    );
    scratch.drop().await;
}

#[tokio::test]
async fn values_without_counterpart_are_refused_with_their_row_or_null_by_choice() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY, d DATE, x DATETIME, s TIMESTAMP NULL)")
        .await;
    let values = [
        "(7, '0000-00-00', NULL, NULL)",
        "(8, '2024-00-15', NULL, NULL)",
        "(9, '2024-02-31', NULL, NULL)",
        "(10, NULL, '0000-00-00 00:00:00', NULL)",
        "(11, NULL, '0000-00-00 00:00:01', NULL)",
        "(12, NULL, NULL, '0000-00-00 00:00:00')",
    ];
    scratch
        .run(&format!("INSERT INTO t VALUES {}", values.join(", ")))
        .await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    let cases = [(7, "d"), (8, "d"), (9, "d"), (10, "x"), (11, "x"), (12, "s")];
    for (id, column) in cases {
        reading.filter = Some(format!("id = {id}"));
        let failure = reading.failure(&source).await;
        assert_eq!(failure.code, Code::ValueRefused, "{id}");
        assert_eq!(failure.row, Some(format!("id={id}")));
        assert_eq!(failure.column.as_deref(), Some(column));
        assert_eq!(failure.table, Some(scratch.table("t").to_string()));
    }
    reading.filter = None;
    for column in &mut reading.columns[1..] {
        column.lossy = Some(Lossy::NullForUnrepresentable);
    }
    let rows = reading.rows(&source).await.unwrap();
    assert!(
        rows.len() == 6 && rows.iter().all(|row| row[1..].iter().all(|cell| cell == "NULL")),
        "{rows:?}"
    );
    scratch.drop().await;
}

#[tokio::test]
async fn types_by_name_hold_a_value_exactly_or_refuse_it() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, d DECIMAL(10,2), x BLOB, f FLOAT, h TIME)")
        .await;
    scratch
        .run("INSERT INTO t VALUES (1, 1, 2.50, 'text', 1.1, '23:59:59'), (2, 300, 3.00, X'FF', 0, '24:00:00')")
        .await;
    let source = scratch.open().await;
    let original = Reading::of(&facts(&source, "t").await);
    let cases = [
        (1, Wire::Int { bytes: 8 }, ChunkType::Boolean, "true"),
        (1, Wire::Int { bytes: 8 }, ChunkType::Int8, "1"),
        (2, Wire::Decimal, ChunkType::Decimal { precision: 3, scale: 1 }, "2.5"),
        (3, Wire::Bytes, ChunkType::Text, "text"),
        (4, Wire::Float { bytes: 4 }, ChunkType::Text, "1.1"),
        (5, Wire::Time, ChunkType::Time, "23:59:59"),
    ];
    for (index, wire, chunk, expected) in cases {
        let mut reading = Reading {
            columns: vec![original.columns[index].clone()],
            ..Reading::of(&facts(&source, "t").await)
        };
        reading.columns[0].wire = wire;
        reading.columns[0].cast = Cast::None;
        reading.columns[0].chunk = chunk.clone();
        reading.filter = Some("id = 1".to_owned());
        assert_eq!(reading.rows(&source).await.unwrap(), [[expected]], "{chunk:?}");
        reading.filter = Some("id = 2".to_owned());
        match index {
            // 3.00 has a scale of 1 as well, and every float a text.
            2 | 4 => assert!(reading.rows(&source).await.is_ok()),
            _ => assert_eq!(reading.failure(&source).await.code, Code::ValueRefused, "{chunk:?}"),
        }
    }
    scratch.drop().await;
}
