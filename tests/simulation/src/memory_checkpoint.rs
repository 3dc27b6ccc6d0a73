//! A checkpoint store in memory, which can forget.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_checkpoint::{BatchId, Checkpoint, Completion, Lease, Progress, TableState};
use sqlextract_model::{BatchIndex, Code, Failure, Generation, JobId, Result, TableSegment};
use tokio::time::Instant;

/// What a crash may undo, where it undoes something.
const LAST_SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct MemoryCheckpoint {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// What was before each change of the last second; `None` where nobody wants to go back.
    before: Option<VecDeque<(Instant, State)>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    jobs: BTreeMap<JobId, Job>,
    tried: BTreeMap<(JobId, TableSegment, Generation, BatchIndex), Tried>,
    leases: BTreeMap<String, (String, Instant)>,
}

#[derive(Debug, Clone, Default)]
struct Job {
    tables: BTreeMap<TableSegment, Table>,
    paused: bool,
}

#[derive(Debug, Clone)]
struct Table {
    generation: Generation,
    batches: u64,
    done: BTreeSet<BatchIndex>,
    rows: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Default)]
struct Tried {
    attempts: u32,
    failure: Option<Failure>,
}

impl MemoryCheckpoint {
    /// One that can go back by a second.
    pub fn with_a_past() -> Self {
        let inner = Inner {
            before: Some(VecDeque::new()),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// Forgets everything, as a server whose disk is gone.
    pub fn forget(&self) {
        let mut inner = self.lock();
        inner.state = State::default();
        inner.before = inner.before.as_ref().map(|_| VecDeque::new());
    }

    /// Forgets the changes of the last second, as a server that syncs once a second and dies.
    pub fn forget_the_last_second(&self) {
        let mut inner = self.lock();
        inner.trim();
        if let Some((_, before)) = inner.before.as_mut().and_then(|before| before.drain(..).next()) {
            inner.state = before;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut inner = self.lock();
        inner.trim();
        if inner.before.is_some() {
            let was = (Instant::now(), inner.state.clone());
            inner.before.get_or_insert_default().push_back(was);
        }
        change(&mut inner.state)
    }
}

impl Inner {
    fn trim(&mut self) {
        let Some(before) = &mut self.before else { return };
        while before.front().is_some_and(|(when, _)| when.elapsed() > LAST_SECOND) {
            before.pop_front();
        }
    }
}

fn inside(table: &TableSegment, batch: BatchIndex, batches: u64) -> Result<()> {
    if batch.0 < batches {
        return Ok(());
    }
    let text = format!("batch {} of {table} is not among its {batches} batches", batch.0);
    Err(Failure::new(Code::Defect, text))
}

impl State {
    fn begin(&mut self, job: &JobId, states: &[TableState]) {
        let known = self.jobs.entry(job.clone()).or_default();
        known
            .tables
            .retain(|segment, _| states.iter().any(|state| state.table == *segment));
        for state in states {
            let before = known.tables.get(&state.table);
            if before.is_some_and(|table| table.generation > state.generation) {
                continue;
            }
            let same = before.filter(|table| table.generation == state.generation);
            let (rows, bytes) = same.map_or((0, 0), |table| (table.rows, table.bytes));
            let table = Table {
                generation: state.generation,
                batches: state.batches,
                done: state.done.iter().copied().collect(),
                rows,
                bytes,
            };
            self.tried.retain(|(of, segment, generation, batch), _| {
                let settled =
                    *generation < table.generation || (*generation == table.generation && table.done.contains(batch));
                of != job || *segment != state.table || !settled
            });
            known.tables.insert(state.table.clone(), table);
        }
    }

    fn complete(&mut self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let Some(known) = self.jobs.get_mut(job) else {
            return Ok(Completion::Unknown);
        };
        let Some(table) = known.tables.get_mut(&batch.table) else {
            return Ok(Completion::Unknown);
        };
        if batch.generation != table.generation {
            let older = batch.generation < table.generation;
            return Ok(if older { Completion::Stale } else { Completion::Unknown });
        }
        inside(&batch.table, batch.batch, table.batches)?;
        let new = table.done.insert(batch.batch);
        if new {
            table.rows += rows;
            table.bytes += bytes;
        }
        self.tried.remove(&key(job, batch));
        let tables = known.tables.values();
        let remaining = tables.map(|table| table.batches - table.done.len() as u64).sum();
        Ok(Completion::Recorded { new, remaining })
    }

    fn park(&mut self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            self.tried.remove(&key(job, batch));
            return;
        };
        let table = self.jobs.get(job).and_then(|known| known.tables.get(&batch.table));
        let done = table.is_some_and(|t| t.generation == batch.generation && t.done.contains(&batch.batch));
        if !done {
            self.tried.entry(key(job, batch)).or_default().failure = Some(failure.clone());
        }
    }

    fn progress(&self, job: &JobId) -> Option<Progress> {
        let known = self.jobs.get(job)?;
        let tables = || known.tables.values();
        let mut progress = Progress {
            total: tables().map(|table| table.batches).sum(),
            done: tables().map(|table| table.done.len() as u64).sum(),
            rows: tables().map(|table| table.rows).sum(),
            bytes: tables().map(|table| table.bytes).sum(),
            parked: Vec::new(),
            paused: known.paused,
        };
        for ((of, segment, generation, batch), tried) in &self.tried {
            let current = known.tables.get(segment).is_some_and(|t| t.generation == *generation);
            if let (true, true, Some(failure)) = (of == job, current, &tried.failure) {
                let id = BatchId {
                    table: segment.clone(),
                    generation: *generation,
                    batch: *batch,
                };
                progress.parked.push((id, failure.clone()));
            }
        }
        Some(progress)
    }

    fn lease(&mut self, name: &str, holder: &str, time_to_live: Duration) -> Lease {
        let now = Instant::now();
        let held = self.leases.get(name).filter(|(_, until)| *until > now);
        if let Some((other, _)) = held.filter(|(other, _)| other != holder) {
            return Lease::Busy { holder: other.clone() };
        }
        if time_to_live.is_zero() {
            self.leases.remove(name);
        } else {
            let until = now + time_to_live;
            self.leases.insert(name.to_owned(), (holder.to_owned(), until));
        }
        Lease::Held
    }
}

fn key(job: &JobId, batch: &BatchId) -> (JobId, TableSegment, Generation, BatchIndex) {
    (job.clone(), batch.table.clone(), batch.generation, batch.batch)
}

#[async_trait]
impl Checkpoint for MemoryCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        for state in tables {
            let mut done = state.done.iter();
            done.try_for_each(|batch| inside(&state.table, *batch, state.batches))?;
        }
        self.change(|state| state.begin(job, tables));
        Ok(())
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        self.change(|state| state.complete(job, batch, rows, bytes))
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        Ok(self.change(|state| {
            let tried = state.tried.entry(key(job, batch)).or_default();
            tried.attempts += 1;
            tried.attempts
        }))
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        self.change(|state| state.park(job, batch, failure));
        Ok(())
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        Ok(self.change(|state| {
            let known = state.jobs.get_mut(job);
            known.map(|known| known.paused = paused).is_some()
        }))
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        Ok(self.lock().state.progress(job))
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        Ok(self.change(|state| state.lease(name, holder, time_to_live)))
    }
}
