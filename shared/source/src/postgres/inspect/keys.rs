//! Indexes that can serve ranges.

use std::collections::HashMap;

use sqlextract_model::{KeyColumn, KeyFacts, Result};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::types::Types;
use crate::postgres::{errors, sql};

/// B-trees over the whole table: valid, without predicate or expression. Best first.
const INDEXES: &str = "\
    SELECT i.indrelid::int8, i.indexrelid::int8, ic.relname::text, i.indisunique, i.indisprimary, \
        i.indnkeyatts::int4, a.attname::text, a.attnotnull, a.atttypid::int8, \
        o.opcdefault AND i.indcollation[k.position] = a.attcollation \
            AND coalesce((to_jsonb(c) ->> 'collisdeterministic')::bool, true) \
    FROM pg_index i \
        JOIN pg_class ic ON ic.oid = i.indexrelid \
        JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree' \
        CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS k(position) \
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.position] \
        JOIN pg_opclass o ON o.oid = i.indclass[k.position] \
        LEFT JOIN pg_collation c ON c.oid = i.indcollation[k.position] \
    WHERE i.indrelid = ANY ($1::int8[]::oid[]) AND i.indisvalid AND i.indisready AND i.indislive \
        AND i.indpred IS NULL AND i.indexprs IS NULL \
    ORDER BY i.indrelid, i.indisprimary DESC, i.indisunique DESC, i.indnkeyatts, ic.relname, k.position";

/// A column of an index.
#[derive(Debug, Clone)]
pub(super) struct IndexColumn {
    table: i64,
    index: i64,
    index_name: String,
    unique: bool,
    primary: bool,
    columns: i32,
    name: String,
    not_null: bool,
    pub(super) type_oid: i64,
    /// The index has the order of the column's own comparison, and equal values are the same value.
    plain: bool,
}

pub(super) async fn load(connection: &mut PgConnection, tables: Vec<i64>) -> Result<Vec<IndexColumn>> {
    let doing = "cannot read the indexes from the catalogue";
    let query = sql::query(INDEXES.to_owned()).bind(tables);
    let rows = query.fetch_all(connection).await.map_err(errors::in_use(doing))?;
    rows.iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))
}

fn read(row: &PgRow) -> sqlx::Result<IndexColumn> {
    Ok(IndexColumn {
        table: row.try_get(0)?,
        index: row.try_get(1)?,
        index_name: row.try_get(2)?,
        unique: row.try_get(3)?,
        primary: row.try_get(4)?,
        columns: row.try_get(5)?,
        name: row.try_get(6)?,
        not_null: row.try_get(7)?,
        type_oid: row.try_get(8)?,
        plain: row.try_get(9)?,
    })
}

/// The keys of each table. An index gives its leading columns up to the first that cannot be compared here; it is
/// unique only with all of them.
pub(super) fn keys(columns: &[IndexColumn], types: &Types) -> HashMap<i64, Vec<KeyFacts>> {
    let mut keys: HashMap<i64, Vec<KeyFacts>> = HashMap::new();
    for index in columns.chunk_by(|a, b| a.index == b.index) {
        let leading: Vec<KeyColumn> = index.iter().map_while(|column| key_column(column, types)).collect();
        let (Some(first), false) = (index.first(), leading.is_empty()) else {
            continue;
        };
        let whole = i32::try_from(leading.len()).is_ok_and(|length| length == first.columns);
        keys.entry(first.table).or_default().push(KeyFacts {
            name: first.index_name.clone(),
            columns: leading,
            unique: first.unique && whole,
            primary: first.primary && whole,
        });
    }
    for keys in keys.values_mut() {
        keys.sort_by_key(|key| (!key.primary, !key.unique));
    }
    keys
}

fn key_column(column: &IndexColumn, types: &Types) -> Option<KeyColumn> {
    let (kind, declared) = types.key(column.type_oid)?;
    column.plain.then(|| KeyColumn {
        name: column.name.clone(),
        kind,
        nullable: !column.not_null,
        declared,
    })
}
