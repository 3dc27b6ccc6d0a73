//! Snowflake.

use super::{doubled, never_a_name};

/// Why Snowflake or its clients cannot have this name, or `None`.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    never_a_name(name)
        .or((name.chars().count() > 255).then_some("is longer than 255 characters"))
        .or((name.contains('&') || name.contains("<%"))
            .then_some("holds `&` or `<%`, which Snowflake's clients replace by variables"))
}

/// An identifier, always in quotes: the case stays.
pub(crate) fn identifier(name: &str) -> String {
    doubled('"', name, '"')
}

/// A string; backslashes are escapes there, so both quotes and backslashes are doubled.
pub(crate) fn literal(text: &str) -> String {
    doubled('\'', &text.replace('\\', "\\\\"), '\'')
}
