//! Facts about a relation's values, computed by the server in one statement, which is one instant.

use std::sync::Arc;

use sqlextract_model::{ChunkType, ColumnAggregate, ColumnMapping, Lossy, Range, Relation, Result, Wire};
use sqlx::mysql::MySqlRow;

use super::cell;
use super::connection::Connections;
use super::select::expression;
use super::sql::{MARK, Statement, from, matching, quoted};

/// The scale of the server's widest decimal.
const WIDEST_SCALE: i8 = 30;

/// The row count and each column's aggregate; without values there is no sum and no bound.
///
/// Only counted are: columns that are rounded by choice (the server rounds half away from zero), floats as text and
/// numbers as floats (the digits are ours), times of a query (their number of digits is not known), and decimals of a
/// scale above 30.
pub(super) async fn aggregate(
    connections: &Arc<Connections>,
    relation: &Relation,
    filter: Option<&str>,
    columns: &[ColumnMapping],
) -> Result<(u64, Vec<ColumnAggregate>)> {
    let kinds = columns
        .iter()
        .map(|c| Kind::of(c, relation))
        .collect::<Result<Vec<_>>>()?;
    let mut items = vec!["CAST(COUNT(*) AS CHAR)".to_owned()];
    for (column, kind) in columns.iter().zip(&kinds) {
        items.push(format!("CAST(COUNT({}) AS CHAR)", held(column)));
        items.extend(kind.items());
    }
    let condition = matching(&Range::All, filter)?;
    let text = format!(
        "SELECT {MARK} {} FROM {}{}",
        items.join(", "),
        from(relation),
        condition.text
    );
    let look = Statement {
        text,
        parameters: condition.parameters,
    };
    let mut lease = connections.lease().await?;
    let rows = lease.rows(&look, "cannot aggregate the columns").await?;
    lease.release();
    let Some(row) = rows.first() else {
        return Ok((0, Vec::new()));
    };
    let mut cells = Cells { row, next: 0 };
    let count = cells.count()?;
    let aggregates = columns
        .iter()
        .zip(&kinds)
        .map(|(column, kind)| kind.aggregate(column, &mut cells));
    Ok((count, aggregates.collect::<Result<_>>()?))
}

/// What is computed of a column, by the number that each value stands for.
enum Kind {
    /// Sum, smallest and largest of an exact number with so many digits behind the point.
    Number {
        value: String,
        scale: i8,
    },
    /// Sum alone: octet lengths, true ones.
    Sum(String),
    Float {
        name: String,
        bytes: u8,
    },
    Count,
}

impl Kind {
    fn of(column: &ColumnMapping, relation: &Relation) -> Result<Self> {
        let value = held(column);
        Ok(match (&column.chunk, &column.wire) {
            _ if column.lossy == Some(Lossy::Rounded) => Self::Count,
            (ChunkType::Boolean, _) => Self::Sum(format!("{} <> 0", number(column))),
            (ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64, _) => {
                Self::exact(number(column), 0)
            }
            (ChunkType::Decimal { scale, .. }, _) if *scale > WIDEST_SCALE => Self::Count,
            (ChunkType::Decimal { scale, .. }, _) => Self::exact(number(column), *scale),
            (ChunkType::Float32 | ChunkType::Float64, Wire::Float { bytes }) => Self::Float {
                name: value,
                bytes: *bytes,
            },
            (ChunkType::Text | ChunkType::Json | ChunkType::Uuid | ChunkType::Binary, _) => {
                text_length(column, relation)?.map_or(Self::Count, Self::Sum)
            }
            (ChunkType::Date, _) => Self::exact(format!("DATEDIFF({value}, '1970-01-01')"), 0),
            (ChunkType::Timestamp { .. }, _) => {
                Self::exact(format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {value})"), 0)
            }
            (ChunkType::Time, _) => Self::exact(
                format!("TIME_TO_SEC({value}) DIV 1 * 1000000 + MICROSECOND({value})"),
                0,
            ),
            _ => Self::Count,
        })
    }

    fn exact(value: String, scale: i8) -> Self {
        Self::Number { value, scale }
    }

    fn items(&self) -> Vec<String> {
        match self {
            Self::Number { value, scale } => {
                let facts = [
                    format!("SUM({value})"),
                    format!("MIN({value})"),
                    format!("MAX({value})"),
                ];
                // A decimal of the chunk has 38 digits; with those of 2^64 rows, a sum stays within 65.
                facts
                    .map(|fact| format!("CAST(CAST({fact} AS DECIMAL(65,{scale})) AS CHAR)"))
                    .to_vec()
            }
            Self::Sum(n) => vec![format!("CAST(SUM({n}) AS CHAR)")],
            Self::Float { name, .. } => vec![format!("MIN({name})"), format!("MAX({name})")],
            Self::Count => Vec::new(),
        }
    }

    fn aggregate(&self, column: &ColumnMapping, cells: &mut Cells<'_>) -> Result<ColumnAggregate> {
        let mut aggregate = ColumnAggregate {
            name: column.name.clone(),
            count: cells.count()?,
            ..ColumnAggregate::default()
        };
        match self {
            Self::Number { .. } => {
                aggregate.sum = cells.text()?;
                aggregate.min = cells.text()?;
                aggregate.max = cells.text()?;
            }
            Self::Sum(_) => aggregate.sum = cells.text()?,
            Self::Float { bytes, .. } => {
                // The server has no NaN.
                aggregate.nan = Some(0);
                aggregate.min = cells.float(*bytes);
                aggregate.max = cells.float(*bytes);
            }
            Self::Count => {}
        }
        Ok(aggregate)
    }
}

/// The column, with NULL for the values that are NULL in the chunk by choice.
fn held(column: &ColumnMapping) -> String {
    let name = quoted(&column.name);
    if column.lossy != Some(Lossy::NullForUnrepresentable) {
        return name;
    }
    match &column.chunk {
        ChunkType::Date | ChunkType::Timestamp { .. } => format!(
            "IF(YEAR({name}) > 0 AND MONTH({name}) > 0 AND DAYOFMONTH({name}) > 0 \
             AND DAYOFMONTH({name}) <= DAYOFMONTH(LAST_DAY({name})), {name}, NULL)"
        ),
        ChunkType::Time => format!("IF({name} >= '00:00:00' AND {name} < '24:00:00', {name}, NULL)"),
        _ => name,
    }
}

/// The column as an exact number.
fn number(column: &ColumnMapping) -> String {
    let name = quoted(&column.name);
    match column.wire {
        Wire::Bit => format!("CAST({name} AS UNSIGNED)"),
        Wire::Year => format!("({name} + 0)"),
        _ => name,
    }
}

/// Octets of what the chunk holds; `None` where our own text has another length than the server's.
fn text_length(column: &ColumnMapping, relation: &Relation) -> Result<Option<String>> {
    let value = expression(column)?;
    let octets = match &column.wire {
        Wire::Text | Wire::Json | Wire::Uuid => format!("OCTET_LENGTH(CONVERT({value} USING utf8mb4))"),
        Wire::Bytes => format!("OCTET_LENGTH({value})"),
        Wire::Time if matches!(relation, Relation::Table(_)) => format!("OCTET_LENGTH(CAST({value} AS CHAR))"),
        Wire::Int { .. } | Wire::Unsigned { .. } | Wire::Bit | Wire::Year => {
            // Zeroes that only pad are not ours.
            format!("OCTET_LENGTH(CAST({} + 0 AS CHAR))", number(column))
        }
        Wire::Decimal => format!("OCTET_LENGTH(CAST({value} AS CHAR))"),
        _ => return Ok(None),
    };
    Ok(Some(octets))
}

/// The cells of the one row, in order.
struct Cells<'a> {
    row: &'a MySqlRow,
    next: usize,
}

impl Cells<'_> {
    fn text(&mut self) -> Result<Option<String>> {
        self.next += 1;
        cell::text(self.row, self.next - 1)
    }

    fn count(&mut self) -> Result<u64> {
        self.next += 1;
        Ok(cell::number(self.row, self.next - 1)?.unwrap_or_default())
    }

    /// In the shortest digits that give the value back, as the column's own width. Both zeroes are one.
    fn float(&mut self, bytes: u8) -> Option<String> {
        self.next += 1;
        let value = cell::float(self.row, self.next - 1)? + 0.0;
        Some(if bytes == 4 {
            (value as f32).to_string()
        } else {
            value.to_string()
        })
    }
}
