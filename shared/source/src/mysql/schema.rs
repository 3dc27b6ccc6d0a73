//! Whether a table still is what its plan was made for.

use std::collections::HashMap;

use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, Wire};
use sqlx::mysql::{MySqlColumn, MySqlTypeInfo};
use sqlx::{Column, MySql, Type, TypeInfo};

use super::cell;
use super::connection::Lease;
use super::sql::{Statement, base_of};

/// Compares the declared types of a table's columns with those of the plan. A query has none to compare.
///
/// Answers whether there is such a table; why there is not, the statement itself tells better.
pub(super) async fn check_declared(lease: &mut Lease, relation: &Relation, columns: &[ColumnMapping]) -> Result<bool> {
    let Relation::Table(table) = relation else {
        return Ok(false);
    };
    let look =
        "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
    let look = Statement::new(look).bind(&table.schema).bind(&table.name);
    let rows = lease.catalogue(&look, "cannot look up the columns").await?;
    let mut now = HashMap::new();
    for row in &rows {
        now.insert(row.text(0)?.unwrap_or_default(), row.text(1)?.unwrap_or_default());
    }
    for column in columns.iter().filter(|_| !now.is_empty()) {
        match now.get(&column.name) {
            Some(declared) if comparable(declared) == comparable(&column.declared) => {}
            Some(declared) => {
                return Err(changed(
                    column,
                    &format!("is `{declared}` now and was `{}`", column.declared),
                ));
            }
            None => return Err(changed(column, "is gone")),
        }
    }
    Ok(!now.is_empty())
}

/// A declared type without what says nothing about its values: the display width of an integer, which servers since
/// MySQL 8.0.19 leave out, and a character set.
fn comparable(declared: &str) -> String {
    let end = declared.to_ascii_lowercase().find(" character set ");
    let declared = &declared[..end.unwrap_or(declared.len())];
    let integer = matches!(
        base_of(declared),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint"
    );
    match declared.split_once('(').zip(declared.split_once(')')) {
        Some(((base, _), (_, rest))) if integer => format!("{base}{rest}"),
        _ => declared.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_to_values_is_compared() {
        let same = [
            ("int(11)", "int"),
            ("bigint(20) unsigned", "bigint unsigned"),
            ("varchar(9) CHARACTER SET utf8mb4", "varchar(9)"),
        ];
        for (a, b) in same {
            assert_eq!(comparable(a), comparable(b));
        }
        let different = [
            ("int", "int unsigned"),
            ("int(11)", "bigint(11)"),
            ("decimal(10,2)", "decimal(10,3)"),
            ("datetime", "datetime(6)"),
            ("enum('a')", "enum('A')"),
        ];
        for (a, b) in different {
            assert_ne!(comparable(a), comparable(b));
        }
    }
}
