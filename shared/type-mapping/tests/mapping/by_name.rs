//! Types by name, and what `--on-lossy` changes.

use crate::columns::{column, decimal, declared, map_as, of_class, outcome, sized};
use sqlextract_model::{Dialect, OnLossy, OverrideType as To, SourceColumn, TypeClass};

const fn decimal_of(precision: u8, scale: i8) -> To {
    To::Decimal { precision, scale }
}

fn check(dialect: Dialect, cases: impl IntoIterator<Item = (SourceColumn, To, &'static str)>) {
    for (column, target, expected) in cases {
        let mapped = map_as(dialect, &column, Some(target), OnLossy::Fail);
        assert_eq!(outcome(mapped), expected, "{column:?} as {target:?}");
    }
}

#[test]
fn postgres_columns_take_the_types_that_hold_or_check_their_values() {
    let cases = [
        (column("int8"), To::Text, "text Text -> Text (as text)"),
        (column("text"), To::Text, "Text -> Text"),
        (column("bytea"), To::Text, "Bytes -> Text (as text)"),
        (column("interval"), To::Text, "text Text -> Text"),
        (column("int4"), To::Boolean, "int4 -> Boolean"),
        (column("int8"), To::Int16, "int8 -> Int16"),
        (column("int8"), decimal_of(20, 0), "int8 -> Decimal(20,0)"),
        (column("int4"), To::Float64, "int4 -> Float64"),
        (column("float4"), To::Float64, "float4 -> Float64"),
        (column("numeric"), decimal_of(38, 10), "Decimal -> Decimal(38,10)"),
        (column("numeric"), To::Int64, "Decimal -> Int64"),
        (decimal("numeric", 15, 4), To::Float64, "Decimal -> Float64"),
        (
            column("money"),
            decimal_of(22, 4),
            "decimal(19,2) Decimal -> Decimal(22,4)",
        ),
        (column("time"), To::Time, "Time -> Time"),
        (column("timestamp"), To::TimestampUtc, "Timestamp -> TimestampUtc"),
        (column("timestamptz"), To::Timestamp, "TimestampWithZone -> Timestamp"),
        (column("text"), To::Json, "Text -> Json"),
        (column("text"), To::Binary, "Text -> Binary"),
        (
            of_class("int4", TypeClass::Array),
            To::Text,
            "text Text -> Text (as text)",
        ),
        (
            of_class("hstore", TypeClass::Other),
            To::Text,
            "text Text -> Text (as text)",
        ),
        (of_class("hstore", TypeClass::Other), To::Json, "json Json -> Json"),
        (
            of_class("geometry", TypeClass::Other),
            To::Binary,
            "wellknownbinary Bytes -> Binary",
        ),
        (
            of_class("geometry", TypeClass::Array),
            To::Text,
            "text Text -> Text (as text)",
        ),
    ];
    check(Dialect::Postgres, cases);
}

#[test]
fn conversions_that_nothing_could_check_are_refused() {
    let cases = [
        (column("text"), To::Int32),
        (column("text"), To::Date),
        (column("inet"), To::Json),
        (column("inet"), To::Binary),
        (column("date"), To::Timestamp),
        (column("timestamp"), To::Date),
        (column("timetz"), To::Time),
        (column("float8"), decimal_of(10, 2)),
        (column("bool"), To::Int16),
        (column("uuid"), To::Binary),
        // The text of money depends on the server's locale.
        (column("money"), To::Text),
        (of_class("geometry", TypeClass::Other), To::Json),
        (of_class("vector", TypeClass::Other), To::Json),
        (column("int4"), decimal_of(39, 0)),
        (column("int4"), decimal_of(0, 0)),
        (column("int4"), decimal_of(10, 11)),
        (column("int4"), decimal_of(10, -1)),
    ];
    check(
        Dialect::Postgres,
        cases.map(|(column, target)| (column, target, "type_unsupported")),
    );
    let cases = [
        (column("varchar"), To::Int32),
        (column("geometry"), To::Text),
        (sized("bit", 8), To::Text),
        (column("year"), To::Boolean),
        (column("year"), To::Date),
    ];
    check(
        Dialect::Mysql,
        cases.map(|(column, target)| (column, target, "type_unsupported")),
    );
}

#[test]
fn mysql_columns_take_the_types_that_hold_or_check_their_values() {
    let cases = [
        (sized("tinyint", 1), To::Boolean, "int1 -> Boolean"),
        (
            SourceColumn {
                unsigned: true,
                ..column("bigint")
            },
            To::Int64,
            "uint8 -> Int64",
        ),
        (column("time"), To::Time, "Time -> Time"),
        (column("time"), To::Text, "Time -> Text"),
        (column("date"), To::Text, "text Text -> Text (as text)"),
        (column("decimal"), decimal_of(38, 10), "Decimal -> Decimal(38,10)"),
        (sized("bit", 64), To::Int64, "Bit -> Int64"),
        // The server's own cast rounds to six digits.
        (column("float"), To::Text, "float4 -> Text (as text)"),
        // The server's own cast makes NULL of bytes that are no text.
        (column("blob"), To::Text, "Bytes -> Text (as text)"),
        (column("vector"), To::Text, "Bytes -> Text (as text)"),
        (column("vector"), To::Binary, "Bytes -> Binary"),
    ];
    check(Dialect::Mysql, cases);
}

#[test]
fn sqlite_columns_take_any_type_cell_by_cell() {
    let text = || declared("text", "TEXT");
    let cases = [
        (declared("integer", "INTEGER"), To::Text, "CellAsText -> Text (as text)"),
        (declared("numeric", "DECIMAL(10,2)"), To::Text, "CellAsText -> Text"),
        (
            declared("numeric", "DECIMAL(10,2)"),
            decimal_of(10, 2),
            "Cell -> Decimal(10,2)",
        ),
        (text(), To::Int64, "Cell -> Int64"),
        (text(), To::Date, "Cell -> Date"),
        (text(), To::Timestamp, "Cell -> Timestamp"),
        (text(), To::TimestampUtc, "Cell -> TimestampUtc"),
        (text(), To::Json, "Cell -> Json"),
        (text(), To::NullUnrepresentable, "type_unsupported"),
    ];
    check(Dialect::Sqlite, cases);
}

#[test]
fn null_for_what_has_no_counterpart_is_a_name_of_its_own() {
    let cases = [
        (Dialect::Postgres, column("date"), "Date -> Date (null)"),
        (
            Dialect::Postgres,
            column("timestamptz"),
            "TimestampWithZone -> TimestampUtc (null)",
        ),
        (
            Dialect::Postgres,
            decimal("numeric", 10, 2),
            "Decimal -> Decimal(10,2) (null)",
        ),
        (Dialect::Postgres, column("numeric"), "type_unsupported"),
        (Dialect::Postgres, column("float8"), "type_unsupported"),
        (Dialect::Postgres, column("money"), "type_unsupported"),
        (Dialect::Mysql, column("datetime"), "Timestamp -> Timestamp (null)"),
        (Dialect::Mysql, decimal("decimal", 10, 2), "type_unsupported"),
    ];
    for (dialect, column, expected) in cases {
        let mapped = map_as(dialect, &column, Some(To::NullUnrepresentable), OnLossy::Fail);
        if let Ok(mapping) = &mapped {
            assert!(mapping.nullable, "a NOT NULL column must take the NULL: {column:?}");
        }
        assert_eq!(outcome(mapped), expected, "{column:?}");
    }
}

#[test]
fn digits_are_lost_only_by_choice() {
    let wide = || decimal("numeric", 20, 4);
    let cases = [
        // A smaller scale: checked value by value, or rounded.
        (wide(), decimal_of(20, 2), OnLossy::Fail, "Decimal -> Decimal(20,2)"),
        (wide(), decimal_of(20, 2), OnLossy::Text, "Decimal -> Decimal(20,2)"),
        (
            wide(),
            decimal_of(20, 2),
            OnLossy::Round,
            "Decimal -> Decimal(20,2) (rounded)",
        ),
        (wide(), To::Int64, OnLossy::Round, "Decimal -> Int64 (rounded)"),
        (
            column("numeric"),
            decimal_of(38, 10),
            OnLossy::Round,
            "Decimal -> Decimal(38,10) (rounded)",
        ),
        // Nothing to round.
        (wide(), decimal_of(30, 4), OnLossy::Round, "Decimal -> Decimal(30,4)"),
        (wide(), decimal_of(10, 4), OnLossy::Round, "Decimal -> Decimal(10,4)"),
        (
            column("int8"),
            decimal_of(10, 0),
            OnLossy::Round,
            "int8 -> Decimal(10,0)",
        ),
        // A float of more digits than it has.
        (wide(), To::Float64, OnLossy::Fail, "type_lossy"),
        (wide(), To::Float64, OnLossy::Round, "Decimal -> Float64 (rounded)"),
        (wide(), To::Float64, OnLossy::Text, "text Text -> Text (as text)"),
        (column("int8"), To::Float64, OnLossy::Fail, "type_lossy"),
        (column("money"), To::Float64, OnLossy::Text, "type_lossy"),
        // The policy alone.
        (
            of_class("hstore", TypeClass::Other),
            To::Text,
            OnLossy::Round,
            "text Text -> Text (as text)",
        ),
    ];
    for (column, target, on_lossy, expected) in cases {
        let mapped = map_as(Dialect::Postgres, &column, Some(target), on_lossy);
        assert_eq!(outcome(mapped), expected, "{column:?} as {target:?}, {on_lossy:?}");
    }
    let stranger = of_class("hstore", TypeClass::Other);
    let by_policy = |on_lossy| outcome(map_as(Dialect::Postgres, &stranger, None, on_lossy));
    assert_eq!(by_policy(OnLossy::Text), "text Text -> Text (as text)");
    assert_eq!(by_policy(OnLossy::Round), "type_unsupported");
}
