//! Values and types that a target cannot hold are found when the script is asked for, each with its remedy.

use sqlextract_ingest_sql::{Script, ScriptOptions, TargetOptions, render};
use sqlextract_model::{
    ChunkType, Code, ColumnAggregate, Compression, Dialect, Failure, Format, Manifest, ManifestEntry, Platform,
    TableName, TimestampUnit, Totals,
};

use crate::manifests::{batch, column, digest, manifest, target};

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

#[test]
fn what_a_target_cannot_hold_is_refused_with_a_remedy() {
    use Platform::{Bigquery, Databricks, Mssql, Postgres, Snowflake};
    let decimal = |precision, scale| ChunkType::Decimal { precision, scale };
    let list = || ChunkType::List(Box::new(ChunkType::Int32));
    // The year 0 and the year 10000, in days and in microseconds.
    let early = between("-719163", "0");
    let late = between("0", "253402300800000000");
    let plain = || facts(7);
    let (parquet, csv) = (Format::Parquet, Format::Csv);
    let cases: Vec<(Platform, Format, ChunkType, ColumnAggregate, &str, &str)> = vec![
        (
            Snowflake,
            parquet,
            ChunkType::Date,
            early.clone(),
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Bigquery,
            csv,
            ChunkType::Date,
            early.clone(),
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Mssql,
            csv,
            ChunkType::Date,
            early,
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Snowflake,
            csv,
            MICROSECONDS,
            late.clone(),
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Bigquery,
            parquet,
            MICROSECONDS,
            late.clone(),
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Mssql,
            parquet,
            MICROSECONDS,
            late,
            "dates outside the years 1 to 9999",
            "c=text",
        ),
        (
            Snowflake,
            parquet,
            decimal(38, 38),
            plain(),
            "a scale of 0 to 37",
            "c=text",
        ),
        (
            Snowflake,
            parquet,
            decimal(10, -2),
            plain(),
            "a scale of 0 to 37",
            "c=text",
        ),
        (
            Bigquery,
            parquet,
            decimal(10, -2),
            plain(),
            "BIGNUMERIC does not hold",
            "c=text",
        ),
        (
            Databricks,
            parquet,
            decimal(10, -2),
            plain(),
            "no negative scale",
            "c=text",
        ),
        (Mssql, parquet, decimal(10, -2), plain(), "no negative scale", "c=text"),
        (
            Mssql,
            parquet,
            ChunkType::Float64,
            between("-inf", "1"),
            "NaN or an infinity",
            "--where",
        ),
        (
            Mssql,
            csv,
            ChunkType::Float32,
            ColumnAggregate {
                nan: Some(1),
                ..plain()
            },
            "NaN or an infinity",
            "c=text",
        ),
        (
            Snowflake,
            csv,
            ChunkType::Text,
            of_bytes(7 * (129 << 20)),
            "over 128 MB",
            "--exclude-columns",
        ),
        (
            Snowflake,
            csv,
            ChunkType::Binary,
            of_bytes(7 * (65 << 20)),
            "over 64 MB",
            "--exclude-columns",
        ),
        (
            Bigquery,
            csv,
            ChunkType::Text,
            of_bytes(7 * 100_000_001),
            "over 100 MB",
            "--exclude-columns",
        ),
        (
            Bigquery,
            parquet,
            ChunkType::Text,
            of_bytes(7 * 50_000_001),
            "over 50 MB",
            "--exclude-columns",
        ),
        (
            Mssql,
            csv,
            ChunkType::Text,
            of_bytes(7 << 31),
            "over 2 GB",
            "--exclude-columns",
        ),
        (Bigquery, parquet, NANOSECONDS, plain(), "nanoseconds", "c=text"),
        (Databricks, parquet, NANOSECONDS, plain(), "nanoseconds", "c=text"),
        (Postgres, parquet, NANOSECONDS, plain(), "nanoseconds", "c=text"),
        (Mssql, parquet, NANOSECONDS, plain(), "nanoseconds", "c=text"),
        (Databricks, parquet, ChunkType::Time, plain(), "time of day", "c=text"),
        (Bigquery, csv, list(), plain(), "is a list", "Parquet"),
        (Bigquery, parquet, list(), facts(6), "NULL instead of a list", "c=json"),
        (Mssql, parquet, list(), plain(), "is a list", "c=json"),
    ];
    for (platform, format, chunk, facts, what, remedy) in cases {
        let said = format!("{platform} {format} {chunk:?}");
        let failure = asked(platform, format, chunk, &facts, TargetOptions::default()).expect_err(&said);
        assert_eq!(failure.code, Code::TypeUnsupported, "{said}");
        let [cause] = failure.causes.as_slice() else {
            panic!("{said}: {:?}", failure.causes);
        };
        assert!(
            cause.contains("column \"c\"") && cause.contains(what),
            "{said}: {cause}"
        );
        let action = failure.action();
        assert!(action.replace("T.C=", "c=").contains(remedy), "{said}: {action}");
    }
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
    for platform in [Platform::Postgres, Platform::Databricks] {
        let cases = [
            (ChunkType::Date, between("-719163", "3000000")),
            (ChunkType::Float64, between("-inf", "inf")),
        ];
        for (chunk, facts) in cases {
            asked(platform, Format::Parquet, chunk, &facts, TargetOptions::default()).unwrap();
        }
    }
}

#[test]
fn compressed_files_are_refused_where_a_platform_does_not_read_them() {
    let cases = [
        (Platform::Snowflake, Format::Parquet, Compression::Lz4),
        (Platform::Bigquery, Format::Csv, Compression::Zstd),
        (Platform::Databricks, Format::Csv, Compression::Zstd),
        (Platform::Mssql, Format::Csv, Compression::Gzip),
        (Platform::Mssql, Format::Parquet, Compression::Lz4),
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
