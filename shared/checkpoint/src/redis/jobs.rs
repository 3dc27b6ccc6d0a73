//! Jobs: what goes into the scripts, and what their answers mean.

use std::collections::BTreeMap;

use redis::{FromRedisValue, ScriptInvocation, Value};
use sqlextract_model::{BatchIndex, Code, Failure, Generation, JobId, Result, TableSegment};

use super::scripts::{Keys, Scripts};
use crate::{BatchId, Completion, Progress, TableState};

/// Bits of one page; the scripts know both numbers.
const PAGE_BYTES: usize = 512;
const PAGE_BATCHES: u64 = PAGE_BYTES as u64 * 8;
/// Numbers above are not exact in a script.
const LARGEST: u64 = 1 << 53;
/// The server takes 2^20 arguments a call.
const MOST_ARGUMENTS: usize = 1_000_000;

/// Why an answer does not mean anything to us.
pub(super) type Misread = String;

/// The scripts with the keys and arguments of one job.
pub(super) struct Jobs<'a> {
    pub(super) scripts: &'a Scripts,
    pub(super) keys: &'a Keys,
    /// Time to live of a job's keys in milliseconds.
    pub(super) retention: u64,
}

impl<'a> Jobs<'a> {
    fn of(&self, script: &'a redis::Script, job: &JobId) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(&self.keys.job(job.as_str())[..]).arg(self.retention);
        call
    }

    pub(super) fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<ScriptInvocation<'a>> {
        let mut call = self.of(&self.scripts.begin, job);
        call.arg(tables.len());
        let mut arguments = 2;
        for state in tables {
            if state.batches > LARGEST {
                let text = format!(
                    "table {} has {} batches, more than can be counted",
                    state.table, state.batches
                );
                return Err(Failure::new(Code::Defect, text));
            }
            let pages = pages_of(state)?;
            let done: u64 = pages.values().flatten().map(|byte| u64::from(byte.count_ones())).sum();
            call.arg(state.table.as_str())
                .arg(state.generation.0)
                .arg(state.batches)
                .arg(done)
                .arg(pages.len());
            arguments += 5 + 2 * pages.len();
            for (page, bits) in &pages {
                call.arg(*page).arg(&bits[..]);
            }
        }
        if arguments > MOST_ARGUMENTS {
            let text = format!("job {job} has more tables and batches than a checkpoint in Redis takes at once");
            return Err(Failure::new(Code::PlanRefused, text).remedy("Split the job, or make its batches larger."));
        }
        Ok(call)
    }

    pub(super) fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> ScriptInvocation<'a> {
        let mut call = self.of(&self.scripts.complete, job);
        add_batch(&mut call, batch);
        call.arg(rows.min(LARGEST)).arg(bytes.min(LARGEST));
        call
    }

    /// `call_id` tells this try from others, however often the call is repeated.
    pub(super) fn attempt(&self, job: &JobId, batch: &BatchId, call_id: &str) -> ScriptInvocation<'a> {
        let [_, _, attempts, _] = self.keys.job(job.as_str());
        let mut call = self.scripts.attempt.prepare_invoke();
        call.key(attempts).arg(self.retention).arg(field(batch)).arg(call_id);
        call
    }

    pub(super) fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> ScriptInvocation<'a> {
        let mut call = self.of(&self.scripts.park, job);
        add_batch(&mut call, batch);
        let text = failure.map(|failure| {
            serde_json::to_string(failure).expect("failures have string keys and serialise without failing")
        });
        call.arg(text.unwrap_or_default());
        call
    }

    pub(super) fn pause(&self, job: &JobId, paused: bool) -> ScriptInvocation<'a> {
        let mut call = self.scripts.pause.prepare_invoke();
        call.key(&self.keys.job(job.as_str())[..2])
            .arg(self.retention)
            .arg(u8::from(paused));
        call
    }

    pub(super) fn progress(&self, job: &JobId) -> ScriptInvocation<'a> {
        self.of(&self.scripts.progress, job)
    }
}

fn add_batch(call: &mut ScriptInvocation<'_>, batch: &BatchId) {
    let (page, byte, mask) = place(batch.batch);
    call.arg(batch.table.as_str())
        .arg(batch.generation.0)
        .arg(batch.batch.0);
    // Lua counts from one.
    call.arg(page).arg(byte + 1).arg(mask);
}

/// What `complete` has answered.
pub(super) enum Answer {
    Completion(Completion),
    /// The table has so many batches.
    Outside(String),
}

pub(super) fn completion(value: Value) -> std::result::Result<Answer, Misread> {
    let parts = Vec::<Value>::from_redis_value(value).map_err(|error| error.to_string())?;
    let mut parts = parts.into_iter();
    let word: String = next(&mut parts)?;
    Ok(match word.as_str() {
        "unknown" => Answer::Completion(Completion::Unknown),
        "stale" => Answer::Completion(Completion::Stale),
        "outside" => Answer::Outside(next(&mut parts)?),
        "recorded" => Answer::Completion(Completion::Recorded {
            new: next::<u8>(&mut parts)? == 1,
            remaining: next(&mut parts)?,
        }),
        "damaged" => return Err(format!("page {} of done batches", next::<String>(&mut parts)?)),
        other => return Err(format!("the answer `{other}`")),
    })
}

fn next<T: FromRedisValue>(parts: &mut impl Iterator<Item = Value>) -> std::result::Result<T, Misread> {
    let value = parts.next().ok_or("an answer that ends early")?;
    T::from_redis_value(value).map_err(|error| error.to_string())
}

pub(super) fn progress(value: Value) -> std::result::Result<Option<Progress>, Misread> {
    let parts = Vec::<Value>::from_redis_value(value).map_err(|error| error.to_string())?;
    if parts.is_empty() {
        return Ok(None);
    }
    let mut parts = parts.into_iter();
    let mut progress = Progress {
        total: next(&mut parts)?,
        done: next(&mut parts)?,
        rows: next(&mut parts)?,
        bytes: next(&mut parts)?,
        paused: next::<u8>(&mut parts)? == 1,
        parked: Vec::new(),
    };
    while parts.len() > 0 {
        let (id, failure): (String, String) = (next(&mut parts)?, next(&mut parts)?);
        let unreadable = || format!("the parked batch {id}");
        let batch = batch_of(&id).ok_or_else(unreadable)?;
        progress
            .parked
            .push((batch, serde_json::from_str(&failure).map_err(|_| unreadable())?));
    }
    progress
        .parked
        .sort_by(|(a, _), (b, _)| (&a.table, a.batch).cmp(&(&b.table, b.batch)));
    Ok(Some(progress))
}

/// The name of a batch within its job: `TABLE/GENERATION/BATCH`.
fn field(batch: &BatchId) -> String {
    format!("{}/{}/{}", batch.table, batch.generation.0, batch.batch.0)
}

fn batch_of(field: &str) -> Option<BatchId> {
    let mut parts = field.rsplitn(3, '/');
    let (batch, generation, table) = (parts.next()?, parts.next()?, parts.next()?);
    Some(BatchId {
        table: TableSegment::parse(table)?,
        generation: Generation(generation.parse().ok()?),
        batch: BatchIndex(batch.parse().ok()?),
    })
}

fn pages_of(state: &TableState) -> Result<BTreeMap<u64, [u8; PAGE_BYTES]>> {
    let mut pages = BTreeMap::new();
    for batch in &state.done {
        if batch.0 >= state.batches {
            return Err(outside(&state.table, *batch, &state.batches.to_string()));
        }
        let (page, byte, mask) = place(*batch);
        pages.entry(page).or_insert([0; PAGE_BYTES])[byte] |= mask;
    }
    Ok(pages)
}

pub(super) fn outside(table: &TableSegment, batch: BatchIndex, batches: &str) -> Failure {
    let text = format!("batch {} of {table} is not among its {batches} batches", batch.0);
    Failure::new(Code::Defect, text)
}

/// Page, byte and bit of a batch.
fn place(batch: BatchIndex) -> (u64, usize, u8) {
    let within = batch.0 % PAGE_BATCHES;
    (batch.0 / PAGE_BATCHES, (within / 8) as usize, 1 << (within % 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_batches_read_back() {
        let table = TableSegment::parse("public.t").unwrap();
        let batch = BatchId {
            table,
            generation: Generation(3),
            batch: BatchIndex((1 << 40) - 1),
        };
        assert_eq!(field(&batch), "public.t/3/1099511627775");
        assert_eq!(batch_of(&field(&batch)), Some(batch));
        for wrong in ["", "t", "public.t/3", "public.t/x/1", "public.t/3/-1", "/3/1"] {
            assert_eq!(batch_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn batches_have_their_place() {
        let cases = [
            (0, (0, 0, 1)),
            (7, (0, 0, 128)),
            (8, (0, 1, 1)),
            (4095, (0, 511, 128)),
            (4096, (1, 0, 1)),
        ];
        for (batch, expected) in cases {
            assert_eq!(place(BatchIndex(batch)), expected, "{batch}");
        }
    }

    #[test]
    fn answers_that_are_not_ours_are_no_completion() {
        let words =
            |words: &[&str]| Value::Array(words.iter().map(|w| Value::BulkString(w.as_bytes().to_vec())).collect());
        for value in [
            Value::Nil,
            Value::Int(1),
            words(&[]),
            words(&["recorded"]),
            words(&["damaged", "t/1/0"]),
        ] {
            assert!(completion(value.clone()).is_err(), "{value:?}");
        }
    }
}
