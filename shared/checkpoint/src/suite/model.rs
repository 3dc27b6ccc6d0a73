//! What a checkpoint is, in the plainest words.

use std::collections::{BTreeMap, BTreeSet};

use sqlextract_model::{BatchIndex, Failure, Generation, JobId, TableSegment};

use crate::{BatchId, Completion, Progress, TableState};

#[derive(Debug, Default)]
pub(super) struct Model {
    jobs: BTreeMap<String, BTreeMap<TableSegment, Table>>,
    tried: BTreeMap<(String, TableSegment, Generation, BatchIndex), Tried>,
}

#[derive(Debug)]
struct Table {
    generation: Generation,
    batches: u64,
    done: BTreeSet<BatchIndex>,
    rows: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Tried {
    attempts: u32,
    failure: Option<Failure>,
}

fn key(job: &JobId, batch: &BatchId) -> (String, TableSegment, Generation, BatchIndex) {
    (job.to_string(), batch.table.clone(), batch.generation, batch.batch)
}

impl Model {
    pub(super) fn begin(&mut self, job: &JobId, states: &[TableState]) {
        let tables = self.jobs.entry(job.to_string()).or_default();
        tables.retain(|segment, _| states.iter().any(|state| state.table == *segment));
        for state in states {
            let table = tables.entry(state.table.clone()).or_insert(Table {
                generation: state.generation,
                batches: 0,
                done: BTreeSet::new(),
                rows: 0,
                bytes: 0,
            });
            if table.generation > state.generation {
                continue;
            }
            if table.generation < state.generation {
                (table.rows, table.bytes) = (0, 0);
            }
            table.generation = state.generation;
            table.batches = state.batches;
            table.done = state.done.iter().copied().collect();
            self.tried.retain(|(of, segment, generation, batch), _| {
                let elsewhere = of != job.as_str() || *segment != state.table;
                elsewhere
                    || *generation > state.generation
                    || (*generation == state.generation && !table.done.contains(batch))
            });
        }
    }

    pub(super) fn complete(&mut self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Completion {
        let Some(tables) = self.jobs.get_mut(job.as_str()) else {
            return Completion::Unknown;
        };
        let Some(table) = tables.get_mut(&batch.table) else {
            return Completion::Unknown;
        };
        if batch.generation < table.generation {
            return Completion::Stale;
        }
        if batch.generation > table.generation {
            return Completion::Unknown;
        }
        let new = table.done.insert(batch.batch);
        if new {
            table.rows += rows;
            table.bytes += bytes;
        }
        self.tried.remove(&key(job, batch));
        let remaining = tables
            .values()
            .map(|table| table.batches - table.done.len() as u64)
            .sum();
        Completion::Recorded { new, remaining }
    }

    pub(super) fn attempt(&mut self, job: &JobId, batch: &BatchId) -> u32 {
        let tried = self.tried.entry(key(job, batch)).or_default();
        tried.attempts += 1;
        tried.attempts
    }

    pub(super) fn park(&mut self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            self.tried.remove(&key(job, batch));
            return;
        };
        let table = self.jobs.get(job.as_str()).and_then(|tables| tables.get(&batch.table));
        let done = table.is_some_and(|t| t.generation == batch.generation && t.done.contains(&batch.batch));
        if !done {
            self.tried.entry(key(job, batch)).or_default().failure = Some(failure.clone());
        }
    }

    pub(super) fn progress(&self, job: &JobId) -> Option<Progress> {
        let tables = self.jobs.get(job.as_str())?;
        let parked = self
            .tried
            .iter()
            .filter_map(|((of, segment, generation, batch), tried)| {
                let table = tables.get(segment).filter(|table| table.generation == *generation)?;
                let id = BatchId {
                    table: segment.clone(),
                    generation: table.generation,
                    batch: *batch,
                };
                (of == job.as_str()).then_some((id, tried.failure.clone()?))
            });
        Some(Progress {
            total: tables.values().map(|table| table.batches).sum(),
            done: tables.values().map(|table| table.done.len() as u64).sum(),
            rows: tables.values().map(|table| table.rows).sum(),
            bytes: tables.values().map(|table| table.bytes).sum(),
            parked: parked.collect(),
            paused: false,
        })
    }
}
