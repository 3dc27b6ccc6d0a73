//! Questions about a key's values and about the optimizer's view.

use std::sync::Arc;

use sqlextract_model::{Code, Failure, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, Result};
use sqlx::mysql::MySqlRow;

use super::cell;
use super::connection::{Connections, Lease};
use super::sql::{Side, Statement, all_of, bound, from, list, matching, quoted, within};
use crate::{Probe, ProbeAnswer};

/// A scan of fewer rows than this is no reason against a plan.
const SMALL_ROWS: u64 = 10_000;

pub(super) async fn probe(
    connections: &Arc<Connections>,
    relation: &Relation,
    filter: Option<&str>,
    probes: &[Probe],
) -> Result<Vec<ProbeAnswer>> {
    let named = |f: Failure| match relation {
        Relation::Table(table) => f.table(table),
        Relation::Query(_) => f,
    };
    let mut lease = connections.lease().await.map_err(named)?;
    let mut answers = Vec::with_capacity(probes.len());
    for probe in probes {
        let answer = match probe {
            Probe::Bounds { columns } => {
                ProbeAnswer::Bounds(bounds(&mut lease, relation, columns).await.map_err(named)?)
            }
            Probe::NextKey { within, at_least } => {
                ProbeAnswer::NextKey(next_key(&mut lease, relation, within, at_least).await.map_err(named)?)
            }
            Probe::EstimateRows { range } => {
                let steps = explain(&mut lease, relation, filter, range).await.map_err(named)?;
                ProbeAnswer::Rows(estimate(&steps, filter.is_some()))
            }
            Probe::Explain { range } => {
                let steps = explain(&mut lease, relation, filter, range).await.map_err(named)?;
                ProbeAnswer::Explain(offence(&steps, range))
            }
        };
        answers.push(answer);
    }
    lease.release();
    Ok(answers)
}

/// Without the filter: with one, finding an end of the index could mean to scan it, and wider bounds are right as well.
async fn bounds(
    lease: &mut Lease,
    relation: &Relation,
    columns: &[KeyColumn],
) -> Result<Option<(Vec<KeyValue>, Vec<KeyValue>)>> {
    let whole = KeyRange {
        columns: columns.to_vec(),
        lower: None,
        upper: None,
    };
    let Some(first) = first_key(lease, relation, columns, within(&whole), "").await? else {
        return Ok(None);
    };
    let last = first_key(lease, relation, columns, within(&whole), " DESC").await?;
    Ok(last.map(|last| (first, last)))
}

async fn next_key(
    lease: &mut Lease,
    relation: &Relation,
    range: &KeyRange,
    at_least: &[KeyValue],
) -> Result<Option<Vec<KeyValue>>> {
    let mut conditions = within(range);
    conditions.extend(bound(&range.columns, at_least, Side::AtLeast));
    first_key(lease, relation, &range.columns, conditions, "").await
}

async fn first_key(
    lease: &mut Lease,
    relation: &Relation,
    columns: &[KeyColumn],
    conditions: Vec<Statement>,
    direction: &str,
) -> Result<Option<Vec<KeyValue>>> {
    let selected: Vec<_> = columns.iter().map(selected).collect();
    let mut look = Statement::new(format!("SELECT {} FROM {}", selected.join(", "), from(relation)));
    let condition = all_of(conditions);
    look.push(&condition.text);
    look.parameters = condition.parameters;
    look.push(&format!(" ORDER BY {} LIMIT 1", list(columns, direction)));
    let rows = lease.rows(&look, "cannot look up a key").await?;
    let Some(row) = rows.first() else { return Ok(None) };
    columns
        .iter()
        .enumerate()
        .map(|(i, column)| value(row, i, column))
        .collect::<Result<_>>()
        .map(Some)
}

/// Without an alias, so that ORDER BY means the column and not its text.
fn selected(column: &KeyColumn) -> String {
    match column.kind {
        KeyKind::Literal | KeyKind::Uuid => format!("CAST({} AS CHAR)", quoted(&column.name)),
        _ => quoted(&column.name),
    }
}

/// A bound that cannot be read is an error: a guess would leave rows out.
fn value(row: &MySqlRow, index: usize, column: &KeyColumn) -> Result<KeyValue> {
    let unreadable = || {
        let message = format!("a value of the key `{}` cannot be read", column.name);
        Failure::new(Code::SourceProtocol, message).column(&column.name)
    };
    let bytes = cell::bytes(row, index)?.ok_or_else(unreadable)?;
    match column.kind {
        KeyKind::Bytes => Ok(KeyValue::Bytes(bytes)),
        KeyKind::Integer => {
            let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
            text.map(KeyValue::Integer).ok_or_else(unreadable)
        }
        KeyKind::Text | KeyKind::Literal | KeyKind::Uuid => {
            String::from_utf8(bytes).map(KeyValue::Text).map_err(|_| unreadable())
        }
    }
}

/// One line of EXPLAIN.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Step {
    id: Option<u64>,
    table: String,
    access: String,
    rows: Option<u64>,
    /// Percent of the rows that conditions leave; MySQL only.
    filtered: Option<f64>,
    extra: String,
}

pub(super) async fn explain(
    lease: &mut Lease,
    relation: &Relation,
    filter: Option<&str>,
    range: &Range,
) -> Result<Vec<Step>> {
    let condition = matching(range, filter)?;
    let text = format!(
        "EXPLAIN FORMAT=TRADITIONAL SELECT * FROM {}{}",
        from(relation),
        condition.text
    );
    let look = Statement {
        text,
        parameters: condition.parameters,
    };
    match lease.rows(&look, "cannot explain the read").await {
        Ok(rows) => rows.iter().map(step).collect(),
        // A view of somebody else is not explained; nothing can tell then.
        Err(failure) if failure.code == Code::SourcePermission => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn step(row: &MySqlRow) -> Result<Step> {
    let mut step = Step::default();
    for (i, column) in sqlx::Row::columns(row).iter().enumerate() {
        match sqlx::Column::name(column).to_ascii_lowercase().as_str() {
            "id" => step.id = cell::number(row, i)?,
            "table" => step.table = cell::text(row, i)?.unwrap_or_default(),
            "type" => step.access = cell::text(row, i)?.unwrap_or_default(),
            "rows" => step.rows = cell::number(row, i)?,
            "filtered" => step.filtered = cell::float(row, i),
            "extra" => step.extra = cell::text(row, i)?.unwrap_or_default(),
            _ => {}
        }
    }
    Ok(step)
}

/// The rows of the outermost select: of a join, the product of its steps.
pub(super) fn estimate(steps: &[Step], filtered: bool) -> Option<u64> {
    let outermost = steps.iter().filter_map(|s| s.id).min()?;
    let joined = steps.iter().filter(|s| s.id == Some(outermost));
    let mut product = None;
    for step in joined {
        // What the access itself leaves out is counted already; only a filter takes more.
        let share = step
            .filtered
            .filter(|_| filtered)
            .map_or(1.0, |percent| percent / 100.0);
        let rows = step.rows.unwrap_or(0) as f64 * share;
        product = Some(product.unwrap_or(1.0) * rows);
    }
    product.map(|rows: f64| rows.round() as u64)
}

/// The first step that would sort, or that would scan more than a range by key.
fn offence(steps: &[Step], range: &Range) -> Option<String> {
    let whole = *range == Range::All || matches!(range, Range::Keys(k) if k.lower.is_none() && k.upper.is_none());
    let large = |step: &&Step| step.rows.is_none_or(|rows| rows > SMALL_ROWS);
    steps.iter().filter(large).find_map(|step| {
        let sorts = ["Using filesort", "Using temporary"]
            .into_iter()
            .find(|words| step.extra.contains(words));
        let scans = !whole && matches!(step.access.as_str(), "ALL" | "index");
        let how = sorts.or_else(|| scans.then_some("full scan"))?;
        let rows = step.rows.map_or_else(String::new, |rows| format!(", {rows} rows"));
        Some(format!("{how} of `{}` (type={}{rows})", step.table, step.access))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(access: &str, rows: u64, extra: &str) -> Step {
        let (table, access, extra) = ("t".to_owned(), access.to_owned(), extra.to_owned());
        Step {
            id: Some(1),
            table,
            access,
            rows: Some(rows),
            filtered: None,
            extra,
        }
    }

    fn ranged() -> Range {
        let lower = Some(vec![KeyValue::Integer(1)]);
        Range::Keys(KeyRange {
            columns: Vec::new(),
            lower,
            upper: None,
        })
    }

    #[test]
    fn a_scan_offends_in_a_range_of_a_large_table_only() {
        assert_eq!(offence(&[step("range", 1_000_000, "Using where")], &ranged()), None);
        assert_eq!(offence(&[step("ALL", 100, "Using where")], &ranged()), None);
        assert_eq!(offence(&[step("ALL", 1_000_000, "")], &Range::All), None);
        let told = offence(&[step("ALL", 1_000_000, "Using where")], &ranged());
        assert_eq!(told.as_deref(), Some("full scan of `t` (type=ALL, 1000000 rows)"));
        let told = offence(&[step("range", 1_000_000, "Using where; Using filesort")], &Range::All);
        assert_eq!(
            told.as_deref(),
            Some("Using filesort of `t` (type=range, 1000000 rows)")
        );
    }

    #[test]
    fn a_join_is_estimated_as_the_product_of_its_steps() {
        let derived = Step {
            id: Some(2),
            ..step("ALL", 999, "")
        };
        let half = Step {
            filtered: Some(50.0),
            ..step("ref", 10, "")
        };
        let steps = [step("ALL", 100, ""), half, derived];
        assert_eq!(estimate(&steps, false), Some(1000));
        assert_eq!(estimate(&steps, true), Some(500));
        assert_eq!(estimate(&[], true), None);
    }
}
