//! Every platform, format, type of every source, mode and hostile name, written where `tests/run checkers` finds them.

use std::path::Path;

use sqlextract_ingest_sql::{Mode, Script, ScriptOptions, TargetOptions, render};
use sqlextract_model::{
    ChunkType, Code, ColumnMapping, Dialect, Failure, Format, Manifest, ManifestEntry, Platform, ScriptLanguage,
    TableName,
};
use sqlextract_type_mapping::every_mapping;

use crate::manifests::{batch, column, digest, manifest, target};

/// Names that would break out of quotes, comments, statements and clients, as far as any platform takes them.
const HOSTILE: [&str; 14] = [
    "a\"; DROP TABLE x; --",
    "it's",
    "`tick`",
    "b]racket]",
    "$check$",
    "back\\slash",
    ":id",
    "), (",
    "select",
    "naïve 😀",
    "a,b",
    "*/ x /*",
    "{{ x }}",
    "GO",
];

fn places(platform: Platform, format: Format) -> &'static [&'static str] {
    match (platform, format) {
        (Platform::Snowflake | Platform::Databricks, _) => &["s3://lake/exports", "/srv/lake"],
        (Platform::Bigquery, _) => &["gs://lake/exports", "s3://lake/exports"],
        (Platform::Postgres, _) => &["s3://lake/exports", "/srv/lake"],
        (Platform::Mssql, Format::Csv) => &["s3://lake/exports", "/srv/lake", "https://acct.blob.core.windows.net/c"],
        (Platform::Mssql, Format::Parquet) => &["s3://lake/exports"],
    }
}

/// An extraction of one table, in three chunks.
fn extraction(
    source: Dialect,
    format: Format,
    name: &TableName,
    columns: &[ColumnMapping],
) -> (Manifest, Vec<ManifestEntry>) {
    let mut manifest = manifest(source, format, vec![(name.clone(), columns.to_vec())]);
    let entries = (0..3).map(|number| batch(&mut manifest, 0, number, 7)).collect();
    (manifest, entries)
}

fn script(
    platform: Platform,
    source: Dialect,
    format: Format,
    name: &TableName,
    columns: &[ColumnMapping],
    options: &ScriptOptions,
) -> Result<Script, Failure> {
    let (manifest, entries) = extraction(source, format, name, columns);
    render(&manifest, &digest(), &entries, &target(platform), options)
}

fn options(place: &str, mode: Mode, parallel: Option<u16>) -> ScriptOptions {
    let key = if mode == Mode::Merge {
        vec!["key".to_owned()]
    } else {
        Vec::new()
    };
    let target = TargetOptions {
        mode,
        key,
        parallel,
        ..TargetOptions::default()
    };
    // Where chunks were written is one thing, where a platform sees them another.
    match place.starts_with("gs://") || place.starts_with("https://") {
        true => ScriptOptions::of(
            "s3://lake/exports",
            TargetOptions {
                url: Some(place.to_owned()),
                ..target
            },
        ),
        false => ScriptOptions::of(place, target),
    }
}

fn key() -> ColumnMapping {
    ColumnMapping {
        nullable: false,
        ..column("key", "bigint", ChunkType::Int64)
    }
}

/// The columns that a platform takes, each asked on its own; a refusal says what to do.
fn taken(platform: Platform, source: Dialect, format: Format, columns: Vec<ColumnMapping>) -> Vec<ColumnMapping> {
    let name = TableName::new("shop", "orders");
    let options = options("s3://lake/exports", Mode::Append, None);
    let fits = |column: &ColumnMapping| {
        let alone = [key(), column.clone()];
        match script(platform, source, format, &name, &alone, &options) {
            Ok(_) => true,
            Err(failure) => {
                assert!(
                    matches!(failure.code, Code::TypeUnsupported | Code::UsageInvalid),
                    "{failure}"
                );
                assert!(failure.remedy.is_some() && !failure.causes.is_empty(), "{failure:?}");
                false
            }
        }
    };
    columns.into_iter().filter(fits).collect()
}

fn write(name: &str, script: &Script) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripts");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.{}", script.language)), &script.text).unwrap();
}

#[test]
fn every_type_of_every_source_has_a_script_on_every_platform() {
    for platform in Platform::ALL.iter().copied() {
        for source in Dialect::ALL.iter().copied() {
            for format in Format::ALL.iter().copied() {
                let mut columns = every_mapping(source);
                for (number, column) in columns.iter_mut().enumerate() {
                    column.name = format!("c{number}");
                }
                let all = columns.len();
                let mut columns = taken(platform, source, format, columns);
                assert!(
                    columns.len() * 10 > all * 9,
                    "{platform} takes {} of {all} types of {source}",
                    columns.len()
                );
                columns.insert(0, key());
                let name = TableName::new("shop", "orders");
                for (number, place) in places(platform, format).iter().enumerate() {
                    for mode in [Mode::Append, Mode::Replace, Mode::Merge] {
                        let made =
                            script(platform, source, format, &name, &columns, &options(place, mode, None)).unwrap();
                        assert_eq!(made.language, ScriptLanguage::Sql);
                        let mode = format!("{mode:?}").to_lowercase();
                        write(&format!("{platform}-{format}-{source}-{mode}-{number}"), &made);
                    }
                }
                let mut adding = options(places(platform, format)[0], Mode::Append, None);
                adding.target.add_columns = true;
                let made = script(platform, source, format, &name, &columns, &adding).unwrap();
                write(&format!("{platform}-{format}-{source}-additions"), &made);
                if matches!(platform, Platform::Postgres | Platform::Mssql) {
                    let options = options(places(platform, format)[0], Mode::Append, Some(4));
                    let made = script(platform, source, format, &name, &columns, &options).unwrap();
                    assert_eq!(made.language, ScriptLanguage::Shell);
                    write(&format!("{platform}-{format}-{source}-sessions"), &made);
                }
            }
        }
    }
}

#[test]
fn hostile_names_are_refused_or_quoted_on_every_platform() {
    for platform in Platform::ALL.iter().copied() {
        for format in Format::ALL.iter().copied() {
            let columns = HOSTILE.map(|name| column(name, "text", ChunkType::Text)).to_vec();
            let columns = taken(platform, Dialect::Mysql, format, columns);
            let place = options(places(platform, format)[0], Mode::Append, None);
            let mut number = 0;
            for hostile in HOSTILE {
                let name = TableName::new("shop", hostile);
                let with_key: Vec<_> = std::iter::once(key()).chain(columns.iter().cloned()).collect();
                if let Ok(made) = script(platform, Dialect::Mysql, format, &name, &with_key, &place) {
                    let comments = made.text.lines().filter(|line| line.starts_with("--"));
                    assert!(comments.into_iter().all(str::is_ascii), "{platform} {hostile:?}");
                    write(&format!("{platform}-{format}-hostile-{number}"), &made);
                    number += 1;
                }
            }
            // `select` at least is a name everywhere.
            assert!(number > 0, "{platform} {format}");
        }
    }
}

#[test]
fn a_line_of_its_own_is_no_name_anywhere() {
    for platform in Platform::ALL.iter().copied() {
        for name in ["a\nGO\n", "a\rb", "a\0", ""] {
            let column = [column(name, "text", ChunkType::Text)];
            let table = TableName::new("shop", "orders");
            let options = options("s3://lake/exports", Mode::Append, None);
            let failure =
                script(platform, Dialect::Mysql, Format::Csv, &table, &column, &options).expect_err("refused");
            assert_eq!(failure.code, Code::UsageInvalid, "{platform} {name:?}");
        }
    }
}
