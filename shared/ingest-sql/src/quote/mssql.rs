//! Transact-SQL.

use super::{doubled, never_a_name};

/// Why SQL Server or sqlcmd cannot have this name, or `None`.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    never_a_name(name)
        .or((name.encode_utf16().count() > 128).then_some("is longer than 128 characters"))
        .or(name
            .contains("$(")
            .then_some("holds `$(`, which sqlcmd replaces by a variable"))
}

pub(crate) fn identifier(name: &str) -> String {
    doubled('[', name, ']')
}

/// A Unicode string.
pub(crate) fn literal(text: &str) -> String {
    format!("N{}", doubled('\'', text, '\''))
}

/// A string that a bulk option takes: without `N`, which its grammar does not know. The text is ASCII.
pub(crate) fn plain_literal(text: &str) -> String {
    doubled('\'', text, '\'')
}
