//! What is known of jobs: tables with a bit per batch, attempts, and what is parked.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};
use sqlextract_model::{BatchIndex, Code, Failure, Generation, JobId, TableSegment};

use super::Problem;
use crate::{BatchId, Completion, Progress, TableState};

const PAGE_BYTES: usize = 512;
const PAGE_BATCHES: u64 = PAGE_BYTES as u64 * 8;

type Outcome<T> = Result<T, Problem>;

/// A table as its row tells it.
struct Known {
    id: i64,
    generation: u32,
    batches: u64,
}

pub(super) fn begin(transaction: &Transaction<'_>, job: &JobId, tables: &[TableState]) -> Outcome<()> {
    transaction.execute("INSERT OR IGNORE INTO job (name) VALUES (?1)", [job.as_str()])?;
    let mut gone: BTreeMap<String, i64> = transaction
        .prepare("SELECT segment, id FROM job_table WHERE job = ?1")?
        .query_map([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for state in tables {
        gone.remove(state.table.as_str());
        let pages = pages_of(state)?;
        let known = known(transaction, job, &state.table)?;
        match known {
            Some(known) if known.generation > state.generation.0 => continue,
            Some(known) => {
                let newer = known.generation < state.generation.0;
                update_table(transaction, known.id, newer, state)?;
                write_pages(transaction, known.id, &pages)?;
            }
            None => {
                let id = insert_table(transaction, job, state)?;
                write_pages(transaction, id, &pages)?;
            }
        }
        forget_settled(transaction, job, state, &pages)?;
    }
    for id in gone.into_values() {
        transaction.execute("DELETE FROM done WHERE job_table = ?1", [id])?;
        transaction.execute("DELETE FROM job_table WHERE id = ?1", [id])?;
    }
    Ok(())
}

fn known(transaction: &Transaction<'_>, job: &JobId, table: &TableSegment) -> Outcome<Option<Known>> {
    let found = transaction
        .prepare("SELECT id, generation, batches FROM job_table WHERE job = ?1 AND segment = ?2")?
        .query_row([job.as_str(), table.as_str()], |row| {
            let batches: i64 = row.get(2)?;
            Ok(Known {
                id: row.get(0)?,
                generation: row.get(1)?,
                batches: batches as u64,
            })
        });
    Ok(found.optional()?)
}

fn insert_table(transaction: &Transaction<'_>, job: &JobId, state: &TableState) -> Outcome<i64> {
    transaction.execute(
        "INSERT INTO job_table (job, segment, generation, batches, done, rows, bytes) VALUES (?1, ?2, ?3, ?4, 0, 0, 0)",
        params![
            job.as_str(),
            state.table.as_str(),
            state.generation.0,
            state.batches as i64
        ],
    )?;
    Ok(transaction.last_insert_rowid())
}

fn update_table(transaction: &Transaction<'_>, id: i64, newer: bool, state: &TableState) -> Outcome<()> {
    if newer {
        transaction.execute("UPDATE job_table SET rows = 0, bytes = 0 WHERE id = ?1", [id])?;
    }
    transaction.execute(
        "UPDATE job_table SET generation = ?2, batches = ?3 WHERE id = ?1",
        params![id, state.generation.0, state.batches as i64],
    )?;
    transaction.execute("DELETE FROM done WHERE job_table = ?1", [id])?;
    Ok(())
}

fn pages_of(state: &TableState) -> Outcome<BTreeMap<u64, [u8; PAGE_BYTES]>> {
    let mut pages = BTreeMap::new();
    for batch in &state.done {
        inside(&state.table, *batch, state.batches)?;
        let (page, byte, bit) = place(*batch);
        pages.entry(page).or_insert([0; PAGE_BYTES])[byte] |= bit;
    }
    Ok(pages)
}

fn write_pages(transaction: &Transaction<'_>, id: i64, pages: &BTreeMap<u64, [u8; PAGE_BYTES]>) -> Outcome<()> {
    let mut insert = transaction.prepare("INSERT INTO done (job_table, page, bits) VALUES (?1, ?2, ?3)")?;
    let mut done = 0;
    for (page, bits) in pages {
        insert.execute(params![id, *page as i64, bits])?;
        done += bits.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>();
    }
    transaction.execute("UPDATE job_table SET done = ?2 WHERE id = ?1", [id, done])?;
    Ok(())
}

/// Takes away what was tried or parked of batches that are done, or that belong to an older generation.
fn forget_settled(
    transaction: &Transaction<'_>,
    job: &JobId,
    state: &TableState,
    pages: &BTreeMap<u64, [u8; PAGE_BYTES]>,
) -> Outcome<()> {
    let of_table = [job.as_str(), state.table.as_str()];
    transaction.execute(
        "DELETE FROM batch WHERE job = ?1 AND segment = ?2 AND generation < ?3",
        params![of_table[0], of_table[1], state.generation.0],
    )?;
    let tried: Vec<i64> = transaction
        .prepare("SELECT batch FROM batch WHERE job = ?1 AND segment = ?2 AND generation = ?3")?
        .query_map(params![of_table[0], of_table[1], state.generation.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for batch in tried {
        let (page, byte, bit) = place(BatchIndex(batch as u64));
        if pages.get(&page).is_some_and(|bits| bits[byte] & bit != 0) {
            transaction.execute(
                "DELETE FROM batch WHERE job = ?1 AND segment = ?2 AND generation = ?3 AND batch = ?4",
                params![of_table[0], of_table[1], state.generation.0, batch],
            )?;
        }
    }
    Ok(())
}

pub(super) fn complete(
    transaction: &Transaction<'_>,
    job: &JobId,
    batch: &BatchId,
    (rows, bytes): (u64, u64),
) -> Outcome<Completion> {
    let Some(known) = known(transaction, job, &batch.table)? else {
        return Ok(Completion::Unknown);
    };
    match batch.generation.0.cmp(&known.generation) {
        std::cmp::Ordering::Less => return Ok(Completion::Stale),
        std::cmp::Ordering::Greater => return Ok(Completion::Unknown),
        std::cmp::Ordering::Equal => inside(&batch.table, batch.batch, known.batches)?,
    }
    let new = set_bit(transaction, known.id, batch.batch)?;
    if new {
        add_to_table(transaction, known.id, rows, bytes)?;
    }
    forget_batch(transaction, job, batch)?;
    let remaining: i64 = transaction
        .prepare("SELECT sum(batches - done) FROM job_table WHERE job = ?1")?
        .query_row([job.as_str()], |row| row.get(0))?;
    Ok(Completion::Recorded {
        new,
        remaining: remaining as u64,
    })
}

/// Whether the bit was not set before.
fn set_bit(transaction: &Transaction<'_>, id: i64, batch: BatchIndex) -> Outcome<bool> {
    let (page, byte, bit) = place(batch);
    let mut bits = page_bits(transaction, id, page)?;
    if bits[byte] & bit != 0 {
        return Ok(false);
    }
    bits[byte] |= bit;
    transaction
        .prepare("INSERT OR REPLACE INTO done (job_table, page, bits) VALUES (?1, ?2, ?3)")?
        .execute(params![id, page as i64, bits])?;
    Ok(true)
}

fn page_bits(transaction: &Transaction<'_>, id: i64, page: u64) -> Outcome<[u8; PAGE_BYTES]> {
    let stored = transaction
        .prepare("SELECT bits FROM done WHERE job_table = ?1 AND page = ?2")?
        .query_row(params![id, page as i64], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    let Some(stored) = stored else {
        return Ok([0; PAGE_BYTES]);
    };
    let length = stored.len();
    stored
        .try_into()
        .map_err(|_| Problem::Content(format!("page {page} of done batches has {length} bytes")))
}

fn add_to_table(transaction: &Transaction<'_>, id: i64, rows: u64, bytes: u64) -> Outcome<()> {
    let (rows_before, bytes_before): (i64, i64) = transaction
        .prepare("SELECT rows, bytes FROM job_table WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let more = |before: i64, more: u64| before.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
    transaction
        .prepare("UPDATE job_table SET done = done + 1, rows = ?2, bytes = ?3 WHERE id = ?1")?
        .execute([id, more(rows_before, rows), more(bytes_before, bytes)])?;
    Ok(())
}

pub(super) fn attempt(transaction: &Transaction<'_>, job: &JobId, batch: &BatchId) -> Outcome<u32> {
    let attempts: i64 = transaction
        .prepare(
            "INSERT INTO batch (job, segment, generation, batch, attempts) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts",
        )?
        .query_row(key(job, batch), |row| row.get(0))?;
    Ok(u32::try_from(attempts).unwrap_or(u32::MAX))
}

pub(super) fn park(
    transaction: &Transaction<'_>,
    job: &JobId,
    batch: &BatchId,
    failure: Option<&Failure>,
) -> Outcome<()> {
    let Some(failure) = failure else {
        return forget_batch(transaction, job, batch);
    };
    if is_done(transaction, job, batch)? {
        return Ok(());
    }
    let text = serde_json::to_string(failure).expect("failures have string keys and serialise without failing");
    let (job, segment, generation, batch) = key(job, batch);
    transaction
        .prepare(
            "INSERT INTO batch (job, segment, generation, batch, attempts, failure) VALUES (?1, ?2, ?3, ?4, 0, ?5)
             ON CONFLICT DO UPDATE SET failure = ?5",
        )?
        .execute(params![job, segment, generation, batch, text])?;
    Ok(())
}

fn is_done(transaction: &Transaction<'_>, job: &JobId, batch: &BatchId) -> Outcome<bool> {
    let (page, byte, bit) = place(batch.batch);
    match known(transaction, job, &batch.table)? {
        Some(known) if known.generation == batch.generation.0 => {
            Ok(page_bits(transaction, known.id, page)?[byte] & bit != 0)
        }
        _ => Ok(false),
    }
}

fn forget_batch(transaction: &Transaction<'_>, job: &JobId, batch: &BatchId) -> Outcome<()> {
    transaction
        .prepare("DELETE FROM batch WHERE job = ?1 AND segment = ?2 AND generation = ?3 AND batch = ?4")?
        .execute(key(job, batch))?;
    Ok(())
}

pub(super) fn pause(transaction: &Transaction<'_>, job: &JobId, paused: bool) -> Outcome<bool> {
    let changed = transaction.execute(
        "UPDATE job SET paused = ?2 WHERE name = ?1",
        params![job.as_str(), paused],
    )?;
    Ok(changed == 1)
}

pub(super) fn progress(transaction: &Transaction<'_>, job: &JobId) -> Outcome<Option<Progress>> {
    let paused = transaction
        .query_row("SELECT paused FROM job WHERE name = ?1", [job.as_str()], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(paused) = paused else { return Ok(None) };
    let mut progress = Progress {
        paused,
        ..Progress::default()
    };
    let mut tables = transaction.prepare("SELECT batches, done, rows, bytes FROM job_table WHERE job = ?1")?;
    let mut rows = tables.query([job.as_str()])?;
    while let Some(row) = rows.next()? {
        let column = |index| row.get(index).map(|value: i64| value as u64);
        progress.total += column(0)?;
        progress.done += column(1)?;
        progress.rows = progress.rows.saturating_add(column(2)?);
        progress.bytes = progress.bytes.saturating_add(column(3)?);
    }
    progress.parked = parked(transaction, job)?;
    Ok(Some(progress))
}

fn parked(transaction: &Transaction<'_>, job: &JobId) -> Outcome<Vec<(BatchId, Failure)>> {
    let mut statement = transaction.prepare(
        "SELECT b.segment, b.generation, b.batch, b.failure
           FROM batch b JOIN job_table t ON t.job = b.job AND t.segment = b.segment AND t.generation = b.generation
          WHERE b.job = ?1 AND b.failure IS NOT NULL ORDER BY b.segment, b.batch",
    )?;
    let mut rows = statement.query([job.as_str()])?;
    let mut parked = Vec::new();
    while let Some(row) = rows.next()? {
        let (segment, failure): (String, String) = (row.get(0)?, row.get(3)?);
        let batch: i64 = row.get(2)?;
        let unreadable = || Problem::Content(format!("the parked batch {batch} of {segment} is not readable"));
        let id = BatchId {
            table: TableSegment::parse(&segment).ok_or_else(unreadable)?,
            generation: Generation(row.get(1)?),
            batch: BatchIndex(batch as u64),
        };
        parked.push((id, serde_json::from_str(&failure).map_err(|_| unreadable())?));
    }
    Ok(parked)
}

fn key<'a>(job: &'a JobId, batch: &'a BatchId) -> (&'a str, &'a str, u32, i64) {
    (
        job.as_str(),
        batch.table.as_str(),
        batch.generation.0,
        batch.batch.0 as i64,
    )
}

/// Page, byte and bit of a batch.
fn place(batch: BatchIndex) -> (u64, usize, u8) {
    let within = batch.0 % PAGE_BATCHES;
    (batch.0 / PAGE_BATCHES, (within / 8) as usize, 1 << (within % 8))
}

fn inside(table: &TableSegment, batch: BatchIndex, batches: u64) -> Outcome<()> {
    if batch.0 < batches {
        return Ok(());
    }
    let text = format!("batch {} of {table} is not among its {batches} batches", batch.0);
    Err(Problem::Failure(Failure::new(Code::Defect, text)))
}
