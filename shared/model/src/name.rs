//! Table names, and the segments of object keys that stand for them.

use std::collections::HashMap;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A table as the source knows it: `public.lineitem`, `shop.orders`, `main.t` in SQLite, `query.NAME` for a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// Splits `table`, `schema.table` or `"Schema"."Ta.ble"` (double quotes doubled inside) into schema and table.
    /// Returns `None` when the text is not of that form.
    pub fn parse(text: &str) -> Option<(Option<String>, String)> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = take_part(rest)?;
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return None,
            }
        }
        match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(name), schema, true) => Some((schema, name)),
            _ => None,
        }
    }
}

fn take_part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        return (!part.is_empty()).then(|| (part.to_owned(), rest));
    };
    let mut part = String::new();
    let mut rest = quoted;
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

impl fmt::Display for TableName {
    /// Quotes a part only where it would not read back as one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in [&self.schema, &self.name].into_iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if part.is_empty() || part.contains(['.', '"', ',']) {
                write!(f, "\"{}\"", part.replace('"', "\"\""))?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

/// A table's segment in object keys: percent-encoded per part, with a hash where two tables differ by case only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableSegment(String);

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
/// Room for a long identifier in every script, without passing the 255 bytes that file systems allow.
const LONGEST_SEGMENT_BYTES: usize = 160;

impl TableSegment {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accepts what [`segments`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'%' | b'.' | b'~');
        let valid = !text.is_empty() && !text.starts_with('.') && text.len() <= 200 && text.bytes().all(safe);
        valid.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for TableSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The segment of each table of a job, in the order given: distinct even on a store that folds case.
pub fn segments(tables: &[TableName]) -> Vec<TableSegment> {
    let plain: Vec<String> = tables
        .iter()
        .map(|t| {
            format!(
                "{}.{}",
                utf8_percent_encode(&t.schema, KEPT),
                utf8_percent_encode(&t.name, KEPT)
            )
        })
        .collect();
    let mut folded: HashMap<String, usize> = HashMap::new();
    for segment in &plain {
        *folded.entry(segment.to_ascii_lowercase()).or_default() += 1;
    }
    tables
        .iter()
        .zip(plain)
        .map(|(table, mut segment)| {
            let collides = folded.get(&segment.to_ascii_lowercase()).is_some_and(|n| *n > 1);
            if collides || segment.len() > LONGEST_SEGMENT_BYTES {
                let digest = Digest::of(format!("{}\u{0}{}", table.schema, table.name).as_bytes());
                segment.truncate(LONGEST_SEGMENT_BYTES);
                segment = format!("{segment}~{}", &digest.to_string()[..12]);
            }
            TableSegment(segment)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_schema_and_table() {
        let cases = [
            ("users", Some((None, "users"))),
            ("public.users", Some((Some("public"), "users"))),
            ("\"We\"\"ird\".\"a.b\"", Some((Some("We\"ird"), "a.b"))),
            ("a.b.c", None),
            ("", None),
            ("a.", None),
            ("\"open", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(s, n): (Option<&str>, &str)| (s.map(str::to_owned), n.to_owned()));
            assert_eq!(TableName::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn segments_never_collide_when_case_is_folded() {
        let names = [
            ("s", "Orders"),
            ("s", "orders"),
            ("s", "../x"),
            ("s", "é"),
            ("s.o", "rders"),
            ("s", "o.rders"),
        ];
        let tables: Vec<_> = names.iter().map(|(s, n)| TableName::new(*s, *n)).collect();
        let made = segments(&tables);
        let folded: std::collections::HashSet<_> = made.iter().map(|s| s.as_str().to_ascii_lowercase()).collect();
        assert_eq!(folded.len(), tables.len());
        assert!(
            made.iter()
                .all(|s| !s.as_str().contains('/') && TableSegment::parse(s.as_str()).is_some())
        );
    }
}
