//! Extractions of many chunks: every file is named once, and no statement passes what its platform takes.

use sqlextract_ingest_sql::{Mode, ScriptOptions, TargetOptions, render};
use sqlextract_model::{ChunkType, Dialect, Format, Manifest, ManifestEntry, Platform, TableName};

use crate::manifests::{batch, column, digest, manifest, target};

fn many(chunks: u64, format: Format) -> (Manifest, Vec<ManifestEntry>) {
    let columns = vec![
        column("id", "bigint", ChunkType::Int64),
        column("note", "text", ChunkType::Text),
    ];
    let table = (TableName::new("shop", "orders"), columns);
    let mut manifest = manifest(Dialect::Postgres, format, vec![table]);
    let entries = (0..chunks)
        .map(|number| batch(&mut manifest, 0, number, number % 50))
        .collect();
    (manifest, entries)
}

fn text(platform: Platform, chunks: u64, format: Format, options: TargetOptions) -> String {
    let (manifest, entries) = many(chunks, format);
    let url = (platform == Platform::Bigquery).then(|| "gs://lake/exports".to_owned());
    let options = ScriptOptions::of("s3://lake/exports", TargetOptions { url, ..options });
    render(&manifest, &digest(), &entries, &target(platform), &options)
        .unwrap()
        .text
}

fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The statements that load, by the words that they begin with.
fn loads(platform: Platform, script: &str) -> Vec<&str> {
    let begin = match platform {
        Platform::Snowflake => "COPY INTO \"SHOP\".\"ORDERS__SQLEXTRACT_",
        Platform::Bigquery => "LOAD DATA ",
        Platform::Databricks => "COPY INTO `shop`.`orders__sqlextract_",
        Platform::Postgres => "\\copy ",
        Platform::Mssql => "FROM OPENROWSET(",
    };
    let starts = script.match_indices(begin).map(|(at, _)| at);
    let end = |from: usize| match platform {
        Platform::Postgres => script[from..].find('\n'),
        _ => script[from..].find(";\n"),
    };
    starts
        .map(|from| &script[from..from + end(from).expect("a statement ends")])
        .collect()
}

/// Most files and bytes of one statement, by the platform's documentation.
fn most(platform: Platform) -> (usize, usize) {
    match platform {
        Platform::Snowflake | Platform::Databricks => (1000, 1_000_000),
        Platform::Bigquery => (10_000, 1_000_000),
        Platform::Postgres | Platform::Mssql => (1, 100_000),
    }
}

#[test]
fn every_file_is_named_in_one_statement_that_the_platform_takes() {
    for platform in Platform::ALL.iter().copied() {
        for format in Format::ALL.iter().copied() {
            let script = text(platform, 2500, format, TargetOptions::default());
            let loads = loads(platform, &script);
            let (files, bytes) = most(platform);
            let mut named = 0;
            for load in &loads {
                let here = times(load, "/batch-") + times(load, "'batch-");
                assert!(
                    (1..=files).contains(&here) && load.len() <= bytes,
                    "{platform} {format}: {here} files in {} bytes",
                    load.len()
                );
                assert!(!load.contains('*'), "{platform}: a pattern in {load}");
                named += here;
            }
            assert_eq!(named, 2500, "{platform} {format}");
            for number in [0, 999, 1000, 2499] {
                let name = format!("batch-{number:07}-00000000000000aa-00");
                let naming = loads.iter().filter(|load| load.contains(&name)).count();
                assert_eq!(naming, 1, "{platform} {format}: {name}");
            }
        }
    }
}

#[test]
fn a_message_to_bigquery_stays_below_a_million_bytes() {
    let script = text(Platform::Bigquery, 12_000, Format::Parquet, TargetOptions::default());
    let messages: Vec<&str> = script.split("-- >>>> Part ").collect();
    assert!(messages.len() > 1 && script.len() > 1_000_000);
    for message in messages {
        assert!(message.len() < 1_000_000, "{} bytes", message.len());
    }
}

#[test]
fn files_are_grouped_by_the_size_that_was_asked_for() {
    for platform in [Platform::Snowflake, Platform::Bigquery, Platform::Databricks] {
        for mode in [Mode::Append, Mode::Replace] {
            // Each chunk of the sample has 100 bytes.
            let options = TargetOptions {
                chunk_size: Some("1kB".to_owned()),
                mode,
                ..TargetOptions::default()
            };
            let script = text(platform, 95, Format::Parquet, options);
            let loads = loads(platform, &script);
            assert_eq!(loads.len(), 10, "{platform} {mode:?}");
            let all = |load: &&str| times(load, "/batch-") + times(load, "'batch-");
            assert!(loads.iter().all(|load| all(load) <= 10), "{platform}");
        }
    }
}

#[test]
fn the_same_extraction_gives_the_same_bytes_in_whatever_order_its_pages_come() {
    for platform in Platform::ALL.iter().copied() {
        let (manifest, entries) = many(40, Format::Csv);
        let made = |entries: &[ManifestEntry]| {
            let options = ScriptOptions::new("s3://lake/exports");
            render(&manifest, &digest(), entries, &target(platform), &options)
                .unwrap()
                .text
        };
        assert_eq!(made(&entries), made(&entries), "{platform}");
        let mut reversed = entries.clone();
        reversed.reverse();
        assert_eq!(made(&entries), made(&reversed), "{platform}");
    }
}
