//! What can be done for records that are still to come, while others are waited for.

use sqlextract_model::{BatchIndex, Epoch, Generation, ObjectKey, PlanId, TableSegment};

use super::JobRecords;

impl JobRecords {
    /// Makes ready for a plan that is being made.
    pub async fn prepare_plan(&self, plan: PlanId, table: &TableSegment, generation: Generation) {
        let job = || self.job.clone();
        let page = ObjectKey::PlanPage {
            job: job(),
            plan,
            page: 0,
        };
        let head = ObjectKey::PlanHead {
            job: job(),
            table: table.clone(),
            generation,
        };
        self.storage.prepare(&[page.to_string(), head.to_string()]).await;
    }

    /// Makes ready for an epoch that is being opened.
    pub async fn prepare_epoch(&self, epoch: Epoch) {
        let job = self.job.clone();
        self.storage
            .prepare(&[ObjectKey::Epoch { job, epoch }.to_string()])
            .await;
    }

    /// Makes ready for the commit of a batch that is being read.
    pub async fn prepare_commit(&self, table: &TableSegment, of: Generation, batch: BatchIndex) {
        let commit = ObjectKey::Commit {
            job: self.job.clone(),
            table: table.clone(),
            generation: of,
            batch,
        };
        self.storage.prepare(&[commit.to_string()]).await;
    }
}
