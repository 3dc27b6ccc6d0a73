//! Seeds: every job ends once, with every row once.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlextract_model::Outcome;
use sqlextract_simulation::{Planted, World};

const ROWS: u64 = 240;
const BATCH_ROWS: u64 = 20;

/// Seeds that failed once.
const KEPT: [u64; 1] = [0];

fn database(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("shop.db");
    let made = rusqlite::Connection::open(&path).expect("the folder takes files");
    let rows = format!(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO orders SELECT i, 'note ' || i FROM n; ANALYZE;"
    );
    made.execute_batch(&rows).expect("the rows are valid SQL");
    path
}

/// What is wrong with how the seed's job ended; empty, nothing is.
fn wrong(seed: u64, database: &Path, planted: Option<Planted>) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (failing, strikes) = (seed % 6, (seed % 7) as u32);
    let world = World::begin((seed, failing), folder.path(), database, planted);
    let end = match world.and_then(|mut world| world.run(BATCH_ROWS, strikes)) {
        Ok(end) => end,
        Err(failure) => return format!("{failure} {:?}", failure.causes),
    };
    let whole = (end.outcome, end.rows) == (Outcome::Completed, ROWS) && end.batches >= 10;
    // One outcome is told, under one id, and what is there is what the manifest names.
    match whole && end.told.len() == 1 && end.astray.is_empty() {
        true => String::new(),
        false => format!("{end:?}"),
    }
}

fn survives(seed: u64, database: &Path) {
    let wrong = wrong(seed, database, None);
    assert!(wrong.is_empty(), "seed {seed}: {wrong}");
}

/// How many; `SQLEXTRACT_TEST_SEEDS` makes them as many as wanted, from the seed that `SQLEXTRACT_TEST_SEED` gives.
fn asked(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_seed_ends_with_one_outcome_and_every_row_once() {
    let full = std::env::var("SQLEXTRACT_TEST_FULL").is_ok_and(|value| value == "1");
    let seeds = asked("SQLEXTRACT_TEST_SEEDS", if full { 2000 } else { 300 });
    let first = asked("SQLEXTRACT_TEST_SEED", 1);
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    for seed in KEPT {
        survives(seed, &database);
    }
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    survives(seed, &database);
                }
            });
        }
    });
}

#[test]
fn a_planted_defect_is_found_within_a_few_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    for planted in [Planted::Believing, Planted::SettlingFirst] {
        let found: Vec<u64> = std::thread::scope(|scope| {
            let database = &database;
            let seeds = (1..=24).map(|seed| scope.spawn(move || (seed, wrong(seed, database, Some(planted)))));
            let seeds: Vec<_> = seeds.collect();
            let ended = seeds.into_iter().map(|seed| seed.join().unwrap());
            ended
                .filter(|(_, wrong)| !wrong.is_empty())
                .map(|(seed, _)| seed)
                .collect()
        });
        assert!(
            !found.is_empty(),
            "{planted:?} harmed none of 24 seeds: they prove little"
        );
    }
}
