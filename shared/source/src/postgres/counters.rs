//! What the server has counted about the reading of tables.

use sqlextract_model::{Relation, Result, SourceCounters};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{PostgresSource, errors, sql};

pub(super) async fn counters(source: &PostgresSource, relations: &[Relation]) -> Result<SourceCounters> {
    let doing = "cannot read the server's statistics";
    let mut session = source.connections.begin::<PgConnection>(None).await?;
    let row = sql::query(question(relations))
        .fetch_one(session.connection())
        .await
        .map_err(errors::in_use(doing))?;
    session.end().await;
    let number = |index: usize| {
        let number = row.try_get::<Option<i64>, _>(index).map_err(errors::in_use(doing))?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    };
    Ok(SourceCounters {
        blocks_read: number(0)?,
        table_blocks: number(1)?,
        temporary_bytes: number(2)?,
        counted_since: row.try_get::<Option<i64>, _>(3).map_err(errors::in_use(doing))?,
    })
}

/// A table is itself and what inherits from it, partitions among them. Of a view or a query nobody knows which tables it
/// reads, and where statistics are off, nothing is counted.
fn question(relations: &[Relation]) -> String {
    let database = "d.temp_bytes::int8, (extract(epoch FROM d.stats_reset) * 1000000)::int8";
    let of_database = "pg_stat_database AS d WHERE d.datname = current_database()";
    let names: Option<Vec<String>> = relations
        .iter()
        .map(|relation| match relation {
            Relation::Table(table) => Some(sql::literal(&sql::table(table))),
            Relation::Query(_) => None,
        })
        .collect();
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return format!("SELECT NULL::int8, NULL::int8, {database} FROM {of_database}");
    };
    format!(
        "WITH RECURSIVE whole (oid) AS ( \
            SELECT to_regclass(name)::oid FROM unnest(ARRAY[{}]) AS name \
            UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN whole ON i.inhparent = whole.oid), \
        counted AS ( \
            SELECT current_setting('track_counts')::bool AND bool_and(c.relkind IN ('r', 'm', 'p')) IS TRUE AS holds \
            FROM whole LEFT JOIN pg_class AS c USING (oid)) \
        SELECT \
            CASE WHEN holds THEN (SELECT sum(s.heap_blks_read + s.heap_blks_hit) \
                FROM pg_statio_all_tables AS s JOIN whole ON s.relid = whole.oid) END::int8, \
            CASE WHEN holds THEN (SELECT sum(pg_relation_size(oid) / current_setting('block_size')::int8) FROM whole) \
                END::int8, \
            {database} \
        FROM counted, {of_database}",
        names.join(", ")
    )
}
