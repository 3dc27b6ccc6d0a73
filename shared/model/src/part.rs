//! Parts of a batch that was too long to be read at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CommitRecord, Range};

/// Which half of which half of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartPath(String);

impl PartPath {
    /// More halves of halves than anybody waits for.
    const DEEPEST: usize = 16;

    /// The whole batch.
    pub fn whole() -> Self {
        Self(String::new())
    }

    /// The first and the second half; `None` where nobody would halve any more.
    pub fn halves(&self) -> Option<[Self; 2]> {
        (self.0.len() < Self::DEEPEST).then(|| ["0", "1"].map(|half| Self(format!("{}{half}", self.0))))
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "whole" {
            return Some(Self::whole());
        }
        let halves = text.bytes().all(|half| half == b'0' || half == b'1');
        (halves && (1..=Self::DEEPEST).contains(&text.len())).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => f.write_str("whole"),
            halves => f.write_str(halves),
        }
    }
}

/// What became of a part. Create-only: of two attempts, the first decides whether it is read or halved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartRecord {
    /// It is read in halves, which are these: no row of it is in both, and none in neither.
    Split(Box<[Range; 2]>),
    /// It was read: its chunks count once those of all parts do.
    Read(Box<CommitRecord>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_itself_and_ends_somewhere() {
        let mut path = PartPath::whole();
        let mut depth = 0;
        while let Some([first, second]) = path.halves() {
            for path in [&path, &first, &second] {
                assert_eq!(PartPath::parse(&path.to_string()).as_ref(), Some(path));
            }
            path = second;
            depth += 1;
        }
        assert_eq!(depth, PartPath::DEEPEST);
        for foreign in ["", "2", "0x", "00000000000000000"] {
            assert_eq!(PartPath::parse(foreign), None, "{foreign}");
        }
    }
}
