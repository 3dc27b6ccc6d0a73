//! What a seed has in store: faults of the wire, deaths, losses, an order to cancel.

use std::time::Duration;

use crate::process::ROLES;
use crate::{Chance, Faults};

/// Longest time in which something is still to strike.
const STRIKES_MILLIS: u64 = 250;
/// Awaits within which a process dies.
const AWAITS: u64 = 160;

/// What strikes at a time, rather than at an await.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The checkpoint store loses everything.
    Forget,
    /// The checkpoint store loses the last second.
    ForgetTheLastSecond,
    /// The broker loses every tick and batch that waits.
    LoseMessages,
    /// Somebody cancels the job.
    Cancel,
}

/// How a seed's world is.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) faults: Faults,
    /// The awaits at which the lives of each role end, one after the other.
    pub(crate) deaths: [Vec<u64>; ROLES.len()],
    pub(crate) strikes: Vec<(Duration, Strike)>,
    /// Nothing is lost that nobody brings back, and the sweeper repairs nothing: messages alone carry the job to its
    /// end. Without that a defect that the sweeper repairs would never show.
    pub(crate) unswept: bool,
}

impl Script {
    pub(crate) fn of(seed: u64, chance: &Chance) -> Self {
        let unswept = seed % 2 == 1;
        let failing = chance.below(6);
        let faults = Faults {
            failing,
            late: 10 + chance.below(50),
            doubled: chance.below(8),
            broken: chance.below(4),
            // By the seed alone, so that what others draw stays as it was.
            slow: if seed % 5 == 4 { 15 } else { 0 },
        };
        let mut deaths = [const { Vec::new() }; ROLES.len()];
        for _ in 0..chance.below(8) {
            let role = chance.below(ROLES.len() as u64) as usize;
            deaths[role].push(1 + chance.below(AWAITS));
        }
        let mut strikes = Vec::new();
        let mut at = |strike| {
            let when = Duration::from_millis(chance.below(STRIKES_MILLIS));
            strikes.push((when, strike));
        };
        if chance.strikes(50) {
            at(Strike::Forget);
        }
        if !unswept && chance.strikes(50) {
            at(Strike::LoseMessages);
        }
        if !unswept && chance.strikes(50) {
            at(Strike::ForgetTheLastSecond);
        }
        if chance.strikes(15) {
            at(Strike::Cancel);
        }
        strikes.sort_by_key(|(when, _)| *when);
        Self {
            faults,
            deaths,
            strikes,
            unswept,
        }
    }
}
