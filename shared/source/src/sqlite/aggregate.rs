//! Aggregates over a whole relation, in SQL, equal to those over the chunks' values.
//!
//! `sum` of SQLite overflows at 64 bits, so integers are summed in two halves. What SQL cannot compute exactly as the
//! chunk holds it (decimals and timestamps out of text, texts in a database that stores UTF-16, reals as text) has its
//! count only.

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use sqlextract_model::{ChunkType, ColumnAggregate, ColumnMapping, Range, Relation, Result, Wire};

use super::decode::takes_text;
use super::failure::{failure, unexpected};
use super::sql::{Rows, check_foreign_sql};

/// SQLite gives at most 2,000 columns; a column takes up to five.
const COLUMNS_PER_STATEMENT: usize = 300;

/// How a column is aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Integer,
    Boolean,
    Real,
    /// Octets of text, of bytes, or of either.
    Octets(&'static str),
    /// Octets of any cell's text, as long as there is no real among them.
    AnyOctets,
    Days,
    CountOnly,
}

/// All columns of one instant: the caller's connection is in a transaction.
pub(super) fn compute(
    connection: &Connection,
    relation: &Relation,
    filter: Option<&str>,
    columns: &[ColumnMapping],
) -> Result<(u64, Vec<ColumnAggregate>)> {
    check_foreign_sql(connection, relation, filter)?;
    let rows = Rows::new(relation, filter);
    let encoding: String = connection
        .query_row("PRAGMA main.encoding", [], |row| row.get(0))
        .map_err(|error| unexpected(&error, "tell its encoding"))?;
    let measures: Vec<_> = columns
        .iter()
        .map(|column| Measure::of(column, encoding == "UTF-8"))
        .collect();
    let mut count = None;
    let mut aggregates = Vec::with_capacity(columns.len());
    let pairs: Vec<_> = columns.iter().zip(&measures).collect();
    let mut parts = pairs.chunks(COLUMNS_PER_STATEMENT);
    // A relation without columns still has rows.
    while let Some(part) = parts.next().or_else(|| count.is_none().then_some(&[])) {
        let (rows_counted, mut found) = part_of(connection, &rows, part)?;
        count.get_or_insert(rows_counted);
        aggregates.append(&mut found);
    }
    Ok((count.unwrap_or(0), aggregates))
}

fn part_of(
    connection: &Connection,
    rows: &Rows,
    part: &[(&ColumnMapping, &Measure)],
) -> Result<(u64, Vec<ColumnAggregate>)> {
    let mut list = vec!["count(*)".to_owned()];
    for (column, measure) in part {
        let cell = rows.column(&column.name);
        list.push(format!("count({cell})"));
        list.extend(measure.expressions(&cell));
    }
    let statement = rows.select(&list.join(", "), &Range::All, "")?;
    connection
        .query_row(&statement.sql, [], |row| {
            let mut at = 1;
            let mut found = Vec::with_capacity(part.len());
            for (column, measure) in part {
                found.push(measure.aggregate(&column.name, row, at)?);
                at += 1 + measure.expressions("").len();
            }
            Ok((whole(row, 0)?, found))
        })
        .map_err(|error| failure(&error, rows.blame(), "compute the aggregates"))
}

impl Measure {
    fn of(column: &ColumnMapping, utf8: bool) -> Self {
        match (&column.wire, &column.chunk) {
            (Wire::CellAsText, _) if utf8 => Self::AnyOctets,
            (_, ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64) => Self::Integer,
            (_, ChunkType::Boolean) => Self::Boolean,
            (_, ChunkType::Float64) => Self::Real,
            (Wire::Cell, ChunkType::Text | ChunkType::Json | ChunkType::Uuid) if utf8 => Self::Octets("'text'"),
            (_, ChunkType::Binary) if !takes_text(&column.declared) => Self::Octets("'blob'"),
            (_, ChunkType::Binary) if utf8 => Self::Octets("'blob', 'text'"),
            (_, ChunkType::Date) => Self::Days,
            _ => Self::CountOnly,
        }
    }

    /// What stands in the select list behind the column's count.
    fn expressions(self, cell: &str) -> Vec<String> {
        let of = |classes: &str, value: &str| format!("CASE WHEN typeof({cell}) IN ({classes}) THEN {value} END");
        match self {
            Self::Integer => {
                let value = of("'integer'", cell);
                vec![
                    format!("sum({value} >> 32)"),
                    format!("sum({value} & 4294967295)"),
                    format!("min({value})"),
                    format!("max({value})"),
                ]
            }
            Self::Boolean => vec![format!("sum({})", of("'integer'", cell))],
            Self::Real => {
                let value = of("'real', 'integer'", cell);
                vec![format!("min({value})"), format!("max({value})")]
            }
            Self::Octets(classes) => vec![format!("sum({})", of(classes, &format!("octet_length({cell})")))],
            Self::AnyOctets => vec![
                format!(
                    "sum(CASE typeof({cell}) WHEN 'blob' THEN 2 * octet_length({cell}) \
                     WHEN 'text' THEN octet_length({cell}) WHEN 'integer' THEN length({cell}) END)"
                ),
                format!("max(typeof({cell}) = 'real')"),
            ],
            Self::Days => {
                let days = of("'text'", &format!("CAST(julianday({cell}) - 2440587.5 AS INTEGER)"));
                vec![format!("sum({days})"), format!("min({days})"), format!("max({days})")]
            }
            Self::CountOnly => Vec::new(),
        }
    }

    fn aggregate(self, name: &str, row: &Row<'_>, at: usize) -> rusqlite::Result<ColumnAggregate> {
        let mut found = ColumnAggregate {
            name: name.to_owned(),
            count: whole(row, at)?,
            ..ColumnAggregate::default()
        };
        let text = |at: usize| {
            row.get::<_, Option<i64>>(at)
                .map(|value| value.map(|value| value.to_string()))
        };
        match self {
            Self::Integer => {
                let halves: (Option<i64>, Option<i64>) = (row.get(at + 1)?, row.get(at + 2)?);
                if let (Some(high), Some(low)) = halves {
                    found.sum = Some(((i128::from(high) << 32) + i128::from(low)).to_string());
                }
                (found.min, found.max) = (text(at + 3)?, text(at + 4)?);
            }
            Self::Boolean | Self::Octets(_) => found.sum = text(at + 1)?,
            Self::Real => {
                found.nan = Some(0);
                (found.min, found.max) = (real(row, at + 1)?, real(row, at + 2)?);
            }
            Self::AnyOctets if row.get::<_, Option<bool>>(at + 2)? != Some(true) => found.sum = text(at + 1)?,
            Self::Days => (found.sum, found.min, found.max) = (text(at + 1)?, text(at + 2)?, text(at + 3)?),
            Self::AnyOctets | Self::CountOnly => {}
        }
        Ok(found)
    }
}

fn whole(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

/// In Rust's shortest form. The two zeros are equal to SQLite, so either may come: the plain one is written.
fn real(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get::<_, Value>(at)? {
        Value::Real(value) => Some((value + 0.0).to_string()),
        Value::Integer(value) => Some((value as f64).to_string()),
        _ => None,
    })
}
