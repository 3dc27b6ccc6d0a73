//! PostgreSQL and psql.

use super::{doubled, never_a_name};

/// Longest identifier; longer ones are cut without a word.
pub(crate) const IDENTIFIER_BYTES: usize = 63;

/// Why PostgreSQL cannot have this name, or `None`. A control character is refused because psql ends a command at a
/// line's end, even inside quotes.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    never_a_name(name).or((name.len() > IDENTIFIER_BYTES).then_some("is longer than 63 bytes"))
}

/// An identifier; the name has no problem by [`name_problem`].
pub(crate) fn identifier(name: &str) -> String {
    doubled('"', name, '"')
}

/// A string under `standard_conforming_strings`, where a backslash is a backslash.
pub(crate) fn literal(text: &str) -> String {
    doubled('\'', text, '\'')
}

/// A body between dollar tags that it does not hold itself.
pub(crate) fn dollar_quoted(body: &str) -> String {
    let mut tag = "$check$".to_owned();
    let mut number = 0;
    while body.contains(&tag) {
        number += 1;
        tag = format!("$check{number}$");
    }
    format!("{tag}\n{body}\n{tag}")
}

/// An argument of a psql meta-command that psql takes without looking into it, as `\copy` does: single quotes doubled.
/// The text has no control character.
pub(crate) fn psql_argument(text: &str) -> String {
    doubled('\'', text, '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgres_cannot_have_are_found() {
        let long = "é".repeat(32);
        for (name, problem) in [
            ("", Some("is empty")),
            ("a\nb", Some("holds a control character")),
            ("a\0", Some("holds a control character")),
            (long.as_str(), Some("is longer than 63 bytes")),
            ("é \" ' $ \\", None),
        ] {
            assert_eq!(name_problem(name), problem, "{name:?}");
        }
    }
}
