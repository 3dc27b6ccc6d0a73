//! Time windows: limits of a source that differ by day and hour, and times at which nothing new is begun.
//!
//! A window's hours are of a fixed offset from UTC, since the same rule must mean the same on every host: a zone's name
//! would mean what the host's table of zones says. Hours do not move with summer time; whoever follows it writes the
//! window wide enough for both, or changes the offset.

mod keep;

use std::fmt;
use std::num::NonZeroU32;

use sqlextract_checkpoint::SourceLimits;
use sqlextract_model::ByteSize;

use crate::RateLimit;

pub use keep::WindowKeeper;

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
/// The first second of 1970 was on a Thursday; weeks here begin on Mondays.
const EPOCH_OF_WEEK: i64 = 3 * DAY;

/// What may be taken of a source, by all who take of it together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub rate: RateLimit,
    /// At once.
    pub connections: Option<NonZeroU32>,
}

impl Limits {
    /// As the fleet's budget counts them.
    pub fn of_source(self) -> SourceLimits {
        SourceLimits {
            rows: self.rate.rows,
            bytes: self.rate.bytes,
            queries: self.rate.queries,
            connections: self.connections,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RateLimit { rows, bytes, queries } = self.rate;
        let parts = [
            rows.map(|rows| format!("{rows} rows/s")),
            bytes.map(|bytes| format!("{}/s", ByteSize(bytes.get()))),
            queries.map(|queries| format!("{queries} queries/s")),
            self.connections.map(|connections| format!("{connections} connections")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => f.write_str("no limit"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

/// A time of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// As people call it.
    pub name: String,
    /// The days on which it begins, Monday first.
    pub days: [bool; 7],
    /// Seconds of the day. A window whose end is not after its beginning ends on the next day.
    pub from: u32,
    pub to: u32,
    /// Seconds that its clock is ahead of UTC.
    pub utc_offset: i32,
    /// What is in force meanwhile; `None` lets nothing new begin.
    pub limits: Option<Limits>,
}

impl Window {
    fn lasts(&self) -> i64 {
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if to > from { to - from } else { to + DAY - from }
    }

    /// Seconds of the week in UTC at which it begins.
    fn begins(&self) -> impl Iterator<Item = i64> + '_ {
        let days = (0..7).filter(|day| self.days[*day as usize]);
        days.map(|day| (day * DAY + i64::from(self.from) - i64::from(self.utc_offset)).rem_euclid(WEEK))
    }

    fn holds(&self, of_week: i64) -> bool {
        self.begins()
            .any(|begin| (of_week - begin).rem_euclid(WEEK) < self.lasts())
    }
}

/// The limits of a source over the week.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Outside of every window.
    pub otherwise: Limits,
    /// The first one that holds wins.
    pub windows: Vec<Window>,
}

/// What is in force at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce<'a> {
    pub window: Option<&'a Window>,
    /// `None` lets nothing new begin.
    pub limits: Option<Limits>,
    /// When another window or none holds, in seconds since 1970; `None` where that never changes.
    pub until: Option<i64>,
}

impl fmt::Display for InForce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limits {
            Some(limits) => write!(f, "{limits}")?,
            None => f.write_str("pause: no batch is begun")?,
        }
        match self.window {
            Some(window) => write!(f, " (window {})", window.name),
            None => Ok(()),
        }
    }
}

impl Schedule {
    /// What is in force so many seconds after the beginning of 1970.
    pub fn at(&self, time: i64) -> InForce<'_> {
        let of_week = (time + EPOCH_OF_WEEK).rem_euclid(WEEK);
        let now = self.holding(of_week);
        let edges = self.windows.iter().flat_map(|window| {
            let ends = window.begins().map(|begin| begin + window.lasts());
            window.begins().chain(ends)
        });
        let mut waits: Vec<i64> = edges.map(|edge| (edge - of_week).rem_euclid(WEEK)).collect();
        waits.sort_unstable();
        let other = |wait: &i64| self.holding((of_week + wait).rem_euclid(WEEK)) != now;
        let until = waits.into_iter().find(other).map(|wait| time + wait);
        let window = now.map(|number| &self.windows[number]);
        InForce {
            window,
            limits: window.map_or(Some(self.otherwise), |window| window.limits),
            until,
        }
    }

    /// The least that may be taken at any time at which something may be begun.
    pub fn slowest(&self) -> RateLimit {
        let all = self.windows.iter().filter_map(|window| window.limits);
        all.fold(self.otherwise.rate, |least, limits| RateLimit {
            rows: slower(least.rows, limits.rate.rows),
            bytes: slower(least.bytes, limits.rate.bytes),
            queries: slower(least.queries, limits.rate.queries),
        })
    }

    fn holding(&self, of_week: i64) -> Option<usize> {
        self.windows.iter().position(|window| window.holds(of_week))
    }
}

fn slower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
