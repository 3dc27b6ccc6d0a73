//! Questions of planning: the ends of a key, its next value, and what the optimizer thinks of a range.

use sqlextract_model::{
    Code, Failure, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, Result, SnapshotToken, TableName,
};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::explain::{self, Promise};
use super::{PostgresSource, errors, sql};
use crate::{Probe, ProbeAnswer};

/// A relation's key is looked up without the row filter: the ends of all rows include those of some, and a filter
/// that nothing satisfies would turn a look-up into a walk through the whole index.
pub(super) async fn probe(
    source: &PostgresSource,
    relation: &Relation,
    filter: Option<&str>,
    probes: &[Probe],
    snapshot: Option<&SnapshotToken>,
) -> Result<Vec<ProbeAnswer>> {
    let mut session = source.connections.begin::<PgConnection>(snapshot).await?;
    let mut answers = Vec::with_capacity(probes.len());
    for probe in probes {
        answers.push(
            answer(session.connection(), relation, filter, probe)
                .await
                .map_err(|f| named(f, relation))?,
        );
    }
    session.end().await;
    Ok(answers)
}

pub(super) fn named(failure: Failure, relation: &Relation) -> Failure {
    match relation {
        Relation::Table(name) => failure.table(name),
        Relation::Query(_) => failure.table(TableName::new("query", "")),
    }
}

async fn answer(
    connection: &mut PgConnection,
    relation: &Relation,
    filter: Option<&str>,
    probe: &Probe,
) -> Result<ProbeAnswer> {
    match probe {
        Probe::Bounds { columns } => bounds(connection, relation, columns).await.map(ProbeAnswer::Bounds),
        Probe::NextKey { within, at_least } => next_key(connection, relation, within, at_least)
            .await
            .map(ProbeAnswer::NextKey),
        Probe::EstimateRows { range } => {
            let mut rows: u64 = 0;
            for select in selects(relation, filter, range)? {
                rows = rows.saturating_add(explain::estimate(connection, &select).await?.0);
            }
            Ok(ProbeAnswer::Rows(Some(rows)))
        }
        Probe::Explain { range } => {
            let promise = match range {
                Range::All => return Ok(ProbeAnswer::Explain(None)),
                Range::Blocks(_) => Promise::Blocks,
                Range::Keys(_) | Range::KeyIsNull(_) => Promise::Index,
            };
            for select in selects(relation, filter, range)? {
                if let Some(offence) = explain::offence(connection, &select, promise).await? {
                    return Ok(ProbeAnswer::Explain(Some(offence)));
                }
            }
            Ok(ProbeAnswer::Explain(None))
        }
    }
}

/// One SELECT per block range; one in all for any other range.
fn selects(relation: &Relation, filter: Option<&str>, range: &Range) -> Result<Vec<String>> {
    let select = |from: String, mut conditions: Vec<String>| {
        conditions.extend(filter.map(sql::filter));
        format!("SELECT 1 FROM {from}{}", sql::where_clause(&conditions))
    };
    Ok(match range {
        Range::Blocks(ranges) => ranges
            .iter()
            .map(|range| select(sql::leaf(&range.name), sql::block_conditions(range)))
            .collect(),
        other => vec![select(sql::relation(relation), sql::range_conditions(other)?)],
    })
}

async fn bounds(
    connection: &mut PgConnection,
    relation: &Relation,
    columns: &[KeyColumn],
) -> Result<Option<(Vec<KeyValue>, Vec<KeyValue>)>> {
    let everything = KeyRange {
        columns: columns.to_vec(),
        lower: None,
        upper: None,
    };
    let conditions = sql::range_conditions(&Range::Keys(everything))?;
    let smallest = look_up(connection, relation, columns, &conditions, "").await?;
    let largest = look_up(connection, relation, columns, &conditions, " DESC").await?;
    Ok(smallest.zip(largest))
}

async fn next_key(
    connection: &mut PgConnection,
    relation: &Relation,
    within: &KeyRange,
    at_least: &[KeyValue],
) -> Result<Option<Vec<KeyValue>>> {
    let mut conditions = sql::range_conditions(&Range::Keys(within.clone()))?;
    conditions.push(sql::comparison(&within.columns, ">=", at_least)?);
    look_up(connection, relation, &within.columns, &conditions, "").await
}

async fn look_up(
    connection: &mut PgConnection,
    relation: &Relation,
    columns: &[KeyColumn],
    conditions: &[String],
    order: &str,
) -> Result<Option<Vec<KeyValue>>> {
    let doing = "cannot look up a key";
    let values: Vec<_> = columns
        .iter()
        .map(|c| format!("{}::pg_catalog.text", sql::identifier(&c.name)))
        .collect();
    let text = format!(
        "SELECT {} FROM {}{} ORDER BY {} LIMIT 1",
        values.join(", "),
        sql::relation(relation),
        sql::where_clause(conditions),
        sql::key_order(relation, columns, order)
    );
    let row = sql::query(text)
        .fetch_optional(connection)
        .await
        .map_err(errors::in_use(doing))?;
    row.map(|row| {
        columns
            .iter()
            .enumerate()
            .map(|(i, column)| value(&row, i, column))
            .collect()
    })
    .transpose()
}

/// A value that cannot be read is an error, never a default.
fn value(row: &PgRow, index: usize, column: &KeyColumn) -> Result<KeyValue> {
    let text: String = row
        .try_get(index)
        .map_err(errors::in_use("cannot read a key's value"))?;
    let unreadable = || {
        Failure::new(
            Code::SourceProtocol,
            format!("a value of the key column {} cannot be read", column.name),
        )
        .column(&column.name)
    };
    match column.kind {
        KeyKind::Integer => text.parse().map(KeyValue::Integer).map_err(|_| unreadable()),
        KeyKind::Bytes => hexadecimal(&text).map(KeyValue::Bytes).ok_or_else(unreadable),
        KeyKind::Uuid | KeyKind::Text | KeyKind::Literal => Ok(KeyValue::Text(text)),
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let pair = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(pair).collect::<Option<_>>())
        .flatten()
}
