//! What a job puts on its source, as the source's server counts it.

use std::time::Duration;

use sqlextract_model::{EpochRecord, JobRecord, Relation, SourceCounters};
use sqlextract_source::Source;

/// An answer that takes longer is missing; no job waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has been counted so far about the job's tables. It is no reason for a job to fail.
pub(crate) async fn counters(source: &dyn Source, record: &JobRecord) -> Option<SourceCounters> {
    let relations: Vec<Relation> = record.tables.iter().map(|table| table.relation.clone()).collect();
    match tokio::time::timeout(PATIENCE, source.counters(&relations)).await {
        Ok(Ok(counters)) => Some(counters).filter(|told| *told != SourceCounters::default()),
        Ok(Err(failure)) => {
            tracing::debug!(job.id = %record.job, error.code = %failure.code, "the source's statistics cannot be read: {failure}");
            None
        }
        Err(_) => {
            tracing::debug!(job.id = %record.job, "the source's statistics do not arrive");
            None
        }
    }
}

/// What was counted since the job began, whoever caused it.
pub(crate) fn since_the_beginning(epochs: &[EpochRecord], now: Option<SourceCounters>) -> SourceCounters {
    let first = epochs.iter().min_by_key(|epoch| epoch.epoch);
    match (first.and_then(|epoch| epoch.counters), now) {
        (Some(earlier), Some(now)) => now.since(&earlier),
        _ => SourceCounters::default(),
    }
}

#[cfg(test)]
mod tests {
    use sqlextract_model::Epoch;

    use super::*;

    #[test]
    fn a_job_is_counted_from_its_first_epoch() {
        let counters = |blocks| SourceCounters {
            blocks_read: Some(blocks),
            table_blocks: Some(5),
            temporary_bytes: None,
            counted_since: None,
        };
        let epoch = |epoch, counters| EpochRecord {
            epoch,
            evidence: None,
            opened_at: String::new(),
            counters,
        };
        let epochs = [
            epoch(Epoch::FIRST.next(), Some(counters(30))),
            epoch(Epoch::FIRST, Some(counters(10))),
        ];
        assert_eq!(since_the_beginning(&epochs, Some(counters(40))).blocks_read, Some(30));
        assert_eq!(since_the_beginning(&epochs, None), SourceCounters::default());
        let untold = [epoch(Epoch::FIRST, None)];
        assert_eq!(
            since_the_beginning(&untold, Some(counters(40))),
            SourceCounters::default()
        );
    }
}
