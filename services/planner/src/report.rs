//! What a person is told about plans.

use sqlextract_model::{ExtractionRequest, TableName, TablePlan};
use sqlextract_runtime::{Severity, TableProgress};

use crate::Planner;
use crate::active::ActiveJob;
use crate::epoch::Standing;

impl Planner {
    pub(crate) fn report_plans(&self, open: &ActiveJob) {
        let tables: Vec<TableProgress> = open
            .tables
            .iter()
            .map(|table| TableProgress {
                table: table.plan.record.table.clone(),
                batches: table.plan.record.batches,
                done: table.done.count(),
                estimated_rows: table.plan.record.estimated_rows,
            })
            .collect();
        self.progress.planned(&open.record.job, &tables);
    }

    /// Says what a resume does with a table, where that may surprise.
    pub(crate) fn report_standing(
        &self,
        table: &TableName,
        standing: Standing,
        plan: Option<&TablePlan>,
        asked: &ExtractionRequest,
    ) {
        let Some(plan) = plan else { return };
        let job = &plan.job;
        match standing {
            Standing::Plan(generation) => {
                let text =
                    format!("{table}: its snapshot is gone and rows may have changed; planned again as {generation}");
                self.progress.note(job, Severity::Warning, &text);
            }
            Standing::KeepAcrossInstants => {
                let text =
                    format!("{table}: goes on under another snapshot, as chosen; its rows are of several instants");
                self.progress.note(job, Severity::Warning, &text);
            }
            Standing::Keep if asked.batch_rows.is_some() => {
                let text = format!("{table}: the stored plan of {} batches is kept", plan.batches);
                self.progress.note(job, Severity::Information, &text);
            }
            Standing::Keep | Standing::Complete => {}
        }
    }
}
