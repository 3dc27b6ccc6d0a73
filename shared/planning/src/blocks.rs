//! Ranges of physical blocks over the relations that hold a table's rows.

use sqlextract_model::{BlockLeaf, BlockRange, Range};

/// A block number is 32 bits wide, and the last one is not a block.
const MOST_BLOCKS: u64 = u32::MAX as u64;
/// Relations that one batch reads at most.
const MOST_LEAVES: usize = 512;

/// A table's relations, grouped into batches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockLayout {
    leaves: Vec<BlockLeaf>,
    groups: Vec<Group>,
    pub(crate) batches: u64,
    /// Rows of a block, for estimates.
    density: f64,
}

/// Several whole relations in one batch, or one relation in several.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    first_leaf: usize,
    leaves: usize,
    first_batch: u64,
    batches: u64,
}

impl BlockLayout {
    /// About `wanted` batches of an equal number of blocks.
    pub(crate) fn new(leaves: &[BlockLeaf], wanted: u64, rows: u64) -> Self {
        let blocks_of = |leaf: &BlockLeaf| leaf.blocks.min(MOST_BLOCKS);
        let total: u64 = leaves.iter().map(blocks_of).sum();
        let per_batch = total.div_ceil(wanted.max(1)).max(1);
        let mut layout = Self {
            leaves: leaves.to_vec(),
            groups: Vec::new(),
            batches: 0,
            density: rows as f64 / total.max(1) as f64,
        };
        let (mut first, mut gathered) = (0, 0);
        for (i, leaf) in leaves.iter().enumerate() {
            let blocks = blocks_of(leaf);
            let parts = (blocks + per_batch / 2) / per_batch;
            let full = gathered + blocks > per_batch + per_batch / 4 || i - first >= MOST_LEAVES;
            if (parts > 1 || full) && i > first {
                layout.push(first, i - first, 1);
                (first, gathered) = (i, 0);
            }
            if parts > 1 {
                layout.push(i, 1, parts);
                (first, gathered) = (i + 1, 0);
            } else {
                gathered += blocks;
            }
        }
        if first < leaves.len() {
            layout.push(first, leaves.len() - first, 1);
        }
        layout
    }

    fn push(&mut self, first_leaf: usize, leaves: usize, batches: u64) {
        self.groups.push(Group {
            first_leaf,
            leaves,
            first_batch: self.batches,
            batches,
        });
        self.batches += batches;
    }

    /// A batch's range and estimated rows.
    pub(crate) fn batch(&self, index: u64) -> (Range, u64) {
        let at = self
            .groups
            .partition_point(|group| group.first_batch <= index)
            .saturating_sub(1);
        let Some(group) = self.groups.get(at) else {
            return (Range::Blocks(Vec::new()), 0);
        };
        let leaves = &self.leaves[group.first_leaf..group.first_leaf + group.leaves];
        let part = index - group.first_batch;
        let mut read = 0;
        let ranges = leaves.iter().map(|leaf| {
            let blocks = leaf.blocks.min(MOST_BLOCKS);
            let start = |part: u64| (u128::from(blocks) * u128::from(part) / u128::from(group.batches)) as u64;
            let (from, end) = (start(part), start(part + 1));
            read += end - from;
            let to = (part + 1 < group.batches).then_some(end);
            BlockRange {
                oid: leaf.oid,
                name: leaf.name.clone(),
                from,
                to,
            }
        });
        let ranges = ranges.collect();
        (Range::Blocks(ranges), (read as f64 * self.density).round() as u64)
    }
}
