//! Keys that a table can be split by, and ranges of them.

use serde::{Deserialize, Serialize};

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyColumn {
    pub name: String,
    pub kind: KeyKind,
    pub nullable: bool,
    /// The declared type, to which a literal is cast where the dialect needs it (PostgreSQL).
    pub declared: String,
}

/// How a key's values compare and travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Any signed or unsigned integer up to 64 bits.
    Integer,
    Uuid,
    /// Text under the column's own collation: only the database compares two values.
    Text,
    Bytes,
    /// Any other ordered type (dates, decimals): a literal in the database's own text form.
    Literal,
}

/// A key's value as the database returned it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// Wide enough for both `bigint` and `bigint unsigned`; in JSON a decimal string.
    Integer(#[serde(with = "integer_text")] i128),
    Text(String),
    /// Bytes, in JSON as lowercase hexadecimal.
    Bytes(#[serde(with = "hex_bytes")] Vec<u8>),
}

/// Rows whose key is at or above `lower` and below `upper`, compared column by column by the database itself.
///
/// A missing bound is open. A range without bounds holds every row whose key is not NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    pub columns: Vec<KeyColumn>,
    /// Inclusive; as many values as `columns` or fewer (a prefix).
    pub lower: Option<Vec<KeyValue>>,
    /// Exclusive.
    pub upper: Option<Vec<KeyValue>>,
}

mod integer_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = value.iter().map(|b| format!("{b:02x}")).collect();
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() % 2 != 0 || !text.is_ascii() {
            return Err(D::Error::custom("expected an even number of hexadecimal digits"));
        }
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).map_err(D::Error::custom))
            .collect()
    }
}
