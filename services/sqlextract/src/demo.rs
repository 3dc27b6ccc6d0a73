//! `demo`: the main job on a sample database that it makes itself, with the scripts of all targets.

use std::path::Path;

use rusqlite::Connection;
use sqlextract_model::{Code, Failure, Platform, Result};

use crate::args::{DemoArgs, ExtractArgs, JobArgs, PlaceArgs, SelectionArgs, VerifyArgs};
use crate::extract;
use crate::report::Failures;
use crate::settings::SettingsFile;
use crate::verify;

/// Rows of the small table of awkward values.
const AWKWARD: [&str; 9] = [
    "plain",
    "",
    "comma, and \"quotes\"",
    "two\nlines",
    "\\.",
    "back\\slash",
    " blanks around ",
    "snow \u{2603} and \u{1f980}",
    "'; DROP TABLE customers; --",
];

pub(crate) async fn run(args: &DemoArgs, file: &SettingsFile) -> std::result::Result<(), Failures> {
    let database = args.dir.join("shop.db");
    let (folder, rows) = (database.clone(), args.rows);
    tokio::task::spawn_blocking(move || make_database(&folder, rows))
        .await
        .map_err(|e| Failures::from(Failure::new(Code::Defect, "making the sample panicked").because(e)))??;
    let source = format!("sqlite://{}", database.display());
    let output = args.dir.join("out").display().to_string();
    let targets: Vec<_> = Platform::ALL.iter().map(|p| p.as_str()).collect();
    let targets = targets.join(",");
    crate::print_line(&format!(
        "made {} with {rows} orders\n\n$ sqlextract extract --source {source} --table 'main.*' --output {output} --target {targets} --restart",
        database.display()
    ));
    let extract_args = ExtractArgs {
        selection: SelectionArgs {
            source: Some(source.clone()),
            table: vec!["main.*".to_owned()],
            ..SelectionArgs::default()
        },
        place: PlaceArgs {
            output: Some(output.clone()),
            ..PlaceArgs::default()
        },
        target: Platform::ALL.iter().map(ToString::to_string).collect(),
        restart: true,
        ..ExtractArgs::default()
    };
    let started = std::time::Instant::now();
    let mut ended = extract::run(&extract_args, file).await?;
    if let Some(failures) = ended.failures {
        return Err(failures);
    }
    ended.summary.elapsed = started.elapsed();
    crate::print_line(&ended.summary.text());
    crate::print_line(&format!(
        "$ sqlextract verify --depth source --source {source} --output {output}"
    ));
    let verify_args = VerifyArgs {
        job: JobArgs {
            place: PlaceArgs {
                output: Some(output),
                ..PlaceArgs::default()
            },
            ..JobArgs::default()
        },
        depth: crate::args::Depth::Source,
        source: Some(source),
        json: false,
    };
    let verdict = verify::run(&verify_args, file).await?;
    match Failures::gather(verdict.findings) {
        Some(failures) => Err(failures),
        None => {
            crate::print_line(&format!("verified: {} chunks against the database", verdict.chunks));
            Ok(())
        }
    }
}

fn make_database(path: &Path, rows: u64) -> Result<()> {
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        Failure::new(
            Code::StorageRejected,
            format!("the sample database {} cannot be made: {what}", path.display()),
        )
        .because(e)
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| failed("its folder", &e))?;
    }
    if path.exists() {
        std::fs::remove_file(path).map_err(|e| failed("the old one stays", &e))?;
    }
    let mut connection = Connection::open(path).map_err(|e| failed("opening", &e))?;
    fill(&mut connection, rows).map_err(|e| failed("filling", &e))
}

fn fill(connection: &mut Connection, rows: u64) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
         CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, photo BLOB);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, total REAL, paid BOOLEAN, placed_on TEXT);
         CREATE TABLE codes (code TEXT PRIMARY KEY, meaning TEXT) WITHOUT ROWID;",
    )?;
    let transaction = connection.transaction()?;
    {
        let mut customer = transaction.prepare("INSERT INTO customers VALUES (?1, ?2, ?3, ?4)")?;
        for id in 0..2000_i64 {
            let text = AWKWARD[usize::try_from(id).unwrap_or(0) % AWKWARD.len()];
            let note = (id % 3 != 0).then_some(text);
            let photo = (id % 5 == 0).then(|| id.to_be_bytes());
            customer.execute((id, format!("{text} {id}"), note, photo))?;
        }
        let mut order = transaction.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for id in 0..i64::try_from(rows).unwrap_or(i64::MAX) {
            // Gaps and a few far ids, as real tables have them.
            let key = if id % 1000 == 999 { id + 1_000_000_000 } else { id * 3 };
            let total = (id % 7 != 0).then_some(f64::from(u32::try_from(id % 100_000).unwrap_or(0)) / 8.0);
            let day = format!("2026-{:02}-{:02}", id % 12 + 1, id % 28 + 1);
            order.execute((key, id % 2000, total, id % 2 == 0, day))?;
        }
        let mut code = transaction.prepare("INSERT INTO codes VALUES (?1, ?2)")?;
        for id in 0..500 {
            code.execute((format!("{:x}-{id}", id * 7919), format!("meaning {id}")))?;
        }
    }
    transaction.commit()
}
