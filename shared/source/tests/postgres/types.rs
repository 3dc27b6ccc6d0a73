use sqlextract_model::{ChunkType, Code, Lossy, Wire};

use crate::fixture::{Reading, Scratch, inspect};

/// Type, SQL of a value, and how the chunk's value reads.
const VALUES: &[(&str, &str, &str)] = &[
    ("bool", "true", "true"),
    ("int2", "-32768", "-32768"),
    ("int4", "2147483647", "2147483647"),
    ("int8", "-9223372036854775808", "-9223372036854775808"),
    ("oid", "4294967295", "4294967295"),
    ("float4", "'NaN'", "NaN"),
    ("float4", "'3.4028235e38'", "3.4028235e38"),
    ("float8", "'-Infinity'", "-inf"),
    ("float8", "'5e-324'", "5e-324"),
    (
        "numeric(38,0)",
        "99999999999999999999999999999999999999",
        "99999999999999999999999999999999999999",
    ),
    (
        "numeric(38,38)",
        "-0.00000000000000000000000000000000000001",
        "-0.00000000000000000000000000000000000001",
    ),
    ("numeric(15,2)", "-9999999999999.99", "-9999999999999.99"),
    ("numeric(10,4)", "10000.0001", "10000.0001"),
    ("numeric(5,5)", "0.00001", "0.00001"),
    ("numeric", "1e400 + 1e-5", "TEXT"),
    (
        "numeric(60,20)",
        "1234567890123456789012345678901234567890.00000000000000000001",
        "TEXT",
    ),
    ("numeric(5,-3)", "12345678", "12346000"),
    ("money", "'-92233720368547758.08'", "-92233720368547758.08"),
    (
        "text",
        "E'tab\\t, quote \", emoji 🦀, line\\nbreak'",
        "tab\t, quote \", emoji 🦀, line\nbreak",
    ),
    ("varchar(3)", "'äöü'", "äöü"),
    ("char(4)", "'a'", "a   "),
    ("name", "'name'", "name"),
    ("\"char\"", "'x'", "x"),
    ("bytea", "'\\x00ff80'", "00ff80"),
    ("date", "'0044-03-15 BC'", "-0043-03-15"),
    ("date", "'9999-12-31'", "9999-12-31"),
    ("time", "'24:00:00'", "24:00:00"),
    ("time(3)", "'12:34:56.789'", "12:34:56.789"),
    ("timetz", "'12:34:56.789012+05:30'", "12:34:56.789012+05:30"),
    (
        "timestamp",
        "'0001-01-01 00:00:00.000001 BC'",
        "0000-01-01T00:00:00.000001",
    ),
    ("timestamp(0)", "'2024-02-29 23:59:59'", "2024-02-29T23:59:59"),
    (
        "timestamptz",
        "'2024-06-01 12:00:00.000001+02'",
        "2024-06-01T10:00:00.000001Z",
    ),
    (
        "interval",
        "'1 year 2 mons -3 days 04:05:06.789'",
        "P1Y2M-3DT4H5M6.789S",
    ),
    (
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("json", "'{\"b\":1,  \"b\":2}'", "{\"b\":1,  \"b\":2}"),
    ("jsonb", "'{\"b\":1, \"a\":[1.50]}'", "{\"a\": [1.50], \"b\": 1}"),
    ("xml", "'<a>1</a>'", "<a>1</a>"),
    ("inet", "'10.1.2.3/8'", "10.1.2.3/8"),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("macaddr", "'08-00-2B-01-02-03'", "08:00:2b:01:02:03"),
    ("bit(3)", "B'101'", "101"),
    ("varbit", "B'10110'", "10110"),
    ("point", "'(1.5,-2)'", "(1.5,-2)"),
    ("tsvector", "'a fat cat'", "'a' 'cat' 'fat'"),
    ("pg_lsn", "'16/B374D848'", "16/B374D848"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("int4[]", "'{1,NULL,3}'", "[1,null,3]"),
    ("text[]", "ARRAY[['a','b'],['c','d']]", "[[\"a\",\"b\"],[\"c\",\"d\"]]"),
    (
        "timestamptz[]",
        "'{2024-06-01 12:00:00+02}'",
        "[\"2024-06-01T10:00:00+00:00\"]",
    ),
    ("mood", "'sad'", "sad"),
    ("mood[]", "'{sad,happy}'", "[\"sad\",\"happy\"]"),
    ("pair", "'(1,\"x y\")'", "{\"a\":1,\"b\":\"x y\"}"),
    ("positive", "7", "7"),
    ("price", "12.34", "12.34"),
    ("positive[]", "'{1,2}'", "[1,2]"),
];

const USER_TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text); \
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN amount AS numeric(10,2); \
    CREATE DOMAIN price AS amount NOT NULL DEFAULT 0;";

#[tokio::test]
async fn every_type_arrives_exactly_and_null_stays_null() {
    let mut scratch = Scratch::new().await;
    let columns: Vec<_> = VALUES
        .iter()
        .enumerate()
        .map(|(i, (t, _, _))| format!("c{i} {t}"))
        .collect();
    let values: Vec<_> = VALUES.iter().map(|(t, v, _)| format!("({v})::{t}")).collect();
    scratch
        .execute(&format!("{USER_TYPES} CREATE TABLE t ({})", columns.join(", ")))
        .await;
    scratch
        .execute(&format!("INSERT INTO t VALUES ({})", values.join(", ")))
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    for (i, (declared, value, expected)) in VALUES.iter().enumerate() {
        let mut reading = Reading::all(&facts);
        reading.columns = vec![reading.columns.remove(i)];
        let rows = reading.rows(&source).await;
        let expected = match *expected {
            "TEXT" => scratch.value(&format!("SELECT c{i}::text FROM t")).await,
            other => other.to_owned(),
        };
        assert_eq!(rows, [expected], "{declared} {value}");
    }
    let all = format!("UPDATE t SET {}", nulls());
    scratch.execute(&all).await;
    let rows = Reading::all(&facts).rows(&source).await;
    let nulls = rows[0].split('|').filter(|cell| *cell == "∅").count();
    assert_eq!(
        nulls,
        VALUES.len() - 1,
        "only the domain with NOT NULL has a value: {rows:?}"
    );
    scratch.remove().await;
}

fn nulls() -> String {
    let assignments = VALUES
        .iter()
        .enumerate()
        .filter(|(_, (t, _, _))| *t != "price")
        .map(|(i, _)| format!("c{i} = NULL"));
    assignments.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn values_that_the_chunk_cannot_hold_are_refused_with_column_and_row() {
    let cases = [
        ("date", "'infinity'", None),
        ("date", "'-infinity'", None),
        ("timestamp", "'infinity'", None),
        ("timestamptz", "'-infinity'", None),
        ("timestamp", "'294276-12-31 23:59:59.999999'", None),
        ("numeric(10,2)", "'NaN'", None),
        (
            "numeric",
            "'Infinity'",
            Some(ChunkType::Decimal {
                precision: 38,
                scale: 10,
            }),
        ),
        (
            "numeric",
            "1e29",
            Some(ChunkType::Decimal {
                precision: 38,
                scale: 10,
            }),
        ),
        (
            "numeric",
            "0.00000000001",
            Some(ChunkType::Decimal {
                precision: 38,
                scale: 10,
            }),
        ),
        (
            "numeric",
            "1e1000",
            Some(ChunkType::Decimal {
                precision: 38,
                scale: 0,
            }),
        ),
        ("int8", "32768", Some(ChunkType::Int16)),
        ("int4", "2", Some(ChunkType::Boolean)),
        ("time", "'24:00:00'", Some(ChunkType::Time)),
        ("bytea", "'\\xff'", Some(ChunkType::Text)),
        ("text", "'{\"a\":'", Some(ChunkType::Json)),
    ];
    let mut scratch = Scratch::new().await;
    let source = scratch.open().await;
    for (i, (declared, value, chunk)) in cases.into_iter().enumerate() {
        let name = format!("t{i}");
        scratch
            .execute(&format!("CREATE TABLE {name} (v {declared}, id int PRIMARY KEY)"))
            .await;
        scratch
            .execute(&format!("INSERT INTO {name} VALUES (NULL, 1), ({value}, 42)"))
            .await;
        let facts = inspect(&source, &name).await;
        let mut reading = Reading::all(&facts);
        if let Some(chunk) = chunk {
            native(&mut reading.columns[0], chunk);
        }
        let failure = reading.failure(&source).await;
        assert_eq!(failure.code, Code::ValueRefused, "{declared} {value}: {failure:?}");
        assert_eq!(failure.column.as_deref(), Some("v"), "{declared} {value}");
        assert_eq!(failure.row.as_deref(), Some("id=42"), "{declared} {value}");
        assert_eq!(failure.table, Some(format!("public.{name}")));
    }
    scratch.remove().await;
}

/// The column in its binary form, for a chunk type by name.
fn native(column: &mut sqlextract_model::ColumnMapping, chunk: ChunkType) {
    column.cast = sqlextract_model::Cast::None;
    column.wire = match column.declared.as_str() {
        "numeric" => Wire::Decimal,
        "time without time zone" => Wire::Time,
        _ => column.wire.clone(),
    };
    column.chunk = chunk;
}

#[tokio::test]
async fn what_has_no_counterpart_is_null_and_what_is_too_long_is_rounded_only_by_choice() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, d date, s timestamp, n numeric, r numeric); \
             INSERT INTO t VALUES (1, 'infinity', '-infinity', 'NaN', 0.125), (2, '2024-01-02', '2024-01-02', 1.5, 0.135)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut reading = Reading::all(&facts);
    for column in &mut reading.columns[1..4] {
        column.lossy = Some(Lossy::NullForUnrepresentable);
    }
    native(
        &mut reading.columns[3],
        ChunkType::Decimal {
            precision: 10,
            scale: 2,
        },
    );
    native(
        &mut reading.columns[4],
        ChunkType::Decimal {
            precision: 10,
            scale: 2,
        },
    );
    reading.columns[4].lossy = Some(Lossy::Rounded);
    let rows = reading.rows(&source).await;
    assert_eq!(rows, ["1|∅|∅|∅|0.12", "2|2024-01-02|2024-01-02T00:00:00|1.50|0.14"]);
    scratch.remove().await;
}
