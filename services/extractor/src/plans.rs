//! Plans and plan pages that were read already: immutable, so that remembering them is safe.

use std::sync::Arc;

use sqlextract_model::{Batch, BatchMessage, Code, Digest, Failure, Result, TablePlan};
use sqlextract_storage::JobRecords;

use crate::remembered::Remembered;

/// Pages remembered at once: each is some hundred kilobytes at most.
const REMEMBERED: usize = 16;

/// The plan's hash and the page's number.
type PageKey = (Digest, u32);

/// A batch with what was planned around it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Arc<TablePlan>,
    pub(crate) page: Arc<Vec<Batch>>,
    pub(crate) batch: Batch,
}

#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    plans: Remembered<Digest, Arc<TablePlan>, REMEMBERED>,
    pages: Remembered<PageKey, Arc<Vec<Batch>>, REMEMBERED>,
}

impl PlanCache {
    /// The plan that the message refers to, the batch in it, and the page that it is on; refuses a plan whose hash is
    /// another.
    pub(crate) async fn batch(&self, records: &JobRecords, message: &BatchMessage) -> Result<Planned> {
        let plan = self.plan(records, message).await?;
        let page = self.page(records, &plan, message).await?;
        let batch = page.iter().find(|batch| batch.index == message.batch).cloned();
        let batch = batch.ok_or_else(|| {
            let text = format!(
                "page {} of the plan of {} has no batch {}",
                message.page, message.table, message.batch.0
            );
            Failure::new(Code::ManifestUnreadable, text).table(&message.table)
        })?;
        Ok(Planned { plan, page, batch })
    }

    async fn plan(&self, records: &JobRecords, message: &BatchMessage) -> Result<Arc<TablePlan>> {
        if let Some(plan) = self.plans.get(&message.plan_hash) {
            return Ok(plan);
        }
        let stored = records
            .plan(&message.segment, message.generation)
            .await?
            .ok_or_else(|| {
                Failure::new(
                    Code::StorageMissing,
                    format!("the plan of {} is missing", message.table),
                )
                .table(&message.table)
            })?;
        if stored.sha256 != message.plan_hash {
            let text = format!("the plan of {} is not the one that the message names", message.table);
            return Err(Failure::new(Code::ManifestUnreadable, text).table(&message.table));
        }
        let plan = Arc::new(stored.record);
        self.plans.insert(message.plan_hash, Arc::clone(&plan));
        Ok(plan)
    }

    async fn page(&self, records: &JobRecords, plan: &TablePlan, message: &BatchMessage) -> Result<Arc<Vec<Batch>>> {
        let key = (message.plan_hash, message.page);
        if let Some(page) = self.pages.get(&key) {
            return Ok(page);
        }
        let page = Arc::new(records.plan_page(plan, message.page).await?);
        self.pages.insert(key, Arc::clone(&page));
        Ok(page)
    }
}
