//! Opening an epoch: a snapshot where the source has one, and a plan for every table that needs one.

use std::sync::Arc;

use sqlextract_checkpoint::TableState;
use sqlextract_model::{
    BatchIndex, Code, Consistency, Epoch, EpochRecord, EventKind, ExtractionRequest, Failure, JobRecord,
    OnSnapshotLost, Result, SnapshotEvidence, TablePlan, TickMessage,
};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::crash_point;
use sqlextract_source::Source;
use sqlextract_storage::{JobRecords, Stored};
use tokio::time::Instant;

use crate::Planner;
use crate::active::{ActiveJob, ActiveTable, DoneSet, KeptSnapshot};
use crate::announce::About;
use crate::epoch::{Standing, TableStanding, standing};
use crate::load::counters;
use crate::tables::TableToPlan;

/// A table as storage shows it before the epoch opens.
#[derive(Default)]
struct Found {
    plan: Option<Stored<TablePlan>>,
    committed: Vec<BatchIndex>,
}

impl Found {
    fn finished(&self) -> bool {
        self.plan
            .as_ref()
            .is_some_and(|p| self.committed.len() as u64 >= p.record.batches)
    }
}

impl Planner {
    /// Opens the job's next epoch and makes storage's truth the checkpoint's. `asked` carries what a resume may change.
    /// Of a job that is new, nothing is looked for in storage: whatever is there all the same, create-only writes find.
    pub(crate) async fn open(
        &self,
        records: &JobRecords,
        record: JobRecord,
        asked: &ExtractionRequest,
        is_new: bool,
    ) -> Result<Arc<ActiveJob>> {
        let opening = self.openings.acquire().await;
        let _opening = opening.expect("the semaphore is never closed");
        self.deactivate(&record.job);
        let (found, epochs) = match is_new {
            true => (record.tables.iter().map(|_| Found::default()).collect(), Vec::new()),
            false => tokio::try_join!(find_tables(records, &record), records.epochs())?,
        };
        let source = self.ports.source(&record.request.source)?;
        let unfinished = !found.iter().all(Found::finished);
        let (snapshot, epoch) = self
            .open_epoch(records, &record, (source.as_ref(), unfinished), &epochs)
            .await?;
        let standings = standings(&found, epoch.evidence.as_ref(), asked.on_snapshot_lost)?;
        if standings.iter().any(|s| s.lost_its_snapshot()) {
            self.announce_epoch(EventKind::SnapshotLost, &record, epoch.epoch)
                .await?;
        }
        let mut tables = Vec::with_capacity(found.len());
        for ((table, found), standing) in record.tables.iter().zip(found).zip(standings) {
            self.report_standing(&table.name, standing, found.plan.as_ref().map(|p| &p.record), asked);
            tables.push(match (standing, found.plan) {
                (Standing::Plan(generation), _) => {
                    let (batch_rows, chunk_bytes) = (asked.batch_rows, asked.chunk_bytes);
                    let (record, epoch) = (&record, &epoch);
                    let to_plan = TableToPlan {
                        record,
                        table,
                        generation,
                        epoch,
                        batch_rows,
                        chunk_bytes,
                    };
                    let plan = self
                        .create_plan(records, to_plan, snapshot.as_ref().map(|kept| kept.snapshot.token()))
                        .await?;
                    ActiveTable {
                        plan,
                        done: DoneSet::default(),
                    }
                }
                (_, Some(plan)) => ActiveTable {
                    plan,
                    done: DoneSet::from_sorted(&found.committed),
                },
                (_, None) => {
                    return Err(Failure::new(Code::Defect, "a table without a plan was not planned").table(&table.name));
                }
            });
        }
        let open = self.activate(ActiveJob::new(
            record,
            tables,
            epoch.epoch,
            snapshot,
            self.ports.surroundings.random()?,
        ));
        self.begin_checkpoint(&open).await?;
        self.report_plans(&open);
        Ok(open)
    }

    /// A snapshot, where anything is to be read, and the epoch that it belongs to.
    async fn open_epoch(
        &self,
        records: &JobRecords,
        record: &JobRecord,
        (source, reads): (&dyn Source, bool),
        known: &[EpochRecord],
    ) -> Result<(Option<KeptSnapshot>, EpochRecord)> {
        let next = JobRecords::next_epoch(known);
        let (snapshot, counters) = match reads {
            true => {
                let (snapshot, counters, ()) = tokio::join!(
                    take_snapshot(source, record.request.consistency),
                    counters(source, record),
                    records.prepare_epoch(next)
                );
                (snapshot, counters)
            }
            false => (Ok(None), None),
        };
        let snapshot = snapshot?;
        let epoch = EpochRecord {
            epoch: next,
            evidence: snapshot.as_ref().map(|kept| kept.snapshot.evidence().clone()),
            opened_at: self.ports.surroundings.utc_now(),
            counters,
        };
        let epoch = create_epoch(records, epoch).await?;
        Ok((snapshot, epoch))
    }

    /// Tells of an epoch that was opened, and starts its first round.
    pub(crate) async fn start_first_round(&self, open: &ActiveJob) -> Result<()> {
        let planned = self.announce_epoch(EventKind::Planned, &open.record, open.epoch);
        let (planned, started) = tokio::join!(planned, self.start_round(open));
        planned.and(started)
    }

    async fn announce_epoch(&self, kind: EventKind, record: &JobRecord, epoch: Epoch) -> Result<()> {
        let about = About::record(record);
        let what = format!("epoch-{}", epoch.0);
        self.announce(kind, &about, &what, about.data()).await
    }

    async fn begin_checkpoint(&self, open: &ActiveJob) -> Result<()> {
        let states: Vec<TableState> = open.tables.iter().map(table_state).collect();
        self.ports.checkpoint.begin(&open.record.job, &states).await
    }

    /// Looks at storage again within the same epoch, gives the checkpoint what it shows, and starts a new round.
    pub(crate) async fn refresh(&self, records: &JobRecords, open: &ActiveJob) -> Result<()> {
        let mut tables = Vec::with_capacity(open.tables.len());
        for table in &open.tables {
            let plan = table.plan.clone();
            let committed = records.committed(&plan.record.segment, plan.record.generation).await?;
            tables.push(ActiveTable {
                plan,
                done: DoneSet::from_sorted(&committed),
            });
        }
        let (record, snapshot) = (open.record.clone(), open.snapshot.clone());
        let open = self.activate(ActiveJob::new(
            record,
            tables,
            open.epoch,
            snapshot,
            self.ports.surroundings.random()?,
        ));
        self.begin_checkpoint(&open).await?;
        self.start_round(&open).await
    }

    /// Starts a round of the fan-out: every batch that is not done is published once.
    pub(crate) async fn start_round(&self, open: &ActiveJob) -> Result<()> {
        let destination = open.record.request.destination.clone();
        let job = open.record.job.clone();
        crash_point("before_first_tick");
        self.publish_tick(&TickMessage::start(job, destination, open.round, open.done()))
            .await?;
        open.begin();
        crash_point("after_first_tick");
        Ok(())
    }

    pub(crate) async fn publish_tick(&self, tick: &TickMessage) -> Result<()> {
        let body = serde_json::to_vec(tick).expect("ticks have string keys and serialise without failing");
        let id = format!("{}-tick-{:016x}-{}", tick.job, tick.round, tick.position);
        let message = Message::new(id, body).job(&tick.job);
        self.ports.queue.publish(&QueueName::Ticks, message).await
    }
}

fn standings(found: &[Found], evidence: Option<&SnapshotEvidence>, policy: OnSnapshotLost) -> Result<Vec<Standing>> {
    let facts = |found: &Found| {
        let committed = found.committed.len() as u64;
        standing(TableStanding {
            plan: found.plan.as_ref().map(|p| &p.record),
            committed,
            evidence,
            policy,
        })
    };
    found.iter().map(facts).collect::<Result<_>>()
}

fn table_state(table: &ActiveTable) -> TableState {
    let plan = &table.plan.record;
    let done = (0..plan.batches)
        .filter(|b| table.done.contains(*b))
        .map(BatchIndex)
        .collect();
    TableState {
        table: plan.segment.clone(),
        generation: plan.generation,
        batches: plan.batches,
        done,
    }
}

async fn find_tables(records: &JobRecords, record: &JobRecord) -> Result<Vec<Found>> {
    let mut found = Vec::with_capacity(record.tables.len());
    for table in &record.tables {
        let plan = records.latest_plan(&table.segment).await?;
        let committed = match &plan {
            Some(plan) => records.committed(&table.segment, plan.record.generation).await?,
            None => Vec::new(),
        };
        found.push(Found { plan, committed });
    }
    Ok(found)
}

/// Stores the epoch after those that are known; another process may have taken its number.
async fn create_epoch(records: &JobRecords, mut epoch: EpochRecord) -> Result<EpochRecord> {
    while !records.create_epoch(&epoch).await?.ours {
        epoch.epoch = epoch.epoch.next();
    }
    Ok(epoch)
}

async fn take_snapshot(source: &dyn Source, asked: Option<Consistency>) -> Result<Option<KeptSnapshot>> {
    if asked == Some(Consistency::Batch) {
        return Ok(None);
    }
    match source.snapshot().await? {
        Some(snapshot) => Ok(Some(KeptSnapshot {
            snapshot: Arc::from(snapshot),
            since: Instant::now(),
        })),
        None if asked == Some(Consistency::Snapshot) => Err(Failure::new(
            Code::PlanRefused,
            format!(
                "{} has no snapshot that several connections can share",
                source.dialect()
            ),
        )
        .remedy("Use `--consistency batch`: each batch is then one instant of its own.")),
        None => Ok(None),
    }
}
