//! The relations that hold a table's rows, with their sizes.

use sqlextract_model::{BlockLeaf, Result, TableName};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::postgres::{errors, sql};

/// The relation itself and all that inherit from it, each once. Sizes are those of the files, not of the statistics.
fn leaves_sql(version: u32) -> String {
    // A partition that is being detached is not read through its parent any more.
    let attached = if version >= 140_000 {
        "AND NOT i.inhdetachpending"
    } else {
        ""
    };
    format!(
        "WITH RECURSIVE tree(root, oid) AS ( \
            SELECT r, r FROM unnest($1::int8[]::oid[]) AS r \
            UNION \
            SELECT tree.root, i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid {attached} \
        ) \
        SELECT tree.root::int8, c.oid::int8, n.nspname::text, c.relname::text, \
            c.relkind <> 'f' AND coalesce(am.amname = 'heap', false) AND has_table_privilege(c.oid, 'SELECT') \
                AND has_schema_privilege(n.oid, 'USAGE'), \
            c.relpersistence = 'p', c.reltuples::float8, c.relpages::int8, \
            coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8, \
            coalesce(pg_table_size(c.oid), 0) \
        FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
            LEFT JOIN pg_am am ON am.oid = c.relam \
        WHERE c.relkind IN ('r', 'm', 'f') ORDER BY tree.root, c.oid"
    )
}

/// A relation with rows of its own, under the table that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) root: i64,
    pub(super) block: BlockLeaf,
    pub(super) bytes: u64,
    pub(super) logged: bool,
}

pub(super) async fn load(connection: &mut PgConnection, tables: Vec<i64>, version: u32) -> Result<Vec<Leaf>> {
    let doing = "cannot read the sizes of the tables";
    let query = sql::query(leaves_sql(version)).bind(tables);
    let rows = query.fetch_all(connection).await.map_err(errors::in_use(doing))?;
    rows.iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))
}

fn read(row: &PgRow) -> sqlx::Result<Leaf> {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let blocks = unsigned(row.try_get(8)?);
    let oid: i64 = row.try_get(1)?;
    Ok(Leaf {
        root: row.try_get(0)?,
        block: BlockLeaf {
            oid: u32::try_from(oid).unwrap_or(0),
            name: TableName::new(row.try_get::<String, _>(2)?, row.try_get::<String, _>(3)?),
            blocks,
            estimated_rows: estimated_rows(row.try_get(6)?, unsigned(row.try_get(7)?), blocks),
            heap: row.try_get(4)?,
        },
        logged: row.try_get(5)?,
        bytes: unsigned(row.try_get(9)?),
    })
}

/// The density of the last analysis over the blocks of today; 0 where the table was never analysed.
fn estimated_rows(tuples: f64, pages: u64, blocks: u64) -> u64 {
    if tuples < 0.0 {
        return 0;
    }
    let rows = if pages > 0 && blocks > 0 {
        tuples / pages as f64 * blocks as f64
    } else {
        tuples
    };
    rows.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_by_the_growth_since_the_analysis() {
        assert_eq!(estimated_rows(1000.0, 10, 25), 2500);
        assert_eq!(estimated_rows(-1.0, 0, 25), 0);
        assert_eq!(estimated_rows(0.0, 0, 0), 0);
        assert_eq!(estimated_rows(500.0, 10, 0), 500);
    }
}
