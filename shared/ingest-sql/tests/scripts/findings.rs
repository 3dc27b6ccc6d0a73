//! Values and types that a target cannot hold are found when the script is asked for, each with its remedy.

use sqlextract_ingest_sql::{Script, ScriptOptions, TargetOptions, render};
use sqlextract_model::{
    ChunkType, Code, ColumnAggregate, Compression, Dialect, Failure, Format, Manifest, ManifestEntry, Platform,
    TableName, TimestampUnit, Totals,
};

use crate::manifests::{batch, column, digest, manifest, target};

use Format::{Csv, Parquet};
use Platform::{Bigquery, Databricks, Mssql, Postgres, Snowflake};

const MICROSECONDS: ChunkType = ChunkType::Timestamp {
    unit: TimestampUnit::Microsecond,
    utc: false,
};
const NANOSECONDS: ChunkType = ChunkType::Timestamp {
    unit: TimestampUnit::Nanosecond,
    utc: true,
};

pub(crate) fn facts(count: u64) -> ColumnAggregate {
    ColumnAggregate {
        count,
        nan: Some(0),
        ..ColumnAggregate::default()
    }
}

fn between(min: &str, max: &str) -> ColumnAggregate {
    ColumnAggregate {
        min: Some(min.to_owned()),
        max: Some(max.to_owned()),
        ..facts(7)
    }
}

fn of_bytes(sum: u64) -> ColumnAggregate {
    ColumnAggregate {
        sum: Some(sum.to_string()),
        ..facts(7)
    }
}

/// A table of one column with seven rows and what is known of them.
pub(crate) fn one(format: Format, chunk: ChunkType, facts: &ColumnAggregate) -> (Manifest, Vec<ManifestEntry>) {
    let table = (TableName::new("shop", "orders"), vec![column("c", "x", chunk)]);
    let mut manifest = manifest(Dialect::Postgres, format, vec![table]);
    let mut entry = batch(&mut manifest, 0, 0, 7);
    let facts = ColumnAggregate {
        name: "c".to_owned(),
        ..facts.clone()
    };
    entry.columns = vec![facts.clone()];
    manifest.tables[0].aggregates = vec![facts];
    (manifest, vec![entry])
}

pub(crate) fn asked(
    platform: Platform,
    format: Format,
    chunk: ChunkType,
    facts: &ColumnAggregate,
    options: TargetOptions,
) -> Result<Script, Failure> {
    let (manifest, entries) = one(format, chunk, facts);
    let options = ScriptOptions::of("s3://lake/exports", options);
    render(&manifest, &digest(), &entries, &target(platform), &options)
}

/// A column and what is known of it, as the clause that refuses it and a word of its remedy.
type Case<'a> = (&'a [Platform], Format, ChunkType, ColumnAggregate, &'a str, &'a str);

fn are_refused(cases: &[Case<'_>]) {
    for (platforms, format, chunk, facts, what, remedy) in cases {
        for platform in *platforms {
            let said = format!("{platform} {format} {chunk:?}");
            let made = asked(*platform, *format, chunk.clone(), facts, TargetOptions::default());
            let failure = made.expect_err(&said);
            assert_eq!(failure.code, Code::TypeUnsupported, "{said}");
            let [cause] = failure.causes.as_slice() else {
                panic!("{said}: {:?}", failure.causes);
            };
            assert!(
                cause.contains("column \"c\"") && cause.contains(what),
                "{said}: {cause}"
            );
            assert!(failure.action().contains(remedy), "{said}: {}", failure.action());
        }
    }
}

#[test]
fn dates_that_a_target_does_not_have_are_refused() {
    // The year 0 and the year 10000, in days and in microseconds.
    let early = || between("-719163", "0");
    let late = || between("0", "253402300800000000");
    let (what, remedy) = ("dates outside the years 1 to 9999", "=text");
    let bounded = &[Snowflake, Bigquery, Mssql];
    let cases = [
        (&bounded[..], Csv, ChunkType::Date, early(), what, remedy),
        (bounded, Parquet, ChunkType::Date, early(), what, remedy),
        (bounded, Csv, MICROSECONDS, late(), what, remedy),
        (bounded, Parquet, MICROSECONDS, late(), what, remedy),
    ];
    are_refused(&cases);
}

#[test]
fn numbers_that_a_target_does_not_have_are_refused() {
    let decimal = |precision, scale| ChunkType::Decimal { precision, scale };
    let nan = || ColumnAggregate {
        nan: Some(1),
        ..facts(7)
    };
    let infinite = || between("-inf", "1");
    let negative = "no negative scale";
    let cases = [
        (
            &[Snowflake][..],
            Parquet,
            decimal(38, 38),
            facts(7),
            "a scale of 0 to 37",
            "=text",
        ),
        (
            &[Snowflake],
            Parquet,
            decimal(10, -2),
            facts(7),
            "a scale of 0 to 37",
            "=text",
        ),
        (
            &[Bigquery],
            Parquet,
            decimal(10, -2),
            facts(7),
            "BIGNUMERIC does not hold",
            "=text",
        ),
        (
            &[Databricks, Mssql],
            Parquet,
            decimal(10, -2),
            facts(7),
            negative,
            "=text",
        ),
        (
            &[Mssql],
            Parquet,
            ChunkType::Float64,
            infinite(),
            "NaN or an infinity",
            "--where",
        ),
        (&[Mssql], Csv, ChunkType::Float32, nan(), "NaN or an infinity", "=text"),
    ];
    are_refused(&cases);
}

#[test]
fn what_a_target_cannot_hold_is_refused_with_a_remedy() {
    let list = || ChunkType::List(Box::new(ChunkType::Int32));
    let out = "--exclude-columns";
    let megabytes = |each: u64| of_bytes(7 * each * 1_000_001);
    let cases = [
        (
            &[Snowflake][..],
            Csv,
            ChunkType::Text,
            megabytes(135),
            "over 128 MB",
            out,
        ),
        (&[Snowflake], Csv, ChunkType::Binary, megabytes(68), "over 64 MB", out),
        (&[Bigquery], Csv, ChunkType::Text, megabytes(100), "over 100 MB", out),
        (&[Bigquery], Parquet, ChunkType::Text, megabytes(50), "over 50 MB", out),
        (&[Mssql], Csv, ChunkType::Text, megabytes(2148), "over 2 GB", out),
        (
            &[Bigquery, Databricks, Postgres, Mssql],
            Parquet,
            NANOSECONDS,
            facts(7),
            "nanoseconds",
            "=text",
        ),
        (
            &[Databricks],
            Parquet,
            ChunkType::Time,
            facts(7),
            "time of day",
            "=text",
        ),
        (&[Bigquery], Csv, list(), facts(7), "is a list", "Parquet"),
        (
            &[Bigquery],
            Parquet,
            list(),
            facts(6),
            "NULL instead of a list",
            "=json",
        ),
        (&[Mssql], Parquet, list(), facts(7), "is a list", "=json"),
    ];
    are_refused(&cases);
}

#[test]
fn values_at_the_very_limits_are_taken() {
    let cases = [
        (ChunkType::Date, between("-719162", "2932896")),
        (MICROSECONDS, between("-62135596800000000", "253402300799999999")),
        (
            ChunkType::Float64,
            between("-1.7976931348623157e308", "1.7976931348623157e308"),
        ),
        (
            ChunkType::Decimal {
                precision: 38,
                scale: 0,
            },
            facts(7),
        ),
        (
            ChunkType::Decimal {
                precision: 38,
                scale: 37,
            },
            facts(7),
        ),
        (ChunkType::Text, of_bytes(7 * 50_000_000)),
    ];
    for (chunk, facts) in cases {
        for platform in Platform::ALL.iter().copied() {
            for format in Format::ALL.iter().copied() {
                let made = asked(platform, format, chunk.clone(), &facts, TargetOptions::default());
                made.unwrap_or_else(|failure| panic!("{platform} {format} {chunk:?}: {failure:?}"));
            }
        }
    }
}

#[test]
fn numbers_and_dates_without_a_counterpart_elsewhere_are_nothing_to_postgresql_and_databricks() {
    for platform in [Postgres, Databricks] {
        let cases = [
            (ChunkType::Date, between("-719163", "3000000")),
            (ChunkType::Float64, between("-inf", "inf")),
        ];
        for (chunk, facts) in cases {
            asked(platform, Parquet, chunk, &facts, TargetOptions::default()).unwrap();
        }
    }
}

#[test]
fn compressed_files_are_refused_where_a_platform_does_not_read_them() {
    let cases = [
        (Snowflake, Parquet, Compression::Lz4),
        (Bigquery, Csv, Compression::Zstd),
        (Databricks, Csv, Compression::Zstd),
        (Mssql, Csv, Compression::Gzip),
        (Mssql, Parquet, Compression::Lz4),
    ];
    for (platform, format, compression) in cases {
        let (mut manifest, _) = one(format, ChunkType::Int32, &facts(7));
        manifest.format.compression = compression;
        manifest.tables[0].totals = Totals::default();
        let entries = [batch(&mut manifest, 0, 0, 7)];
        let options = ScriptOptions::new("s3://lake/exports");
        let failure = render(&manifest, &digest(), &entries, &target(platform), &options).expect_err("refused");
        assert!(failure.action().contains("--compression"), "{platform}: {failure:?}");
    }
}
