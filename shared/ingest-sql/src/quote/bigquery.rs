//! BigQuery (GoogleSQL).

use super::never_a_name;

/// Prefixes that are BigQuery's own.
const RESERVED: [&str; 6] = [
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
];

/// Why BigQuery cannot have a column of this name, or `None`: what every way to load accepts.
pub(crate) fn column_problem(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    never_a_name(name)
        .or((name.len() > 300).then_some("is longer than 300 characters"))
        .or(
            (!name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()))
                .then_some("is not only letters, digits and `_`, beginning with no digit"),
        )
        .or(RESERVED
            .iter()
            .any(|prefix| lower.starts_with(prefix))
            .then_some("begins with a prefix that BigQuery keeps to itself"))
}

/// Why BigQuery cannot have a table of this name, or `None`.
pub(crate) fn table_problem(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    never_a_name(name)
        .or((name.len() > 1000).then_some("is longer than 1000 bytes"))
        .or((!name.chars().all(plain)).then_some("is not only letters, digits, `_`, `-` and blanks"))
}

/// Why BigQuery cannot have a dataset of this name, or `None`.
pub(crate) fn dataset_problem(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    never_a_name(name).or((!name.chars().all(plain)).then_some("is not only letters, digits and `_`"))
}

/// An identifier between backquotes, with backslash escapes.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
