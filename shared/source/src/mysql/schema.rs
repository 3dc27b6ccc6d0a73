//! Whether a table still is what its plan was made for.

use std::collections::HashMap;

use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, Wire};
use sqlx::mysql::{MySqlColumn, MySqlTypeInfo};
use sqlx::{Column, MySql, Type, TypeInfo};

use super::cell;
use super::connection::Lease;
use super::sql::Statement;

/// Compares the declared types of a table's columns with those of the plan. A query has none to compare.
pub(super) async fn check_declared(lease: &mut Lease, relation: &Relation, columns: &[ColumnMapping]) -> Result<()> {
    let Relation::Table(table) = relation else {
        return Ok(());
    };
    let look =
        "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
    let look = Statement::new(look).bind(&table.schema).bind(&table.name);
    let rows = lease.rows(&look, "cannot look up the columns").await?;
    let mut now = HashMap::new();
    for row in &rows {
        now.insert(
            cell::text(row, 0)?.unwrap_or_default(),
            cell::text(row, 1)?.unwrap_or_default(),
        );
    }
    // A table that is gone altogether is told better by the statement itself.
    for column in columns.iter().filter(|_| !now.is_empty()) {
        match now.get(&column.name) {
            Some(declared) if *declared == column.declared => {}
            Some(declared) => {
                return Err(changed(
                    column,
                    &format!("is `{declared}` now and was `{}`", column.declared),
                ));
            }
            None => return Err(changed(column, "is gone")),
        }
    }
    Ok(())
}

/// Compares what the server announces with what the decoders expect.
pub(super) fn check_types(announced: &[MySqlColumn], columns: &[ColumnMapping]) -> Result<()> {
    for (column, found) in columns.iter().zip(announced) {
        if !arrives_as(&column.wire, found.type_info()) {
            let message = format!(
                "arrives as {}, and the plan expects {:?}",
                found.type_info().name(),
                column.wire
            );
            return Err(changed(column, &message));
        }
    }
    if announced.len() < columns.len() {
        return Err(Failure::new(
            Code::SourceProtocol,
            "the server announces fewer columns than were selected",
        ));
    }
    Ok(())
}

fn changed(column: &ColumnMapping, how: &str) -> Failure {
    Failure::new(Code::SchemaChanged, format!("the column `{}` {how}", column.name)).column(&column.name)
}

fn arrives_as(wire: &Wire, info: &MySqlTypeInfo) -> bool {
    let name = info.name();
    if name == "NULL" {
        return true;
    }
    match wire {
        Wire::Int { .. } => cell::is_integer(info) && !cell::is_unsigned(info),
        Wire::Unsigned { .. } => cell::is_unsigned(info) && name != "YEAR",
        Wire::Float { bytes: 4 } => name == "FLOAT",
        Wire::Float { .. } => name == "DOUBLE",
        Wire::Decimal => name == "DECIMAL",
        Wire::Text | Wire::Json | Wire::Uuid => is_text(info) || matches!(name, "JSON" | "ENUM" | "SET"),
        Wire::Bytes => is_text_or_bytes(info) || name == "GEOMETRY",
        Wire::Date => name == "DATE",
        Wire::Time => name == "TIME",
        Wire::Timestamp => name == "DATETIME",
        Wire::TimestampWithZone => name == "TIMESTAMP",
        Wire::Bit => name == "BIT",
        Wire::Year => name == "YEAR",
        _ => false,
    }
}

/// Text of any collation but `binary`. The driver's names go by a flag that the `_bin` collations have too.
pub(super) fn is_text(info: &MySqlTypeInfo) -> bool {
    <str as Type<MySql>>::compatible(info)
}

pub(super) fn is_text_or_bytes(info: &MySqlTypeInfo) -> bool {
    <[u8] as Type<MySql>>::compatible(info)
}
