//! Plans of particular tables: what rung, how many batches, at what cost, and why.

use sqlextract_model::{
    BlockLeaf, Consistency, Dialect, KeyKind, KeyRange, KeyValue, Range, Rung, TableFacts, TableKind, TableName,
};
use sqlextract_planning::{Answer, Planner, Question, Split, check};

use crate::table::{Collation, Estimates, Row, Table, batches, column, options, plan, plan_with};

fn integer(value: i128) -> Option<KeyValue> {
    Some(KeyValue::Integer(value))
}

fn largest(table: &Table, split: &Split) -> u64 {
    split.iter().map(|batch| table.count(&batch.range)).max().unwrap()
}

/// A dense table of any size that costs no memory: ids from 1 to `rows`.
fn dense(rows: i128) -> impl Fn(&Question) -> Answer {
    let value = |key: &[KeyValue]| match key {
        [KeyValue::Integer(value)] => *value,
        other => panic!("{other:?}"),
    };
    let span = move |range: &KeyRange| {
        let from = range.lower.as_deref().map_or(1, value).clamp(1, rows + 1);
        let to = range.upper.as_deref().map_or(rows + 1, value).clamp(1, rows + 1);
        (from, to)
    };
    move |question| match question {
        Question::Bounds { .. } => Answer::Bounds(Some((vec![KeyValue::Integer(1)], vec![KeyValue::Integer(rows)]))),
        Question::NextKey { within, at_least } => {
            let (from, to) = span(within);
            let at = from.max(value(at_least));
            Answer::NextKey((at < to).then(|| vec![KeyValue::Integer(at)]))
        }
        Question::EstimateRows {
            range: Range::Keys(range),
        } => {
            let (from, to) = span(range);
            Answer::Rows(Some((to - from).max(0) as u64))
        }
        Question::EstimateRows { .. } => Answer::Rows(None),
        Question::Explain { .. } => Answer::Explain(None),
    }
}

fn leaf(oid: u32, blocks: u64) -> BlockLeaf {
    let name = TableName::new("public", format!("part_{oid}"));
    BlockLeaf {
        oid,
        name,
        blocks,
        estimated_rows: blocks * 80,
        heap: true,
    }
}

fn blocks_facts(leaves: Vec<BlockLeaf>) -> TableFacts {
    let blocks: u64 = leaves.iter().map(|leaf| leaf.blocks).sum();
    let facts = Table::integers([], Estimates::None).facts();
    TableFacts {
        estimated_rows: blocks * 80,
        estimated_bytes: blocks * 8192,
        leaves,
        ..facts
    }
}

#[test]
fn a_billion_rows_take_few_questions_and_their_batches_no_memory() {
    let facts = TableFacts {
        estimated_rows: 1_000_000_000,
        ..Table::integers([], Estimates::None).facts()
    };
    let (split, cost) = plan_with(&facts, Dialect::Mysql, options(1_000), dense(1_000_000_000));
    assert!(cost.questions <= 600 && cost.rounds <= 40, "{cost:?}");
    assert!((900_000..=1_100_000).contains(&split.batches), "{}", split.batches);
    // Taken from the middle without those before: a list would have to be made first.
    let batch = split.iter().nth(500_000).unwrap();
    assert!((900..=1_100).contains(&batch.estimated_rows), "{batch:?}");
    check(split.iter().take(3), &facts).unwrap_err();
    check(split.iter(), &facts).unwrap();
}

#[test]
fn sparse_ids_get_batches_by_rows_not_by_span() {
    for estimates in [Estimates::None, Estimates::Exact, Estimates::Useless] {
        let mut state = 1u64;
        let ids = (0..100_000i128).map(|i| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i * 10_000 + i128::from(state >> 33) % 10_000
        });
        let table = Table::integers(ids, estimates);
        let (split, cost) = plan(&table, Dialect::Mysql, 5_000);
        assert!(
            (15..=30).contains(&split.batches),
            "{} batches with {estimates:?}",
            split.batches
        );
        assert!(
            largest(&table, &split) <= 12_000,
            "{} with {estimates:?}",
            largest(&table, &split)
        );
        assert!(cost.questions <= 600, "{cost:?}");
    }
}

#[test]
fn clusters_far_apart_are_found() {
    let clusters = [
        (0, 30_000),
        (5_000_000_000, 50_000),
        (i128::from(i64::MAX) - 20_000, 20_000),
    ];
    let ids = clusters
        .iter()
        .flat_map(|(from, rows)| (0..*rows).map(move |i| from + i));
    let table = Table::integers(ids, Estimates::None);
    let (split, _) = plan(&table, Dialect::Sqlite, 10_000);
    assert!((8..=20).contains(&split.batches), "{}", split.batches);
    assert!(largest(&table, &split) <= 20_000, "{}", largest(&table, &split));
}

#[test]
fn a_clump_between_even_ids_is_found_by_the_optimizers_estimates() {
    // Half of the rows in a clump, the others far apart: look-ups at a distance see even gaps everywhere.
    for at in [1, 1_000_123_456] {
        let clump = (0..10_000).map(|i| at + i);
        let table = Table::integers(clump.chain((1..10_000).map(|i| i * 200_000)), Estimates::Exact);
        let (split, cost) = plan(&table, Dialect::Mysql, 1_000);
        assert!((15..=40).contains(&split.batches), "{}", split.batches);
        assert!(largest(&table, &split) <= 2_000, "{}", largest(&table, &split));
        assert!(cost.questions <= 600, "{cost:?}");
    }
}

#[test]
fn an_integer_key_of_few_values_is_refined_by_the_next_column() {
    for (estimates, dialect) in [(Estimates::Exact, Dialect::Mysql), (Estimates::None, Dialect::Sqlite)] {
        let tenants = [(7, 20_000), (1_000_000, 60_000), (2_000_000_000, 20_000)];
        let rows = tenants
            .iter()
            .flat_map(|(tenant, rows)| (0..*rows).map(move |i| vec![integer(*tenant), integer(i * 3)]));
        let columns = vec![
            column("tenant", KeyKind::Integer, false),
            column("id", KeyKind::Integer, false),
        ];
        let table = Table::new(columns, Collation::Bytes, estimates, rows.collect());
        let (split, cost) = plan(&table, dialect, 10_000);
        assert_eq!(split.rung, Rung::ProbedKey, "{}", split.reason);
        assert!(
            (7..=20).contains(&split.batches),
            "{} batches, {estimates:?}",
            split.batches
        );
        assert!(
            largest(&table, &split) <= 20_000,
            "{} with {estimates:?}",
            largest(&table, &split)
        );
        assert!(cost.questions <= 600, "{cost:?}");
        check(split.iter(), &table.facts()).unwrap();
    }
}

#[test]
fn an_order_line_key_is_split_by_its_leading_column_alone() {
    let rows: Vec<Row> = (0..70_000).map(|i| vec![integer(i / 7), integer(i % 7)]).collect();
    let columns = vec![
        column("l_orderkey", KeyKind::Integer, false),
        column("l_linenumber", KeyKind::Integer, false),
    ];
    let table = Table::new(columns, Collation::Bytes, Estimates::None, rows);
    let (split, _) = plan(&table, Dialect::Sqlite, 7_000);
    assert_eq!((split.rung, split.batches), (Rung::IntegerKey, 10), "{}", split.reason);
    assert!(largest(&table, &split) <= 9_000);
}

#[test]
fn text_keys_are_split_at_real_keys() {
    let rows: Vec<Row> = (0..50_000)
        .map(|i| vec![Some(KeyValue::Text(format!("user-{i:08}")))])
        .collect();
    for estimates in [Estimates::None, Estimates::Exact] {
        let table = Table::new(
            vec![column("name", KeyKind::Text, false)],
            Collation::CaseInsensitive,
            estimates,
            rows.clone(),
        );
        let (split, cost) = plan(&table, Dialect::Mysql, 5_000);
        assert_eq!(split.rung, Rung::ProbedKey);
        assert!((8..=20).contains(&split.batches), "{}", split.batches);
        assert!(
            largest(&table, &split) <= 12_000,
            "{} with {estimates:?}",
            largest(&table, &split)
        );
        assert!(cost.questions <= 200, "{cost:?}");
        for batch in &batches(&split)[1..] {
            let Range::Keys(range) = &batch.range else {
                panic!("{batch:?}")
            };
            let lower: Row = range.lower.clone().unwrap().into_iter().map(Some).collect();
            assert!(rows.contains(&lower), "{lower:?} is a key of the table");
        }
    }
}

#[test]
fn dates_and_decimals_are_interpolated() {
    let date = |i: i64| format!("20{:02}-{:02}-{:02}", i / 336 % 100, i / 28 % 12 + 1, i % 28 + 1);
    let rows = (0..20_000).map(|i| vec![Some(KeyValue::Text(date(i)))]).collect();
    let table = Table::new(
        vec![column("day", KeyKind::Literal, false)],
        Collation::Bytes,
        Estimates::None,
        rows,
    );
    let (split, _) = plan(&table, Dialect::Postgres, 2_000);
    assert!((7..=20).contains(&split.batches), "{}: {}", split.batches, split.reason);
    assert!(largest(&table, &split) <= 6_000);

    let rows = (0..20_000)
        .map(|i| vec![Some(KeyValue::Text(format!("{}.{:02}", i / 100 - 90, i % 100)))])
        .collect();
    let table = Table::new(
        vec![column("price", KeyKind::Literal, false)],
        Collation::Number,
        Estimates::None,
        rows,
    );
    let (split, _) = plan(&table, Dialect::Mysql, 2_000);
    assert!((7..=20).contains(&split.batches), "{}: {}", split.batches, split.reason);
}

#[test]
fn blocks_cover_every_page_of_every_leaf() {
    let leaves = vec![
        leaf(1, 0),
        leaf(2, 3),
        leaf(3, u64::from(u32::MAX)),
        leaf(4, 100),
        leaf(5, 1_000_000),
    ];
    let facts = blocks_facts(leaves.clone());
    let options = sqlextract_planning::PlanOptions {
        consistency: Consistency::Snapshot,
        shared_snapshot: true,
        batch_rows: None,
        bytes_per_second: None,
        ..options(1)
    };
    let (split, cost) = plan_with(&facts, Dialect::Postgres, options.clone(), |_| Answer::Explain(None));
    assert_eq!((split.rung, cost.questions), (Rung::Blocks, 2), "{}", split.reason);
    check(split.iter(), &facts).unwrap();
    let first = split.iter().next().unwrap();
    assert!(
        matches!(&first.range, Range::Blocks(ranges) if ranges.len() == 2),
        "small leaves share a batch: {first:?}"
    );

    let (split, _) = plan_with(
        &facts,
        Dialect::Postgres,
        sqlextract_planning::PlanOptions {
            shared_snapshot: false,
            ..options.clone()
        },
        |question| match question {
            Question::Bounds { .. } => Answer::Bounds(None),
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(split.rung, Rung::Single);
    assert!(
        split.reason.contains("snapshot") && split.warnings.len() == 1,
        "{} {:?}",
        split.reason,
        split.warnings
    );

    let foreign = blocks_facts(vec![
        BlockLeaf {
            heap: false,
            ..leaf(1, 100_000)
        },
        leaf(2, 100_000),
    ]);
    let foreign = TableFacts {
        keys: Vec::new(),
        ..foreign
    };
    let (split, _) = plan_with(&foreign, Dialect::Postgres, options, |other| panic!("{other:?}"));
    assert_eq!(split.rung, Rung::Single, "{}", split.reason);
}

#[test]
fn lineitem_under_a_snapshot_is_a_handful_of_block_ranges() {
    let facts = TableFacts {
        estimated_rows: 6_001_215,
        ..blocks_facts(vec![leaf(16_384, 112_000)])
    };
    let options = sqlextract_planning::PlanOptions {
        consistency: Consistency::Snapshot,
        shared_snapshot: true,
        batch_rows: None,
        bytes_per_second: None,
        ..options(1)
    };
    let (split, _) = plan_with(&facts, Dialect::Postgres, options, |_| Answer::Explain(None));
    assert!((6..=10).contains(&split.batches), "{}", split.batches);
    assert_eq!(
        split.iter().map(|batch| batch.estimated_rows).sum::<u64>() / 100,
        60_012
    );
}

#[test]
fn a_plan_that_the_database_would_sort_falls_to_the_next_rung() {
    let table = Table::integers(0..50_000, Estimates::Exact);
    let facts = TableFacts {
        leaves: vec![leaf(1, 20_000)],
        ..table.facts()
    };
    let options = sqlextract_planning::PlanOptions {
        consistency: Consistency::Snapshot,
        shared_snapshot: true,
        ..options(5_000)
    };
    let complain_about = |keys: bool| {
        let table = &table;
        move |question: &Question| match question {
            Question::Explain {
                range: Range::Blocks(_),
            } => Answer::Explain(Some("Seq Scan on t".to_owned())),
            Question::Explain { range: Range::Keys(_) } if keys => Answer::Explain(Some("Sort".to_owned())),
            other => table.answer(other),
        }
    };
    let (split, _) = plan_with(&facts, Dialect::Postgres, options.clone(), complain_about(false));
    assert_eq!(split.rung, Rung::IntegerKey);
    assert!(split.reason.contains("Seq Scan on t"), "{}", split.reason);
    let (split, _) = plan_with(&facts, Dialect::Postgres, options, complain_about(true));
    assert_eq!((split.rung, split.batches), (Rung::Single, 1));
    assert!(
        split.reason.contains("Seq Scan on t") && split.reason.contains("(Sort)"),
        "{}",
        split.reason
    );
}

#[test]
fn what_has_no_key_is_one_batch_and_says_why() {
    let facts = Table::integers(0..50_000, Estimates::None).facts();
    let cases = [
        (TableKind::View, true, "view"),
        (TableKind::Foreign, true, "another server"),
        (TableKind::Query, false, "--key"),
        (TableKind::Table, false, "no key"),
    ];
    for (kind, keyed, word) in cases {
        let keys = if keyed { facts.keys.clone() } else { Vec::new() };
        let facts = TableFacts {
            kind,
            keys,
            estimated_bytes: 5_000_000_000,
            ..facts.clone()
        };
        let (split, _) = plan_with(&facts, Dialect::Postgres, options(10), |other| panic!("{other:?}"));
        assert_eq!((split.rung, split.batches), (Rung::Single, 1));
        assert!(split.reason.contains(word), "{}", split.reason);
        assert_eq!(split.warnings.len(), 1, "{:?}", split.warnings);
        check(split.iter(), &facts).unwrap();
    }
    let (split, _) = plan_with(&facts, Dialect::Mysql, options(1_000_000), |other| panic!("{other:?}"));
    assert_eq!(
        (split.rung, split.warnings.len()),
        (Rung::Single, 0),
        "{}",
        split.reason
    );
}

#[test]
fn sqlite_without_statistics_is_planned_by_its_rowid() {
    let table = Table::integers((0..200_000).map(|i| i * 2), Estimates::None);
    let mut facts = TableFacts {
        estimated_rows: 0,
        estimated_bytes: 0,
        ..table.facts()
    };
    facts.keys[0].name = "rowid".to_owned();
    let (split, _) = plan_with(&facts, Dialect::Sqlite, options(20_000), |question| {
        table.answer(question)
    });
    assert!((8..=25).contains(&split.batches), "{}", split.batches);
    assert!(
        (150_000..=400_000).contains(&split.estimated_rows),
        "{}",
        split.estimated_rows
    );
    assert!(split.reason.contains("the key rowid"), "{}", split.reason);
}

#[test]
fn answers_that_do_not_fit_their_questions_are_a_defect() {
    let table = Table::integers(0..50_000, Estimates::None);
    let mut planner = Planner::new(&table.facts(), Dialect::Mysql, options(1_000)).unwrap();
    assert_eq!(planner.questions().len(), 1);
    assert_eq!(
        planner.answer(vec![Answer::Rows(None)]).unwrap_err().code.as_str(),
        "defect"
    );
    assert_eq!(planner.answer(Vec::new()).unwrap_err().code.as_str(), "defect");
    assert_eq!(planner.finish().unwrap_err().code.as_str(), "defect");
    let unsized_batch = Planner::new(&table.facts(), Dialect::Mysql, options(0)).unwrap_err();
    assert_eq!(unsized_batch.code.as_str(), "usage_invalid");
}
