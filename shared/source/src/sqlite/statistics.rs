//! How large tables probably are, without counting.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use sqlextract_model::{Result, TableKind};

use super::affinity::Affinity;
use super::failure::unexpected;
use super::inspect::{Entry, columns};
use super::keys::free_rowid_name;
use super::sql::quoted;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// The file, shared out among its tables by estimated rows times the usual width of a row: SQLite keeps no size per
/// table. Rows come from `ANALYZE` where it was run, else from the distance of the smallest and largest rowid, which is
/// too much where ids are sparse, yet never more than the file can hold.
#[derive(Debug)]
pub(super) struct Shares {
    pub(super) file_bytes: u64,
    sizes: HashMap<String, Size>,
}

/// A table of which only this much is known. `None` rows are some, nobody knows how many.
struct Weight {
    rows: Option<u64>,
    row_bytes: u64,
    index_bytes: u64,
}

impl Shares {
    /// Of the tables that are asked for, against everything in the file.
    pub(super) fn of(connection: &Connection, entries: &[Entry]) -> Result<Self> {
        let pragma = |name: &str| {
            connection
                .query_row(&format!("PRAGMA main.{name}"), [], |row| row.get::<_, i64>(0))
                .map(|value| u64::try_from(value).unwrap_or(0))
                .map_err(|error| unexpected(&error, &format!("tell `{name}`")))
        };
        let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        let mut shares = Self {
            file_bytes: pages * pragma("page_size")?,
            sizes: HashMap::new(),
        };
        if entries.is_empty() {
            return Ok(shares);
        }
        let analyzed = analyzed_rows(connection)?;
        let mut weights = HashMap::new();
        for entry in every_table(connection)? {
            let weight = weigh(connection, &entry, &analyzed, shares.file_bytes)?;
            weights.insert(entry.name, weight);
        }
        shares.sizes = share_out(&weights, shares.file_bytes);
        for entry in entries.iter().filter(|entry| !shares_pages(entry.kind)) {
            shares
                .sizes
                .insert(entry.name.clone(), size_of(entry.kind, shares.file_bytes));
        }
        Ok(shares)
    }

    pub(super) fn size(&self, table: &str) -> Size {
        self.sizes.get(table).copied().unwrap_or_default()
    }
}

fn shares_pages(kind: TableKind) -> bool {
    matches!(kind, TableKind::Table | TableKind::WithoutRowid)
}

/// A view or a query can hold anything: as much as the file, in rows of which nobody knows the number.
pub(super) fn size_of(kind: TableKind, file_bytes: u64) -> Size {
    if shares_pages(kind) {
        Size::default()
    } else {
        Size {
            rows: 0,
            bytes: file_bytes.max(1),
        }
    }
}

fn share_out(weights: &HashMap<String, Weight>, file_bytes: u64) -> HashMap<String, Size> {
    let usual = weights
        .values()
        .filter_map(|weight| weight.rows)
        .max()
        .unwrap_or(1)
        .max(1);
    let whole = |w: &Weight| u128::from(w.rows.unwrap_or(usual)) * u128::from(w.row_bytes + w.index_bytes);
    let all: u128 = weights.values().map(whole).sum::<u128>().max(1);
    let sized = weights.iter().map(|(name, w)| {
        let own = u128::from(w.rows.unwrap_or(usual)) * u128::from(w.row_bytes);
        let bytes = u64::try_from(u128::from(file_bytes) * own / all).unwrap_or(file_bytes);
        let bytes = if w.rows == Some(0) { 0 } else { bytes.max(1) };
        (
            name.clone(),
            Size {
                rows: w.rows.unwrap_or(0),
                bytes,
            },
        )
    });
    sized.collect()
}

/// Every table that takes up pages, those of SQLite and of virtual tables included.
fn every_table(connection: &Connection) -> Result<Vec<Entry>> {
    connection
        .prepare(
            "SELECT l.name, l.wr, l.strict FROM main.sqlite_schema AS s, pragma_table_list(s.name) AS l
             WHERE s.type = 'table' AND s.rootpage > 0 AND l.schema = 'main'",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                let kind = if row.get(1)? {
                    TableKind::WithoutRowid
                } else {
                    TableKind::Table
                };
                Ok(Entry {
                    name: row.get(0)?,
                    kind,
                    strict: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .map_err(|error| unexpected(&error, "list the tables"))
}

/// The rows that `ANALYZE` counted, per table.
fn analyzed_rows(connection: &Connection) -> Result<HashMap<String, u64>> {
    let analyzed = connection
        .query_row(
            "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_stat1'",
            [],
            |_| Ok(()),
        )
        .optional()
        .map_err(|error| unexpected(&error, "look for statistics"))?;
    let mut rows_of: HashMap<String, u64> = HashMap::new();
    if analyzed.is_none() {
        return Ok(rows_of);
    }
    let lines = connection
        .prepare("SELECT tbl, CAST(stat AS TEXT) FROM main.sqlite_stat1 WHERE tbl IS NOT NULL AND stat IS NOT NULL")
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        })
        .map_err(|error| unexpected(&error, "read the statistics"))?;
    // A partial index counts its own rows only, so the largest number is the table's.
    for (table, stat) in lines {
        if let Some(rows) = stat
            .split_ascii_whitespace()
            .next()
            .and_then(|rows| rows.parse::<u64>().ok())
        {
            let known = rows_of.entry(table).or_default();
            *known = rows.max(*known);
        }
    }
    Ok(rows_of)
}

fn weigh(connection: &Connection, entry: &Entry, analyzed: &HashMap<String, u64>, file_bytes: u64) -> Result<Weight> {
    let columns = columns(connection, entry)?;
    let widths = columns
        .iter()
        .map(|c| Affinity::of(&c.column.declared, entry.strict).usual_bytes());
    let row_bytes = widths.sum::<u64>() + columns.len() as u64 + 6;
    let indexes: u32 = connection
        .query_row(
            "SELECT count(*) FROM pragma_index_list(?1, 'main') WHERE origin <> 'pk'",
            [&entry.name],
            |row| row.get(0),
        )
        .map_err(|error| unexpected(&error, "count indexes"))?;
    let least_bytes = columns.len() as u64 + 4;
    let rows = match analyzed.get(&entry.name) {
        Some(rows) => Some(*rows),
        None => probed_rows(connection, entry)?.map(|rows| rows.min(file_bytes / least_bytes)),
    };
    Ok(Weight {
        rows,
        row_bytes,
        index_bytes: u64::from(indexes) * 16,
    })
}

/// From both ends of the table's own tree; a table without rowids tells only whether it has rows.
fn probed_rows(connection: &Connection, entry: &Entry) -> Result<Option<u64>> {
    let table = format!("main.{}", quoted(&entry.name));
    let doing = |error: rusqlite::Error| unexpected(&error, &format!("look at the ends of {:?}", entry.name));
    let any = connection
        .query_row(&format!("SELECT 1 FROM {table} LIMIT 1"), [], |_| Ok(()))
        .optional()
        .map_err(doing)?;
    if any.is_none() {
        return Ok(Some(0));
    }
    let columns = columns(connection, entry)?;
    let rowid = free_rowid_name(&columns).filter(|_| entry.kind == TableKind::Table);
    let Some(rowid) = rowid else { return Ok(None) };
    // Two look-ups: both in one SELECT would be a scan.
    let sql = format!("SELECT (SELECT min({rowid}) FROM {table}), (SELECT max({rowid}) FROM {table})");
    let (least, most): (i64, i64) = connection
        .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(doing)?;
    Ok(Some(most.abs_diff(least).saturating_add(1)))
}
