//! What every script says and does: what is to be filled in, what is unwise, how rows are skipped, and why a second run
//! changes nothing.

use sqlextract_ingest_sql::{Mode, OnError, ScriptOptions, TargetOptions, render};
use sqlextract_model::{ChunkType, Dialect, Format, ParquetVersion, Platform, TableName};

use crate::findings::{asked, facts, one};
use crate::manifests::{batch, column, digest, manifest, target};

#[test]
fn what_is_missing_is_said_at_the_top_and_by_the_command() {
    let cases = [
        (
            Platform::Snowflake,
            Format::Csv,
            "s3://lake/exports",
            "<STORAGE_INTEGRATION>",
        ),
        (
            Platform::Bigquery,
            Format::Csv,
            "s3://lake/exports",
            "<PROJECT.REGION.CONNECTION>",
        ),
        (
            Platform::Bigquery,
            Format::Parquet,
            "/srv/lake",
            "gs://<BUCKET>/<PREFIX>",
        ),
        (
            Platform::Databricks,
            Format::Parquet,
            "/srv/lake",
            "/Volumes/<CATALOG>/<SCHEMA>/<VOLUME>",
        ),
        (Platform::Mssql, Format::Parquet, "s3://lake/exports", "<DATA_SOURCE>"),
    ];
    for (platform, format, place, missing) in cases {
        let (manifest, entries) = one(format, ChunkType::Int32, &facts(7));
        let made = render(
            &manifest,
            &digest(),
            &entries,
            &target(platform),
            &ScriptOptions::new(place),
        )
        .unwrap();
        assert!(
            made.fill_in.iter().any(|line| line.starts_with(missing)),
            "{platform}: {:?}",
            made.fill_in
        );
        let top: Vec<&str> = made.text.lines().take(10).collect();
        assert!(
            top.iter().any(|line| line.contains("FILL IN before it runs")),
            "{top:?}"
        );
        for line in &made.fill_in {
            assert!(
                top.iter().any(|said| said.ends_with(line.as_str())),
                "{line} is not in {top:?}"
            );
        }
        let body = made
            .text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect::<String>();
        assert!(body.contains(missing), "{platform}: nothing is to be filled in");
    }
}

#[test]
fn chunks_that_miss_the_platforms_advice_are_noted() {
    let noted = |platform, chunks: u64, bytes: u64, parallel| {
        let table = (
            TableName::new("shop", "orders"),
            vec![column("c", "x", ChunkType::Int32)],
        );
        let mut manifest = manifest(Dialect::Postgres, Format::Parquet, vec![table]);
        let mut entries: Vec<_> = (0..chunks).map(|number| batch(&mut manifest, 0, number, 7)).collect();
        for entry in &mut entries {
            entry.chunks[0].bytes = bytes;
        }
        let options = TargetOptions {
            parallel,
            ..TargetOptions::default()
        };
        let options = ScriptOptions::of("s3://lake/exports", options);
        let made = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
        for note in &made.notes {
            assert!(made.text.contains(note.as_str()), "the script does not say: {note}");
        }
        made.notes.join("\n")
    };
    for platform in [Platform::Snowflake, Platform::Bigquery, Platform::Databricks] {
        let small = noted(platform, 20, 1_000_000, None);
        assert!(small.contains("The 20 files have 1000 kB on average"), "{small}");
        let large = noted(platform, 2, 6_000_000_000, None);
        assert!(large.contains("The largest file has 6000 MB"), "{large}");
        let good = noted(platform, 20, 150_000_000, None);
        assert!(!good.contains("100 to 250 MB"), "{good}");
    }
    for platform in Platform::ALL.iter().copied() {
        let few = noted(platform, 3, 150_000_000, Some(8));
        assert!(
            few.contains("8 loads at once were asked for, and there are 3 files"),
            "{platform}: {few}"
        );
    }
    let warehouse = noted(Platform::Snowflake, 64, 150_000_000, None);
    assert!(warehouse.contains("64 files keep a LARGE busy"), "{warehouse}");
}

#[test]
fn encodings_that_a_platform_is_not_known_to_read_are_noted() {
    let columns = vec![column("c", "x", ChunkType::Int32)];
    let table = (TableName::new("shop", "orders"), columns);
    let mut manifest = manifest(Dialect::Postgres, Format::Parquet, vec![table]);
    let entries = [batch(&mut manifest, 0, 0, 7)];
    for platform in Platform::ALL.iter().copied() {
        for version in [ParquetVersion::V1, ParquetVersion::V2] {
            manifest.format.parquet_version = version;
            let options = ScriptOptions::of("s3://lake/exports", TargetOptions::default());
            let made = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
            let noted = made.notes.iter().any(|note| note.contains("`--parquet-version v1`"));
            let reads = matches!(platform, Platform::Databricks | Platform::Postgres);
            let expected = !reads && version == ParquetVersion::V2;
            assert_eq!(noted, expected, "{platform} and {version}");
        }
    }
}

#[test]
fn rows_are_skipped_only_where_asked_and_then_counted() {
    let skipping = TargetOptions {
        on_error: OnError::Skip,
        ..TargetOptions::default()
    };
    let stopping = [
        (Platform::Snowflake, "ON_ERROR = ABORT_STATEMENT"),
        (Platform::Bigquery, "max_bad_records = 0"),
        (Platform::Databricks, "'mode' = 'FAILFAST'"),
        (Platform::Postgres, "WHEN 7 THEN '7'"),
        (Platform::Mssql, "IF @@ROWCOUNT <> 7 THROW"),
    ];
    let tolerant = [
        (Platform::Snowflake, "ON_ERROR = CONTINUE", "AS rows_skipped"),
        (Platform::Bigquery, "max_bad_records = 7", "AS rows_skipped"),
        (Platform::Databricks, "'mode' = 'DROPMALFORMED'", "AS rows_skipped"),
        (
            Platform::Postgres,
            "ON_ERROR ignore, LOG_VERBOSITY verbose",
            "rows of 7 loaded",
        ),
        (Platform::Mssql, "OPENROWSET skips no rows", "AS rows_skipped"),
    ];
    for (platform, default) in stopping {
        let made = asked(
            platform,
            Format::Csv,
            ChunkType::Int32,
            &facts(7),
            TargetOptions::default(),
        )
        .unwrap();
        assert!(made.text.contains(default), "{platform}: {}", made.text);
    }
    for (platform, option, report) in tolerant {
        let made = asked(platform, Format::Csv, ChunkType::Int32, &facts(7), skipping.clone()).unwrap();
        assert!(
            made.text.contains(option) && made.text.contains(report),
            "{platform}: {}",
            made.text
        );
        let failure = asked(platform, Format::Parquet, ChunkType::Int32, &facts(7), skipping.clone());
        let failure = failure.expect_err("Parquet rows cannot be skipped");
        assert!(
            failure.causes[0].contains("cannot be skipped one by one"),
            "{platform}: {failure:?}"
        );
    }
}

#[test]
fn a_second_run_finds_the_job_in_the_ledger_or_gives_the_same_table_again() {
    for mode in [Mode::Append, Mode::Replace, Mode::Merge] {
        let options = || TargetOptions {
            mode,
            key: if mode == Mode::Merge {
                vec!["c".to_owned()]
            } else {
                Vec::new()
            },
            ..TargetOptions::default()
        };
        for platform in Platform::ALL.iter().copied() {
            let made = asked(platform, Format::Csv, ChunkType::Int32, &facts(7), options())
                .unwrap()
                .text;
            assert!(made.contains("orders-0123abcd"), "{platform} does not name the job");
            let means: &[&str] = match (platform, mode) {
                // COPY INTO takes every file once; the others write the same rows over themselves.
                (Platform::Databricks, Mode::Append) => &["'force' = 'false'"],
                (Platform::Databricks, Mode::Replace) => &["INSERT OVERWRITE"],
                (Platform::Databricks, Mode::Merge) => &["MERGE INTO"],
                (Platform::Snowflake, _) => &["WHEN NOT MATCHED AND s.row_count = 7", "\"LOADED_AT\" IS NULL"],
                (Platform::Postgres, _) => &["ON CONFLICT DO NOTHING RETURNING 1", "\\if :sqlextract_fresh"],
                (Platform::Bigquery | Platform::Mssql, _) => &["IF NOT EXISTS (SELECT 1 FROM", "sqlextract_loads"],
            };
            for part in means {
                assert!(made.contains(part), "{platform} {mode:?}: no {part}");
            }
        }
    }
}

#[test]
fn every_target_has_a_page_of_what_it_creates_needs_and_does_not_do() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for platform in Platform::ALL {
        let page = std::fs::read_to_string(folder.join(format!("{platform}.md"))).unwrap();
        let parts = [
            "## What is created",
            "## What it needs",
            "## How to run it",
            "## What is known not to work, or not proven",
        ];
        for part in parts {
            let text = page.split(part).nth(1).unwrap_or_default();
            let text = text.split("\n## ").next().unwrap_or_default();
            assert!(text.len() > 200, "{platform}: {part}");
        }
        assert!(
            page.contains(&format!("generate-ingest --target {platform}")),
            "{platform}: no command"
        );
        assert!(
            index.contains(&format!("({platform}.md)")),
            "{platform} is not in the index"
        );
    }
}
