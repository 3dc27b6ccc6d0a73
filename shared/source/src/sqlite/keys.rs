//! Keys that a table can be split by.
//!
//! A cell may hold any storage class whatever its column declares, and SQLite orders NULL before numbers before text
//! before bytes. A plan whose first range is open below and whose last is open above therefore holds every row, also
//! those of another class than the key's kind, as long as no key column can be NULL: only such keys are offered.

use rusqlite::Connection;
use sqlextract_model::{KeyColumn, KeyFacts, KeyKind, Result, TableKind};

use super::affinity::Affinity;
use super::failure::unexpected;
use super::inspect::{CatalogueColumn, Entry};

struct Index {
    name: String,
    unique: bool,
    primary: bool,
    partial: bool,
}

/// A column of an index: its place in the table (negative for the rowid and for expressions).
struct IndexColumn {
    cid: i64,
    descending: bool,
    collation: String,
}

/// Best first: the rowid, the primary key, unique keys, others. Notes on the way that an alias of the rowid is never
/// NULL.
pub(super) fn of_table(
    connection: &Connection,
    entry: &Entry,
    columns: &mut [CatalogueColumn],
) -> Result<Vec<KeyFacts>> {
    if !matches!(entry.kind, TableKind::Table | TableKind::WithoutRowid) {
        return Ok(Vec::new());
    }
    let indexes = indexes(connection, entry)?;
    let mut keys = Vec::new();
    if entry.kind == TableKind::Table {
        let alias = rowid_alias(columns, indexes.iter().any(|index| index.primary));
        if let Some(alias) = alias {
            columns[alias].column.nullable = false;
        }
        keys.extend(rowid_key(columns, alias));
    }
    for index in &indexes {
        if !index.partial
            && let Some(key) = index_key(connection, entry, index, columns)?
        {
            keys.push(key);
        }
    }
    keys.sort_by_key(|key| (!key.primary, !key.unique));
    Ok(keys)
}

/// The column that is another name of the rowid: a primary key of one column for which SQLite made no index.
fn rowid_alias(columns: &[CatalogueColumn], primary_index: bool) -> Option<usize> {
    let mut in_key = columns.iter().enumerate().filter(|(_, column)| column.key_position > 0);
    match (in_key.next(), in_key.next(), primary_index) {
        (Some((at, column)), None, false) if column.column.declared.eq_ignore_ascii_case("INTEGER") => Some(at),
        _ => None,
    }
}

/// By a name of the rowid that no column has taken, else by the column that is another name of it.
fn rowid_key(columns: &[CatalogueColumn], alias: Option<usize>) -> Option<KeyFacts> {
    let name = free_rowid_name(columns).or_else(|| alias.map(|at| columns[at].column.name.as_str()))?;
    Some(KeyFacts {
        name: "rowid".to_owned(),
        columns: vec![KeyColumn {
            name: name.to_owned(),
            kind: KeyKind::Integer,
            nullable: false,
            declared: "INTEGER".to_owned(),
        }],
        unique: true,
        primary: true,
    })
}

/// A name of the rowid that means it, because no column has that name.
pub(super) fn free_rowid_name(columns: &[CatalogueColumn]) -> Option<&'static str> {
    let taken = |name: &&str| {
        columns
            .iter()
            .any(|column| column.column.name.eq_ignore_ascii_case(name))
    };
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name))
}

fn indexes(connection: &Connection, entry: &Entry) -> Result<Vec<Index>> {
    connection
        .prepare("SELECT name, \"unique\", origin = 'pk', partial FROM pragma_index_list(?1, 'main') ORDER BY seq")
        .and_then(|mut statement| {
            let rows = statement.query_map([&entry.name], |row| {
                Ok(Index {
                    name: row.get(0)?,
                    unique: row.get(1)?,
                    primary: row.get(2)?,
                    partial: row.get(3)?,
                })
            })?;
            rows.collect()
        })
        .map_err(|error| unexpected(&error, &format!("list the indexes of {:?}", entry.name)))
}

/// The key of an index that holds every row in the order in which its columns compare by themselves.
fn index_key(
    connection: &Connection,
    entry: &Entry,
    index: &Index,
    columns: &[CatalogueColumn],
) -> Result<Option<KeyFacts>> {
    let parts = index_columns(connection, index)?;
    let one_direction = parts.windows(2).all(|pair| pair[0].descending == pair[1].descending);
    let mut key = Vec::with_capacity(parts.len());
    for part in &parts {
        let column = if part.cid < 0 {
            None
        } else {
            column_at(connection, entry, part.cid, columns)?
        };
        let Some(CatalogueColumn { column, .. }) = column else {
            return Ok(None);
        };
        let kind = Affinity::of(&column.declared, entry.strict).key_kind();
        let (Some(kind), false, true) = (kind, column.nullable, one_direction) else {
            return Ok(None);
        };
        if !compares_as(connection, entry, &column.name, &part.collation)? {
            return Ok(None);
        }
        key.push(KeyColumn {
            name: column.name.clone(),
            kind,
            nullable: false,
            declared: column.declared.clone(),
        });
    }
    let whole = !key.is_empty();
    Ok(whole.then(|| KeyFacts {
        name: index.name.clone(),
        columns: key,
        unique: index.unique,
        primary: index.primary,
    }))
}

/// Hidden columns count in an index's numbering, so the name decides.
fn column_at<'a>(
    connection: &Connection,
    entry: &Entry,
    cid: i64,
    columns: &'a [CatalogueColumn],
) -> Result<Option<&'a CatalogueColumn>> {
    let name: String = connection
        .query_row(
            "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE cid = ?2",
            (&entry.name, cid),
            |row| row.get(0),
        )
        .map_err(|error| unexpected(&error, "describe a key's column"))?;
    Ok(columns.iter().find(|column| column.column.name == name))
}

fn index_columns(connection: &Connection, index: &Index) -> Result<Vec<IndexColumn>> {
    connection
        .prepare("SELECT cid, \"desc\", coll FROM pragma_index_xinfo(?1, 'main') WHERE key = 1 ORDER BY seqno")
        .and_then(|mut statement| {
            let rows = statement.query_map([&index.name], |row| {
                Ok(IndexColumn {
                    cid: row.get(0)?,
                    descending: row.get(1)?,
                    collation: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .map_err(|error| unexpected(&error, &format!("describe the index {:?}", index.name)))
}

/// Whether the column compares by the index's collation, and by one that SQLite brings along.
fn compares_as(connection: &Connection, entry: &Entry, column: &str, collation: &str) -> Result<bool> {
    let known = ["BINARY", "NOCASE", "RTRIM"]
        .into_iter()
        .any(|name| collation.eq_ignore_ascii_case(name));
    let (_, own, ..) = connection
        .column_metadata(Some("main"), entry.name.as_str(), column)
        .map_err(|error| unexpected(&error, "tell a column's collation"))?;
    let own = own.map_or("BINARY".into(), |own| own.to_string_lossy());
    Ok(known && own.eq_ignore_ascii_case(collation))
}
