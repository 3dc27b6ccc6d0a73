//! Whether what is about to be read is still what the plan was made for.
//!
//! Inside a transaction with a shared snapshot, the catalogue as a *table* shows the snapshot's state, while names in
//! a statement and the catalogue's functions show the newest. A difference between the two is a change since then.

use std::collections::HashMap;

use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, TableName};

use super::client::Client;
use super::describe::Described;
use super::{errors, inspect, sql};

/// Ends where the object identifier of the relation follows.
const ATTRIBUTES: &str = "\
    SELECT a.attname::text, a.attnum, format_type(a.atttypid, a.atttypmod), \
        CASE WHEN t.typtype = 'd' THEN 0 ELSE a.atttypid::int8 END, n.nspname::text, c.relname::text \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_type t ON t.oid = a.atttypid \
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid = ";

/// Files of the snapshot's catalogue that are no longer those of the relations: TRUNCATE, VACUUM FULL, CLUSTER and some
/// ALTER TABLE make new ones, in which old rows are gone or at other addresses.
///
/// Ends where the object identifier of the relation follows.
const REWRITTEN: &str = "\
    WITH RECURSIVE tree(oid) AS ( \
        SELECT c.oid FROM pg_class c WHERE c.oid = ";
const REWRITTEN_END: &str = " \
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid \
    ) \
    SELECT n.nspname::text, c.relname::text \
    FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm') AND c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid) \
    LIMIT 1";

/// What a statement reads from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Relation(&'a Relation),
    /// A leaf, known by its object identifier.
    Leaf(u32, &'a TableName),
}

impl Subject<'_> {
    /// What stands behind FROM.
    pub(crate) fn from(&self) -> String {
        match self {
            Self::Relation(relation) => sql::relation(relation),
            Self::Leaf(_, name) => sql::leaf(name),
        }
    }
}

/// Fails with `schema_changed` unless the columns are as planned; with a snapshot, also when the relation's rows were
/// rewritten since.
pub(crate) async fn unchanged<C: Client>(
    connection: &mut C,
    subject: Subject<'_>,
    columns: &[ColumnMapping],
    shared_snapshot: bool,
) -> Result<()> {
    let name = match subject {
        Subject::Leaf(_, name) | Subject::Relation(Relation::Table(name)) => name,
        Subject::Relation(Relation::Query(text)) => return query_unchanged(connection, text, columns).await,
    };
    let names: Vec<_> = columns.iter().map(|c| sql::identifier(&c.name)).collect();
    let select = format!("SELECT {} FROM {}", names.join(", "), subject.from());
    // From here on the relation is locked against changes of its definition.
    let doing = "the table or a column of it is not there as planned";
    let described = connection.describe(&select).await.map_err(errors::in_use(doing));
    let described = described.map_err(|failure| missing_is(Code::SchemaChanged, failure))?;
    let oid = described.first().and_then(|d| d.origin).map(|(relation, _)| relation);
    let expected = match subject {
        Subject::Leaf(oid, _) => Some(oid),
        Subject::Relation(_) => oid,
    };
    if oid.is_none() || oid != expected {
        return Err(changed(name, "another relation has its name now"));
    }
    attributes_unchanged(connection, name, oid.unwrap_or(0), columns, &described).await?;
    if shared_snapshot {
        not_rewritten(connection, name, oid.unwrap_or(0)).await?;
    }
    Ok(())
}

fn missing_is(code: Code, failure: Failure) -> Failure {
    match failure.code {
        Code::SourceObjectMissing => Failure { code, ..failure },
        _ => failure,
    }
}

fn changed(name: &TableName, what: &str) -> Failure {
    Failure::new(
        Code::SchemaChanged,
        format!("{name} has changed since it was planned: {what}"),
    )
}

async fn attributes_unchanged<C: Client>(
    connection: &mut C,
    name: &TableName,
    oid: u32,
    columns: &[ColumnMapping],
    described: &[Described],
) -> Result<()> {
    let doing = "cannot compare the columns with the plan";
    let rows = connection.texts(&format!("{ATTRIBUTES}{oid}")).await;
    let mut attributes = HashMap::new();
    for row in rows.map_err(errors::in_use(doing))? {
        let values = <[Option<String>; 6]>::try_from(row).map(|values| values.map(Option::unwrap_or_default));
        let [column, number, declared, type_oid, schema, table] =
            values.map_err(|_| Failure::new(Code::SourceProtocol, doing))?;
        if (&schema, &table) != (&name.schema, &name.name) {
            return Err(changed(name, "it has got another name"));
        }
        attributes.insert(
            column,
            (number.parse().unwrap_or(0), declared, type_oid.parse().unwrap_or(0)),
        );
    }
    for (column, now) in columns.iter().zip(described) {
        let Some((number, declared, type_oid)) = attributes.get(&column.name) else {
            return Err(changed(name, "a column is new").column(&column.name));
        };
        let same_type = *type_oid == 0 || *type_oid == now.type_oid;
        if *declared != column.declared {
            let what = format!("column {} is {declared} and was {}", column.name, column.declared);
            return Err(changed(name, &what).column(&column.name));
        }
        if now.origin.map(|(_, attribute)| attribute) != Some(*number) || !same_type {
            return Err(changed(name, "a column was replaced").column(&column.name));
        }
    }
    Ok(())
}

async fn not_rewritten<C: Client>(connection: &mut C, name: &TableName, oid: u32) -> Result<()> {
    let doing = "cannot find out whether the table was rewritten";
    let text = format!("{REWRITTEN}{oid}{REWRITTEN_END}");
    let rows = connection.texts(&text).await.map_err(errors::in_use(doing))?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(());
    };
    let mut names = row.into_iter().flatten();
    let leaf = TableName::new(names.next().unwrap_or_default(), names.next().unwrap_or_default());
    Err(changed(
        name,
        &format!("the rows of {leaf} were rewritten or truncated after the snapshot"),
    ))
}

async fn query_unchanged<C: Client>(connection: &mut C, text: &str, columns: &[ColumnMapping]) -> Result<()> {
    let doing = "PostgreSQL does not accept the query of the plan";
    let described = connection.describe(text).await.map_err(errors::in_use(doing))?;
    let declared = inspect::declared(connection, &described).await?;
    for column in columns {
        let now = described
            .iter()
            .zip(&declared)
            .find(|(now, _)| now.name == column.name)
            .map(|(_, (declared, _))| declared.as_str());
        if now != Some(column.declared.as_str()) {
            let text = format!(
                "the query's column {} is {} and was {}",
                column.name,
                now.unwrap_or("gone"),
                column.declared
            );
            return Err(Failure::new(Code::SchemaChanged, text).column(&column.name));
        }
    }
    Ok(())
}

/// Fails with `source_query_invalid` unless the filter is one expression over the relation's columns. Inside CASE, a text that closes our
/// parenthesis to open another one does not parse; only the optimizer ever sees this statement.
pub(crate) async fn filter_is_one_expression<C: Client>(
    connection: &mut C,
    subject: Subject<'_>,
    filter: &str,
) -> Result<()> {
    let select = format!("SELECT CASE WHEN {filter}\n THEN 1 END AS one FROM {}", subject.from());
    let doing = "PostgreSQL does not accept the filter";
    let described = connection.describe(&select).await.map_err(errors::in_use(doing));
    described
        .map(drop)
        .map_err(|failure| missing_is(Code::SourceQueryInvalid, failure))
}
