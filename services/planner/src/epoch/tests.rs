use super::*;
use sqlextract_model::{
    Compression, Dialect, Epoch, FileFormat, Format, JobId, ParquetVersion, PlanId, Relation, SourceIdentity,
    TableName, segments,
};

fn plan(consistency: Consistency, rung: Rung) -> TablePlan {
    let table = TableName::new("public", "orders");
    TablePlan {
        version: 1,
        job: JobId::new("orders-1").unwrap(),
        segment: segments(std::slice::from_ref(&table)).remove(0),
        table: table.clone(),
        generation: Generation(2),
        epoch: Epoch(1),
        plan_id: PlanId(1),
        source: SourceIdentity {
            dialect: Dialect::Postgres,
            version: String::new(),
            location: String::new(),
            system: String::new(),
        },
        relation: Relation::Table(table),
        filter: None,
        columns: Vec::new(),
        row_key: Vec::new(),
        rung,
        reason: String::new(),
        batches: 10,
        estimated_rows: 0,
        estimated_bytes: 0,
        pages: Vec::new(),
        format: FileFormat {
            format: Format::Csv,
            compression: Compression::None,
            level: None,
            parquet_version: ParquetVersion::default(),
        },
        chunk_bytes: 1,
        consistency,
        evidence: Some(SnapshotEvidence("then".to_owned())),
        logged: true,
    }
}

fn decide(plan: &TablePlan, committed: u64, evidence: &str, policy: OnSnapshotLost) -> Result<Standing> {
    let evidence = SnapshotEvidence(evidence.to_owned());
    standing(TableStanding {
        plan: Some(plan),
        committed,
        evidence: Some(&evidence),
        policy,
    })
}

#[test]
fn a_table_without_a_plan_gets_its_first_generation() {
    let facts = TableStanding {
        plan: None,
        committed: 0,
        evidence: None,
        policy: OnSnapshotLost::Fail,
    };
    assert_eq!(standing(facts), Ok(Standing::Plan(Generation::FIRST)));
}

#[test]
fn what_is_fully_committed_is_never_read_again() {
    let plan = plan(Consistency::Snapshot, Rung::Blocks);
    assert_eq!(decide(&plan, 10, "now", OnSnapshotLost::Replan), Ok(Standing::Complete));
}

#[test]
fn a_lost_snapshot_keeps_the_plan_only_where_nothing_changed() {
    use OnSnapshotLost::{Auto, Continue, Replan};
    let blocks = plan(Consistency::Snapshot, Rung::Blocks);
    let keys = plan(Consistency::Snapshot, Rung::IntegerKey);
    let next = Standing::Plan(Generation(3));
    let cases = [
        (&blocks, "then", Auto, Standing::Keep),
        (&blocks, "now", Auto, next),
        (&keys, "now", Auto, next),
        (&keys, "then", Replan, next),
        (&blocks, "now", Continue, next),
        (&keys, "now", Continue, Standing::KeepAcrossInstants),
        (&keys, "then", Continue, Standing::Keep),
    ];
    for (plan, evidence, policy, expected) in cases {
        assert_eq!(decide(plan, 3, evidence, policy), Ok(expected), "{evidence} {policy:?}");
    }
}

#[test]
fn unlogged_rows_prove_nothing() {
    let plan = TablePlan {
        logged: false,
        ..plan(Consistency::Snapshot, Rung::Blocks)
    };
    assert_eq!(
        decide(&plan, 3, "then", OnSnapshotLost::Auto),
        Ok(Standing::Plan(Generation(3)))
    );
}

#[test]
fn plans_of_one_instant_per_batch_go_on() {
    let plan = plan(Consistency::Batch, Rung::IntegerKey);
    assert_eq!(decide(&plan, 3, "now", OnSnapshotLost::Fail), Ok(Standing::Keep));
}

#[test]
fn the_policy_may_be_to_fail() {
    let plan = plan(Consistency::Snapshot, Rung::Blocks);
    let failure = decide(&plan, 3, "now", OnSnapshotLost::Fail).unwrap_err();
    assert_eq!(failure.code, Code::SnapshotLost);
    assert!(failure.message.contains("3 of 10 batches"), "{failure}");
}
