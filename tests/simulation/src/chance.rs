//! What goes wrong, drawn from a seed.

use std::sync::{Mutex, PoisonError};

/// Draws by SplitMix64: the same seed gives the same draws to the same calls, since calls come in the same order.
#[derive(Debug)]
pub struct Chance {
    state: Mutex<u64>,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }

    pub fn bits(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    pub fn strikes(&self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }
}
