//! Whole scripts. Written anew with `SQLEXTRACT_WRITE_GOLDEN=1`, then read before they are committed.

use sqlextract_ingest_sql::{ScriptOptions, render};
use sqlextract_model::{ChunkType, Compression, Dialect, Format, Manifest, ManifestEntry, TableName, Target};

use crate::manifests::{batch, column, digest, every_column, manifest, postgres};

fn check(name: &str, manifest: &Manifest, entries: &[ManifestEntry], target: &Target, location: &str) {
    let script = render(manifest, &digest(), entries, target, &ScriptOptions::new(location)).unwrap();
    let script = script.replace(
        concat!("sqlextract ", env!("CARGO_PKG_VERSION"), "."),
        "sqlextract VERSION.",
    );
    let path = format!("{}/tests/golden/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SQLEXTRACT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &script).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        script, golden,
        "{path} differs; run with SQLEXTRACT_WRITE_GOLDEN=1 if the change is meant"
    );
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
        "parquet-in-a-bucket",
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
        "csv-on-a-disk",
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
    check("hostile-names", &manifest, &entries, &postgres(None), "/srv/lake");
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
        .unwrap();
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
        .unwrap();
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
