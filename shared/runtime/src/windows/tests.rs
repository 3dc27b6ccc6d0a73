use std::num::NonZeroU64;

use chrono::DateTime;

use super::*;

const WEEKDAYS: [bool; 7] = [true, true, true, true, true, false, false];
const HOUR: u32 = 3600;

fn rows(rows: u64) -> Limits {
    Limits {
        rate: RateLimit {
            rows: NonZeroU64::new(rows),
            ..RateLimit::default()
        },
        connections: None,
    }
}

fn window(days: [bool; 7], from: u32, to: u32, offset_hours: i32, limits: Option<Limits>) -> Window {
    Window {
        name: "w".to_owned(),
        days,
        from: from * HOUR,
        to: to * HOUR,
        utc_offset: offset_hours * 3600,
        limits,
    }
}

fn time(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

/// The rows per second in force, 0 for a pause, and when that changes.
fn at(schedule: &Schedule, when: &str) -> (u64, Option<String>) {
    let found = schedule.at(time(when));
    let rows = found
        .limits
        .map_or(0, |limits| limits.rate.rows.map_or(u64::MAX, NonZeroU64::get));
    let until = found.until.and_then(|until| DateTime::from_timestamp(until, 0));
    (rows, until.map(|until| until.format("%d %H:%M").to_string()))
}

fn check(schedule: &Schedule, cases: &[(&str, u64, &str)]) {
    for (when, rows, until) in cases {
        let found = at(schedule, when);
        assert_eq!((found.0, found.1.as_deref()), (*rows, Some(*until)), "{when}");
    }
}

// 2026-01-05 is a Monday.

#[test]
fn a_window_holds_from_its_first_second_to_before_its_last() {
    let schedule = Schedule {
        otherwise: rows(9000),
        windows: vec![window(WEEKDAYS, 8, 18, 0, Some(rows(100)))],
    };
    check(
        &schedule,
        &[
            ("2026-01-05T07:59:59Z", 9000, "05 08:00"),
            ("2026-01-05T08:00:00Z", 100, "05 18:00"),
            ("2026-01-05T17:59:59Z", 100, "05 18:00"),
            ("2026-01-05T18:00:00Z", 9000, "06 08:00"),
            ("2026-01-09T18:00:00Z", 9000, "12 08:00"),
            ("2026-01-10T12:00:00Z", 9000, "12 08:00"),
            ("1969-12-29T09:00:00Z", 100, "29 18:00"),
        ],
    );
}

#[test]
fn a_window_over_midnight_is_of_the_day_on_which_it_begins() {
    let friday = [false, false, false, false, true, false, false];
    let sunday = [false, false, false, false, false, false, true];
    let schedule = Schedule {
        otherwise: rows(9000),
        windows: vec![window(friday, 22, 6, 0, None), window(sunday, 23, 1, 0, Some(rows(5)))],
    };
    check(
        &schedule,
        &[
            ("2026-01-09T21:59:59Z", 9000, "09 22:00"),
            ("2026-01-09T23:00:00Z", 0, "10 06:00"),
            ("2026-01-10T05:59:59Z", 0, "10 06:00"),
            ("2026-01-10T23:30:00Z", 9000, "11 23:00"),
            ("2026-01-11T23:30:00Z", 5, "12 01:00"),
            ("2026-01-12T00:59:59Z", 5, "12 01:00"),
            ("2026-01-12T01:00:00Z", 9000, "16 22:00"),
        ],
    );
}

#[test]
fn hours_are_of_the_windows_own_offset_in_summer_and_winter() {
    let cases = [
        (1, "2026-01-05T06:59:59Z", false),
        (1, "2026-01-05T07:00:00Z", true),
        (1, "2026-07-06T07:00:00Z", true),
        (-5, "2026-01-05T12:59:59Z", false),
        (-5, "2026-01-05T13:00:00Z", true),
        // Friday evening there, Saturday here.
        (-8, "2026-01-10T01:59:59Z", true),
        (-8, "2026-01-10T02:00:00Z", false),
        // Monday morning there, Sunday here.
        (14, "2026-01-04T18:00:00Z", true),
        (14, "2026-01-04T17:59:59Z", false),
    ];
    for (offset, when, holds) in cases {
        let schedule = Schedule {
            otherwise: rows(9000),
            windows: vec![window(WEEKDAYS, 8, 18, offset, Some(rows(1)))],
        };
        assert_eq!(schedule.at(time(when)).window.is_some(), holds, "{offset} h at {when}");
    }
}

#[test]
fn the_first_window_that_holds_wins_and_what_follows_is_told() {
    let all = [true; 7];
    let schedule = Schedule {
        otherwise: Limits::default(),
        windows: vec![window(all, 12, 13, 0, None), window(all, 8, 18, 0, Some(rows(7)))],
    };
    check(
        &schedule,
        &[
            ("2026-01-05T11:00:00Z", 7, "05 12:00"),
            ("2026-01-05T12:30:00Z", 0, "05 13:00"),
            ("2026-01-05T13:00:00Z", 7, "05 18:00"),
            ("2026-01-05T20:00:00Z", u64::MAX, "06 08:00"),
        ],
    );
}

#[test]
fn what_never_changes_has_no_end() {
    let always = window([true; 7], 0, 0, 0, Some(rows(3)));
    let cases = [Vec::new(), vec![always], vec![window([false; 7], 1, 2, 0, None)]];
    for windows in cases {
        let schedule = Schedule {
            otherwise: rows(3),
            windows,
        };
        let found = schedule.at(time("2026-01-05T00:00:00Z"));
        assert_eq!((found.limits, found.until), (Some(rows(3)), None), "{schedule:?}");
    }
}

#[test]
fn the_slowest_pace_is_of_times_at_which_something_begins() {
    let all = [true; 7];
    let schedule = |windows| Schedule {
        otherwise: rows(100),
        windows,
    };
    let slowest = |windows| schedule(windows).slowest().rows.map(NonZeroU64::get);
    assert_eq!(slowest(Vec::new()), Some(100));
    assert_eq!(slowest(vec![window(all, 1, 2, 0, None)]), Some(100));
    let two = vec![
        window(all, 1, 2, 0, Some(rows(7))),
        window(all, 3, 4, 0, Some(rows(900))),
    ];
    assert_eq!(slowest(two), Some(7));
    assert_eq!(slowest(vec![window(all, 1, 2, 0, Some(Limits::default()))]), Some(100));
}

#[test]
fn limits_are_shown_with_their_units_and_the_window_that_they_are_of() {
    let mut limits = rows(1000);
    limits.connections = NonZeroU32::new(4);
    let schedule = Schedule {
        otherwise: Limits::default(),
        windows: vec![
            window([true; 7], 8, 18, 0, Some(limits)),
            window([true; 7], 18, 20, 0, None),
        ],
    };
    let shown = |when| schedule.at(time(when)).to_string();
    assert_eq!(shown("2026-01-05T09:00:00Z"), "1000 rows/s, 4 connections (window w)");
    assert_eq!(shown("2026-01-05T19:00:00Z"), "pause: no batch is begun (window w)");
    assert_eq!(shown("2026-01-05T21:00:00Z"), "no limit");
}
