//! Seeds: every job ends once, with every row once; and what is planted on purpose is found.
#![expect(
    clippy::print_stdout,
    reason = "how much the seeds covered is what a reader wants to know of them"
)]

mod database;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlextract_model::Outcome;
use sqlextract_simulation::{Planted, StillSource, World};

use crate::database::Database;

const ROWS: u64 = 240;
const BATCH_ROWS: u64 = 20;
/// Worlds at once, each on a thread of its own.
const AT_ONCE: usize = 2;

/// Seeds that failed once.
const KEPT: [u64; 4] = [0, 195, 221, 5256];

/// Seeds that each planted defect meets, and how many of them at most it takes to find it.
const PLANTED_SEEDS: u64 = 40;
const PLANTED: [(Planted, u64); 4] = [
    (Planted::Believing, 5),
    (Planted::SettlingFirst, 5),
    (Planted::Shortcut, 5),
    (Planted::CountingFromZero, 25),
];

/// Paths that prove little where no seed takes them.
const HARD_PATHS: [&str; 9] = [
    "a process died",
    "an answer was lost",
    "another attempt was first",
    "a job was not known any more",
    "a part of a batch was settled",
    "another attempt was first at a part",
    "a message was lost",
    "a job ended as cancelled",
    "a job was whole before it was cancelled",
];

fn shop() -> Database {
    Database::new(&format!(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO orders SELECT i, 'note ' || i FROM n; ANALYZE;"
    ))
}

/// What is wrong with how the seed's job ended; empty, nothing is.
fn wrong(world: &World) -> String {
    let end = match world.run(BATCH_ROWS) {
        Ok(end) => end,
        Err(failure) => return format!("{failure} {:?}", failure.causes),
    };
    let whole = end.outcome == Outcome::Completed && end.rows == ROWS && end.batches >= 10;
    let cancelled = end.cancelled && end.outcome == Outcome::Cancelled && end.rows <= ROWS;
    // One outcome is told, under one id, and what is there is what the manifest names.
    match (whole || cancelled) && end.told.len() == 1 && end.astray.is_empty() {
        true => String::new(),
        false => format!("{end:?}"),
    }
}

/// Runs the seeds on as many threads as worlds are run at once, and gathers what each of them says.
fn each<T: Send>(
    seeds: impl Iterator<Item = u64>,
    database: &Database,
    say: impl Fn(u64, Arc<StillSource>) -> T + Sync,
) -> Vec<(u64, T)> {
    let seeds: Vec<u64> = seeds.collect();
    let next = AtomicU64::new(0);
    let mut said: Vec<(u64, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let source = Arc::new(database.still_source(64));
                    let mut said = Vec::new();
                    while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        said.push((*seed, say(*seed, Arc::clone(&source))));
                    }
                    said
                })
            })
            .collect();
        let ended = threads.into_iter();
        ended
            .flat_map(|thread| thread.join().expect("no world panics"))
            .collect()
    });
    said.sort_by_key(|(seed, _)| *seed);
    said
}

/// How many; `SQLEXTRACT_TEST_SEEDS` makes them as many as wanted, from the seed that `SQLEXTRACT_TEST_SEED` gives. One
/// alone prints its trace.
fn asked(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_seed_ends_with_one_outcome_and_every_row_once() {
    let (first, seeds) = (asked("SQLEXTRACT_TEST_SEED", 1), asked("SQLEXTRACT_TEST_SEEDS", 2000));
    let database = shop();
    let kept = KEPT.into_iter().filter(|_| seeds > 1);
    let all = kept.chain(first..first + seeds);
    let ended = each(all, &database, |seed, source| {
        let mut world = World::new(seed, source, None);
        if seeds == 1 {
            world = world.keeping();
        }
        let wrong = wrong(&world);
        for event in world.trace().events() {
            println!("{event}");
        }
        (wrong, world.trace().seen(), world.trace().sum().1)
    });
    let failed: Vec<_> = ended.iter().filter(|(_, (wrong, ..))| !wrong.is_empty()).collect();
    let told: Vec<_> = failed
        .iter()
        .take(10)
        .map(|(seed, (wrong, ..))| format!("seed {seed}: {wrong}"))
        .collect();
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), told.join("\n"));
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut events = 0;
    for (_, (_, paths, count)) in &ended {
        events += count;
        for (path, times) in paths {
            *seen.entry(path).or_default() += times;
        }
    }
    println!("{} seeds, {events} events: {seen:?}", ended.len());
    if seeds >= 300 {
        for path in HARD_PATHS {
            assert!(
                seen.contains_key(path),
                "no seed came to where {path}: they prove little"
            );
        }
    }
}

#[test]
fn a_cancellation_within_ten_milliseconds_of_the_completion_leaves_one_outcome_a_thousand_times() {
    let database = shop();
    let ended = each(1..=1000, &database, |seed, source| {
        let world = World::new(seed, source, None).cancelled_within(Duration::from_millis(10));
        (wrong(&world), world.trace().seen())
    });
    let failed: Vec<_> = ended
        .iter()
        .filter(|(_, (wrong, _))| !wrong.is_empty())
        .take(10)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let came_to = |path: &str| ended.iter().filter(|(_, (_, seen))| seen.contains_key(path)).count();
    let (cancelled, whole) = (
        came_to("a job ended as cancelled"),
        came_to("a job was whole before it was cancelled"),
    );
    println!("{cancelled} jobs ended as cancelled, {whole} were whole before");
    assert!(
        cancelled >= 100 && whole >= 100 && cancelled + whole == 1000,
        "{cancelled} and {whole}"
    );
}

#[test]
fn a_seed_takes_the_same_course_each_time() {
    let database = shop();
    let traces = || {
        each(1..=24, &database, |seed, source| {
            let world = World::new(seed, source, None);
            let wrong = wrong(&world);
            (wrong, world.trace().sum())
        })
    };
    let (once, again) = (traces(), traces());
    assert_eq!(once, again);
    let mut courses: Vec<_> = once.iter().map(|(_, (_, sum))| sum).collect();
    courses.sort();
    courses.dedup();
    assert_eq!(courses.len(), once.len(), "different seeds take different courses");
}

#[test]
fn a_planted_defect_is_found_within_a_few_seeds() {
    let database = shop();
    for (planted, within) in PLANTED {
        let ended = each(1..=PLANTED_SEEDS, &database, |seed, source| {
            wrong(&World::new(seed, source, Some(planted)))
        });
        let found = ended.iter().filter(|(_, wrong)| !wrong.is_empty());
        let found: Vec<u64> = found.map(|(seed, _)| *seed).collect();
        println!(
            "{planted:?} is found by {} of {PLANTED_SEEDS} seeds: {found:?}",
            found.len()
        );
        assert!(
            found.first().is_some_and(|first| *first <= within),
            "{planted:?} harmed none of the first {within} seeds: they prove little"
        );
    }
}
