//! `T.C=TYPE`, as people write it.

use sqlextract_model::{Code, ColumnOverride, Failure, OverrideType, Result, TableName};

/// An override together with the table that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedOverride {
    /// `None` where only the table is named.
    pub schema: Option<String>,
    pub table: String,
    pub column: ColumnOverride,
}

const NAMES: &str = "text, bool, int2, int4, int8, float8, decimal(P,S), date, time, timestamp, timestamptz, binary, \
                     json, null";

/// Reads `table.column=type` or `schema.table.column=type`; parts with a dot, an equals sign or a double quote are in
/// double quotes, doubled inside.
///
/// Types: `text`, `bool`, `int2`, `int4`, `int8`, `float8`, `decimal(P,S)`, `date`, `time`, `timestamp`,
/// `timestamptz`, `binary`, `json`, `null` (the type by the table, NULL for values without a counterpart), and the
/// usual other spellings. As in PostgreSQL, `int8` has eight bytes. Fails with `usage_invalid`.
pub fn parse_override(text: &str) -> Result<NamedOverride> {
    let Some((parts, target)) = split(text) else {
        return Err(malformed(text, "it is not of the form TABLE.COLUMN=TYPE"));
    };
    let (schema, table, column) = match parts.as_slice() {
        [table, column] => (None, table, column),
        [schema, table, column] => (Some(schema.clone()), table, column),
        [_] => return Err(malformed(text, "it names a column without its table")),
        _ => return Err(malformed(text, "it has more parts than SCHEMA.TABLE.COLUMN")),
    };
    let target = parse_type(target).map_err(|reason| malformed(text, &reason))?;
    Ok(NamedOverride {
        schema,
        table: table.clone(),
        column: ColumnOverride {
            column: column.clone(),
            target,
        },
    })
}

fn malformed(text: &str, reason: &str) -> Failure {
    Failure::new(Code::UsageInvalid, format!("`{text}` is no column type: {reason}")).remedy(format!(
        "Write for example `--column-type orders.total='decimal(38,10)'`; the types are {NAMES}."
    ))
}

/// The dotted parts before the equals sign, and what stands behind it.
fn split(text: &str) -> Option<(Vec<String>, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = take_part(rest)?;
        parts.push(part);
        if let Some(target) = after.strip_prefix('=') {
            return Some((parts, target.trim()));
        }
        rest = after.strip_prefix('.')?;
    }
}

fn take_part(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(['.', '=', '"'])?;
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut part = String::new();
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return (!part.is_empty()).then_some((part, rest)),
        }
    }
}

fn parse_type(text: &str) -> std::result::Result<OverrideType, String> {
    let lower = text.to_ascii_lowercase();
    let (name, arguments) = match lower.split_once('(') {
        Some((name, rest)) => {
            let inner = rest
                .strip_suffix(')')
                .ok_or_else(|| format!("`{text}` lacks the closing parenthesis"))?;
            (name.trim(), Some(inner))
        }
        None => (lower.as_str(), None),
    };
    let target = match name {
        "decimal" | "numeric" => return parse_decimal(text, arguments),
        "text" | "varchar" | "string" => OverrideType::Text,
        "bool" | "boolean" => OverrideType::Boolean,
        "int2" | "int16" | "smallint" => OverrideType::Int16,
        "int4" | "int32" | "int" | "integer" => OverrideType::Int32,
        "int8" | "int64" | "bigint" => OverrideType::Int64,
        "float8" | "float64" | "double" => OverrideType::Float64,
        "date" => OverrideType::Date,
        "time" => OverrideType::Time,
        "timestamp" => OverrideType::Timestamp,
        "timestamptz" => OverrideType::TimestampUtc,
        "binary" | "bytes" | "bytea" => OverrideType::Binary,
        "json" => OverrideType::Json,
        "null" => OverrideType::NullUnrepresentable,
        "" => return Err("the type is missing".to_owned()),
        _ => return Err(format!("`{text}` is none of {NAMES}")),
    };
    match arguments {
        None => Ok(target),
        Some(_) => Err(format!("`{name}` takes no arguments here")),
    }
}

fn parse_decimal(text: &str, arguments: Option<&str>) -> std::result::Result<OverrideType, String> {
    let Some(arguments) = arguments else {
        return Err(format!(
            "`{text}` lacks its precision and scale, for example decimal(38,10)"
        ));
    };
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let numbers = precision.trim().parse::<u8>().ok().zip(scale.trim().parse::<i8>().ok());
    match numbers {
        Some((precision @ 1..=38, scale)) if (0..=precision.cast_signed()).contains(&scale) => {
            Ok(OverrideType::Decimal { precision, scale })
        }
        _ => Err(format!(
            "`{text}` is no decimal with 1 to 38 digits and a scale from 0 to that"
        )),
    }
}

/// The type as [`parse_override`] reads it.
pub(crate) fn override_name(target: OverrideType) -> String {
    let name = match target {
        OverrideType::Text => "text",
        OverrideType::Boolean => "bool",
        OverrideType::Int16 => "int2",
        OverrideType::Int32 => "int4",
        OverrideType::Int64 => "int8",
        OverrideType::Float64 => "float8",
        OverrideType::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
        OverrideType::Date => "date",
        OverrideType::Time => "time",
        OverrideType::Timestamp => "timestamp",
        OverrideType::TimestampUtc => "timestamptz",
        OverrideType::Binary => "binary",
        OverrideType::Json => "json",
        OverrideType::NullUnrepresentable => "null",
    };
    name.to_owned()
}

/// An override as [`parse_override`] reads it.
pub(crate) fn override_text(table: &TableName, column: &str, target: OverrideType) -> String {
    let parts = [table.schema.as_str(), table.name.as_str(), column].map(quoted_part);
    format!("{}={}", parts.join("."), override_name(target))
}

fn quoted_part(part: &str) -> String {
    if part.is_empty() || part.contains(['.', '=', '"']) {
        format!("\"{}\"", part.replace('"', "\"\""))
    } else {
        part.to_owned()
    }
}
