//! What goes wrong, drawn from a seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};

/// Draws by SplitMix64: the same seed gives the same draws, though not to the same calls, since calls run at the same time.
#[derive(Debug)]
pub struct Chance {
    state: Mutex<u64>,
    /// Of a hundred calls so many fail before they act, and as many after.
    failing: u64,
}

impl Chance {
    pub fn new(seed: u64, failing: u64) -> Self {
        Self {
            state: Mutex::new(seed),
            failing,
        }
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    pub fn strikes(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Acts late, not at all, or without saying so.
    pub async fn around<T>(&self, away: Code, call: impl Future<Output = Result<T>>) -> Result<T> {
        if self.strikes(10) {
            tokio::time::sleep(Duration::from_micros(self.below(3000))).await;
        }
        if self.strikes(self.failing) {
            return Err(Failure::new(away, "simulated: nothing was done"));
        }
        let answer = call.await;
        if self.strikes(self.failing) {
            return Err(Failure::new(away, "simulated: the answer is lost"));
        }
        answer
    }
}
