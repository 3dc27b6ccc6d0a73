//! The select list of a read: each column as its mapping says, the row's key, and a guard against values too large.

use sqlextract_model::{Cast, Code, ColumnMapping, Failure, KeyColumn, Result, Wire};

use super::sql::{base_of, quoted};

/// What is selected beside the columns, and where it stands.
pub(super) struct SelectList {
    pub(super) text: String,
    /// Where each column of the row's key stands, and how it arrives.
    pub(super) key: Vec<KeyCell>,
    pub(super) guard: Option<Guard>,
}

pub(super) struct KeyCell {
    pub(super) name: String,
    pub(super) index: usize,
    pub(super) wire: Wire,
}

/// A cell that is NULL but for a row whose long values are too large together, which then are NULL themselves, and the
/// cell holds their lengths with commas between.
pub(super) struct Guard {
    pub(super) index: usize,
    /// Positions of the guarded columns, in the order of the lengths.
    pub(super) columns: Vec<usize>,
    /// Bytes of the long values together, in SQL.
    pub(super) total: String,
}

impl SelectList {
    pub(super) fn new(columns: &[ColumnMapping], row_key: &[KeyColumn], row_bytes: usize) -> Result<Self> {
        let mut items = columns.iter().map(expression).collect::<Result<Vec<_>>>()?;
        let guard = guarded(columns, row_bytes).map(|long| {
            let lengths: Vec<_> = long.iter().map(|i| length(&columns[*i])).collect();
            let known: Vec<_> = lengths.iter().map(|l| format!("COALESCE({l}, 0)")).collect();
            let total = known.join(" + ");
            for i in &long {
                items[*i] = format!("IF({total} <= {row_bytes}, {}, NULL)", items[*i]);
            }
            items.push(format!(
                "IF({total} <= {row_bytes}, NULL, CONCAT_WS(',', {}))",
                known.join(", ")
            ));
            Guard {
                index: items.len() - 1,
                columns: long,
                total,
            }
        });
        let key = row_key.iter().map(|column| {
            let read = columns
                .iter()
                .position(|c| c.name == column.name && c.cast == Cast::None);
            let (index, wire) = match read {
                Some(index) => (index, columns[index].wire.clone()),
                None => {
                    items.push(format!("CAST({} AS CHAR)", quoted(&column.name)));
                    (items.len() - 1, Wire::Text)
                }
            };
            KeyCell {
                name: column.name.clone(),
                index,
                wire,
            }
        });
        let key = key.collect();
        Ok(Self {
            text: items.join(", "),
            key,
            guard,
        })
    }
}

/// What is selected for a column.
pub(super) fn expression(column: &ColumnMapping) -> Result<String> {
    let name = quoted(&column.name);
    match &column.cast {
        Cast::None => Ok(name),
        // The server's text of a float has six digits, of its double all.
        Cast::Text if base_of(&column.declared) == "float" => Ok(format!("CAST({name} + 0.0E0 AS CHAR)")),
        Cast::Text => Ok(format!("CAST({name} AS CHAR)")),
        Cast::Decimal { precision, scale } => Ok(format!("CAST({name} AS DECIMAL({precision},{scale}))")),
        Cast::WellKnownBinary => Ok(format!("ST_AsBinary({name})")),
        Cast::Json => Err(Failure::new(Code::Defect, "MySQL has no cast to JSON text").column(&column.name)),
    }
}

/// Columns whose values could make a row larger than allowed; `None` where no row can become so large.
fn guarded(columns: &[ColumnMapping], row_bytes: usize) -> Option<Vec<usize>> {
    let long: Vec<_> = columns
        .iter()
        .enumerate()
        .filter_map(|(i, c)| Some((i, longest(c)?)))
        .collect();
    let possible = long
        .iter()
        .fold(0_u64, |sum, (_, longest)| sum.saturating_add(*longest));
    (possible > row_bytes as u64).then(|| long.into_iter().map(|(i, _)| i).collect())
}

/// Bytes of the longest value of a type that is stored outside its row. What is within is 65,535 bytes together.
fn longest(column: &ColumnMapping) -> Option<u64> {
    match base_of(&column.declared) {
        "text" | "blob" => Some(65_535),
        "mediumtext" | "mediumblob" => Some((1 << 24) - 1),
        "longtext" | "longblob" | "json" => Some((1 << 32) - 1),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geomcollection" | "geometrycollection" => Some((1 << 32) - 1),
        // A type that only a query knows.
        "" | "vector" => Some((1 << 32) - 1),
        _ => None,
    }
}

/// Of the stored bytes, which the server knows without converting them.
fn length(column: &ColumnMapping) -> String {
    format!("OCTET_LENGTH({})", quoted(&column.name))
}
