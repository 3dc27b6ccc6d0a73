//! Databricks SQL.

use super::{doubled, never_a_name};

/// Why a Delta table cannot have a column of this name, or `None`.
pub(crate) fn column_problem(name: &str) -> Option<&'static str> {
    never_a_name(name)
        .or((name.chars().count() > 255).then_some("is longer than 255 characters"))
        .or(name
            .contains([' ', ',', ';', '{', '}', '(', ')', '='])
            .then_some("holds a blank or one of , ; { } ( ) ="))
}

/// Why Unity Catalog cannot have an object of this name, or `None`. `${` would be replaced by a variable.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    never_a_name(name)
        .or((name.chars().count() > 200).then_some("is longer than 200 characters"))
        .or(name
            .contains([' ', '.', '/', '{', '}'])
            .then_some("holds a blank or one of . / { }"))
}

pub(crate) fn identifier(name: &str) -> String {
    doubled('`', name, '`')
}

/// A string; the text holds no `${`, which Spark replaces even inside quotes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
