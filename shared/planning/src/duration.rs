//! How long a batch takes at the least: what a server gives per second, or what may be taken of it.

use std::time::Duration;

use crate::target::BYTES_PER_SECOND;

/// What may be taken of a source per second; `None` takes what it gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

impl Pace {
    /// The slower of both, unit by unit.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let slower = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            rows: slower(self.rows, other.rows),
            bytes: slower(self.bytes, other.bytes),
        }
    }
}

/// The time that a batch of a table of so many rows and bytes takes at this pace, if nothing else is read meanwhile.
/// Zero where nothing is known of the table's size.
pub fn batch_time(rows: u64, bytes: u64, batches: u64, pace: Pace) -> Duration {
    let seconds = |amount: u64, per_second: Option<u64>| {
        let per_second = per_second.map_or(f64::INFINITY, |limit| limit.max(1) as f64);
        amount as f64 / batches.max(1) as f64 / per_second
    };
    let given = Some(pace.bytes.map_or(BYTES_PER_SECOND, |limit| limit.min(BYTES_PER_SECOND)));
    let longest = seconds(rows, pace.rows).max(seconds(bytes, given));
    Duration::from_secs_f64(longest.min(1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_server_and_limits_decides() {
        let pace = |rows, bytes| Pace { rows, bytes };
        let cases = [
            (0, 0, 1, pace(Some(1), Some(1)), 0),
            (1_000_000, 100_000_000_000, 1, pace(None, None), 1000),
            (1_000_000, 100_000_000_000, 100, pace(None, None), 10),
            (1_000_000, 100_000_000_000, 1, pace(Some(100), None), 10_000),
            (1_000_000, 100_000_000_000, 1, pace(Some(100_000), None), 1000),
            (1_000_000, 100_000_000_000, 1, pace(None, Some(10_000_000)), 10_000),
            (1_000_000, 100_000_000_000, 1, pace(None, Some(u64::MAX)), 1000),
            (1_000_000, 0, 0, pace(Some(1000), None), 1000),
            (u64::MAX, u64::MAX, 1, pace(Some(0), Some(0)), 1_000_000_000),
        ];
        for (rows, bytes, batches, pace, seconds) in cases {
            let time = batch_time(rows, bytes, batches, pace).as_secs();
            assert_eq!(time, seconds, "{rows} rows, {bytes} bytes, {batches} batches, {pace:?}");
        }
    }

    #[test]
    fn two_paces_are_the_slower_of_both() {
        let (source, job) = (
            Pace {
                rows: Some(10),
                bytes: None,
            },
            Pace {
                rows: Some(20),
                bytes: Some(5),
            },
        );
        let slower = Pace {
            rows: Some(10),
            bytes: Some(5),
        };
        assert_eq!((source.and(job), job.and(source)), (slower, slower));
        assert_eq!(source.and(Pace::default()), source);
    }
}
