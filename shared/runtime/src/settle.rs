//! The one place where a failure becomes what happens to its message.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, SystemClock};
use sqlextract_model::{Class, Code, Failure};

use crate::Verdict;

/// A defect may hang on timing, so it gets another chance or two, and no more: most are deterministic.
const DEFECT_ATTEMPTS: u32 = 3;
/// After this many steps any multiplier has reached its longest delay; it bounds the loop.
const MOST_STEPS: u32 = 256;

/// How often and how late something is tried again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Tries, the first one included.
    pub max_attempts: u32,
    /// The delay after the first try.
    pub initial: Duration,
    pub max_delay: Duration,
    /// What each further try multiplies the delay by; less than 1 counts as 1.
    pub multiplier: f64,
    /// The part of a delay, from 0 to 1, by which it is shortened or lengthened at random.
    pub jitter: f64,
    pub randomness: Randomness,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial: Duration::from_millis(500),
            max_delay: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.3,
            randomness: Randomness::seeded(RandomState::new().hash_one(0)),
        }
    }
}

impl RetryPolicy {
    /// The delay after this many failed tries (1 for the first).
    pub fn delay(&self, attempts: u32) -> Duration {
        let base = self.delay_without_jitter(attempts);
        let jitter = if self.jitter.is_finite() {
            self.jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let factor = 1.0 + jitter * (2.0 * self.randomness.next() - 1.0);
        base.mul_f64(factor).min(self.max_delay)
    }

    fn delay_without_jitter(&self, attempts: u32) -> Duration {
        let multiplier = if self.multiplier.is_finite() {
            self.multiplier.max(1.0)
        } else {
            1.0
        };
        let mut backoff = ExponentialBackoff {
            current_interval: self.initial,
            initial_interval: self.initial,
            randomization_factor: 0.0,
            multiplier,
            max_interval: self.max_delay,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        for _ in 1..attempts.min(MOST_STEPS) {
            // The interval is read below; the returned one has the library's own randomness in it.
            let _: Option<Duration> = Backoff::next_backoff(&mut backoff);
        }
        let _: &SystemClock = &backoff.clock;
        backoff.current_interval.min(self.max_delay)
    }
}

/// A source of jitter that repeats itself under the same seed. Clones draw from one sequence.
#[derive(Debug, Clone)]
pub struct Randomness(Arc<AtomicU64>);

impl Randomness {
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next number from 0 to below 1 (SplitMix64).
    fn next(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What becomes of a message whose work failed, by the failure's class alone. `attempts` counts the tries so far, this
/// one included.
pub fn settlement_for(failure: &Failure, attempts: u32, policy: &RetryPolicy) -> Verdict {
    let limit = match (failure.code, failure.class()) {
        (Code::Defect, _) => policy.max_attempts.min(DEFECT_ATTEMPTS),
        (_, Class::Permanent) => 0,
        // An indeterminate step is read back by whoever tries again, so that trying again is safe.
        (_, Class::Retryable | Class::Indeterminate) => policy.max_attempts,
        // Somebody else is at it: waiting is no failed try.
        (_, Class::Busy) => u32::MAX,
    };
    if attempts < limit {
        Verdict::Again {
            after: policy.delay(attempts),
        }
    } else {
        Verdict::Park(failure.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 4,
            initial: Duration::from_secs(1),
            max_delay: Duration::from_secs(10),
            multiplier: 3.0,
            jitter: 0.0,
            randomness: Randomness::seeded(7),
        }
    }

    #[test]
    fn the_class_decides_and_no_word_of_the_message_does() {
        let cases = [
            (Code::TypeUnsupported, 1, false),
            (Code::SourceTimeout, 1, true),
            (Code::SourceTimeout, 3, true),
            (Code::SourceTimeout, 4, false),
            (Code::StorageTimeout, 3, true),
            (Code::StorageTimeout, 4, false),
            (Code::JobBusy, 1_000_000, true),
            (Code::Defect, 2, true),
            (Code::Defect, 3, false),
        ];
        for (code, attempts, again) in cases {
            for words in ["", "timeout, try again later", "permanent error, never retry"] {
                let verdict = settlement_for(&Failure::new(code, words), attempts, &policy());
                assert_eq!(
                    matches!(verdict, Verdict::Again { .. }),
                    again,
                    "{code} after {attempts}: {words}"
                );
            }
        }
    }

    #[test]
    fn delays_grow_to_the_longest_and_stay() {
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 5, 1_000_000]
            .iter()
            .map(|n| policy().delay(*n).as_secs())
            .collect();
        assert_eq!(seconds, [1, 1, 3, 9, 10, 10, 10]);
    }

    #[test]
    fn odd_settings_still_give_a_delay() {
        for (multiplier, jitter) in [(0.0, 9.0), (f64::NAN, f64::NAN), (f64::INFINITY, -1.0), (1e300, 1.0)] {
            let odd = RetryPolicy {
                multiplier,
                jitter,
                ..policy()
            };
            for attempts in [0, 1, 9, u32::MAX] {
                assert!(odd.delay(attempts) <= odd.max_delay, "{multiplier} {jitter}");
            }
        }
    }

    #[test]
    fn jitter_repeats_under_a_seed_and_spreads_within_its_part() {
        let draw = |seed| {
            let policy = RetryPolicy {
                jitter: 0.5,
                randomness: Randomness::seeded(seed),
                ..policy()
            };
            (0..1000).map(|_| policy.delay(2).as_millis()).collect::<Vec<_>>()
        };
        let drawn = draw(1);
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(
            *least >= 1500 && *least < 1600 && *most <= 4500 && *most > 4400,
            "{least} to {most}"
        );
    }
}
