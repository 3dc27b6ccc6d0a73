//! Identifiers. Each is a type of its own, so that one cannot be passed where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One accepted request: a slug of its tables and a hash of the canonical request, `-r2` and on after a restart.
///
/// What is read from outside is checked like what is made here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("pattern" = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}$")))]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl TryFrom<String> for JobId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text).ok_or("a job's name is 1 to 120 letters, digits, `-`, `_` and `.`, and starts with no dot")
    }
}

impl From<JobId> for String {
    fn from(job: JobId) -> Self {
        job.0
    }
}

impl JobId {
    /// Accepts what is safe as one segment of an object key: ASCII letters, digits, `-`, `_` and `.`, not leading with
    /// a dot, at most 120 bytes.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let valid = !text.is_empty() && text.len() <= 120 && !text.starts_with('.') && text.bytes().all(safe);
        valid.then_some(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Boundaries of a table's plan: planning a table again opens the next generation and fences the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    /// As in object keys: `g0001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{:04}", self.0)
    }
}

/// The database snapshot that a batch was read from, counted within a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Position of a batch in its table's plan, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct BatchIndex(pub u64);

impl fmt::Display for BatchIndex {
    /// As in object keys: `0000012`; longer numbers stay whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:07}", self.0)
    }
}

/// 64 random bits drawn when reading starts, so that two attempts at a batch never write the same object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId(pub u64);

/// 64 random bits drawn per planning, so that the pages of two planners never mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId(pub u64);

macro_rules! hexadecimal_id {
    ($name:ident) => {
        impl $name {
            /// Reads the sixteen lowercase hexadecimal digits that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                (text.len() == 16 && digits)
                    .then(|| u64::from_str_radix(text, 16).ok().map(Self))
                    .flatten()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected sixteen hexadecimal digits"))
            }
        }
    };
}

hexadecimal_id!(AttemptId);
hexadecimal_id!(PlanId);
