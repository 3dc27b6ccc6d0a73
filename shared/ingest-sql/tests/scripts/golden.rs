//! Whole scripts. Written anew with `SQLEXTRACT_WRITE_GOLDEN=1`, then read before they are committed.

use sqlextract_ingest_sql::{Mode, Script, ScriptOptions, TargetOptions, render};
use sqlextract_model::{
    ChunkType, Compression, Dialect, Format, Manifest, ManifestEntry, Platform, ScriptLanguage, TableName, Target,
};

use crate::manifests::{batch, column, digest, every_column, manifest, postgres, target};

fn compare(name: &str, script: &Script) {
    let text = script.text.replace(
        concat!("sqlextract ", env!("CARGO_PKG_VERSION"), "."),
        "sqlextract VERSION.",
    );
    let path = format!("{}/tests/golden/{name}.{}", env!("CARGO_MANIFEST_DIR"), script.language);
    if std::env::var_os("SQLEXTRACT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{path} differs; run with SQLEXTRACT_WRITE_GOLDEN=1 if the change is meant, and read the difference"
    );
}

fn check(name: &str, manifest: &Manifest, entries: &[ManifestEntry], target: &Target, location: &str) {
    let script = render(manifest, &digest(), entries, target, &ScriptOptions::new(location)).unwrap();
    compare(name, &script);
}

/// A table of every type that all platforms have, and an empty one.
fn shop(format: Format) -> (Manifest, Vec<ManifestEntry>) {
    let mut columns = every_column();
    columns.retain(|c| c.chunk != ChunkType::Time && c.name.chars().all(char::is_alphanumeric));
    let empty = vec![column("id", "integer", ChunkType::Int32)];
    let tables = vec![
        (TableName::new("shop", "orders"), columns),
        (TableName::new("shop", "empty"), empty),
    ];
    let mut manifest = manifest(Dialect::Postgres, format, tables);
    if format == Format::Parquet {
        manifest.format.compression = Compression::Zstd;
    }
    let entries = vec![batch(&mut manifest, 0, 0, 2), batch(&mut manifest, 0, 1, 3)];
    (manifest, entries)
}

/// Settings as a careful user has them: nothing is left to fill in.
fn settings(platform: Platform) -> TargetOptions {
    let text = |text: &str| Some(text.to_owned());
    match platform {
        Platform::Snowflake => TargetOptions {
            database: text("ANALYTICS"),
            schema: text("RAW"),
            warehouse: text("LOADING"),
            storage_integration: text("LAKE"),
            ..TargetOptions::default()
        },
        Platform::Bigquery => TargetOptions {
            url: text("gs://lake/exports"),
            database: text("analytics-1"),
            ..TargetOptions::default()
        },
        Platform::Databricks => TargetOptions {
            database: text("main"),
            ..TargetOptions::default()
        },
        Platform::Mssql => TargetOptions {
            database: text("analytics"),
            data_source: text("lake"),
            ..TargetOptions::default()
        },
        Platform::Postgres => TargetOptions::default(),
    }
}

#[test]
fn every_platform_loads_both_formats() {
    for platform in Platform::ALL.iter().copied() {
        for format in Format::ALL.iter().copied() {
            let (manifest, entries) = shop(format);
            let options = ScriptOptions::of("s3://lake/exports", settings(platform));
            let script = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
            assert!(script.fill_in.is_empty(), "{platform} {format}: {:?}", script.fill_in);
            assert_eq!(script.language, ScriptLanguage::Sql);
            compare(&format!("{platform}-{format}"), &script);
        }
    }
}

#[test]
fn local_files_are_loaded_where_a_platform_takes_them() {
    let (manifest, entries) = shop(Format::Csv);
    for platform in [Platform::Snowflake, Platform::Mssql] {
        let options = ScriptOptions::of("/srv/lake", settings(platform));
        let script = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
        compare(&format!("{platform}-local-csv"), &script);
    }
}

#[test]
fn sessions_are_driven_by_a_shell_script() {
    for (platform, format) in [(Platform::Postgres, Format::Parquet), (Platform::Mssql, Format::Csv)] {
        let (manifest, entries) = shop(format);
        let options = TargetOptions {
            parallel: Some(8),
            ..settings(platform)
        };
        let options = ScriptOptions::of("/srv/lake", options);
        let script = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
        assert_eq!(script.language, ScriptLanguage::Shell);
        compare(&format!("{platform}-sessions"), &script);
    }
}

#[test]
fn rows_are_appended_replaced_or_merged() {
    for platform in Platform::ALL.iter().copied() {
        for mode in [Mode::Append, Mode::Replace, Mode::Merge] {
            let columns = vec![
                column("id", "bigint", ChunkType::Int64),
                column("note", "text", ChunkType::Text),
                column("photo", "bytea", ChunkType::Binary),
            ];
            let table = (TableName::new("shop", "notes"), columns);
            let mut manifest = manifest(Dialect::Postgres, Format::Csv, vec![table]);
            let mut entries = [batch(&mut manifest, 0, 0, 2)];
            entries[0].columns[0].count = 2;
            let options = TargetOptions {
                mode,
                add_columns: true,
                key: if mode == Mode::Merge {
                    vec!["id".to_owned()]
                } else {
                    Vec::new()
                },
                ..settings(platform)
            };
            let options = ScriptOptions::of("s3://lake/exports", options);
            let script = render(&manifest, &digest(), &entries, &target(platform), &options).unwrap();
            compare(&format!("{platform}-{mode:?}").to_lowercase(), &script);
        }
    }
}

#[test]
fn parquet_chunks_in_a_bucket_are_read_through_cat() {
    let table = (TableName::new("shop", "orders"), every_column());
    let empty = (
        TableName::new("shop", "empty"),
        vec![column("id", "integer", ChunkType::Int32)],
    );
    let mut manifest = manifest(Dialect::Postgres, Format::Parquet, vec![table, empty]);
    let entries = [batch(&mut manifest, 0, 0, 2), batch(&mut manifest, 0, 1, 3)];
    check(
        "postgres-every-type",
        &manifest,
        &entries,
        &postgres(None),
        "s3://lake/exports",
    );
}

#[test]
fn csv_chunks_on_a_disk_are_read_as_they_are_where_psql_can() {
    let columns = vec![
        column("id", "INTEGER", ChunkType::Int64),
        column("note", "TEXT", ChunkType::Text),
        column("day", "DATE", ChunkType::Date),
    ];
    let mut manifest = manifest(
        Dialect::Sqlite,
        Format::Csv,
        vec![(TableName::new("main", "notes"), columns)],
    );
    let mut entries: Vec<_> = (0..4).map(|number| batch(&mut manifest, 0, number, 2)).collect();
    entries[1].chunks[0].end_of_copy_line = true;
    let days = |entry: &mut ManifestEntry, min: &str, max: &str| {
        let facts = &mut entry.columns[2];
        (facts.count, facts.min, facts.max) = (2, Some(min.to_owned()), Some(max.to_owned()));
    };
    days(&mut entries[2], "-719162", "2932896");
    days(&mut entries[3], "-719163", "0");
    check(
        "postgres-local-csv",
        &manifest,
        &entries,
        &postgres(None),
        "/srv/it's here/lake/",
    );
}

#[test]
fn names_of_the_source_break_out_of_nothing() {
    let hostile = [
        "a\"; DROP TABLE x; --",
        "it's",
        "$check$",
        "back\\slash",
        ":id :'id' :\"id\"",
        "), (",
        "select",
        "naïve 😀",
    ];
    let columns = hostile.map(|name| column(name, "text", ChunkType::Text)).to_vec();
    let name = TableName::new("s'; --", "t\"$check$ \\! touch x");
    let mut manifest = manifest(Dialect::Mysql, Format::Csv, vec![(name, columns)]);
    let entries = [batch(&mut manifest, 0, 0, 2)];
    check(
        "postgres-hostile-names",
        &manifest,
        &entries,
        &postgres(None),
        "/srv/lake",
    );
}

#[test]
fn bytes_and_compressed_csv_are_decoded_by_cat() {
    for (chunk, compression) in [
        (ChunkType::Binary, Compression::None),
        (ChunkType::Text, Compression::Gzip),
    ] {
        let columns = vec![column("c", "blob", chunk)];
        let mut manifest = manifest(Dialect::Mysql, Format::Csv, vec![(TableName::new("s", "t"), columns)]);
        manifest.format.compression = compression;
        let entries = [batch(&mut manifest, 0, 0, 2)];
        let script = render(
            &manifest,
            &digest(),
            &entries,
            &postgres(None),
            &ScriptOptions::new("/srv/lake"),
        )
        .unwrap()
        .text;
        assert!(
            script.contains("FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''/srv/lake/"),
            "{script}"
        );
    }
}

#[test]
fn the_target_may_have_a_name_of_its_own() {
    let columns = || vec![column("c", "text", ChunkType::Text)];
    let created = |dialect, query: Option<&str>, name: Option<&str>| {
        let schema = if query.is_some() { "query" } else { "main" };
        let mut manifest = manifest(dialect, Format::Parquet, vec![(TableName::new(schema, "t"), columns())]);
        manifest.tables[0].query = query.map(str::to_owned);
        let script = render(
            &manifest,
            &digest(),
            &[],
            &postgres(name),
            &ScriptOptions::new("/srv/lake"),
        )
        .unwrap()
        .text;
        let line = script
            .lines()
            .find(|l| l.starts_with("CREATE TABLE") && !l.contains("sqlextract_loads"))
            .unwrap();
        line.trim_start_matches("CREATE TABLE IF NOT EXISTS ")
            .trim_end_matches(" (")
            .to_owned()
    };
    assert_eq!(created(Dialect::Postgres, None, None), "\"main\".\"t\"");
    assert_eq!(created(Dialect::Sqlite, None, None), "\"public\".\"t\"");
    assert_eq!(created(Dialect::Postgres, Some("SELECT 1"), None), "\"public\".\"t\"");
    assert_eq!(created(Dialect::Mysql, None, Some("other")), "\"main\".\"other\"");
    assert_eq!(
        created(Dialect::Sqlite, None, Some("\"Raw\".\"a.b\"")),
        "\"Raw\".\"a.b\""
    );
}
