//! What a source tells without handing out rows, against the rows.

use std::collections::BTreeMap;

use sqlextract_model::{Code, ColumnAggregate, KeyKind, KeyRange, KeyValue, Range, Selection, TableKind};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, Taken};
use super::{failed, within};
use crate::{Probe, ProbeAnswer, ReadRequest, Source};

/// `inspect` describes the table, and names everything that it does not find.
pub async fn inspect_describes_the_table_and_names_what_is_missing(source: &dyn Source, fixture: &Fixture) {
    let selection = |name: &str| Selection::Table {
        schema: Some(fixture.table.schema.clone()),
        name: name.to_owned(),
    };
    let facts = within(source.inspect(&[selection(&fixture.table.name)]))
        .await
        .expect("the table is found");
    let [table] = facts.tables.as_slice() else {
        panic!("one table was asked for: {facts:?}")
    };
    assert_eq!((&table.name, table.kind), (&fixture.table, TableKind::Table));
    let columns: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.nullable)).collect();
    assert_eq!(columns, [("id", false), ("label", true), ("weight", true)]);
    let best = table.keys.first().expect("the primary key is found");
    assert!(best.primary && best.unique && best.columns.len() == 1, "{best:?}");
    assert_eq!(best.columns[0].kind, KeyKind::Integer);
    assert!(
        table.estimated_bytes > 0,
        "a table with rows is not taken for an empty one"
    );

    let missing = [
        selection("no such"),
        selection(&fixture.table.name),
        selection("nor \"this"),
    ];
    let failure = failed(source.inspect(&missing)).await;
    assert_eq!(failure.code, Code::SourceObjectMissing);
    assert!(
        failure.message.contains("no such") && failure.message.contains("nor"),
        "{}",
        failure.message
    );
}

/// Ranges that meet, open at both ends, hold every row exactly once; probes find keys that are there.
pub async fn every_row_once_by_ranges(source: &dyn Source, fixture: &Fixture) {
    let rows = fixture.rows();
    let open = KeyRange {
        columns: fixture.key.clone(),
        lower: None,
        upper: None,
    };
    let key = |value: i64| vec![KeyValue::Integer(i128::from(value))];
    let probes = [
        Probe::Bounds {
            columns: fixture.key.clone(),
        },
        Probe::NextKey {
            within: open.clone(),
            at_least: key(1),
        },
        Probe::NextKey {
            within: KeyRange {
                upper: Some(key(1)),
                ..open.clone()
            },
            at_least: key(1),
        },
    ];
    let answers = within(source.probe(&fixture.relation, None, &probes, None))
        .await
        .expect("probes are answered");
    let next = *rows.range(1..).next().expect("there are larger ids").0;
    assert_eq!(answers[0], ProbeAnswer::Bounds(Some((key(i64::MIN), key(i64::MAX)))));
    assert_eq!(answers[1], ProbeAnswer::NextKey(Some(key(next))));
    assert_eq!(answers[2], ProbeAnswer::NextKey(None));

    let bounds = [i64::MIN, -50_000, 0, 1, next, 300_000, 6_900_000, i64::MAX].map(|bound| Some(i128::from(bound)));
    let ends: Vec<_> = [None].into_iter().chain(bounds).chain([None]).collect();
    let mut all = BTreeMap::new();
    let mut count = 0;
    for pair in ends.windows(2) {
        let taken = fixture.read(source, &fixture.range(pair[0], pair[1]), None).await;
        count += taken.count;
        all.extend(taken.rows);
    }
    assert_eq!(count, rows.len() as u64, "no row comes twice");
    assert_eq!(all, rows);
    assert_eq!(fixture.read(source, &Range::All, None).await.rows, rows);
}

/// A filter binds less than the range, whatever stands in it.
pub async fn a_filter_narrows_its_range(source: &dyn Source, fixture: &Fixture) {
    let cancel = CancellationToken::new();
    let range = fixture.range(Some(0), Some(1000));
    for filter in ["id < 500 OR id >= 500", "id < 500 OR id >= 500 -- and a comment"] {
        let mut taken = Taken::default();
        let request = ReadRequest {
            filter: Some(filter),
            ..fixture.request(&range, &cancel)
        };
        within(source.read(request, &mut taken))
            .await
            .expect("the filter is taken");
        let expected: BTreeMap<_, _> = fixture
            .rows()
            .into_iter()
            .filter(|(id, _)| (0..1000).contains(id))
            .collect();
        assert_eq!(taken.rows, expected, "{filter}");
    }
    let request = ReadRequest {
        filter: Some("no_such_column = 1"),
        ..fixture.request(&range, &cancel)
    };
    assert_eq!(
        failed(source.read(request, &mut Taken::default())).await.code,
        Code::SourceQueryInvalid
    );
}

/// SQL and Rust compute the same aggregates.
pub async fn aggregates_match(source: &dyn Source, fixture: &Fixture) {
    let rows = fixture.rows();
    let (count, found) = within(source.aggregate(&fixture.relation, None, &fixture.columns))
        .await
        .expect("aggregates are computed");
    let labels = rows.values().filter_map(|row| row.label.as_ref());
    let weights: Vec<f64> = rows.values().filter_map(|row| row.weight).collect();
    let extreme = |pick: fn(f64, f64) -> f64| weights.iter().copied().reduce(pick).map(|weight| weight.to_string());
    let text = |value: i128| Some(value.to_string());
    let expected = [
        ColumnAggregate {
            name: "id".to_owned(),
            count: rows.len() as u64,
            sum: text(rows.keys().map(|id| i128::from(*id)).sum()),
            min: text(i128::from(i64::MIN)),
            max: text(i128::from(i64::MAX)),
            nan: None,
        },
        ColumnAggregate {
            name: "label".to_owned(),
            count: labels.clone().count() as u64,
            sum: text(labels.map(|label| label.len() as i128).sum()),
            ..ColumnAggregate::default()
        },
        ColumnAggregate {
            name: "weight".to_owned(),
            count: weights.len() as u64,
            nan: Some(0),
            sum: None,
            min: extreme(f64::min),
            max: extreme(f64::max),
        },
    ];
    assert_eq!(count, rows.len() as u64);
    assert_eq!(found, expected);

    let (count, found) = within(source.aggregate(&fixture.relation, Some("id > 0 AND id < 0"), &fixture.columns))
        .await
        .expect("aggregates of no rows are computed");
    assert_eq!(
        (count, found[0].count, &found[0].sum, &found[2].min),
        (0, 0, &None, &None)
    );
}
