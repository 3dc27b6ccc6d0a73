//! SQL text with its bound values. Names are quoted, values bound, and a filter or a query is wrapped on lines of its own.

use sqlextract_model::{Code, Failure, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, Result};
use sqlx::mysql::MySqlArguments;
use sqlx::{Arguments, AssertSqlSafe, MySql, SqlSafeStr, SqlStr};

/// Stands in every statement that may take long, so that the list of processes tells our sessions from those of others,
/// also where several processes of ours read at once. MySQL has no name of an application in it.
pub(super) const MARK: &str = "/* sqlextract */";

/// A statement and its parameters, in the order of their `?`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parameter {
    Signed(i64),
    Unsigned(u64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Parameter {
    /// Texts as their bytes: no mode of the session ends such a literal early, and none reads it in another character set.
    fn literal(&self) -> String {
        match self {
            Self::Signed(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Text(value) => format!("_utf8mb4 X'{}'", hexadecimal(value.as_bytes())),
            Self::Bytes(value) => format!("X'{}'", hexadecimal(value)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Statement {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            parameters: Vec::new(),
        }
    }

    #[must_use]
    pub(super) fn bind(mut self, value: impl Into<String>) -> Self {
        self.parameters.push(Parameter::Text(value.into()));
        self
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.parameters.extend(other.parameters);
    }

    /// The text, for the driver. This is the one place where it takes text that is not a literal.
    pub(super) fn sql(&self) -> SqlStr {
        AssertSqlSafe(self.text.clone()).into_sql_str()
    }

    /// The text with every value in the place of its `?`, in forms that no session's settings change.
    pub(super) fn written_out(&self) -> SqlStr {
        let mut parts = self.text.split('?');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, parameter) in parts.zip(&self.parameters) {
            text.push_str(&parameter.literal());
            text.push_str(part);
        }
        AssertSqlSafe(text).into_sql_str()
    }

    pub(super) fn arguments(&self) -> Result<MySqlArguments> {
        let mut arguments = MySqlArguments::default();
        for parameter in &self.parameters {
            let added = match parameter {
                Parameter::Signed(value) => arguments.add(*value),
                Parameter::Unsigned(value) => arguments.add(*value),
                Parameter::Text(value) => arguments.add(value.as_str()),
                Parameter::Bytes(value) => arguments.add(value.as_slice()),
            };
            added.map_err(|e| Failure::new(Code::Defect, "a parameter cannot be encoded").because(e))?;
        }
        Ok(arguments)
    }

    pub(super) fn query(&self) -> Result<sqlx::query::Query<'static, MySql, MySqlArguments>> {
        Ok(sqlx::query_with(self.sql(), self.arguments()?))
    }
}

/// A name in backticks.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// What stands behind FROM. A comment at the end of a query ends with its line.
pub(super) fn from(relation: &Relation) -> String {
    match relation {
        Relation::Table(table) => format!("{}.{}", quoted(&table.schema), quoted(&table.name)),
        Relation::Query(sql) => format!("(\n{sql}\n) AS q"),
    }
}

/// ` WHERE …` for the rows of a range that pass the filter; empty where that is every row.
pub(super) fn matching(range: &Range, filter: Option<&str>) -> Result<Statement> {
    let mut conditions = Vec::new();
    match range {
        Range::All => {}
        Range::Keys(keys) => conditions.extend(within(keys)),
        Range::KeyIsNull(column) => conditions.push(Statement::new(format!("{} IS NULL", quoted(&column.name)))),
        Range::Blocks(_) => return Err(Failure::new(Code::Defect, "MySQL's rows have no block addresses")),
    }
    conditions.extend(filter.map(|sql| Statement::new(format!("(\n{sql}\n)"))));
    Ok(all_of(conditions))
}

/// ` WHERE` every condition.
pub(super) fn all_of(conditions: Vec<Statement>) -> Statement {
    let mut whole = Statement::default();
    for (i, condition) in conditions.into_iter().enumerate() {
        whole.push(if i == 0 { " WHERE " } else { " AND " });
        whole.append(condition);
    }
    whole
}

/// Conditions that every row of the key range meets and no other row.
pub(super) fn within(range: &KeyRange) -> Vec<Statement> {
    let mut conditions = Vec::new();
    if let Some(lower) = &range.lower {
        conditions.extend(bound(&range.columns, lower, Side::AtLeast));
    }
    if let Some(upper) = &range.upper {
        conditions.extend(bound(&range.columns, upper, Side::Below));
    }
    // A comparison leaves NULL out by itself, but only where it reaches the column.
    let compared = !conditions.is_empty() && range.columns.len() == 1;
    let nullable = range.columns.iter().filter(|c| c.nullable && !compared);
    conditions.extend(nullable.map(|c| Statement::new(format!("{} IS NOT NULL", quoted(&c.name)))));
    conditions
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// At or above the values.
    AtLeast,
    /// Below the values.
    Below,
}

/// Compares columns with as many values or fewer, written out, since the optimizer takes no range from `(a, b) >= (?, ?)`.
///
/// Two columns give `a >= ? AND (a > ? OR (a = ? AND b >= ?))`: the first part is redundant and always a range.
pub(super) fn bound(columns: &[KeyColumn], values: &[KeyValue], side: Side) -> Option<Statement> {
    let pairs: Vec<_> = columns.iter().zip(values).collect();
    let (first, value) = pairs.first()?;
    let (strict, inclusive) = match side {
        Side::AtLeast => (">", ">="),
        Side::Below => ("<", "<="),
    };
    let last = if side == Side::AtLeast { inclusive } else { strict };
    if pairs.len() == 1 {
        return Some(compared(first, last, value));
    }
    let mut whole = compared(first, inclusive, value);
    whole.push(" AND ");
    for (column, value) in &pairs[..pairs.len() - 1] {
        whole.push("(");
        whole.append(compared(column, strict, value));
        whole.push(" OR (");
        whole.append(compared(column, "=", value));
        whole.push(" AND ");
    }
    let (column, value) = &pairs[pairs.len() - 1];
    whole.append(compared(column, last, value));
    whole.push(&"))".repeat(pairs.len() - 1));
    Some(whole)
}

fn compared(column: &KeyColumn, operator: &str, value: &KeyValue) -> Statement {
    let placeholder = match (column.kind, literal_type(&column.declared)) {
        (KeyKind::Literal, Some(declared)) => format!("CAST(? AS {declared})"),
        _ => "?".to_owned(),
    };
    Statement {
        text: format!("{} {operator} {placeholder}", quoted(&column.name)),
        parameters: vec![parameter(value)],
    }
}

fn parameter(value: &KeyValue) -> Parameter {
    match value {
        KeyValue::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(signed), _) => Parameter::Signed(signed),
            (_, Ok(unsigned)) => Parameter::Unsigned(unsigned),
            // Beyond every integer column: a text is compared as a number as well.
            _ => Parameter::Text(value.to_string()),
        },
        KeyValue::Text(text) => Parameter::Text(text.clone()),
        KeyValue::Bytes(bytes) => Parameter::Bytes(bytes.clone()),
    }
}

/// The type that a literal is cast to, so that it is compared exactly: a decimal and a bare text would meet as doubles.
fn literal_type(declared: &str) -> Option<String> {
    let declared = declared.to_ascii_lowercase();
    let arguments = || {
        declared
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(inside, _)| inside)
    };
    match base_of(&declared) {
        "decimal" | "numeric" => Some(format!("DECIMAL({})", arguments().unwrap_or("65,30"))),
        "date" => Some("DATE".to_owned()),
        // A timestamp is compared as a datetime of the session's zone, which is UTC.
        "datetime" | "timestamp" => Some(format!("DATETIME({})", arguments().unwrap_or("0"))),
        "time" => Some(format!("TIME({})", arguments().unwrap_or("0"))),
        _ => None,
    }
}

/// The bare name of a declared type: `decimal` of `decimal(10,2) unsigned`.
pub(super) fn base_of(declared: &str) -> &str {
    declared.split([' ', '(']).next().unwrap_or(declared)
}

/// Column names for SELECT and ORDER BY.
pub(super) fn list(columns: &[KeyColumn], suffix: &str) -> String {
    let names: Vec<_> = columns.iter().map(|c| format!("{}{suffix}", quoted(&c.name))).collect();
    names.join(", ")
}
