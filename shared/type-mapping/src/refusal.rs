//! Why a column is refused, in words that name the option that helps.

use sqlextract_model::{Code, Dialect, Failure, OverrideType, SourceColumn, TableName};

use crate::overrides::possible;
use crate::parse::{override_name, override_text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The type has no table row.
    NoForm,
    /// Not a conversion that is sound for every value or checked per value.
    NotByName(OverrideType),
    /// Loses digits of usual values.
    Rounds(OverrideType),
    /// A precision or a scale that no decimal here has.
    NoSuchDecimal(OverrideType),
}

impl Refusal {
    pub(crate) fn failure(self, dialect: Dialect, table: &TableName, column: &SourceColumn) -> Failure {
        let name = &column.name;
        let declared = if column.declared.is_empty() {
            &column.base
        } else {
            &column.declared
        };
        let choices = possible(dialect, column);
        let as_text = flag(table, name, OverrideType::Text);
        let (code, message, remedy) = match self {
            Self::NoForm => (
                Code::TypeUnsupported,
                format!("column {name} of {table} has the type {declared}, which has no exact form in a chunk"),
                by_name(table, name, &choices),
            ),
            Self::NotByName(target) => (
                Code::TypeUnsupported,
                format!(
                    "column {name} of {table} has the type {declared}, which cannot be read as {}",
                    override_name(target)
                ),
                by_name(table, name, &choices),
            ),
            Self::Rounds(target) => (
                Code::TypeLossy,
                format!(
                    "column {name} of {table} has the type {declared}, which loses digits as {}",
                    override_name(target)
                ),
                format!("Add `--on-lossy round` to accept that, or keep every digit with `{as_text}`."),
            ),
            Self::NoSuchDecimal(target) => (
                Code::TypeUnsupported,
                format!(
                    "column {name} of {table} cannot be {}: a decimal has 1 to 38 digits, and a scale from 0 to that",
                    override_name(target)
                ),
                format!("Name a smaller decimal, or `{as_text}`."),
            ),
        };
        Failure::new(code, message).table(table).column(name).remedy(remedy)
    }
}

fn by_name(table: &TableName, column: &str, choices: &[OverrideType]) -> String {
    let out = format!("leave the column out with `--exclude-columns {}`", shell_word(column));
    let others = |rest: &[OverrideType]| rest.iter().map(|t| override_name(*t)).collect::<Vec<_>>().join(", ");
    match choices {
        [] => format!("No other type is possible: {out}."),
        [only] => format!("Use `{}`, or {out}.", flag(table, column, *only)),
        [first, rest @ ..] => {
            format!(
                "Use `{}` (also possible: {}), or {out}.",
                flag(table, column, *first),
                others(rest)
            )
        }
    }
}

/// The option as it can be pasted into a shell.
fn flag(table: &TableName, column: &str, target: OverrideType) -> String {
    format!("--column-type {}", shell_word(&override_text(table, column, target)))
}

fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
