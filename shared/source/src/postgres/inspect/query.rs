//! Free queries: described, never run.

use std::collections::HashMap;

use sqlextract_model::{Code, Failure, KeyColumn, KeyFacts, Result, SourceColumn};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::types::{Attribute, Types};
use crate::postgres::describe::{Described, describe, doubled};
use crate::postgres::{errors, sql};

/// Types as they are printed, with the modifiers of the columns that a query takes from tables as they are.
const MODIFIERS: &str = "\
    SELECT format_type(d.type, coalesce(a.atttypmod, -1)), coalesce(a.atttypmod, -1) \
    FROM unnest($1::int8[]::oid[], $2::int8[]::oid[], $3::int2[]) WITH ORDINALITY AS d(type, relation, attribute, place) \
        LEFT JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = d.attribute AND a.atttypid = d.type \
    ORDER BY d.place";

/// A query's columns, and the key that it is said to have.
pub(crate) struct DescribedQuery {
    pub(crate) columns: Vec<SourceColumn>,
    pub(crate) keys: Vec<KeyFacts>,
}

pub(crate) async fn describe_query(
    connection: &mut PgConnection,
    name: &str,
    text: &str,
    key: Option<&str>,
) -> Result<DescribedQuery> {
    let doing = format!("PostgreSQL does not accept the query {name}");
    let described = describe(connection, text, &doing).await?;
    if let Some(column) = doubled(&described) {
        let text = format!("the query {name} has two columns named {column}");
        return Err(Failure::new(Code::SourceQueryInvalid, text)
            .column(column)
            .remedy("Give each column of the query a name of its own with AS."));
    }
    let attributes = attributes(connection, &described).await?;
    let types = Types::load(connection, attributes.iter().map(|a| a.type_oid).collect()).await?;
    let keys = key.map(|key| query_key(name, key, &attributes, &types)).transpose()?;
    Ok(DescribedQuery {
        columns: attributes.iter().map(|attribute| types.column(attribute)).collect(),
        keys: keys.into_iter().collect(),
    })
}

async fn attributes(connection: &mut PgConnection, described: &[Described]) -> Result<Vec<Attribute>> {
    let doing = "cannot read the query's column types from the catalogue";
    let types: Vec<i64> = described.iter().map(|d| d.type_oid.into()).collect();
    let relations: Vec<i64> = described.iter().map(|d| d.origin.map_or(0, |o| o.0).into()).collect();
    let numbers: Vec<i16> = described.iter().map(|d| d.origin.map_or(0, |o| o.1)).collect();
    let query = sql::query(MODIFIERS.to_owned())
        .bind(types)
        .bind(relations)
        .bind(numbers);
    let rows = query.fetch_all(connection).await.map_err(errors::in_use(doing))?;
    let read = |(column, row): (&Described, &sqlx::postgres::PgRow)| {
        Ok(Attribute {
            name: column.name.clone(),
            declared: row.try_get(0)?,
            type_oid: column.type_oid.into(),
            modifier: row.try_get(1)?,
            // An outer join makes NULL of what the table does not allow.
            not_null: false,
        })
    };
    described
        .iter()
        .zip(&rows)
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(errors::in_use(doing))
}

fn query_key(name: &str, key: &str, attributes: &[Attribute], types: &Types) -> Result<KeyFacts> {
    let by_name: HashMap<&str, &Attribute> = attributes.iter().map(|a| (a.name.as_str(), a)).collect();
    let attribute = by_name.get(key).ok_or_else(|| {
        Failure::new(
            Code::SourceObjectMissing,
            format!("the query {name} has no column {key} to be split by"),
        )
        .column(key)
    })?;
    let (kind, declared) = types.key(attribute.type_oid).ok_or_else(|| {
        let text = format!(
            "the query {name} cannot be split by {key}, which is a {}",
            attribute.declared
        );
        Failure::new(Code::PlanRefused, text)
            .column(key)
            .remedy("Name a key of an integer, text, UUID or date type.")
    })?;
    Ok(KeyFacts {
        name: key.to_owned(),
        columns: vec![KeyColumn {
            name: key.to_owned(),
            kind,
            nullable: true,
            declared,
        }],
        unique: true,
        primary: false,
    })
}
