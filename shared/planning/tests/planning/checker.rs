//! The checker refuses what would lose or double rows.

use sqlextract_model::{
    Batch, BatchIndex, BlockLeaf, BlockRange, Dialect, KeyColumn, KeyKind, KeyValue, Range, TableFacts, TableName,
};
use sqlextract_planning::check;

use crate::table::{Collation, Estimates, Table, batches, column, plan};

fn nullable_table() -> Table {
    let rows = (0..1_000)
        .map(|i| vec![(i % 10 != 0).then_some(KeyValue::Integer(i))])
        .collect();
    Table::new(
        vec![column("id", KeyKind::Integer, true)],
        Collation::Bytes,
        Estimates::None,
        rows,
    )
}

fn refused(plan: Vec<Batch>, facts: &TableFacts, why: &str) {
    let failure = check(plan, facts).unwrap_err();
    assert_eq!(failure.code.as_str(), "plan_unsound");
    assert!(
        failure.message.contains(why),
        "`{}` should say `{why}`",
        failure.message
    );
    assert_eq!(failure.table.as_deref(), Some("public.t"));
}

fn renumbered(mut plan: Vec<Batch>) -> Vec<Batch> {
    for (i, batch) in plan.iter_mut().enumerate() {
        batch.index = BatchIndex(i as u64);
    }
    plan
}

fn bounds(
    batch: &mut Batch,
) -> (
    &mut Vec<KeyColumn>,
    &mut Option<Vec<KeyValue>>,
    &mut Option<Vec<KeyValue>>,
) {
    match &mut batch.range {
        Range::Keys(range) => (&mut range.columns, &mut range.lower, &mut range.upper),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mutated_key_plans_are_refused() {
    let table = nullable_table();
    let facts = table.facts();
    let (split, _) = plan(&table, Dialect::Mysql, 100);
    let plan = batches(&split);
    assert!(plan.len() > 5 && matches!(plan.last().unwrap().range, Range::KeyIsNull(_)));
    check(plan.clone(), &facts).unwrap();

    let with = |change: &dyn Fn(&mut Vec<Batch>)| {
        let mut plan = plan.clone();
        change(&mut plan);
        renumbered(plan)
    };
    let shifted = |by: i128| {
        with(&|plan| match bounds(&mut plan[3]).1.as_mut().unwrap().as_mut_slice() {
            [KeyValue::Integer(value)] => *value += by,
            other => panic!("{other:?}"),
        })
    };
    refused(shifted(1), &facts, "does not begin where");
    refused(shifted(-1), &facts, "does not begin where");
    refused(with(&|plan| drop(plan.remove(2))), &facts, "does not begin where");
    refused(
        with(&|plan| plan.insert(2, plan[2].clone())),
        &facts,
        "does not begin where",
    );
    refused(with(&|plan| plan.swap(1, 2)), &facts, "does not begin where");
    refused(
        with(&|plan| *bounds(&mut plan[0]).1 = Some(vec![KeyValue::Integer(0)])),
        &facts,
        "not open below",
    );
    let last = plan.len() - 2;
    refused(
        with(&|plan| *bounds(&mut plan[last]).2 = Some(vec![KeyValue::Integer(9_999)])),
        &facts,
        "behind the last",
    );
    refused(with(&|plan| drop(plan.pop())), &facts, "no batch reads its NULLs");
    refused(
        with(&|plan| plan.push(plan.last().unwrap().clone())),
        &facts,
        "one batch",
    );
    refused(
        with(&|plan| bounds(&mut plan[1]).0[0].name = "other".to_owned()),
        &facts,
        "not that of the batch before",
    );
    refused(with(&|plan| plan[1].range = Range::All), &facts, "of another kind");
    refused(
        with(&|plan| bounds(&mut plan[0]).2.as_mut().unwrap().clear()),
        &facts,
        "has no value",
    );
    refused(Vec::new(), &facts, "no batch");
    let mut misnumbered = plan.clone();
    misnumbered[2].index = BatchIndex(7);
    refused(misnumbered, &facts, "stands where batch 2 belongs");
    let backwards = with(&|plan| {
        *bounds(&mut plan[2]).2 = Some(vec![KeyValue::Integer(-5)]);
        *bounds(&mut plan[3]).1 = Some(vec![KeyValue::Integer(-5)]);
    });
    refused(backwards, &facts, "ends before it begins");
}

#[test]
fn a_closed_end_is_refused_without_nulls_too() {
    let table = Table::integers(0..1_000, Estimates::None);
    let (split, _) = plan(&table, Dialect::Mysql, 100);
    let mut plan = batches(&split);
    *bounds(plan.last_mut().unwrap()).2 = Some(vec![KeyValue::Integer(1_000)]);
    refused(plan, &table.facts(), "not open above");
}

fn leaf(oid: u32) -> BlockLeaf {
    let name = TableName::new("public", format!("t{oid}"));
    BlockLeaf {
        oid,
        name,
        blocks: 100,
        estimated_rows: 1_000,
        heap: true,
    }
}

#[test]
fn mutated_block_plans_are_refused() {
    let facts = TableFacts {
        leaves: vec![leaf(1), leaf(2)],
        ..Table::integers([], Estimates::None).facts()
    };
    let range = |oid: u32, from, to| BlockRange {
        oid,
        name: leaf(oid).name,
        from,
        to,
    };
    let plan = |ranges: Vec<Vec<BlockRange>>| {
        let batch = |range| Batch {
            index: BatchIndex(0),
            range: Range::Blocks(range),
            estimated_rows: 1,
        };
        renumbered(ranges.into_iter().map(batch).collect())
    };
    check(
        plan(vec![
            vec![range(1, 0, Some(50))],
            vec![range(1, 50, None), range(2, 0, None)],
        ]),
        &facts,
    )
    .unwrap();
    let cases = [
        (vec![vec![range(1, 0, None)]], "last blocks"),
        (
            vec![vec![range(1, 0, Some(50))], vec![range(1, 51, None), range(2, 0, None)]],
            "one after the other",
        ),
        (
            vec![vec![range(1, 0, Some(50))], vec![range(1, 49, None), range(2, 0, None)]],
            "one after the other",
        ),
        (
            vec![vec![range(1, 0, Some(50)), range(1, 50, Some(100)), range(2, 0, None)]],
            "last blocks",
        ),
        (
            vec![vec![range(1, 0, None), range(2, 0, None), range(2, 0, None)]],
            "one after the other",
        ),
        (
            vec![vec![range(1, 0, None), range(2, 0, None), range(3, 0, None)]],
            "no leaf",
        ),
        (
            vec![vec![range(1, 0, Some(0)), range(1, 0, None), range(2, 0, None)]],
            "ends before",
        ),
        (
            vec![vec![range(1, 0, None), range(2, 0, None)], Vec::new()],
            "no blocks",
        ),
    ];
    for (ranges, why) in cases {
        refused(plan(ranges), &facts, why);
    }
    let twice = TableFacts {
        leaves: vec![leaf(1), leaf(1)],
        ..facts
    };
    refused(plan(vec![vec![range(1, 0, None)]]), &twice, "listed twice");
}
