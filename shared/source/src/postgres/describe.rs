//! What a statement would answer with, without running it.

use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Column as _, Row, ValueRef as _};

use super::errors::DatabaseError;
use super::sql;

/// A column of a statement's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    /// The relation and the attribute that the column is, unless it is computed.
    pub(crate) origin: Option<(u32, i16)>,
}

/// Describes the answer of a SELECT through the driver. The relations that it reads stay locked against changes until the
/// transaction ends.
///
/// The driver describes only statements that it keeps prepared under a name, which poolers break, or that answer with
/// a row. So the SELECT is joined, cut down to no row, to a single row: the answer is one row of NULLs, and tells its
/// columns. That goes as a plain statement, since the driver would lose a prepared one while it looks up a type of the
/// user; what goes before it as a prepared one is the proof that the text is a single statement.
pub(crate) async fn describe(connection: &mut PgConnection, select: &str) -> sqlx::Result<Vec<Described>> {
    let single = format!("SELECT 1 FROM ({select}\n) AS \"whole\" LIMIT 0");
    sql::query(single).fetch_optional(&mut *connection).await?;
    let text = format!(
        "SELECT \"described\".* FROM (VALUES (1)) AS \"one\" \
         LEFT JOIN (SELECT * FROM ({select}\n) AS \"whole\" LIMIT 0) AS \"described\" ON true"
    );
    let row = sql::statements(text).fetch_one(connection).await?;
    let columns = row.columns().iter().map(|column| Described {
        name: column.name().to_owned(),
        type_oid: column.type_info().oid().map_or(0, |oid| oid.0),
        origin: column
            .relation_id()
            .map(|oid| oid.0)
            .zip(column.relation_attribute_no()),
    });
    Ok(columns.collect())
}

/// The values of a row that came as text.
pub(crate) fn texts_of(row: &PgRow) -> Result<Vec<Option<String>>, DatabaseError> {
    let text = |column: usize| {
        let value = row.try_get_raw(column)?;
        let text = (!value.is_null())
            .then(|| value.as_str().map(str::to_owned))
            .transpose();
        text.map_err(|_| DatabaseError::Protocol("a value is no text".to_owned()))
    };
    (0..row.len()).map(text).collect()
}

/// The first name that stands twice.
pub(crate) fn doubled(columns: &[Described]) -> Option<&str> {
    let mut seen: HashMap<&str, ()> = HashMap::new();
    columns
        .iter()
        .map(|c| c.name.as_str())
        .find(|name| seen.insert(name, ()).is_some())
}
