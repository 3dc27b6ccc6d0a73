//! A column of every type, for the documentation and for tests.

use std::collections::HashSet;

use sqlextract_model::{ColumnMapping, Dialect, OnLossy, OverrideType, SourceColumn, TypeClass};

use crate::{form_by_table, mapping, overrides};

/// A column, and what the table of types says about it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) column: SourceColumn,
    pub(crate) note: &'static str,
}

impl Sample {
    fn class(mut self, class: TypeClass) -> Self {
        self.column.class = class;
        self
    }

    fn digits(mut self, precision: u32, scale: i32) -> Self {
        (self.column.precision, self.column.scale) = (Some(precision), Some(scale));
        self
    }

    fn length(mut self, length: u32) -> Self {
        self.column.length = Some(length);
        self
    }

    fn unsigned(mut self) -> Self {
        self.column.unsigned = true;
        self
    }

    fn binary(mut self) -> Self {
        self.column.binary = true;
        self
    }
}

fn sample(declared: &str, base: &str, note: &'static str) -> Sample {
    let column = SourceColumn {
        name: "c".to_owned(),
        declared: declared.to_owned(),
        base: base.to_owned(),
        class: TypeClass::Scalar,
        nullable: true,
        precision: None,
        scale: None,
        length: None,
        unsigned: false,
        binary: false,
    };
    Sample { column, note }
}

pub(crate) fn samples(dialect: Dialect) -> Vec<Sample> {
    match dialect {
        Dialect::Postgres => [postgres_scalars(), postgres_texts(), postgres_structures()].concat(),
        Dialect::Mysql => [mysql_numbers(), mysql_others()].concat(),
        Dialect::Sqlite => sqlite(),
    }
}

/// Every distinct mapping that a dialect's columns can get, by the table and by name: what its adapter must be able
/// to read.
pub fn every_mapping(dialect: Dialect) -> Vec<ColumnMapping> {
    let mut seen = HashSet::new();
    let mut mappings = Vec::new();
    for Sample { column, .. } in samples(dialect) {
        for on_lossy in [OnLossy::Fail, OnLossy::Text, OnLossy::Round] {
            let by_table = form_by_table(dialect, &column, on_lossy);
            let targets: Vec<OverrideType> = overrides::possible(dialect, &column);
            let by_name = targets
                .into_iter()
                .map(|t| overrides::form_by_name(dialect, &column, t, on_lossy));
            for (form, lossy) in std::iter::once(by_table).chain(by_name).flatten() {
                let made = mapping(&column, form, lossy);
                if seen.insert((
                    made.declared.clone(),
                    made.cast.clone(),
                    made.wire.clone(),
                    made.chunk.clone(),
                    lossy,
                )) {
                    mappings.push(made);
                }
            }
        }
    }
    mappings
}

fn postgres_scalars() -> Vec<Sample> {
    vec![
        sample("boolean", "bool", ""),
        sample("smallint", "int2", ""),
        sample("integer", "int4", ""),
        sample("bigint", "int8", ""),
        sample("oid", "oid", "likewise `xid`, `cid`"),
        sample("real", "float4", "NaN and infinities kept"),
        sample("double precision", "float8", "NaN and infinities kept"),
        sample(
            "numeric(10,2)",
            "numeric",
            "up to 38 digits; NaN and infinity are errors",
        )
        .digits(10, 2),
        sample("numeric", "numeric", "exact text; NaN and infinity too"),
        sample("numeric(50,10)", "numeric", "over 38 digits: exact text").digits(50, 10),
        sample("numeric(5,-2)", "numeric", "scale outside the precision: exact text").digits(5, -2),
        sample("money", "money", "cast to a decimal by the database"),
        sample("bytea", "bytea", "as text by name: UTF-8, checked"),
        sample("date", "date", "BC and years over 9999 kept; infinity is an error"),
        sample("time", "time", "text, since Spark cannot read a file with a time"),
        sample("time with time zone", "timetz", ""),
        sample(
            "timestamp",
            "timestamp",
            "infinity and what 64 bits cannot hold are errors",
        ),
        sample(
            "timestamp with time zone",
            "timestamptz",
            "infinity and what 64 bits cannot hold are errors",
        ),
        sample("interval", "interval", "ISO 8601"),
        sample("uuid", "uuid", ""),
    ]
}

fn postgres_texts() -> Vec<Sample> {
    vec![
        sample("text", "text", ""),
        sample("character varying(40)", "varchar", "").length(40),
        sample("character(10)", "bpchar", "padding kept").length(10),
        sample("name", "name", ""),
        sample("citext", "citext", "").class(TypeClass::Other),
        sample("\"char\"", "char", ""),
        sample("json", "json", "as stored"),
        sample("jsonb", "jsonb", "as the database prints it"),
        sample("xml", "xml", ""),
        sample("bit(8)", "bit", "digits 0 and 1").length(8),
        sample("bit varying(8)", "varbit", "digits 0 and 1").length(8),
        sample("inet", "inet", "likewise `cidr`, `macaddr`, `macaddr8`"),
        sample("tsvector", "tsvector", "likewise `tsquery`"),
        sample(
            "point",
            "point",
            "likewise `line`, `lseg`, `box`, `path`, `polygon`, `circle`",
        ),
        sample(
            "pg_lsn",
            "pg_lsn",
            "likewise `xid8`, `tid`, `pg_snapshot`, `regclass` and its kin",
        ),
    ]
}

fn postgres_structures() -> Vec<Sample> {
    vec![
        sample(
            "integer[]",
            "int4",
            "every array, of any element and dimension; lower bounds other than 1 only as text",
        )
        .class(TypeClass::Array),
        sample("mood (an enum)", "mood", "the label").class(TypeClass::Enum),
        sample("int4range", "int4range", "likewise multiranges").class(TypeClass::Range),
        sample("address (a composite)", "address", "an object").class(TypeClass::Composite),
        sample("a domain", "text", "as the type under it"),
        sample("hstore", "hstore", "").class(TypeClass::Other),
        sample(
            "geometry",
            "geometry",
            "PostGIS; `binary` is well-known binary without SRID",
        )
        .class(TypeClass::Other),
        sample("any other extension's type", "vector", "").class(TypeClass::Other),
    ]
}

fn mysql_numbers() -> Vec<Sample> {
    vec![
        sample("tinyint(1)", "tinyint", "a number: values other than 0 and 1 occur").length(1),
        sample("tinyint", "tinyint", ""),
        sample("smallint", "smallint", ""),
        sample("mediumint", "mediumint", ""),
        sample("int", "int", ""),
        sample("bigint", "bigint", ""),
        sample("tinyint unsigned", "tinyint", "").unsigned(),
        sample("smallint unsigned", "smallint", "").unsigned(),
        sample("mediumint unsigned", "mediumint", "").unsigned(),
        sample("int unsigned", "int", "").unsigned(),
        sample(
            "bigint unsigned",
            "bigint",
            "several targets overflow on unsigned 64 bits",
        )
        .unsigned(),
        sample("decimal(10,2)", "decimal", "up to 38 digits").digits(10, 2),
        sample("decimal(65,30)", "decimal", "over 38 digits: exact text").digits(65, 30),
        sample("float", "float", ""),
        sample("double", "double", ""),
        sample("bit(1)", "bit", "").length(1),
        sample("bit(8)", "bit", "to 63 bits").length(8),
        sample("bit(64)", "bit", "").length(64),
        sample("year", "year", ""),
    ]
}

fn mysql_others() -> Vec<Sample> {
    let zero = "zero and partial dates are errors";
    vec![
        sample("date", "date", zero),
        sample("datetime(6)", "datetime", zero).digits(6, 0),
        sample("timestamp(6)", "timestamp", zero).digits(6, 0),
        sample("time(6)", "time", "a signed duration of up to 838 hours").digits(6, 0),
        sample("varchar(40)", "varchar", "likewise `char`, `text` and its sizes").length(40),
        sample("varchar(40) character set binary", "varchar", "bytes")
            .length(40)
            .binary(),
        sample(
            "varbinary(40)",
            "varbinary",
            "likewise `binary`, `blob` and its sizes; as text by name: UTF-8, checked",
        )
        .length(40),
        sample(
            "enum('a','b')",
            "enum",
            "the label; the invalid value is the empty text",
        ),
        sample("set('a','b')", "set", "labels with commas"),
        sample("json", "json", "as the database prints it"),
        sample(
            "geometry",
            "geometry",
            "well-known binary without SRID; likewise `point` and its kin",
        ),
        sample("uuid", "uuid", "MariaDB"),
        sample("inet6", "inet6", "MariaDB; likewise `inet4`"),
        sample("any other type", "vector", "").class(TypeClass::Other),
    ]
}

fn sqlite() -> Vec<Sample> {
    vec![
        sample(
            "INTEGER",
            "integer",
            "INTEGER affinity; a cell of another class is an error",
        ),
        sample("REAL", "real", "REAL affinity; a cell of another class is an error"),
        sample("TEXT", "text", "TEXT affinity; a blob is an error"),
        sample("BLOB", "blob", "a cell of another class is an error"),
        sample("BOOLEAN", "numeric", "0 and 1; anything else is an error"),
        sample("DECIMAL(10,2)", "numeric", "NUMERIC affinity: the text of the number").digits(10, 2),
        sample("DATETIME", "numeric", "as stored; by name from ISO text"),
        sample(
            "(none)",
            "blob",
            "also `ANY`: text as it is, numbers as digits, bytes as hexadecimal",
        ),
    ]
}
