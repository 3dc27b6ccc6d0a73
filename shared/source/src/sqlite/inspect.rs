//! Facts about tables, views and queries, from the catalogue and from both ends of an index.

use rusqlite::{Connection, OptionalExtension};
use sqlextract_model::{
    Code, Failure, KeyColumn, KeyFacts, KeyKind, Relation, Result, SourceColumn, TableFacts, TableKind, TableName,
};

use super::affinity::{Affinity, source_column};
use super::failure::{failure, unexpected};
use super::keys;
use super::sql::check_foreign_sql;
use super::statistics::{Shares, size_of};
use crate::Selection;

/// A table or view of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: TableKind,
    pub(super) strict: bool,
}

/// Finds everything that was asked for, or fails naming all that is not there.
pub(super) fn tables(connection: &Connection, selections: &[Selection]) -> Result<Vec<TableFacts>> {
    let mut found = Vec::new();
    let mut queries = Vec::new();
    let mut missing = Vec::new();
    for selection in selections {
        match selection {
            Selection::Table { schema, name } => match entry(connection, schema.as_deref(), name)? {
                Some(entry) => found.push(entry),
                None => missing.push(TableName::new(schema.as_deref().unwrap_or("main"), name).to_string()),
            },
            Selection::Schema(schema) if is_main(schema.as_deref()) => found.extend(all_tables(connection)?),
            Selection::Schema(schema) => missing.push(format!("{}.*", schema.as_deref().unwrap_or_default())),
            Selection::Query { name, sql, key } => queries.push((name, sql, key.as_deref())),
        }
    }
    if !missing.is_empty() {
        let names = missing.join(", ");
        return Err(Failure::new(
            Code::SourceObjectMissing,
            format!("the database has no table or view {names}"),
        ));
    }
    let shares = Shares::of(connection, &found)?;
    let mut facts = Vec::with_capacity(found.len() + queries.len());
    for entry in &found {
        facts.push(table_facts(connection, entry, &shares).map_err(|f| f.table(TableName::new("main", &entry.name)))?);
    }
    for (name, sql, key) in queries {
        let table = TableName::new("query", name);
        facts.push(query_facts(connection, table.clone(), sql, key, &shares).map_err(|f| f.table(table))?);
    }
    Ok(facts)
}

fn is_main(schema: Option<&str>) -> bool {
    schema.is_none_or(|schema| schema.eq_ignore_ascii_case("main"))
}

/// The entry of this name, which SQLite compares without regard to the case of ASCII letters.
fn entry(connection: &Connection, schema: Option<&str>, name: &str) -> Result<Option<Entry>> {
    if !is_main(schema) {
        return Ok(None);
    }
    connection
        .query_row(
            "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
            [name],
            |row| row.get::<_, String>(0),
        )
        .optional()
        .map_err(|error| unexpected(&error, "look a table up"))?
        .map(|name| classified(connection, name).map(|(entry, _)| entry))
        .transpose()
}

/// Ordinary, `WITHOUT ROWID` and virtual tables, in the order of their names; neither views nor SQLite's own tables nor
/// those in which a virtual table keeps its data.
fn all_tables(connection: &Connection) -> Result<Vec<Entry>> {
    let names = connection
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>())
        .map_err(|error| unexpected(&error, "list the tables"))?;
    let mut entries = Vec::new();
    for name in names {
        let (entry, shadow) = classified(connection, name)?;
        entries.extend((!shadow).then_some(entry));
    }
    Ok(entries)
}

fn classified(connection: &Connection, name: String) -> Result<(Entry, bool)> {
    let (kind, without_rowid, strict): (String, bool, bool) = connection
        .query_row(
            "SELECT type, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'",
            [&name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(|error| unexpected(&error, &format!("describe {name:?}")))?;
    let shadow = kind == "shadow";
    let kind = match (kind.as_str(), without_rowid) {
        ("view", _) => TableKind::View,
        ("virtual", _) => TableKind::Virtual,
        (_, true) => TableKind::WithoutRowid,
        _ => TableKind::Table,
    };
    Ok((Entry { name, kind, strict }, shadow))
}

/// A column with its place in the primary key, from 1; 0 where it has none.
#[derive(Debug, Clone)]
pub(super) struct CatalogueColumn {
    pub(super) column: SourceColumn,
    pub(super) key_position: u32,
}

/// Columns as `SELECT *` gives them: generated ones included, hidden ones of virtual tables not.
pub(super) fn columns(connection: &Connection, entry: &Entry) -> Result<Vec<CatalogueColumn>> {
    let doing = || format!("describe the columns of {:?}", entry.name);
    let mut statement = connection
        .prepare(
            "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid",
        )
        .map_err(|error| failure(&error, Code::SourceObjectMissing, &doing()))?;
    let rows = statement.query_map([&entry.name], |row| {
        let (not_null, key_position): (bool, u32) = (row.get(2)?, row.get(3)?);
        let in_key = key_position > 0 && entry.kind == TableKind::WithoutRowid;
        let nullable = !not_null && !in_key;
        let declared: Option<String> = row.get(1)?;
        let column = source_column(row.get(0)?, declared.unwrap_or_default(), nullable, entry.strict);
        Ok(CatalogueColumn { column, key_position })
    });
    rows.and_then(Iterator::collect)
        .map_err(|error| failure(&error, Code::SourceObjectMissing, &doing()))
}

fn table_facts(connection: &Connection, entry: &Entry, shares: &Shares) -> Result<TableFacts> {
    let mut catalogue = columns(connection, entry)?;
    let keys = keys::of_table(connection, entry, &mut catalogue)?;
    let size = shares.size(&entry.name);
    Ok(TableFacts {
        name: TableName::new("main", &entry.name),
        kind: entry.kind,
        columns: catalogue.into_iter().map(|c| c.column).collect(),
        estimated_rows: size.rows,
        estimated_bytes: size.bytes,
        keys,
        leaves: Vec::new(),
        logged: true,
    })
}

fn query_facts(
    connection: &Connection,
    name: TableName,
    sql: &str,
    key: Option<&str>,
    shares: &Shares,
) -> Result<TableFacts> {
    check_foreign_sql(connection, &Relation::Query(sql.to_owned()), None)?;
    let refused = |error: &rusqlite::Error| failure(error, Code::SourceQueryInvalid, "take the query");
    let own = connection.prepare(sql).map_err(|error| refused(&error))?;
    if let Some(twice) = repeated(&own.column_names()) {
        let message = format!("the query has several columns with the name {twice:?}");
        return Err(Failure::new(Code::SourceQueryInvalid, message).remedy("Name each column of the query with AS."));
    }
    let wrapped = connection
        .prepare(&format!("SELECT * FROM (\n{sql}\n) AS \"query\""))
        .map_err(|error| refused(&error))?;
    let columns: Vec<SourceColumn> = wrapped
        .columns()
        .iter()
        .map(|c| {
            source_column(
                c.name().to_owned(),
                c.decl_type().unwrap_or_default().to_owned(),
                true,
                false,
            )
        })
        .collect();
    let keys = key.map(|key| query_key(&columns, key)).transpose()?;
    let size = size_of(TableKind::Query, shares.file_bytes);
    Ok(TableFacts {
        name,
        kind: TableKind::Query,
        columns,
        estimated_rows: size.rows,
        estimated_bytes: size.bytes,
        keys: keys.into_iter().collect(),
        leaves: Vec::new(),
        logged: true,
    })
}

fn repeated(names: &[&str]) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .iter()
        .find(|name| !seen.insert(name.to_ascii_lowercase()))
        .map(|name| (*name).to_owned())
}

/// The user's word that this column is unique. An expression has no declared type: its values say what they are.
fn query_key(columns: &[SourceColumn], key: &str) -> Result<KeyFacts> {
    let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(key)) else {
        return Err(Failure::new(
            Code::SourceObjectMissing,
            format!("the query has no column {key:?}"),
        ));
    };
    let kind = Affinity::of(&column.declared, false)
        .key_kind()
        .unwrap_or(KeyKind::Literal);
    Ok(KeyFacts {
        name: column.name.clone(),
        columns: vec![KeyColumn {
            name: column.name.clone(),
            kind,
            nullable: true,
            declared: column.declared.clone(),
        }],
        unique: true,
        primary: false,
    })
}
