//! From settings to the limits of a source over the week.

use std::num::NonZeroU32;

use serde::Deserialize;
use sqlextract_model::Result;
use sqlextract_runtime::{Limits, RateLimit, Schedule, Window};

use crate::service_settings::config;
use crate::settings::SettingsFile;
use crate::tuning::rate_limit;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `[[sources.NAME.windows]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowEntry {
    /// `mon-fri`, `sat,sun`: the days on which it begins; left out, all.
    pub(crate) days: Option<String>,
    /// `HH:MM` or `HH:MM:SS`.
    pub(crate) from: String,
    pub(crate) to: String,
    /// `+02:00`: how far its clock is ahead of UTC.
    pub(crate) utc_offset: Option<String>,
    /// In the place of the source's; left out, the source's.
    pub(crate) rate_limit: Option<String>,
    pub(crate) fleet_connections: Option<u32>,
    /// No batch is begun.
    #[serde(default)]
    pub(crate) pause: bool,
}

/// The limits of a source, `base` outside of its windows. One that is given by its URL has no windows.
pub(crate) fn of(source: &str, file: &SettingsFile, base: RateLimit) -> Result<Schedule> {
    let entry = file.sources.get(source);
    let otherwise = Limits {
        rate: base,
        connections: entry
            .and_then(|entry| entry.fleet_connections)
            .and_then(NonZeroU32::new),
    };
    let windows = entry.map(|entry| entry.windows.as_slice()).unwrap_or_default();
    let windows = windows.iter().enumerate().map(|(number, entry)| {
        let key = |what: &str| format!("sources.{source}.windows[{number}].{what}");
        window(entry, otherwise, key)
    });
    Ok(Schedule {
        otherwise,
        windows: windows.collect::<Result<_>>()?,
    })
}

fn window(entry: &WindowEntry, otherwise: Limits, key: impl Fn(&str) -> String) -> Result<Window> {
    let bad = |what: &str, text: &str, example: &str| {
        config(format!("{}: `{text}` is not right", key(what))).remedy(format!("Write for example {example}."))
    };
    let clock = |what: &str, text: &str| time_of_day(text).ok_or_else(|| bad(what, text, "08:00 or 23:59:30"));
    let days = entry.days.as_deref().unwrap_or("mon-sun");
    let offset = entry.utc_offset.as_deref().unwrap_or("+00:00");
    if entry.pause && (entry.rate_limit.is_some() || entry.fleet_connections.is_some()) {
        let text = format!("{}: a pause has no limits beside it", key("pause"));
        return Err(config(text).remedy("Leave `rate_limit` and `fleet_connections` out, or the pause."));
    }
    let rate = match &entry.rate_limit {
        Some(text) => rate_limit(Some(text)).map_err(|e| config(format!("{}: {e}", key("rate_limit"))))?,
        None => otherwise.rate,
    };
    let connections = entry.fleet_connections.map_or(otherwise.connections, NonZeroU32::new);
    Ok(Window {
        name: format!("{days} {}-{} {offset}", entry.from, entry.to),
        days: week(days).ok_or_else(|| bad("days", days, "mon-fri or sat,sun"))?,
        from: clock("from", &entry.from)?,
        to: clock("to", &entry.to)?,
        utc_offset: utc_offset(offset).ok_or_else(|| bad("utc_offset", offset, "+02:00 or -05:00"))?,
        limits: (!entry.pause).then_some(Limits { rate, connections }),
    })
}

/// Seconds of the day; 24:00 is the next day's first.
fn time_of_day(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let mut number = |most: u32| {
        let digits = parts.next()?;
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| plain)?;
        (number <= most).then_some(number)
    };
    let (hours, minutes) = (number(24)?, number(59)?);
    let seconds = match text.len() {
        5 => 0,
        _ => number(59)?,
    };
    let time = hours * 3600 + minutes * 60 + seconds;
    (parts.next().is_none() && time <= 86_400).then_some(time % 86_400)
}

fn utc_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let seconds = i32::try_from(time_of_day(rest).filter(|_| rest.len() == 5)?).ok()?;
    (seconds <= 14 * 3600).then_some(sign * seconds)
}

/// Days and ranges of days, which may go over the week's end.
fn week(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let mut week = [false; 7];
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        (0..=(to + 7 - from) % 7).for_each(|step| week[(from + step) % 7] = true);
    }
    Some(week)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(windows: &str) -> Result<Schedule> {
        let text = format!("[sources.shop]\nfleet_connections = 9\n{windows}");
        let file: SettingsFile = toml::from_str(&text).map_err(|e| config(e.to_string()))?;
        of("shop", &file, rate_limit(Some("rows=500,bytes=1MB"))?)
    }

    #[test]
    fn days_times_and_offsets_are_read_or_refused() {
        let t = |text| time_of_day(text);
        assert_eq!(
            (t("08:00"), t("23:59:30"), t("24:00")),
            (Some(28_800), Some(86_370), Some(0))
        );
        for bad in [
            "",
            "8:00",
            "08",
            "24:01",
            "08:60",
            "08:00:00:00",
            "08:00:",
            "-1:00",
            "+8:00",
        ] {
            assert_eq!(time_of_day(bad), None, "{bad}");
        }
        let days = |text| week(text).map(|week| week.map(|on| if on { 'x' } else { '.' }).iter().collect::<String>());
        let cases = [
            ("mon-fri", "xxxxx.."),
            ("sat,sun", ".....xx"),
            ("fri-mon", "x...xxx"),
            ("mon, wed", "x.x...."),
            ("sun", "......x"),
        ];
        for (text, expected) in cases {
            assert_eq!(days(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "monday", "mon-", "mon--fri", "mon;tue"] {
            assert_eq!(week(bad), None, "{bad}");
        }
        assert_eq!(
            (utc_offset("+02:00"), utc_offset("-05:30")),
            (Some(7200), Some(-19_800))
        );
        for bad in ["", "02:00", "+2", "+15:00", "Z", "Europe/Berlin", "é"] {
            assert_eq!(utc_offset(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_window_leaves_out_is_the_sources() {
        let found = schedule(
            "[[sources.shop.windows]]\ndays = \"mon-fri\"\nfrom = \"08:00\"\nto = \"18:00\"\nutc_offset = \"+01:00\"\n\
             rate_limit = \"rows=10\"\n[[sources.shop.windows]]\nfrom = \"22:00\"\nto = \"06:00\"\npause = true\n\
             [[sources.shop.windows]]\nfrom = \"20:00\"\nto = \"22:00\"\nfleet_connections = 1\n",
        )
        .unwrap();
        let [day, night, evening] = &found.windows[..] else {
            panic!("{found:?}")
        };
        assert_eq!(day.name, "mon-fri 08:00-18:00 +01:00");
        assert_eq!(
            day.limits.map(|limits| limits.to_string()).as_deref(),
            Some("10 rows/s, 9 connections")
        );
        assert_eq!(night.limits, None);
        let limits = evening.limits.expect("the evening is no pause");
        assert_eq!(
            (limits.rate, limits.connections),
            (found.otherwise.rate, NonZeroU32::new(1))
        );
    }

    #[test]
    fn a_window_that_is_not_right_is_named() {
        let window = |more: &str| schedule(&format!("[[sources.shop.windows]]\n{more}")).unwrap_err();
        let hours = "from = \"08:00\"\nto = \"18:00\"\n";
        for (more, named) in [
            ("from = \"8\"\nto = \"18:00\"".to_owned(), "windows[0].from"),
            ("from = \"08:00\"\nto = \"25:00\"".to_owned(), "windows[0].to"),
            (format!("{hours}days = \"weekdays\""), "windows[0].days"),
            (
                format!("{hours}utc_offset = \"Europe/Berlin\""),
                "windows[0].utc_offset",
            ),
            (format!("{hours}rate_limit = \"rows=0\""), "windows[0].rate_limit"),
            (
                format!("{hours}rate_limit = \"rows=1\"\npause = true"),
                "windows[0].pause",
            ),
            ("from = \"08:00\"".to_owned(), "to"),
        ] {
            assert!(window(&more).message.contains(named), "{more}: {}", window(&more));
        }
    }
}
