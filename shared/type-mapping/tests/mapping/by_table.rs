//! Each type by the table of its dialect.

use crate::columns::{column, decimal, declared, map, of_class, outcome, sized};
use sqlextract_model::{Dialect, SourceColumn, TypeClass};

fn check(dialect: Dialect, cases: impl IntoIterator<Item = (SourceColumn, &'static str)>) {
    for (column, expected) in cases {
        assert_eq!(outcome(map(dialect, &column)), expected, "{column:?}");
    }
}

#[test]
fn postgres_scalars_travel_in_their_binary_form() {
    let cases = [
        ("bool", "Bool -> Boolean"),
        ("int2", "int2 -> Int16"),
        ("int4", "int4 -> Int32"),
        ("int8", "int8 -> Int64"),
        ("oid", "uint4 -> Int64"),
        ("xid", "uint4 -> Int64"),
        ("float4", "float4 -> Float32"),
        ("float8", "float8 -> Float64"),
        ("money", "decimal(19,2) Decimal -> Decimal(19,2)"),
        ("text", "Text -> Text"),
        ("varchar", "Text -> Text"),
        ("bpchar", "Text -> Text"),
        ("name", "Text -> Text"),
        ("citext", "Text -> Text"),
        ("bytea", "Bytes -> Binary"),
        ("date", "Date -> Date"),
        ("timestamp", "Timestamp -> Timestamp"),
        ("timestamptz", "TimestampWithZone -> TimestampUtc"),
        ("uuid", "Uuid -> Uuid"),
        ("json", "Json -> Json"),
        ("jsonb", "Jsonb -> Json"),
    ];
    check(
        Dialect::Postgres,
        cases.map(|(base, expected)| (column(base), expected)),
    );
}

#[test]
fn postgres_types_without_an_exact_form_elsewhere_are_text() {
    let bases = [
        "char", "time", "timetz", "interval", "xml", "bit", "varbit", "inet", "cidr", "macaddr", "macaddr8",
        "tsvector", "tsquery", "pg_lsn", "point", "line", "lseg", "box", "path", "polygon", "circle", "xid8", "tid",
        "regclass",
    ];
    check(Dialect::Postgres, bases.map(|base| (column(base), "text Text -> Text")));
}

#[test]
fn postgres_numerics_are_decimals_where_every_reader_holds_them() {
    let cases = [
        (decimal("numeric", 10, 2), "Decimal -> Decimal(10,2)"),
        (decimal("numeric", 38, 38), "Decimal -> Decimal(38,38)"),
        (decimal("numeric", 38, 0), "Decimal -> Decimal(38,0)"),
        (decimal("numeric", 39, 0), "text Text -> Text"),
        (decimal("numeric", 1000, 500), "text Text -> Text"),
        (decimal("numeric", 5, -2), "text Text -> Text"),
        (decimal("numeric", 3, 5), "text Text -> Text"),
        (column("numeric"), "text Text -> Text"),
    ];
    check(Dialect::Postgres, cases);
}

#[test]
fn postgres_structures_are_json_or_text_and_strangers_are_refused() {
    let cases = [
        (of_class("int4", TypeClass::Array), "json Json -> Json"),
        (of_class("hstore", TypeClass::Array), "json Json -> Json"),
        (of_class("address", TypeClass::Composite), "json Json -> Json"),
        (of_class("mood", TypeClass::Enum), "text Text -> Text"),
        (of_class("int4range", TypeClass::Range), "text Text -> Text"),
        (of_class("citext", TypeClass::Other), "Text -> Text"),
        (of_class("hstore", TypeClass::Other), "type_unsupported"),
        (of_class("geometry", TypeClass::Other), "type_unsupported"),
        // PostGIS would round the coordinates.
        (of_class("geometry", TypeClass::Array), "type_unsupported"),
        // A type of the user that has a known type's name.
        (of_class("int4", TypeClass::Other), "type_unsupported"),
        (column("no_such_type"), "type_unsupported"),
    ];
    check(Dialect::Postgres, cases);
}

#[test]
fn mysql_integers_keep_their_width_and_unsigned_ones_the_next() {
    let unsigned = |base| SourceColumn {
        unsigned: true,
        ..column(base)
    };
    let cases = [
        (sized("tinyint", 1), "int1 -> Int8"),
        (column("tinyint"), "int1 -> Int8"),
        (column("smallint"), "int2 -> Int16"),
        (column("mediumint"), "int4 -> Int32"),
        (column("int"), "int4 -> Int32"),
        (column("bigint"), "int8 -> Int64"),
        (unsigned("tinyint"), "uint1 -> Int16"),
        (unsigned("smallint"), "uint2 -> Int32"),
        (unsigned("mediumint"), "uint4 -> Int32"),
        (unsigned("int"), "uint4 -> Int64"),
        (unsigned("bigint"), "uint8 -> Decimal(20,0)"),
        (column("year"), "Year -> Int16"),
        (sized("bit", 1), "Bit -> Boolean"),
        (sized("bit", 2), "Bit -> Int64"),
        (sized("bit", 63), "Bit -> Int64"),
        (sized("bit", 64), "Bit -> Decimal(20,0)"),
        (column("bit"), "Bit -> Decimal(20,0)"),
    ];
    check(Dialect::Mysql, cases);
}

#[test]
fn mysql_other_types() {
    let binary = |base| SourceColumn {
        binary: true,
        ..column(base)
    };
    let cases = [
        (decimal("decimal", 10, 2), "Decimal -> Decimal(10,2)"),
        (decimal("decimal", 38, 30), "Decimal -> Decimal(38,30)"),
        (decimal("decimal", 65, 30), "text Text -> Text"),
        (column("float"), "float4 -> Float32"),
        (column("double"), "float8 -> Float64"),
        (column("date"), "Date -> Date"),
        (column("datetime"), "Timestamp -> Timestamp"),
        (column("timestamp"), "TimestampWithZone -> TimestampUtc"),
        (column("time"), "Time -> Text"),
        (column("varchar"), "Text -> Text"),
        (column("longtext"), "Text -> Text"),
        (binary("varchar"), "Bytes -> Binary"),
        (column("varbinary"), "Bytes -> Binary"),
        (column("longblob"), "Bytes -> Binary"),
        (column("enum"), "Text -> Text"),
        (column("set"), "Text -> Text"),
        (column("json"), "Json -> Json"),
        (column("multipolygon"), "wellknownbinary Bytes -> Binary"),
        (column("uuid"), "text Text -> Uuid"),
        (column("inet4"), "text Text -> Text"),
        (column("inet6"), "text Text -> Text"),
        (column("vector"), "type_unsupported"),
    ];
    check(Dialect::Mysql, cases);
}

#[test]
fn sqlite_goes_by_what_is_declared() {
    let cases = [
        (declared("integer", "INTEGER"), "Cell -> Int64"),
        (declared("integer", "UNSIGNED BIG INT"), "Cell -> Int64"),
        (declared("real", "DOUBLE PRECISION"), "Cell -> Float64"),
        (declared("text", "VARCHAR(40)"), "Cell -> Text"),
        (declared("blob", "BLOB"), "Cell -> Binary"),
        (declared("blob", "longblob"), "Cell -> Binary"),
        (declared("blob", ""), "CellAsText -> Text"),
        (declared("blob", "ANY"), "CellAsText -> Text"),
        (declared("numeric", "BOOLEAN"), "Cell -> Boolean"),
        (declared("numeric", "bool"), "Cell -> Boolean"),
        (declared("numeric", "DECIMAL(10,2)"), "CellAsText -> Text"),
        (declared("numeric", "NUMERIC"), "CellAsText -> Text"),
        (declared("numeric", "DATE"), "CellAsText -> Text"),
        (declared("numeric", "DATETIME"), "CellAsText -> Text"),
    ];
    check(Dialect::Sqlite, cases);
}

#[test]
fn a_declared_length_is_kept_where_the_chunk_holds_that_text() {
    let cases = [
        (Dialect::Postgres, sized("varchar", 40), Some(40)),
        (Dialect::Postgres, sized("bit", 8), None),
        (Dialect::Mysql, sized("varchar", 40), Some(40)),
        (Dialect::Mysql, sized("int", 11), None),
        (Dialect::Mysql, sized("varbinary", 40), None),
        (Dialect::Sqlite, sized("text", 40), Some(40)),
    ];
    for (dialect, column, expected) in cases {
        let mapped = map(dialect, &column).unwrap();
        assert_eq!((mapped.length, mapped.nullable), (expected, false), "{column:?}");
    }
}
