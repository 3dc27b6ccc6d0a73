//! Names and texts in scripts. Everything from outside goes through here, one module per language.

pub(crate) mod bigquery;
pub(crate) mod databricks;
pub(crate) mod mssql;
pub(crate) mod postgres;
pub(crate) mod snowflake;

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

/// A statement for a comment: one line, everything but printable ASCII as `\u` escapes.
pub(crate) fn comment_statement(sql: &str) -> String {
    let text = comment_text(sql);
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(&text).replace("\\\"", "\"").replace("\\\\", "\\")
}

/// What no platform can have in a name, or `None`. Control characters end a client's line or statement.
fn never_a_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.chars().any(char::is_control) {
        Some("holds a control character")
    } else {
        None
    }
}

/// Doubles the closing quote within.
fn doubled(open: char, text: &str, close: char) -> String {
    let twice = format!("{close}{close}");
    format!("{open}{}{close}", text.replace(close, &twice))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a text back whose closing quote is doubled; `None` where the quotes do not close at the very end.
    fn undoubled(text: &str, open: char, close: char) -> Option<String> {
        let mut chars = text.strip_prefix(open)?.chars();
        let mut out = String::new();
        while let Some(c) = chars.next() {
            if c == close {
                match chars.next() {
                    Some(next) if next == close => {}
                    Some(_) => return None,
                    None => return Some(out),
                }
            }
            out.push(c);
        }
        None
    }

    /// Reads a text back in which a backslash takes the next character as it is.
    fn unescaped(text: &str, quote: char) -> Option<String> {
        let mut chars = text.strip_prefix(quote)?.chars();
        let mut out = String::new();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.push(chars.next()?),
                c if c == quote => return chars.next().is_none().then_some(out),
                c => out.push(c),
            }
        }
        None
    }

    /// Snowflake's literals know both: `''` and backslashes.
    fn snowflake_text(text: &str) -> Option<String> {
        undoubled(text, '\'', '\'').map(|inner| inner.replace("\\\\", "\\"))
    }

    #[test]
    fn names_that_would_break_out_are_doubled_or_escaped() {
        assert_eq!(
            postgres::identifier("a\"; DROP TABLE x; --"),
            "\"a\"\"; DROP TABLE x; --\""
        );
        assert_eq!(postgres::literal("it's \\ here"), "'it''s \\ here'");
        assert_eq!(shell_word("it's $(here)"), r"'it'\''s $(here)'");
        assert_eq!(postgres::psql_argument(&shell_word("it's")), r"'''it''\''''s'''");
        assert_eq!(
            postgres::dollar_quoted("a $check$ b"),
            "$check1$\na $check$ b\n$check1$"
        );
        assert_eq!(comment_text("a\n*/\"\\é😀"), r#""a\u000a*/\"\\\u00e9\ud83d\ude00""#);
        assert_eq!(snowflake::literal("it's \\n"), r"'it''s \\n'");
        assert_eq!(bigquery::literal("it's \\n"), r"'it\'s \\n'");
        assert_eq!(bigquery::identifier("a`b\\"), r"`a\`b\\`");
        assert_eq!(databricks::identifier("a`b"), "`a``b`");
        assert_eq!(databricks::literal("it's \\n"), r"'it\'s \\n'");
        assert_eq!(mssql::identifier("a]b"), "[a]]b]");
        assert_eq!(mssql::literal("it's"), "N'it''s'");
    }

    proptest! {
        #[test]
        fn quoted_texts_read_back_as_themselves(text in "\\PC*") {
            prop_assert_eq!(undoubled(&postgres::identifier(&text), '"', '"'), Some(text.clone()));
            prop_assert_eq!(undoubled(&postgres::literal(&text), '\'', '\''), Some(text.clone()));
            prop_assert_eq!(undoubled(&postgres::psql_argument(&text), '\'', '\''), Some(text.clone()));
            prop_assert_eq!(undoubled(&snowflake::identifier(&text), '"', '"'), Some(text.clone()));
            prop_assert_eq!(snowflake_text(&snowflake::literal(&text)), Some(text.clone()));
            prop_assert_eq!(unescaped(&bigquery::identifier(&text), '`'), Some(text.clone()));
            prop_assert_eq!(unescaped(&bigquery::literal(&text), '\''), Some(text.clone()));
            prop_assert_eq!(undoubled(&databricks::identifier(&text), '`', '`'), Some(text.clone()));
            prop_assert_eq!(unescaped(&databricks::literal(&text), '\''), Some(text.clone()));
            prop_assert_eq!(undoubled(&mssql::identifier(&text), '[', ']'), Some(text.clone()));
            prop_assert_eq!(undoubled(&mssql::literal(&text)[1..], '\'', '\''), Some(text.clone()));
        }

        #[test]
        fn comments_stay_on_their_line(text in any::<String>()) {
            prop_assert!(comment_text(&text).bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert!(comment_statement(&text).bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
}
