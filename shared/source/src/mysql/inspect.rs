//! What the catalogue says about a server and its tables.

use std::sync::Arc;

use sqlextract_model::{
    Class, Code, Dialect, Digest, Failure, KeyColumn, KeyFacts, KeyKind, Range, Relation, Result, Selection,
    SourceColumn, SourceFacts, SourceIdentity, TableFacts, TableKind, TableName,
};

use super::connection::{Connections, Lease};
use super::sql::{Statement, from, quoted};
use super::{columns, keys, probe};

/// Where statistics tell no width.
const ASSUMED_COLUMN_BYTES: u64 = 16;

pub(super) async fn inspect(connections: &Arc<Connections>, selections: &[Selection]) -> Result<SourceFacts> {
    let mut lease = connections.lease().await?;
    let (identity, pooler) = identity(&mut lease, &connections.address.location).await?;
    let free_connections = free_connections(&mut lease).await?;
    let default_schema = connections.address.database.as_deref();
    let mut tables: Vec<TableFacts> = Vec::new();
    let mut failures = Vec::new();
    for selection in selections {
        match selected(&mut lease, selection, default_schema).await {
            Ok(found) => tables.extend(found),
            // What is wrong with one table is told together with the others; anything else ends the inspection.
            Err(failure) if failure.class() == Class::Permanent && failure.code != Code::SourceProtocol => {
                failures.push(failure)
            }
            Err(failure) => return Err(failure),
        }
    }
    if !failures.is_empty() {
        return Err(together(failures));
    }
    lease.release();
    Ok(SourceFacts {
        identity,
        free_connections,
        pooler,
        tables,
    })
}

async fn selected(lease: &mut Lease, selection: &Selection, default_schema: Option<&str>) -> Result<Vec<TableFacts>> {
    match selection {
        Selection::Table { schema, name } => {
            let schema = schema_of(schema.as_deref(), default_schema)?;
            Ok(vec![table(lease, schema, name).await?])
        }
        Selection::Schema(schema) => all_tables(lease, schema_of(schema.as_deref(), default_schema)?).await,
        Selection::Query { name, sql, key } => Ok(vec![query(lease, name, sql, key.as_deref()).await?]),
    }
}

/// One failure that names every object; alone it stays as it is.
fn together(mut failures: Vec<Failure>) -> Failure {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let code = failures[0].code;
    let messages: Vec<_> = failures.iter().map(|f| f.message.as_str()).collect();
    let whole = Failure::new(code, messages.join("; "));
    let causes = failures.iter().flat_map(|f| f.causes.iter().chain(f.remedy.as_ref()));
    causes.fold(whole, Failure::because)
}

fn schema_of<'a>(given: Option<&'a str>, default: Option<&'a str>) -> Result<&'a str> {
    given.or(default).ok_or_else(|| {
        Failure::new(Code::SourceObjectMissing, "no database is selected")
            .remedy("Name it in the URL (`mysql://…/DATABASE`) or before the table (`DATABASE.TABLE`).")
    })
}

async fn identity(lease: &mut Lease, location: &str) -> Result<(SourceIdentity, Option<String>)> {
    let server = lease.server().clone();
    // MariaDB has no identifier of the data; what tells two servers apart must do.
    let look = if server.mariadb {
        "SELECT CONNECTION_ID(), CONCAT_WS('\\n', @@hostname, @@port, @@datadir)"
    } else {
        "SELECT CONNECTION_ID(), @@server_uuid"
    };
    let rows = lease
        .catalogue(&Statement::new(look), "cannot look up the server's identity")
        .await?;
    let (connection, text) = match rows.first() {
        Some(row) => (row.number(0)?, row.text(1)?.unwrap_or_default()),
        None => (None, String::new()),
    };
    let system = match server.mariadb {
        true => Digest::of(text.as_bytes()).to_string()[..32].to_owned(),
        false => text,
    };
    // The number of a connection changes only where somebody between hands us from one to another.
    let moved = connection.is_some_and(|now| now != lease.id().0);
    let pooler = moved.then(|| "a proxy that multiplexes connections".to_owned());
    let identity = SourceIdentity {
        dialect: Dialect::Mysql,
        version: server.version,
        location: location.to_owned(),
        system,
    };
    Ok((identity, pooler))
}

/// Of the server's and the user's limit, whichever leaves less; this connection counts as free, since we hold it.
async fn free_connections(lease: &mut Lease) -> Result<Option<u32>> {
    let what = "cannot look up the limits of connections";
    let limits = Statement::new(
        "SELECT @@max_connections, @@max_user_connections, \
         (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1))",
    );
    let limits = lease.catalogue(&limits, what).await?;
    let used = lease
        .catalogue(&Statement::new("SHOW GLOBAL STATUS LIKE 'Threads_connected'"), what)
        .await?;
    let (Some(limits), Some(used)) = (limits.first(), used.first()) else {
        return Ok(None);
    };
    let (server, user, own) = (limits.number(0)?, limits.number(1)?, limits.number(2)?);
    let of_server = server
        .zip(used.number(1)?)
        .map(|(limit, used)| limit.saturating_sub(used) + 1);
    let of_user = user
        .filter(|limit| *limit > 0)
        .zip(own)
        .map(|(limit, own)| limit.saturating_sub(own) + 1);
    let free = of_server.into_iter().chain(of_user).min();
    Ok(free.map(|free| u32::try_from(free).unwrap_or(u32::MAX)))
}

/// A row of the catalogue's `TABLES`.
struct Listed {
    name: TableName,
    kind: TableKind,
    rows: Option<u64>,
    bytes: u64,
    logged: bool,
}

const LISTED: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH \
                      FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?";

async fn listed(lease: &mut Lease, look: &Statement) -> Result<Vec<Listed>> {
    let rows = lease.catalogue(look, "cannot look up the tables").await?;
    let listed = rows.iter().map(|row| {
        let text = |i| Ok(row.text(i)?.unwrap_or_default());
        let engine = text(3)?.to_ascii_uppercase();
        let kind = match (text(2)?.as_str(), engine.as_str()) {
            ("VIEW" | "SYSTEM VIEW", _) => TableKind::View,
            (_, "FEDERATED" | "SPIDER" | "CONNECT" | "S3") => TableKind::Foreign,
            _ => TableKind::Table,
        };
        Ok(Listed {
            name: TableName::new(text(0)?, text(1)?),
            kind,
            rows: row.number(4)?,
            bytes: row.number(5)?.unwrap_or_default(),
            logged: engine == "INNODB",
        })
    });
    listed.collect()
}

async fn table(lease: &mut Lease, schema: &str, name: &str) -> Result<TableFacts> {
    let look = Statement::new(format!("{LISTED} AND TABLE_NAME = ?"))
        .bind(schema)
        .bind(name);
    let found = listed(lease, &look).await?;
    // Where the catalogue compares without case, the name as written wins.
    let exact = found
        .iter()
        .position(|t| t.name.name == name)
        .or((found.len() == 1).then_some(0));
    match exact.and_then(|i| found.into_iter().nth(i)) {
        Some(found) => facts(lease, found).await,
        None => Err(missing(lease, schema, name).await),
    }
}

async fn all_tables(lease: &mut Lease, schema: &str) -> Result<Vec<TableFacts>> {
    let look = Statement::new(format!("{LISTED} ORDER BY TABLE_NAME")).bind(schema);
    let found = listed(lease, &look).await?;
    if found.is_empty() {
        let message = format!("the database `{schema}` does not exist, or holds nothing that the user can see");
        return Err(Failure::new(Code::SourceObjectMissing, message));
    }
    let mut tables = Vec::new();
    for found in found.into_iter().filter(|t| t.kind != TableKind::View) {
        tables.push(facts(lease, found).await?);
    }
    Ok(tables)
}

async fn facts(lease: &mut Lease, found: Listed) -> Result<TableFacts> {
    let Listed {
        name,
        kind,
        rows,
        bytes,
        logged,
    } = found;
    let at_table = |f: Failure| f.table(&name);
    let columns = columns::of_table(lease, &name.schema, &name.name)
        .await
        .map_err(at_table)?;
    let relation = Relation::Table(name.clone());
    let names: Vec<_> = columns.iter().map(|c| quoted(&c.name)).collect();
    let names = if names.is_empty() {
        "1".to_owned()
    } else {
        names.join(", ")
    };
    // The catalogue shows a table on any privilege; only the server's own check tells whether it may be read.
    let readable = Statement::new(format!("SELECT {names} FROM {} LIMIT 0", from(&relation)));
    lease
        .rows(&readable, &format!("cannot read `{name}`"))
        .await
        .map_err(at_table)?;
    let keys = match kind {
        TableKind::View => Vec::new(),
        _ => keys::of_table(lease, &name.schema, &name.name, &columns)
            .await
            .map_err(at_table)?,
    };
    let (estimated_rows, estimated_bytes) = match rows {
        Some(rows) => (rows, bytes),
        None => estimated(lease, &relation, &columns).await.map_err(at_table)?,
    };
    Ok(TableFacts {
        name,
        kind,
        columns,
        estimated_rows,
        estimated_bytes,
        keys,
        leaves: Vec::new(),
        logged,
    })
}

/// By the optimizer, for what has no statistics of its own.
async fn estimated(lease: &mut Lease, relation: &Relation, columns: &[SourceColumn]) -> Result<(u64, u64)> {
    let steps = probe::explain(lease, relation, None, &Range::All).await?;
    let rows = probe::estimate(&steps, false).unwrap_or_default();
    Ok((rows, rows.saturating_mul(columns.len() as u64 * ASSUMED_COLUMN_BYTES)))
}

async fn query(lease: &mut Lease, name: &str, sql: &str, key: Option<&str>) -> Result<TableFacts> {
    let name = TableName::new("query", name);
    let at_query = |f: Failure| f.table(&name);
    let columns = columns::of_query(lease, sql).await.map_err(at_query)?;
    let keys = match key {
        Some(key) => vec![query_key(key, &columns).map_err(at_query)?],
        None => Vec::new(),
    };
    let relation = Relation::Query(sql.to_owned());
    let (estimated_rows, estimated_bytes) = estimated(lease, &relation, &columns).await.map_err(at_query)?;
    let kind = TableKind::Query;
    Ok(TableFacts {
        name,
        kind,
        columns,
        estimated_rows,
        estimated_bytes,
        keys,
        leaves: Vec::new(),
        logged: false,
    })
}

/// The column that the user says is unique.
fn query_key(key: &str, columns: &[SourceColumn]) -> Result<KeyFacts> {
    let Some(column) = columns.iter().find(|c| c.name == key) else {
        let message = format!("the query has no column `{key}` to split it by");
        let names: Vec<_> = columns.iter().map(|c| c.name.clone()).collect();
        let failure = Failure::new(Code::SourceObjectMissing, message).column(key);
        return Err(suggested(failure, key, &names));
    };
    let column: KeyColumn = keys::key_column(column).filter(|c| !is_imprecise(c)).ok_or_else(|| {
        let message = format!(
            "the column `{key}` is `{}`, which a query cannot be split by",
            column.declared
        );
        Failure::new(Code::PlanRefused, message)
            .column(key)
            .remedy("Split by an integer or text column.")
    })?;
    Ok(KeyFacts {
        name: key.to_owned(),
        columns: vec![column],
        unique: true,
        primary: false,
    })
}

/// An expression's digits are not known, so that its literals could not be compared exactly.
fn is_imprecise(column: &KeyColumn) -> bool {
    column.kind == KeyKind::Literal && column.declared != "date" && !column.declared.contains('(')
}

/// Why a table is not there: hidden from the user, or misspelt.
async fn missing(lease: &mut Lease, schema: &str, name: &str) -> Failure {
    let table = TableName::new(schema, name);
    let look = Statement::new(format!("SELECT 1 FROM {}", from(&Relation::Table(table.clone()))));
    let failure = match lease.prepare(&look, &format!("cannot read `{table}`")).await {
        Err(failure) if failure.code != Code::SourceObjectMissing => return failure.table(table),
        _ => Failure::new(Code::SourceObjectMissing, format!("there is no table `{table}`")).table(table),
    };
    let look = Statement::new(format!("{LISTED} ORDER BY TABLE_NAME")).bind(schema);
    let names: Vec<_> = listed(lease, &look)
        .await
        .unwrap_or_default()
        .into_iter()
        .map(|t| t.name.name)
        .collect();
    suggested(failure, name, &names)
}

/// Adds the name that was probably meant.
fn suggested(failure: Failure, name: &str, known: &[String]) -> Failure {
    let folded = name.to_lowercase();
    let nearest = known
        .iter()
        .map(|k| (distance(&k.to_lowercase(), &folded), k))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, known)) if distance <= 1 + name.chars().count() / 4 => failure.remedy(format!(
            "Did you mean `{known}`? `sqlextract inspect` lists what the user can see."
        )),
        _ => failure,
    }
}

/// Letters to add, drop or replace to come from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let mut costs: Vec<_> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = costs[j + 1];
            costs[j + 1] = replaced.min(costs[j] + 1).min(diagonal + 1);
        }
    }
    costs[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_suggested_and_a_foreign_one_is_not() {
        let known = ["orders".to_owned(), "lineitem".to_owned()];
        let failure = || Failure::new(Code::SourceObjectMissing, "gone");
        assert!(suggested(failure(), "Order", &known).action().contains("`orders`"));
        assert!(suggested(failure(), "lineitme", &known).action().contains("`lineitem`"));
        assert_eq!(suggested(failure(), "customers", &known), failure());
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
