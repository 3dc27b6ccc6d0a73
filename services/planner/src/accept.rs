//! From a request to a job: looked up, recorded, answered.

use std::sync::Arc;

use sqlextract_model::{
    Code, EventKind, ExtractionRequest, Failure, JobId, JobRecord, JobTable, Relation, Result, Selection, TableFacts,
    segments,
};
use sqlextract_runtime::crash_point;
use sqlextract_storage::{JobRecords, RequestClaim};

use crate::Planner;
use crate::active::ActiveJob;
use crate::announce::About;
use crate::policy::{RequestPolicy, refused};
use crate::tables::{filter_sql, mapped_columns};

impl Planner {
    /// Takes a request as often as it comes: the same job goes on, a finished one tells its outcome again.
    pub(crate) async fn accept(&self, request: &ExtractionRequest) -> Result<()> {
        let job = request.job_id();
        let _turn = self.turns.take(&job).await;
        let records = self.records(&request.destination, &job)?;
        let about = About::request(request);
        let (manifest, record) = tokio::try_join!(records.manifest(), records.job_record())?;
        let known = record.map(|record| same_request(record, request)).transpose()?;
        if let Some(manifest) = manifest {
            return self.announce_outcome(&records, &manifest).await;
        }
        let (record, is_new) = match known {
            Some(record) => {
                self.mark_open(&records).await?;
                (record, false)
            }
            None => {
                let record = self.look_up(request).await?;
                self.claim_id(request).await?;
                self.mark_open(&records).await?;
                crash_point("before_job_record");
                let stored = records.create_job_record(&record).await?;
                (same_request(stored.record, request)?, stored.ours)
            }
        };
        // Whoever hears that the job is accepted sees none of the failures that it had before.
        let revived = self.unpark(&job).await?;
        let accepted = self.announce(EventKind::Accepted, &about, "", about.data());
        match self.active_job(&job) {
            Some(open) if revived == 0 && open.has_begun() => accepted.await,
            // Its round is to begin anew, or never began: opening it failed half-way.
            Some(open) => {
                accepted.await?;
                self.refresh(&records, &open).await
            }
            None => {
                let opening = self.open(&records, record, request, is_new);
                let (accepted, open) = tokio::join!(accepted, opening);
                accepted?;
                let open = open?;
                self.start_first_round(&open).await
            }
        }
    }

    /// For those who take up jobs that nobody works at.
    async fn mark_open(&self, records: &JobRecords) -> Result<()> {
        match self.settings.adopt {
            true => records.mark_open().await,
            false => Ok(()),
        }
    }

    /// Asking again is how parked batches are tried again.
    pub(crate) async fn resume(&self, records: &JobRecords, open: &ActiveJob) -> Result<()> {
        match self.unpark(records.job()).await? {
            0 => Ok(()),
            _ => self.refresh(records, open).await,
        }
    }

    async fn unpark(&self, job: &JobId) -> Result<usize> {
        let progress = self.ports.checkpoint.progress(job).await?;
        let parked = progress.map(|p| p.parked).unwrap_or_default();
        for (batch, _) in &parked {
            self.ports.checkpoint.park(job, batch, None).await?;
        }
        Ok(parked.len())
    }

    /// An id stands for what was asked under it first, whatever it asks for later. The record is in the first of the
    /// settings' destinations, so that one that names another destination is found out too.
    async fn claim_id(&self, request: &ExtractionRequest) -> Result<()> {
        let (Some(origin), Some(home)) = (&request.origin, self.ports.destinations.values().next()) else {
            return Ok(());
        };
        let claim = RequestClaim {
            job: request.job_id(),
            identity: request.identity(),
        };
        let records = JobRecords::new(Arc::clone(home), claim.job.clone());
        let first = records.claim_request(origin.sender.digest(), &claim).await?;
        if first == claim {
            return Ok(());
        }
        let text = format!("another request came under this id before; it is job {}", first.job);
        Err(refused(text))
    }

    async fn look_up(&self, request: &ExtractionRequest) -> Result<JobRecord> {
        let source = self.ports.source(&request.source)?;
        let mut tables: Vec<JobTable> = Vec::new();
        let mut identity = None;
        for (selected_by, asked) in request.tables.iter().enumerate() {
            let facts = source.inspect(std::slice::from_ref(&asked.selection)).await?;
            for table in &facts.tables {
                if let RequestPolicy::Outside(rules) = &self.settings.requests
                    && let Some(rules) = rules.sources.get(&request.source)
                {
                    rules.check_found(&table.name)?;
                }
                // Columns and filters that cannot be had are told before the job is accepted.
                mapped_columns(source.dialect(), table, request, asked)?;
                filter_sql(source.dialect(), table, asked)?;
                if !tables.iter().any(|t| t.name == table.name) {
                    tables.push(job_table(table, &asked.selection, selected_by));
                }
            }
            identity = Some(facts.identity);
        }
        let Some(identity) = identity.filter(|_| !tables.is_empty()) else {
            return Err(Failure::new(Code::SourceObjectMissing, "the request selects no table"));
        };
        let names: Vec<_> = tables.iter().map(|t| t.name.clone()).collect();
        for (table, segment) in tables.iter_mut().zip(segments(&names)) {
            table.segment = segment;
        }
        Ok(JobRecord {
            version: 1,
            job: request.job_id(),
            request: request.clone(),
            source: identity,
            tables,
            accepted_at: self.ports.surroundings.utc_now(),
        })
    }
}

/// The job's record; refuses one of another request under the same name.
fn same_request(record: JobRecord, request: &ExtractionRequest) -> Result<JobRecord> {
    if record.request.identity() == request.identity() {
        return Ok(record);
    }
    Err(Failure::new(
        Code::StorageForeign,
        format!(
            "job {} in {} extracts something else: {}",
            record.job,
            request.destination,
            difference(&record, request)
        ),
    )
    .remedy("Choose another `--job` or `--output`, or make the request the one that the job was started with."))
}

fn job_table(table: &TableFacts, selection: &Selection, selected_by: usize) -> JobTable {
    let relation = match selection {
        Selection::Query { sql, .. } => Relation::Query(sql.clone()),
        Selection::Table { .. } | Selection::Schema(_) => Relation::Table(table.name.clone()),
    };
    // The segment follows once all names are known: a collision is seen only then.
    let segment = segments(std::slice::from_ref(&table.name)).remove(0);
    JobTable {
        name: table.name.clone(),
        segment,
        relation,
        selected_by,
    }
}

fn difference(record: &JobRecord, request: &ExtractionRequest) -> &'static str {
    let was = &record.request;
    if was.source != request.source {
        "from another source"
    } else if was.tables != request.tables {
        "other tables, columns or filters"
    } else if was.format != request.format {
        "in another format, version of Parquet or compression"
    } else {
        "with another consistency or handling of lossy types"
    }
}
