//! The optimizer's view of a statement.

use sqlextract_model::{Code, Failure, Result};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{errors, sql};

/// A small table is read whole for less than its index costs; the optimizer is right there.
const SMALL_TABLE_BLOCKS: i64 = 1000;

const SIZES: &str = "\
    SELECT coalesce(max(pg_relation_size(c.oid) / current_setting('block_size')::int8), 0) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE (n.nspname, c.relname) = ($1, $2)";

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Node {
    #[serde(rename = "Node Type")]
    kind: String,
    #[serde(rename = "Schema", default)]
    schema: Option<String>,
    #[serde(rename = "Relation Name", default)]
    relation: Option<String>,
    #[serde(rename = "Plan Rows", default)]
    rows: u64,
    #[serde(rename = "Plan Width", default)]
    width: u64,
    #[serde(rename = "Plans", default)]
    below: Vec<Self>,
}

#[derive(serde::Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Node,
}

/// What a range promises its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Rows behind an index.
    Index,
    /// Rows behind their block addresses.
    Blocks,
}

/// Rows that a SELECT is expected to answer with, and their bytes.
pub(crate) async fn estimate(connection: &mut PgConnection, select: &str) -> Result<(u64, u64)> {
    let plan = plan(connection, select).await?;
    Ok((plan.rows, plan.rows.saturating_mul(plan.width)))
}

/// The step of the plan that sorts, or scans more than the range, unless the relation is small.
pub(crate) async fn offence(connection: &mut PgConnection, select: &str, promise: Promise) -> Result<Option<String>> {
    let plan = plan(connection, select).await?;
    let mut suspects = Vec::new();
    collect(&plan, promise, &mut suspects);
    for node in suspects {
        let (Some(schema), Some(relation)) = (&node.schema, &node.relation) else {
            return Ok(Some(node.kind.clone()));
        };
        if blocks(connection, schema, relation).await? > SMALL_TABLE_BLOCKS {
            return Ok(Some(format!("{} on {schema}.{relation}", node.kind)));
        }
    }
    Ok(None)
}

/// Sorting needs all rows before the first; a sequential scan reads every block for the few of the range.
fn collect<'a>(node: &'a Node, promise: Promise, suspects: &mut Vec<&'a Node>) {
    let scans = matches!(node.kind.as_str(), "Seq Scan" | "Sample Scan" | "Foreign Scan");
    let sorts = matches!(node.kind.as_str(), "Sort" | "Incremental Sort") && promise == Promise::Index;
    if scans {
        suspects.push(node);
    }
    if sorts && below_is_large(node) {
        suspects.push(node);
    }
    for child in &node.below {
        collect(child, promise, suspects);
    }
}

/// Sorting a few rows costs nothing.
fn below_is_large(node: &Node) -> bool {
    node.rows > 100_000
}

async fn plan(connection: &mut PgConnection, select: &str) -> Result<Node> {
    let doing = "the optimizer does not accept the statement";
    let text = format!("EXPLAIN (FORMAT JSON, VERBOSE) {select}");
    let row = sql::query(text)
        .fetch_one(connection)
        .await
        .map_err(errors::in_use(doing))?;
    let json: String = row.try_get_unchecked(0).map_err(errors::in_use(doing))?;
    let unreadable = || Failure::new(Code::SourceProtocol, "the optimizer's plan cannot be read");
    let explained: Vec<Explained> = serde_json::from_str(&json).map_err(|error| unreadable().because(error))?;
    explained.into_iter().next().map(|e| e.plan).ok_or_else(unreadable)
}

async fn blocks(connection: &mut PgConnection, schema: &str, relation: &str) -> Result<i64> {
    let doing = "cannot read the size of a table";
    let query = sql::query(SIZES.to_owned())
        .bind(schema.to_owned())
        .bind(relation.to_owned());
    let row = query.fetch_one(connection).await.map_err(errors::in_use(doing))?;
    row.try_get(0).map_err(errors::in_use(doing))
}
