//! Which files one statement loads.

use crate::load::ChunkLoad;

/// What a platform takes in one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatementLimits {
    pub(crate) files: usize,
    /// Of the names together, so that the statement stays within what a client sends.
    pub(crate) name_bytes: usize,
}

/// Splits chunks, in their order, into as few groups as the limits allow; `most_bytes` is the user's own limit. A chunk
/// larger than that is alone.
pub(crate) fn groups<'a, 'm>(
    chunks: &'a [ChunkLoad<'m>],
    limits: StatementLimits,
    most_bytes: Option<u64>,
) -> Vec<Vec<&'a ChunkLoad<'m>>> {
    let mut groups: Vec<Vec<&ChunkLoad<'m>>> = Vec::new();
    let (mut names, mut bytes) = (0, 0_u64);
    for chunk in chunks {
        let name = chunk.record.key.len();
        let fits = groups.last().is_some_and(|group| {
            group.len() < limits.files
                && names + name <= limits.name_bytes
                && most_bytes.is_none_or(|most| bytes.saturating_add(chunk.record.bytes) <= most)
        });
        match groups.last_mut() {
            Some(group) if fits => group.push(chunk),
            _ => {
                groups.push(vec![chunk]);
                (names, bytes) = (0, 0);
            }
        }
        names += name;
        bytes = bytes.saturating_add(chunk.record.bytes);
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlextract_model::{ChunkRecord, Digest};

    use super::*;

    fn record(number: usize, bytes: u64) -> ChunkRecord {
        ChunkRecord {
            key: format!("data/t/{number:04}.csv"),
            bytes,
            rows: 1,
            crc32c: "00000000".to_owned(),
            sha256: Digest::of(b""),
            end_of_copy_line: false,
        }
    }

    proptest! {
        #[test]
        fn every_chunk_is_in_one_group_and_no_group_passes_a_limit(
            sizes in prop::collection::vec(0_u64..500, 0..60),
            files in 1_usize..9,
            name_bytes in 20_usize..200,
            most in prop::option::of(1_u64..900),
        ) {
            let records: Vec<_> = sizes.iter().enumerate().map(|(i, bytes)| record(i, *bytes)).collect();
            let chunks: Vec<_> = records.iter().map(|record| ChunkLoad { record, plain_dates: true }).collect();
            let made = groups(&chunks, StatementLimits { files, name_bytes }, most);
            let keys: Vec<&str> = made.iter().flatten().map(|c| c.record.key.as_str()).collect();
            let expected: Vec<&str> = records.iter().map(|r| r.key.as_str()).collect();
            prop_assert_eq!(keys, expected);
            for group in &made {
                prop_assert!(!group.is_empty() && group.len() <= files);
                let bytes: u64 = group.iter().map(|c| c.record.bytes).sum();
                prop_assert!(group.len() == 1 || most.is_none_or(|most| bytes <= most));
                let names: usize = group.iter().map(|c| c.record.key.len()).sum();
                prop_assert!(group.len() == 1 || names <= name_bytes);
            }
        }
    }
}
