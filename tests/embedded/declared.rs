//! The types of each database, with extremes, and how each says a value as text.

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

const PG: &str = "{}::text";
const PG_MICROS: &str = "(extract(epoch FROM {}) * 1000000)::numeric(30,0)::text";

pub(crate) const POSTGRES: &[Column] = &[
    column("c_bool", "boolean", Form::Text, PG, &["true", "false"]),
    column("c_int2", "smallint", Form::Text, PG, &["-32768", "32767", "0"]),
    column("c_int4", "integer", Form::Text, PG, &["-2147483648", "2147483647"]),
    column(
        "c_int8",
        "bigint",
        Form::Text,
        PG,
        &["-9223372036854775808", "9223372036854775807"],
    ),
    column("c_oid", "oid", Form::Text, PG, &["0", "4294967295"]),
    column(
        "c_float4",
        "real",
        Form::Float,
        PG,
        &["'NaN'", "'-Infinity'", "3.4028235e38", "1e-45", "'-0'", "0.1"],
    ),
    column(
        "c_float8",
        "double precision",
        Form::Float,
        PG,
        &["'NaN'", "'Infinity'", "1.7976931348623157e308", "5e-324", "'-0'", "0.1"],
    ),
    column(
        "c_decimal",
        "numeric(38,10)",
        Form::Text,
        PG,
        &[
            "9999999999999999999999999999.9999999999",
            "-9999999999999999999999999999.9999999999",
            "0.0000000001",
        ],
    ),
    column(
        "c_small_decimal",
        "numeric(5,2)",
        Form::Text,
        PG,
        &["-0.01", "999.99", "0"],
    ),
    column(
        "c_whole_decimal",
        "numeric(20,0)",
        Form::Text,
        PG,
        &["18446744073709551615", "-1"],
    ),
    column(
        "c_numeric",
        "numeric",
        Form::Text,
        PG,
        &["1e-30", "12345678901234567890123456789012345678901234567890.5", "'NaN'"],
    ),
    column(
        "c_wide",
        "numeric(60,20)",
        Form::Text,
        PG,
        &["1e39", "-0.00000000000000000001"],
    ),
    column(
        "c_money",
        "money",
        Form::Text,
        "{}::numeric(19,2)::text",
        &["'-92233720368547758.08'::numeric::money", "0.01::numeric::money"],
    ),
    column("c_text", "text", Form::Text, PG, &["''", "E'a\\nb'", "'😀'"]),
    column("c_varchar", "varchar(3)", Form::Text, PG, &["''", "'äöü'", "'a  '"]),
    column(
        "c_char",
        "char(5)",
        Form::Text,
        "rpad({}::text, 5)",
        &["'ab'", "''", "'abcde'"],
    ),
    column("c_name", "name", Form::Text, PG, &["'n'"]),
    column("c_letter", "\"char\"", Form::Text, PG, &["'x'"]),
    column(
        "c_bytes",
        "bytea",
        Form::Bytes,
        "upper(encode({}, 'hex'))",
        &["'\\x'", "'\\x00ff5c2e0a22'"],
    ),
    column(
        "c_date",
        "date",
        Form::Text,
        PG,
        &[
            "'0001-01-01'",
            "'9999-12-31'",
            "'1582-10-10'",
            "'1969-12-31'",
            "'2000-02-29'",
        ],
    ),
    column(
        "c_timestamp",
        "timestamp",
        Form::Timestamp,
        PG_MICROS,
        &[
            "'0001-01-01'",
            "'9999-12-31 23:59:59.999999'",
            "'1969-12-31 23:59:59.999999'",
        ],
    ),
    column(
        "c_instant",
        "timestamptz",
        Form::Instant,
        PG_MICROS,
        &[
            "'0001-01-02 00:00+00'",
            "'9999-12-31 23:59:59.999999+00'",
            "'2026-03-29 02:30+02'",
        ],
    ),
    column(
        "c_time",
        "time",
        Form::Text,
        PG,
        &["'00:00'", "'23:59:59.999999'", "'24:00'"],
    ),
    column("c_timetz", "timetz", Form::Text, PG, &["'12:00:00.5+05:30'"]),
    column(
        "c_interval",
        "interval",
        Form::Text,
        PG,
        &["'1 year -2 days 03:04:05.6'", "'-178000000 years'", "'0'"],
    ),
    column(
        "c_uuid",
        "uuid",
        Form::Text,
        PG,
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'",
        ],
    ),
    column(
        "c_json",
        "json",
        Form::Json,
        PG,
        &["'{\"a\" :  [1, null, \"\\u00e9\\n\"]}'", "'null'", "'\" \"'"],
    ),
    column(
        "c_jsonb",
        "jsonb",
        Form::Json,
        PG,
        &["'{\"b\": 1.50, \"a\": {}}'", "'null'", "'[]'"],
    ),
    column(
        "c_array",
        "integer[]",
        Form::Json,
        "array_to_json({})::text",
        &["'{}'", "'{1,NULL,-3}'", "'{{1,2},{3,4}}'"],
    ),
    column(
        "c_texts",
        "text[]",
        Form::Json,
        "array_to_json({})::text",
        &["ARRAY['', NULL, 'a\"b', E'\\\\', 'NULL', E'\\n']"],
    ),
    column(
        "c_pair",
        "pair",
        Form::Json,
        "row_to_json({})::text",
        &["ROW(1, 'x\"y')", "ROW(NULL, NULL)"],
    ),
    column("c_mood", "mood", Form::Text, PG, &["'sad'", "'it''s'"]),
    column("c_domain", "positive", Form::Text, PG, &["1", "2147483647"]),
    column("c_range", "int4range", Form::Text, PG, &["'empty'", "'(,5]'", "'[1,)'"]),
    column(
        "c_multirange",
        "datemultirange",
        Form::Text,
        PG,
        &["'{}'", "'{[2026-01-01,2026-02-01)}'"],
    ),
    column("c_inet", "inet", Form::Text, PG, &["'::1/64'", "'10.0.0.1/8'"]),
    column("c_cidr", "cidr", Form::Text, PG, &["'10.0.0.0/8'"]),
    column("c_mac", "macaddr", Form::Text, PG, &["'08:00:2b:01:02:03'"]),
    column("c_bit", "bit(5)", Form::Text, PG, &["B'00101'"]),
    column("c_varbit", "varbit", Form::Text, PG, &["B''", "B'101'"]),
    column("c_xml", "xml", Form::Text, PG, &["'<a b=\"c\">d</a>'"]),
    column("c_tsvector", "tsvector", Form::Text, PG, &["'a:1 ''b c'':2'"]),
    column("c_point", "point", Form::Text, PG, &["'(1.5,-2)'"]),
    column("c_box", "box", Form::Text, PG, &["'(1,2),(3,4)'"]),
    column("c_lsn", "pg_lsn", Form::Text, PG, &["'16/B374D848'"]),
];

const MY: &str = "CAST({} AS char)";
const MY_HEX: &str = "hex({})";
const MY_MICROS: &str = "timestampdiff(microsecond, '1970-01-01', {})";

pub(crate) const MARIADB: &[Column] = &[
    column("c_bool", "boolean", Form::Text, MY, &["1", "0", "-128"]),
    column("c_tiny", "tinyint unsigned", Form::Text, MY, &["255", "0"]),
    column("c_small", "smallint", Form::Text, MY, &["-32768", "32767"]),
    column("c_usmall", "smallint unsigned", Form::Text, MY, &["65535"]),
    column("c_medium", "mediumint", Form::Text, MY, &["-8388608", "8388607"]),
    column("c_umedium", "mediumint unsigned", Form::Text, MY, &["16777215"]),
    column("c_int", "int", Form::Text, MY, &["-2147483648", "2147483647"]),
    column("c_uint", "int unsigned", Form::Text, MY, &["4294967295"]),
    column(
        "c_zero",
        "int(8) unsigned zerofill",
        Form::Text,
        "CAST({} + 0 AS char)",
        &["42"],
    ),
    column(
        "c_big",
        "bigint",
        Form::Text,
        MY,
        &["-9223372036854775808", "9223372036854775807"],
    ),
    column(
        "c_ubig",
        "bigint unsigned",
        Form::Text,
        MY,
        &["18446744073709551615", "0"],
    ),
    column(
        "c_decimal",
        "decimal(38,10)",
        Form::Text,
        MY,
        &["9999999999999999999999999999.9999999999", "-0.0000000001"],
    ),
    column(
        "c_wide",
        "decimal(65,30)",
        Form::Text,
        MY,
        &[
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-1",
        ],
    ),
    column(
        "c_float",
        "float",
        Form::Single,
        "CAST({} AS double)",
        &["0.5", "-1.25e10", "-3.4028234e38"],
    ),
    column(
        "c_double",
        "double",
        Form::Float,
        "{}",
        &["1.7976931348623157e308", "2.2250738585072014e-308", "0.1"],
    ),
    column(
        "c_bit1",
        "bit(1)",
        Form::Text,
        "if({} IS NULL, NULL, if({} + 0, 'true', 'false'))",
        &["b'1'", "b'0'"],
    ),
    column(
        "c_bit8",
        "bit(8)",
        Form::Text,
        "CAST({} + 0 AS char)",
        &["b'11111111'", "b'0'"],
    ),
    column(
        "c_bit64",
        "bit(64)",
        Form::Text,
        "CAST({} + 0 AS char)",
        &["x'ffffffffffffffff'", "b'1'"],
    ),
    column(
        "c_date",
        "date",
        Form::Text,
        MY,
        &["'0001-01-01'", "'9999-12-31'", "'1582-10-10'"],
    ),
    column(
        "c_datetime",
        "datetime(6)",
        Form::Timestamp,
        MY_MICROS,
        &["'1000-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"],
    ),
    column(
        "c_seconds",
        "datetime",
        Form::Timestamp,
        MY_MICROS,
        &["'2026-03-29 02:30:00'"],
    ),
    column(
        "c_timestamp",
        "timestamp(6)",
        Form::Instant,
        "CAST(unix_timestamp({}) * 1000000 AS signed)",
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'"],
    ),
    column(
        "c_time",
        "time(6)",
        Form::Text,
        MY,
        &["'-838:59:59.999999'", "'838:59:59'", "'00:00:00'"],
    ),
    column("c_time0", "time", Form::Text, MY, &["'-00:00:01'", "'23:59:59'"]),
    column(
        "c_year",
        "year",
        Form::Text,
        "CAST({} + 0 AS char)",
        &["1901", "2155", "0"],
    ),
    column("c_char", "char(5)", Form::Text, MY, &["'ab'", "''"]),
    column("c_varchar", "varchar(20)", Form::Text, MY, &["''", "'😀'", "'a  '"]),
    column("c_text", "longtext", Form::Text, "{}", &["''", "'a\\nb\\\\'", "'\"'"]),
    column(
        "c_latin",
        "varchar(20) CHARACTER SET latin1",
        Form::Text,
        "CONVERT({} USING utf8mb4)",
        &["'größe'"],
    ),
    column(
        "c_enum",
        "enum('a','it''s','')",
        Form::Text,
        MY,
        &["'a'", "'it''s'", "''"],
    ),
    column("c_set", "set('x','y','z')", Form::Text, MY, &["''", "'x,z'"]),
    column("c_binary", "binary(4)", Form::Bytes, MY_HEX, &["x'00ff'"]),
    column(
        "c_varbinary",
        "varbinary(10)",
        Form::Bytes,
        MY_HEX,
        &["x''", "x'005c2e0a22'"],
    ),
    column("c_blob", "longblob", Form::Bytes, MY_HEX, &["x''", "x'ff00fe'"]),
    column("c_json", "json", Form::Json, "{}", &["'{\"a\" : [1, null]}'", "'null'"]),
    column(
        "c_uuid",
        "uuid",
        Form::Text,
        MY,
        &["'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    ),
    column("c_inet4", "inet4", Form::Text, MY, &["'10.0.0.1'"]),
    column("c_inet6", "inet6", Form::Text, MY, &["'::1'"]),
    column(
        "c_point",
        "point",
        Form::Bytes,
        "hex(st_aswkb({}))",
        &["point(1.5, -2)"],
    ),
];

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
