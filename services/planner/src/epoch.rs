//! What becomes of each table's plan when a job opens an epoch: at its start, on resume, after a lost snapshot.

use sqlextract_model::{
    Code, Consistency, Failure, Generation, OnSnapshotLost, Result, Rung, SnapshotEvidence, TablePlan,
};

/// What is known about a table when an epoch opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableStanding<'a> {
    pub(crate) plan: Option<&'a TablePlan>,
    pub(crate) committed: u64,
    /// Of the snapshot that the epoch opens with.
    pub(crate) evidence: Option<&'a SnapshotEvidence>,
    pub(crate) policy: OnSnapshotLost,
}

/// What the epoch does with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every batch is committed; nothing is read again.
    Complete,
    /// The plan holds in this epoch: its missing batches are read.
    Keep,
    /// The plan holds only because the user chose so: its rows are of several instants from here on.
    KeepAcrossInstants,
    /// The table is planned (again), and this generation opens.
    Plan(Generation),
}

impl Standing {
    /// Rows that were read before no longer share their instant with those still to come.
    pub(crate) fn lost_its_snapshot(self) -> bool {
        match self {
            Self::Complete | Self::Keep => false,
            Self::KeepAcrossInstants => true,
            Self::Plan(generation) => generation > Generation::FIRST,
        }
    }
}

/// Decides from facts alone; fails with `snapshot_lost` where the policy says so.
pub(crate) fn standing(facts: TableStanding<'_>) -> Result<Standing> {
    let Some(plan) = facts.plan else {
        return Ok(Standing::Plan(Generation::FIRST));
    };
    if facts.committed >= plan.batches {
        return Ok(Standing::Complete);
    }
    if plan.consistency == Consistency::Batch {
        return Ok(Standing::Keep);
    }
    let unchanged = plan.logged && plan.evidence.is_some() && plan.evidence.as_ref() == facts.evidence;
    let replan = Standing::Plan(plan.generation.next());
    match facts.policy {
        OnSnapshotLost::Auto if unchanged => Ok(Standing::Keep),
        OnSnapshotLost::Auto | OnSnapshotLost::Replan => Ok(replan),
        // Rows move between blocks: block ranges under another snapshot could lose or double them.
        OnSnapshotLost::Continue if plan.rung == Rung::Blocks && !unchanged => Ok(replan),
        OnSnapshotLost::Continue if unchanged => Ok(Standing::Keep),
        OnSnapshotLost::Continue => Ok(Standing::KeepAcrossInstants),
        OnSnapshotLost::Fail => Err(Failure::new(
            Code::SnapshotLost,
            format!(
                "the snapshot of {} is gone with {} of {} batches read",
                plan.table, facts.committed, plan.batches
            ),
        )
        .table(&plan.table)),
    }
}

#[cfg(test)]
mod tests;
