//! Free queries: described, never run.

use std::collections::HashMap;

use sqlextract_model::{Code, Failure, KeyColumn, KeyFacts, Result, SourceColumn};
use sqlx::postgres::PgConnection;

use super::types::{Attribute, Types};
use crate::postgres::client::Client;
use crate::postgres::describe::{Described, doubled};
use crate::postgres::errors;

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
    let described = connection.describe(text).await.map_err(errors::in_use(doing))?;
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
    let declared = declared(connection, described).await?;
    let attribute = |(column, (declared, modifier)): (&Described, (String, i32))| Attribute {
        name: column.name.clone(),
        declared,
        type_oid: column.type_oid.into(),
        modifier,
        // An outer join makes NULL of what the table does not allow.
        not_null: false,
    };
    Ok(described.iter().zip(declared).map(attribute).collect())
}

/// The columns' types as they are printed, with the modifiers of those that a query takes from tables as they are.
pub(crate) async fn declared<C: Client>(connection: &mut C, described: &[Described]) -> Result<Vec<(String, i32)>> {
    let doing = "cannot read the query's column types from the catalogue";
    let place = |(place, column): (usize, &Described)| {
        let (relation, attribute) = column.origin.unwrap_or_default();
        format!("({place}, {}::oid, {relation}::oid, {attribute})", column.type_oid)
    };
    let places: Vec<_> = described.iter().enumerate().map(place).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "SELECT format_type(d.type, coalesce(a.atttypmod, -1)), coalesce(a.atttypmod, -1) \
         FROM (VALUES {}) AS d(place, type, relation, attribute) \
            LEFT JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = d.attribute AND a.atttypid = d.type \
         ORDER BY d.place",
        places.join(", ")
    );
    let rows = connection.texts(&text).await.map_err(errors::in_use(doing))?;
    let declared = rows.into_iter().map(|row| {
        let mut values = row.into_iter().flatten();
        let declared = values.next().unwrap_or_default();
        (
            declared,
            values.next().and_then(|modifier| modifier.parse().ok()).unwrap_or(-1),
        )
    });
    Ok(declared.collect())
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
