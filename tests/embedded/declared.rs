//! The types of each database, with extremes, and how each says a value as text.

mod mariadb;
mod postgres;

pub(crate) use mariadb::MARIADB;
pub(crate) use postgres::POSTGRES;

/// How a cell is compared.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// Letter by letter.
    Text,
    /// As upper-case hex.
    Bytes,
    /// Bit by bit, after reading both texts.
    Float,
    /// The same with single precision, which one side may write with more digits.
    Single,
    /// As a JSON value.
    Json,
    /// Microseconds since 1970, without and with a zone.
    Timestamp,
    Instant,
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    pub(crate) form: Form,
    /// The source's expression, with `{}` for the column.
    pub(crate) source: &'static str,
    pub(crate) values: &'static [&'static str],
}

const fn column(
    name: &'static str,
    declared: &'static str,
    form: Form,
    source: &'static str,
    values: &'static [&'static str],
) -> Column {
    Column {
        name,
        declared,
        form,
        source,
        values,
    }
}

const LITE: &str = "CAST({} AS text)";

pub(crate) const SQLITE: &[Column] = &[
    column(
        "c_integer",
        "INTEGER",
        Form::Text,
        LITE,
        &["-9223372036854775808", "9223372036854775807", "0"],
    ),
    column("c_bigint", "BIGINT", Form::Text, LITE, &["1"]),
    column(
        "c_real",
        "REAL",
        Form::Float,
        "{}",
        &["1.7976931348623157e308", "5e-324", "-9e999", "0.1", "-0.0"],
    ),
    column("c_text", "TEXT", Form::Text, LITE, &["''", "'it''s'", "'😀'", "'NULL'"]),
    column("c_varchar", "VARCHAR(2)", Form::Text, LITE, &["'longer than said'"]),
    column(
        "c_blob",
        "BLOB",
        Form::Bytes,
        "CASE WHEN {} IS NOT NULL THEN hex({}) END",
        &["x''", "x'00ff5c2e0a22'"],
    ),
    column(
        "c_boolean",
        "BOOLEAN",
        Form::Text,
        "CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
        &["1", "0"],
    ),
    column("c_numeric", "NUMERIC", Form::Text, LITE, &["1", "'text'", "0.5"]),
    column(
        "c_decimal",
        "DECIMAL(10,2)",
        Form::Text,
        LITE,
        &["12.5", "'0.10'", "-3"],
    ),
    column("c_date", "DATE", Form::Text, LITE, &["'2026-01-01'"]),
    column(
        "c_datetime",
        "DATETIME",
        Form::Text,
        LITE,
        &["'2026-01-01 00:00:00'", "1750000000"],
    ),
    column("c_untyped", "", Form::Text, LITE, &["1", "'a'", "2.5"]),
];
