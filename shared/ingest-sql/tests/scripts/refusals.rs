//! What is refused, and in which words.

use sqlextract_ingest_sql::{ScriptOptions, render};
use sqlextract_model::{
    ChunkType, Code, Dialect, Failure, Format, Generation, Manifest, ManifestEntry, Outcome, TableName, Target,
    TimestampUnit, Totals,
};

use crate::manifests::{batch, column, digest, manifest, postgres};

fn extraction() -> (Manifest, ManifestEntry) {
    let columns = vec![column("id", "integer", ChunkType::Int32)];
    let mut manifest = manifest(
        Dialect::Postgres,
        Format::Parquet,
        vec![(TableName::new("shop", "orders"), columns)],
    );
    let entry = batch(&mut manifest, 0, 0, 2);
    (manifest, entry)
}

fn refused(manifest: &Manifest, entries: &[ManifestEntry], target: &Target) -> Failure {
    render(manifest, &digest(), entries, target, &ScriptOptions::new("s3://lake")).expect_err("refused")
}

#[test]
fn only_a_completed_job_has_a_script() {
    let (mut manifest, entry) = extraction();
    manifest.outcome = Outcome::Cancelled;
    let failure = refused(&manifest, &[entry], &postgres(None));
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::UsageInvalid, "job orders-0123abcd was not completed")
    );
}

#[test]
fn a_manifest_that_does_not_fit_together_is_refused() {
    type Damage = fn(&mut Manifest, &mut Vec<ManifestEntry>);
    let cases: [(Damage, &str); 7] = [
        (
            |_, entries| entries.clear(),
            "its pages hold 0 rows in 0 chunks, its head says 2 in 1",
        ),
        (
            |_, entries| entries.push(entries[0].clone()),
            "its pages hold 4 rows in 2 chunks, its head says 2 in 1",
        ),
        (
            |_, entries| entries[0].table.name.push('x'),
            "the manifest has no such table",
        ),
        (
            |_, entries| entries[0].generation = Generation(2),
            "batch 0000000 is of another generation",
        ),
        (
            |_, entries| entries[0].chunks[0].key.push_str("' ; touch x"),
            "a chunk's key is none that this program writes",
        ),
        (
            |_, entries| entries[0].chunks[0].key = entries[0].chunks[0].key.replace("shop", "other"),
            "a chunk's key is none that this program writes",
        ),
        (
            |manifest, _| manifest.format.format = Format::Csv,
            "a chunk's key is none that this program writes",
        ),
    ];
    for (damage, what) in cases {
        let (mut manifest, entry) = extraction();
        let mut entries = vec![entry];
        damage(&mut manifest, &mut entries);
        let failure = refused(&manifest, &entries, &postgres(None));
        assert_eq!(failure.code, Code::ManifestUnreadable, "{what}");
        assert!(failure.message.ends_with(what), "{} / {what}", failure.message);
    }
}

#[test]
fn names_that_postgres_cannot_have_are_all_listed() {
    let long = "x".repeat(64);
    let names = ["xmin", "a\nb", long.as_str(), "c", "c", ""];
    let columns = names.map(|name| column(name, "text", ChunkType::Text)).to_vec();
    let table = (TableName::new("s", "t\0"), columns);
    let manifest = manifest(Dialect::Mysql, Format::Parquet, vec![table]);
    let failure = refused(&manifest, &[], &postgres(None));
    assert_eq!(failure.code, Code::UsageInvalid);
    assert_eq!(
        failure.causes,
        [
            "table \"t\\0\" holds a control character".to_owned(),
            "s.t\0: column \"xmin\" has the name of a system column".to_owned(),
            "s.t\0: column \"a\\nb\" holds a control character".to_owned(),
            format!("s.t\0: column \"{long}\" is longer than 63 bytes"),
            "s.t\0: column \"c\" occurs twice".to_owned(),
            "s.t\0: column \"\" is empty".to_owned(),
        ]
    );
}

#[test]
fn no_table_takes_the_place_of_the_ledger_or_of_another() {
    let (mut manifest, _) = extraction();
    manifest.tables[0].totals = Totals::default();
    let second = manifest.tables[0].clone();
    manifest.tables.push(second);
    assert_eq!(
        refused(&manifest, &[], &postgres(None)).causes,
        ["two tables would both be shop.orders"]
    );
    manifest.tables.pop();
    let failure = refused(&manifest, &[], &postgres(Some("raw.sqlextract_loads")));
    assert_eq!(
        failure.causes,
        ["raw.sqlextract_loads is the name of the ledger of loads"]
    );
}

#[test]
fn a_target_name_is_for_one_table_and_reads_as_one() {
    let (mut manifest, entry) = extraction();
    let entries = [entry];
    assert_eq!(
        refused(&manifest, &entries, &postgres(Some("a.b.c"))).message,
        "`a.b.c` is no table name"
    );
    let second = manifest.tables[0].clone();
    manifest.tables.push(second);
    let failure = refused(&manifest, &entries, &postgres(Some("t")));
    assert_eq!(
        failure.message,
        "job orders-0123abcd has 2 tables, which cannot all be loaded into one"
    );
}

#[test]
fn what_postgres_would_round_is_refused() {
    let chunk = ChunkType::Timestamp {
        unit: TimestampUnit::Nanosecond,
        utc: false,
    };
    let table = (TableName::new("s", "t"), vec![column("c", "x", chunk)]);
    let failure = refused(
        &manifest(Dialect::Postgres, Format::Parquet, vec![table]),
        &[],
        &postgres(None),
    );
    assert_eq!(failure.code, Code::TypeUnsupported);
    assert_eq!(
        failure.causes,
        ["s.t: column \"c\" holds nanoseconds, which PostgreSQL would round"]
    );
    assert!(
        failure.action().contains("--column-type T.C=text"),
        "{}",
        failure.action()
    );
}

#[test]
fn a_location_that_is_neither_a_folder_nor_an_address_is_a_defect() {
    let (manifest, entry) = extraction();
    for location in ["", "lake", "--help", "/srv/\nlake"] {
        let options = ScriptOptions::new(location);
        let failure = render(&manifest, &digest(), [&entry], &postgres(None), &options).expect_err(location);
        assert_eq!(failure.code, Code::Defect, "{location:?}");
    }
}
