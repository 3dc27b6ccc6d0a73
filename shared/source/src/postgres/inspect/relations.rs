//! Finds the selected tables, or says at once which ones are missing and which may not be read.

use std::collections::HashMap;

use sqlextract_model::{Code, Failure, Result, Selection, TableName};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::suggest;
use crate::postgres::{errors, sql};

const RELATIONS: &str = "\
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relispartition, \
        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid), \
        ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
            AND NOT a.attisdropped AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY a.attnum) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
        AND ((n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[])) OR n.nspname = ANY ($3::text[])) \
    ORDER BY n.nspname, c.relname";

const NEIGHBOURS: &str = "\
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
        AND has_table_privilege(c.oid, 'SELECT') \
    ORDER BY n.nspname, c.relname LIMIT 5000";

/// A relation that rows can be selected from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) oid: i64,
    pub(super) name: TableName,
    /// As `pg_class.relkind` has it.
    pub(super) kind: char,
    pub(super) logged: bool,
    is_partition: bool,
    readable: bool,
    /// A policy decides which rows this user sees.
    policies: bool,
    unreadable_columns: Vec<String>,
}

/// Relations of the selections that are no queries, in their order, each once.
pub(super) async fn find(
    connection: &mut PgConnection,
    selections: &[Selection],
    search_path: &[String],
) -> Result<Vec<Found>> {
    if selections.iter().all(|s| matches!(s, Selection::Query { .. })) {
        return Ok(Vec::new());
    }
    let candidates = candidates(connection, selections, search_path).await?;
    let by_name: HashMap<&TableName, &Found> = candidates.iter().map(|f| (&f.name, f)).collect();
    let mut found: Vec<&Found> = Vec::new();
    let mut missing: Vec<TableName> = Vec::new();
    for selection in selections {
        match selection {
            Selection::Query { .. } => {}
            Selection::Table { schema, name } => {
                let schemas = schemas_of(schema.as_ref(), search_path);
                let hit = schemas
                    .iter()
                    .find_map(|schema| by_name.get(&TableName::new(schema, name)));
                match hit {
                    Some(relation) => found.push(relation),
                    None => missing.push(TableName::new(schemas.first().map_or("public", String::as_str), name)),
                }
            }
            Selection::Schema(schema) => {
                let schema = schema.as_ref().or(search_path.first());
                let of_schema: Vec<_> = candidates.iter().filter(|f| in_schema(f, schema)).collect();
                if of_schema.is_empty() {
                    missing.push(TableName::new(schema.map_or("public", String::as_str), "*"));
                }
                found.extend(of_schema);
            }
        }
    }
    if !missing.is_empty() {
        return Err(missing_failure(connection, &missing).await?);
    }
    let mut seen = std::collections::HashSet::new();
    let found: Vec<Found> = found.into_iter().filter(|f| seen.insert(f.oid)).cloned().collect();
    readable(&found)?;
    Ok(found)
}

/// What `schema.*` takes: tables, but no views, whose rows are in tables, and no partitions, whose rows are in their
/// parent.
fn in_schema(found: &Found, schema: Option<&String>) -> bool {
    schema == Some(&found.name.schema) && !found.is_partition && found.kind != 'v'
}

fn schemas_of(named: Option<&String>, search_path: &[String]) -> Vec<String> {
    named.map_or_else(|| search_path.to_vec(), |schema| vec![schema.clone()])
}

async fn candidates(
    connection: &mut PgConnection,
    selections: &[Selection],
    search_path: &[String],
) -> Result<Vec<Found>> {
    let (mut schemas, mut names, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for selection in selections {
        match selection {
            Selection::Table { schema, name } => {
                for schema in schemas_of(schema.as_ref(), search_path) {
                    schemas.push(schema);
                    names.push(name.clone());
                }
            }
            Selection::Schema(schema) => whole.extend(schema.clone().or_else(|| search_path.first().cloned())),
            Selection::Query { .. } => {}
        }
    }
    let doing = "cannot look the tables up in the catalogue";
    let query = sql::query(RELATIONS.to_owned()).bind(schemas).bind(names).bind(whole);
    let rows = query.fetch_all(connection).await.map_err(errors::in_use(doing))?;
    rows.iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))
}

fn read(row: &PgRow) -> sqlx::Result<Found> {
    let kind: String = row.try_get(3)?;
    let persistence: String = row.try_get(4)?;
    let readable: Option<bool> = row.try_get(6)?;
    Ok(Found {
        oid: row.try_get(0)?,
        name: TableName::new(row.try_get::<String, _>(1)?, row.try_get::<String, _>(2)?),
        kind: kind.chars().next().unwrap_or(' '),
        logged: persistence == "p",
        is_partition: row.try_get(5)?,
        readable: readable.unwrap_or(false),
        policies: row.try_get(7)?,
        unreadable_columns: row.try_get(8)?,
    })
}

async fn missing_failure(connection: &mut PgConnection, missing: &[TableName]) -> Result<Failure> {
    let doing = "cannot list the tables that there are";
    let rows = sql::query(NEIGHBOURS.to_owned())
        .fetch_all(connection)
        .await
        .map_err(errors::in_use(doing))?;
    let neighbours: Vec<TableName> = rows
        .iter()
        .map(|row| {
            Ok(TableName::new(
                row.try_get::<String, _>(0)?,
                row.try_get::<String, _>(1)?,
            ))
        })
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))?;
    let described: Vec<String> = missing
        .iter()
        .map(|name| match suggest::closest(name, &neighbours) {
            Some(near) => format!("{name} (did you mean {near}?)"),
            None => name.to_string(),
        })
        .collect();
    let text = match described.as_slice() {
        [one] => format!("there is no table {one}"),
        many => format!("there are no tables {}", many.join(", ")),
    };
    Ok(Failure::new(Code::SourceObjectMissing, text).table(&missing[0]))
}

fn readable(found: &[Found]) -> Result<()> {
    let denied: Vec<&Found> = found.iter().filter(|f| !f.readable).collect();
    if let Some(first) = denied.first() {
        let names: Vec<_> = denied.iter().map(|f| f.name.to_string()).collect();
        let mut failure = Failure::new(
            Code::SourcePermission,
            format!("the user may not read {}", names.join(", ")),
        )
        .table(&first.name);
        for table in &denied {
            let all = table.unreadable_columns.len();
            if all > 0 {
                failure = failure.because(format!(
                    "{}: no SELECT on {}",
                    table.name,
                    table.unreadable_columns.join(", ")
                ));
            }
        }
        return Err(failure.remedy(
            "Grant USAGE on the schema and SELECT on the whole table, or name the columns that may be read in a `--query`.",
        ));
    }
    let hidden: Vec<_> = found
        .iter()
        .filter(|f| f.policies)
        .map(|f| f.name.to_string())
        .collect();
    match hidden.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(
            Code::SourcePermission,
            format!(
                "row-level security would hide rows of {} from this user without a word",
                hidden.join(", ")
            ),
        )
        .table(first)
        .remedy("Extract with a user that has BYPASSRLS or owns the table without FORCE ROW LEVEL SECURITY.")),
    }
}
