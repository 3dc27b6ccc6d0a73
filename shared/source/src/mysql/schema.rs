//! Whether a table still is what its plan was made for.

use std::collections::HashMap;

use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, Wire};
use sqlx::mysql::MySqlTypeInfo;
use sqlx::{MySql, Type};

use super::client::Client;
use super::connection::Lease;
use super::sql::{Statement, base_of};
use super::wire::{Announced, Kind};

/// Compares the declared types of a table's columns with those of the plan. A query has none to compare.
///
/// Answers whether there is such a table; why there is not, the statement itself tells better.
pub(super) async fn check_declared<C: Client>(
    lease: &mut Lease<C>,
    relation: &Relation,
    columns: &[ColumnMapping],
) -> Result<bool> {
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
pub(super) fn check_types(announced: &[Announced], columns: &[ColumnMapping]) -> Result<()> {
    for (column, found) in columns.iter().zip(announced) {
        if !arrives_as(&column.wire, found) {
            let message = format!("arrives as {:?}, and the plan expects {:?}", found.kind, column.wire);
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

fn arrives_as(wire: &Wire, found: &Announced) -> bool {
    match (wire, found.kind) {
        // Every value is NULL then.
        (_, Kind::Null) => true,
        (Wire::Int { .. }, Kind::Integer(_)) => !found.unsigned,
        (Wire::Unsigned { .. }, Kind::Integer(_)) => found.unsigned,
        (Wire::Float { bytes: 4 }, kind) => kind == Kind::Float,
        (Wire::Float { .. }, kind) => kind == Kind::Double,
        (Wire::Decimal, kind) => kind == Kind::Decimal,
        (Wire::Text | Wire::Json | Wire::Uuid, kind) => {
            matches!(kind, Kind::Text | Kind::Json | Kind::Enumeration | Kind::Set)
        }
        (Wire::Bytes, kind) => matches!(kind, Kind::Text | Kind::Bytes | Kind::Enumeration | Kind::Geometry),
        (Wire::Date, kind) => kind == Kind::Date,
        (Wire::Time, kind) => kind == Kind::Time,
        (Wire::Timestamp, kind) => kind == Kind::DateTime,
        (Wire::TimestampWithZone, kind) => kind == Kind::Timestamp,
        (Wire::Bit, kind) => kind == Kind::Bit,
        (Wire::Year, kind) => kind == Kind::Year,
        _ => false,
    }
}

/// Text of any collation but `binary`. The driver's names go by a flag that the `_bin` collations have too.
pub(super) fn is_text(info: &MySqlTypeInfo) -> bool {
    <str as Type<MySql>>::compatible(info)
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
