//! What the server does wrong on purpose, settable while it runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dose {
    /// Share of the requests that it can strike, 0 to 100.
    pub percent: u8,
    /// How many more times it strikes; without a number it goes on.
    pub times: Option<u32>,
}

impl Dose {
    /// A share of all requests, decided by the seed.
    pub fn share(percent: u8) -> Self {
        Self { percent, times: None }
    }

    /// The next requests, each of them.
    pub fn next(times: u32) -> Self {
        Self {
            percent: 100,
            times: Some(times),
        }
    }
}

/// All switches; the default is a server that does everything right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The same seed and the same order of requests strike the same requests.
    pub seed: u64,
    /// Any request: 503 `SlowDown`, nothing done.
    pub slow_down: Dose,
    /// Writes: applied, then the connection is closed without an answer.
    pub lose_answer: Dose,
    /// Completions of multipart uploads: as `lose_answer`.
    pub lose_completions: Dose,
    /// Any request: nothing happens for `stall_ms`, then it is served.
    pub stall: Dose,
    pub stall_ms: u64,
    /// Create-only writes: 409 `ConditionalRequestConflict`, nothing done.
    pub conflict: Dose,
    /// Writes of data: 507 `QuotaExceeded`, nothing done.
    pub full: Dose,
    /// Writes of data: one bit of the body is flipped before the server looks at it.
    pub corrupt_upload: Dose,
    /// Reads: one bit of the body is flipped on its way out.
    pub corrupt_download: Dose,
    /// Objects younger than this are missing from listings.
    pub listing_lag_ms: u64,
    /// `If-None-Match` is taken for air, as some stores do.
    pub ignore_if_none_match: bool,
    /// One write is held without an answer.
    pub hold: Option<Hold>,
}

/// The next write of a key that contains this is never answered: the moment to end whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hold {
    pub key: String,
    /// It is done before it is held.
    pub applied: bool,
    /// A write is held already; no other is.
    pub taken: bool,
}

#[derive(Debug, Default)]
pub(crate) struct FaultControl {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    random: u64,
}

impl FaultControl {
    pub(crate) fn set(&self, faults: Faults) {
        let mut state = self.lock();
        state.random = faults.seed;
        state.faults = faults;
    }

    pub(crate) fn get(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Whether the fault strikes now; counts it when it does.
    pub(crate) fn strikes(&self, fault: impl FnOnce(&mut Faults) -> &mut Dose) -> bool {
        let mut state = self.lock();
        let State { faults, random } = &mut *state;
        let dose = fault(faults);
        if dose.percent == 0 || dose.times == Some(0) || splitmix64(random) % 100 >= u64::from(dose.percent) {
            return false;
        }
        if let Some(times) = &mut dose.times {
            *times -= 1;
        }
        true
    }

    /// Whether a write of this key is held, and then whether it is done first.
    pub(crate) fn holds(&self, key: &str) -> Option<bool> {
        let mut state = self.lock();
        let hold = state.faults.hold.as_mut()?;
        if hold.taken || !key.contains(&hold.key) {
            return None;
        }
        hold.taken = true;
        Some(hold.applied)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_strikes_about_that_often_and_the_same_way_for_one_seed() {
        let control = FaultControl::default();
        let mut runs = Vec::new();
        for _ in 0..2 {
            control.set(Faults {
                seed: 7,
                slow_down: Dose::share(30),
                ..Faults::default()
            });
            let run: Vec<bool> = (0..1000).map(|_| control.strikes(|f| &mut f.slow_down)).collect();
            runs.push(run);
        }
        let struck = runs[0].iter().filter(|s| **s).count();
        assert!((250..350).contains(&struck), "{struck}");
        assert_eq!(runs[0], runs[1]);
    }

    #[test]
    fn a_counted_fault_stops_by_itself() {
        let control = FaultControl::default();
        control.set(Faults {
            stall: Dose::next(2),
            ..Faults::default()
        });
        let struck: Vec<bool> = (0..4).map(|_| control.strikes(|f| &mut f.stall)).collect();
        assert_eq!(struck, [true, true, false, false]);
    }
}
