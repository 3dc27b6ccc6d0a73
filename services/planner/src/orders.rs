//! Orders about a job: cancel, pause, resume, give up.

use sqlextract_model::{Code, Failure, JobRecord, Order, OrderData, Result};
use sqlextract_storage::JobRecords;

use crate::Planner;

impl Planner {
    /// Does what was ordered. Twice is as good as once; an order about a finished job tells its outcome again, and one
    /// about no job changes nothing.
    pub(crate) async fn obey(&self, order: Order, data: &OrderData) -> Result<()> {
        let _turn = self.turns.take(&data.job).await;
        let Some((records, record)) = self.find_job(data).await? else {
            tracing::warn!(job.id = %data.job, order = ?order, "an order is about no job that there is");
            return Ok(());
        };
        if let Some(manifest) = records.manifest().await? {
            return self.announce_outcome(&records, &manifest).await;
        }
        match order {
            Order::Cancel => {
                records.cancel().await?;
                self.end_cancelled(&records, &record).await
            }
            Order::GiveUp => {
                let failures = self.parked_failures(&record).await?;
                self.end_failed(&records, &record, failures).await
            }
            Order::Pause => self.ports.checkpoint.pause(&data.job, true).await.map(drop),
            Order::Resume => {
                self.ports.checkpoint.pause(&data.job, false).await?;
                match self.active_job(&data.job) {
                    Some(open) => self.resume(&records, &open).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// What the job's parked batches failed for, or that somebody ended it.
    pub(crate) async fn parked_failures(&self, record: &JobRecord) -> Result<Vec<Failure>> {
        let progress = self.ports.checkpoint.progress(&record.job).await?.unwrap_or_default();
        let mut failures: Vec<Failure> = progress.parked.into_iter().map(|(_, failure)| failure).collect();
        let text = format!(
            "job {} was given up with {} of {} batches done",
            record.job, progress.done, progress.total
        );
        failures.push(Failure::new(Code::BatchesParked, text));
        Ok(failures)
    }

    async fn find_job(&self, data: &OrderData) -> Result<Option<(JobRecords, JobRecord)>> {
        let named = |name: &&String| data.destination.as_ref().is_none_or(|asked| asked == *name);
        for name in self.ports.destinations.keys().filter(named) {
            let records = self.records(name, &data.job)?;
            if let Some(record) = records.job_record().await? {
                return Ok(Some((records, record)));
            }
        }
        Ok(None)
    }
}
