//! Names and texts in scripts. Everything from outside goes through here, per language.

/// Longest identifier of PostgreSQL, which cuts longer ones without a word.
pub(crate) const POSTGRES_IDENTIFIER_BYTES: usize = 63;

/// Why PostgreSQL cannot have this name, or `None`. A control character is refused because psql ends a command at a
/// line's end, even inside quotes.
pub(crate) fn postgres_name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.chars().any(char::is_control) {
        Some("holds a control character")
    } else if name.len() > POSTGRES_IDENTIFIER_BYTES {
        Some("is longer than 63 bytes")
    } else {
        None
    }
}

/// A PostgreSQL identifier; the name has no problem by [`postgres_name_problem`].
pub(crate) fn postgres_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A PostgreSQL string under `standard_conforming_strings`, where a backslash is a backslash.
pub(crate) fn postgres_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A PostgreSQL body between dollar tags that it does not hold itself.
pub(crate) fn postgres_dollar_quoted(body: &str) -> String {
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
    format!("'{}'", text.replace('\'', "''"))
}

/// One word for a POSIX shell, whatever is in it.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A text for a comment: in double quotes, with everything but printable ASCII as `\u` escapes, so that no name ends
/// the comment or looks like another.
pub(crate) fn comment_text(text: &str) -> String {
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some(c @ ' '..='~') => out.push(c),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_would_break_out_are_doubled_or_escaped() {
        assert_eq!(
            postgres_identifier("a\"; DROP TABLE x; --"),
            "\"a\"\"; DROP TABLE x; --\""
        );
        assert_eq!(postgres_literal("it's \\ here"), "'it''s \\ here'");
        assert_eq!(shell_word("it's $(here)"), r"'it'\''s $(here)'");
        assert_eq!(psql_argument(&shell_word("it's")), r"'''it''\''''s'''");
        assert_eq!(postgres_dollar_quoted("a $check$ b"), "$check1$\na $check$ b\n$check1$");
        assert_eq!(comment_text("a\n*/\"\\é😀"), r#""a\u000a*/\"\\\u00e9\ud83d\ude00""#);
    }

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
            assert_eq!(postgres_name_problem(name), problem, "{name:?}");
        }
    }

    /// Reads a quoted text back; `None` where the quotes do not close at the very end.
    fn unquoted(text: &str, quote: char) -> Option<String> {
        let mut chars = text.strip_prefix(quote)?.chars();
        let mut out = String::new();
        while let Some(c) = chars.next() {
            if c == quote {
                match chars.next() {
                    Some(next) if next == quote => {}
                    Some(_) => return None,
                    None => return Some(out),
                }
            }
            out.push(c);
        }
        None
    }

    proptest! {
        #[test]
        fn quoted_texts_read_back_as_themselves(text in "\\PC*") {
            prop_assert_eq!(unquoted(&postgres_identifier(&text), '"'), Some(text.clone()));
            prop_assert_eq!(unquoted(&postgres_literal(&text), '\''), Some(text.clone()));
            prop_assert_eq!(unquoted(&psql_argument(&text), '\''), Some(text.clone()));
        }

        #[test]
        fn comments_stay_on_their_line(text in any::<String>()) {
            prop_assert!(comment_text(&text).bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
}
