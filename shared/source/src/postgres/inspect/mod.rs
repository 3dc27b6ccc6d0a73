//! Facts about tables, views and queries, from the catalogue and the statistics alone.

mod keys;
mod leaves;
mod query;
mod relations;
mod suggest;
mod types;

use std::collections::HashMap;

use sqlextract_model::{
    Code, Dialect, Failure, KeyFacts, Relation, Result, Selection, SourceColumn, SourceFacts, SourceIdentity,
    TableFacts, TableKind, TableName,
};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{PostgresSource, errors, explain, sql};
use leaves::Leaf;
pub(crate) use query::declared;
use query::describe_query;
use relations::Found;
use types::{Attribute, Types};

const ATTRIBUTES: &str = "\
    SELECT attrelid::int8, attname::text, format_type(atttypid, atttypmod), atttypid::int8, atttypmod, attnotnull \
    FROM pg_attribute WHERE attrelid = ANY ($1::int8[]::oid[]) AND attnum > 0 AND NOT attisdropped \
    ORDER BY attrelid, attnum";

/// The tightest of the limits of server, user and database, less who is connected already.
const FREE_CONNECTIONS: &str = "\
    SELECT least( \
        current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 \
            - coalesce(current_setting('reserved_connections', true), '0')::int8 \
            - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
        nullif(r.rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user), \
        nullif(d.datconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())) \
    FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()";

pub(super) async fn inspect(source: &PostgresSource, selections: &[Selection]) -> Result<SourceFacts> {
    let mut session = source.connections.begin::<PgConnection>(None).await?;
    let connection = session.connection();
    let found = relations::find(connection, selections, &source.server.search_path).await?;
    let mut tables = table_facts(connection, &found, source.server.version).await?;
    for selection in selections {
        if let Selection::Query { name, sql, key } = selection {
            tables.push(query_facts(connection, name, sql, key.as_deref()).await?);
        }
    }
    let free_connections = if source.server.pooler {
        None
    } else {
        Some(free_connections(connection).await?)
    };
    let identity = SourceIdentity {
        dialect: Dialect::Postgres,
        version: source.server.version_text.clone(),
        location: source.connections.location().to_owned(),
        system: source.server.system.clone(),
    };
    session.end().await;
    let pooler = source.server.pooler.then(|| super::pooler::SHARED_SESSIONS.to_owned());
    Ok(SourceFacts {
        identity,
        free_connections,
        pooler,
        tables,
    })
}

async fn free_connections(connection: &mut PgConnection) -> Result<u32> {
    let doing = "cannot count the free connections";
    let row = sql::query(FREE_CONNECTIONS.to_owned())
        .fetch_one(connection)
        .await
        .map_err(errors::in_use(doing))?;
    let free: Option<i64> = row.try_get(0).map_err(errors::in_use(doing))?;
    Ok(u32::try_from(free.unwrap_or(0).max(0)).unwrap_or(u32::MAX))
}

async fn table_facts(connection: &mut PgConnection, found: &[Found], version: u32) -> Result<Vec<TableFacts>> {
    let oids: Vec<i64> = found.iter().map(|f| f.oid).collect();
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    let attributes = attributes(connection, oids.clone()).await?;
    let indexes = keys::load(connection, oids.clone()).await?;
    let used = attributes
        .iter()
        .map(|(_, a)| a.type_oid)
        .chain(indexes.iter().map(|i| i.type_oid))
        .collect();
    let types = Types::load(connection, used).await?;
    let mut columns: HashMap<i64, Vec<SourceColumn>> = HashMap::new();
    for (table, attribute) in &attributes {
        columns.entry(*table).or_default().push(types.column(attribute));
    }
    let mut keys = keys::keys(&indexes, &types);
    let mut leaves: HashMap<i64, Vec<Leaf>> = HashMap::new();
    for leaf in leaves::load(connection, oids, version).await? {
        leaves.entry(leaf.root).or_default().push(leaf);
    }
    let mut tables = Vec::with_capacity(found.len());
    for relation in found {
        let columns = columns.remove(&relation.oid).unwrap_or_default();
        if columns.is_empty() {
            let text = format!("{} has no columns", relation.name);
            return Err(Failure::new(Code::PlanRefused, text).table(&relation.name));
        }
        let leaves = leaves.remove(&relation.oid).unwrap_or_default();
        let keys = keys.remove(&relation.oid).unwrap_or_default();
        let mut facts = facts(relation, columns, keys, leaves);
        if matches!(facts.kind, TableKind::View | TableKind::Foreign) && facts.estimated_rows == 0 {
            let select = format!("SELECT * FROM {}", sql::table(&relation.name));
            (facts.estimated_rows, facts.estimated_bytes) = explain::estimate(connection, &select).await?;
        }
        tables.push(facts);
    }
    Ok(tables)
}

async fn attributes(connection: &mut PgConnection, tables: Vec<i64>) -> Result<Vec<(i64, Attribute)>> {
    let doing = "cannot read the columns from the catalogue";
    let query = sql::query(ATTRIBUTES.to_owned()).bind(tables);
    let rows = query.fetch_all(connection).await.map_err(errors::in_use(doing))?;
    let read = |row: &sqlx::postgres::PgRow| {
        let attribute = Attribute {
            name: row.try_get(1)?,
            declared: row.try_get(2)?,
            type_oid: row.try_get(3)?,
            modifier: row.try_get(4)?,
            not_null: row.try_get(5)?,
        };
        Ok((row.try_get(0)?, attribute))
    };
    rows.iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))
}

fn facts(relation: &Found, columns: Vec<SourceColumn>, keys: Vec<KeyFacts>, leaves: Vec<Leaf>) -> TableFacts {
    let kind = match relation.kind {
        'v' => TableKind::View,
        'f' => TableKind::Foreign,
        'p' => TableKind::Partitioned,
        _ if leaves.len() > 1 => TableKind::Partitioned,
        _ => TableKind::Table,
    };
    // An index of a plain parent does not cover the rows of the tables that inherit from it.
    let covers_all = relation.kind == 'p' || leaves.len() <= 1;
    TableFacts {
        name: relation.name.clone(),
        kind,
        columns,
        estimated_rows: leaves.iter().map(|l| l.block.estimated_rows).sum(),
        estimated_bytes: leaves.iter().map(|l| l.bytes).sum(),
        keys: if covers_all { keys } else { Vec::new() },
        logged: relation.logged && leaves.iter().all(|l| l.logged),
        leaves: match kind {
            TableKind::Table | TableKind::Partitioned => leaves.into_iter().map(|l| l.block).collect(),
            _ => Vec::new(),
        },
    }
}

async fn query_facts(connection: &mut PgConnection, name: &str, text: &str, key: Option<&str>) -> Result<TableFacts> {
    let table = TableName::new("query", name);
    let described = describe_query(connection, name, text, key)
        .await
        .map_err(|failure| failure.table(&table))?;
    let select = format!("SELECT * FROM {}", sql::relation(&Relation::Query(text.to_owned())));
    let (estimated_rows, estimated_bytes) = explain::estimate(connection, &select).await?;
    Ok(TableFacts {
        name: table,
        kind: TableKind::Query,
        columns: described.columns,
        estimated_rows,
        estimated_bytes,
        keys: described.keys,
        leaves: Vec::new(),
        logged: true,
    })
}
