//! Plans and plan pages that were read already: immutable, so that remembering them is safe.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sqlextract_model::{Batch, BatchMessage, Code, Digest, Failure, Result, TablePlan};
use sqlextract_storage::JobRecords;

/// Pages remembered at once: each is some hundred kilobytes at most.
const REMEMBERED: usize = 16;

/// The plan's hash and the page's number.
type PageKey = (Digest, u32);

#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    plans: Mutex<HashMap<Digest, Arc<TablePlan>>>,
    pages: Mutex<HashMap<PageKey, Arc<Vec<Batch>>>>,
}

impl PlanCache {
    /// The plan that the message refers to and the batch in it; refuses a plan whose hash is another.
    pub(crate) async fn batch(&self, records: &JobRecords, message: &BatchMessage) -> Result<(Arc<TablePlan>, Batch)> {
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
        Ok((plan, batch))
    }

    async fn plan(&self, records: &JobRecords, message: &BatchMessage) -> Result<Arc<TablePlan>> {
        if let Some(plan) = lock(&self.plans).get(&message.plan_hash) {
            return Ok(Arc::clone(plan));
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
        let mut plans = lock(&self.plans);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(message.plan_hash, Arc::clone(&plan));
        Ok(plan)
    }

    async fn page(&self, records: &JobRecords, plan: &TablePlan, message: &BatchMessage) -> Result<Arc<Vec<Batch>>> {
        let key = (message.plan_hash, message.page);
        if let Some(page) = lock(&self.pages).get(&key) {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(records.plan_page(plan, message.page).await?);
        let mut pages = lock(&self.pages);
        if pages.len() >= REMEMBERED {
            pages.clear();
        }
        pages.insert(key, Arc::clone(&page));
        Ok(page)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
