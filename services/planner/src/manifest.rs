//! Building the manifest's head from plans and commit records: pure, one batch at a time.

use std::collections::HashMap;
use std::time::Duration;

use sqlextract_encoding::merge;
use sqlextract_model::{
    CommitRecord, Consistency, Digest, Epoch, EpochRecord, JobRecord, Manifest, ManifestPage, ManifestTable, Outcome,
    ReadLoads, Relation, SnapshotEvidence, SourceCounters, SourceLoad, TablePlan, Totals,
};

/// Collects tables in the job's order, each followed by its batches.
#[derive(Debug)]
pub(crate) struct ManifestBuilder<'a> {
    record: &'a JobRecord,
    evidence: HashMap<Epoch, Option<SnapshotEvidence>>,
    /// The evidence of the instant that each finished table shows.
    instants: Vec<Option<SnapshotEvidence>>,
    tables: Vec<ManifestTable>,
    loads: ReadLoads,
}

/// What the manifest says beside tables and batches.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) finished_at: String,
    pub(crate) created_by: String,
    pub(crate) single_writer: bool,
    pub(crate) snapshot_age: Option<Duration>,
    pub(crate) counters: SourceCounters,
}

impl<'a> ManifestBuilder<'a> {
    pub(crate) fn new(record: &'a JobRecord, epochs: &[EpochRecord]) -> Self {
        let evidence = epochs.iter().map(|e| (e.epoch, e.evidence.clone())).collect();
        Self {
            record,
            evidence,
            instants: Vec::new(),
            tables: Vec::new(),
            loads: ReadLoads::default(),
        }
    }

    pub(crate) fn table(&mut self, plan: &TablePlan, plan_hash: Digest) {
        self.instants.push(plan.evidence.clone());
        let query = match &plan.relation {
            Relation::Query(sql) => Some(sql.clone()),
            Relation::Table(_) => None,
        };
        self.tables.push(ManifestTable {
            table: plan.table.clone(),
            segment: plan.segment.clone(),
            generation: plan.generation,
            plan_hash,
            rung: plan.rung,
            consistency: plan.consistency,
            filter: plan.filter.clone(),
            query,
            columns: plan.columns.clone(),
            aggregates: Vec::new(),
            totals: Totals::default(),
        });
    }

    /// A batch of the table that came last.
    pub(crate) fn batch(&mut self, commit: &CommitRecord) {
        let (Some(table), Some(instant)) = (self.tables.last_mut(), self.instants.last()) else {
            return;
        };
        let epoch = self.evidence.get(&commit.epoch).and_then(Option::as_ref);
        // Another epoch counts as the same instant only where the database proved that nothing had changed.
        if instant.is_none() || epoch != instant.as_ref() {
            table.consistency = Consistency::Batch;
        }
        table.totals.add_batch(commit.rows, &commit.chunks);
        self.loads.add(commit.load.as_ref());
        if table.aggregates.is_empty() {
            table.aggregates.clone_from(&commit.columns);
            return;
        }
        for ((total, part), column) in table.aggregates.iter_mut().zip(&commit.columns).zip(&table.columns) {
            *total = merge(total, part, &column.chunk);
        }
    }

    pub(crate) fn finish(self, pages: Vec<ManifestPage>, ending: Ending) -> Manifest {
        let mut totals = Totals::default();
        self.tables.iter().for_each(|table| totals.add(&table.totals));
        let age = ending
            .snapshot_age
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let load = SourceLoad {
            snapshot_age_ms: age,
            counters: ending.counters,
            ..self.loads.together()
        };
        Manifest {
            version: 1,
            created_by: ending.created_by,
            job: self.record.job.clone(),
            outcome: ending.outcome,
            started_at: self.record.accepted_at.clone(),
            finished_at: ending.finished_at,
            source: self.record.source.clone(),
            consistency: self.consistency().to_owned(),
            format: self.record.request.format,
            single_writer: ending.single_writer,
            tables: self.tables,
            pages,
            totals,
            source_load: Some(load).filter(|load| *load != SourceLoad::default()),
            failures: Vec::new(),
        }
    }

    fn consistency(&self) -> &'static str {
        if self.tables.iter().any(|t| t.consistency == Consistency::Batch) {
            return "batch";
        }
        if self.instants.windows(2).all(|pair| pair[0] == pair[1]) {
            "snapshot"
        } else {
            "snapshot per table"
        }
    }
}
