//! Single values from their plain text.

use std::str::FromStr;

use sqlextract_model::TimestampUnit;

use crate::parse::Parsed;
use crate::plain;

pub(crate) const WRONG: &str = "has a value that its type does not";

pub(crate) fn integer<T: FromStr>(text: &str) -> Parsed<T> {
    if text.starts_with('+') {
        return Err(WRONG);
    }
    text.parse().map_err(|_| WRONG)
}

pub(crate) fn float<T: FromStr>(text: &str) -> Parsed<T> {
    let named = matches!(text, "NaN" | "Infinity" | "-Infinity");
    let digits = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e'));
    if !named && (!digits || text.starts_with('+')) {
        return Err(WRONG);
    }
    text.parse().map_err(|_| WRONG)
}

pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Parsed<i128> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let digits = match usize::try_from(scale) {
        Ok(0) => magnitude.to_owned(),
        Ok(scale) => {
            let (whole, fraction) = magnitude.split_once('.').ok_or(WRONG)?;
            if fraction.len() != scale || whole.is_empty() {
                return Err(WRONG);
            }
            format!("{whole}{fraction}")
        }
        Err(_) if magnitude == "0" => magnitude.to_owned(),
        Err(_) => {
            let zeros = usize::from(scale.unsigned_abs());
            let cut = magnitude.len().checked_sub(zeros).filter(|cut| *cut > 0).ok_or(WRONG)?;
            let (digits, rest) = magnitude.split_at_checked(cut).ok_or(WRONG)?;
            if rest.bytes().any(|byte| byte != b'0') {
                return Err(WRONG);
            }
            digits.to_owned()
        }
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    let value: i128 = digits.parse().map_err(|_| WRONG)?;
    match 10i128.checked_pow(u32::from(precision)) {
        Some(limit) if value >= limit => Err(WRONG),
        _ => Ok(if negative { -value } else { value }),
    }
}

pub(crate) fn hexadecimal(text: &str) -> Parsed<Vec<u8>> {
    fn digit(byte: u8) -> Parsed<u8> {
        match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(WRONG),
        }
    }
    if !text.len().is_multiple_of(2) {
        return Err(WRONG);
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

pub(crate) fn date(text: &str) -> Parsed<i32> {
    i32::try_from(day(text)?).map_err(|_| WRONG)
}

pub(crate) fn time(text: &str) -> Parsed<i64> {
    clock(text, 6, true).and_then(|value| i64::try_from(value).map_err(|_| WRONG))
}

pub(crate) fn timestamp(text: &str, unit: TimestampUnit, utc: bool) -> Parsed<i64> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let text = if utc {
        text.strip_suffix("+00:00").ok_or(WRONG)?
    } else {
        text
    };
    let (date, time) = text.split_once(' ').ok_or(WRONG)?;
    let (digits, per_day) = match unit {
        TimestampUnit::Microsecond => (6, 86_400_000_000i128),
        TimestampUnit::Nanosecond => (9, 86_400_000_000_000),
    };
    let value = i128::from(day(&format!("{date}{era}"))?) * per_day + i128::from(clock(time, digits, false)?);
    i64::try_from(value).map_err(|_| WRONG)
}

/// A day since 1970.
fn day(text: &str) -> Parsed<i64> {
    let (date, before_christ) = match text.strip_suffix(" BC") {
        Some(date) => (date, true),
        None => (text, false),
    };
    let mut parts = date.split('-');
    let mut part = |digits: std::ops::RangeInclusive<usize>| number(parts.next().ok_or(WRONG)?, digits);
    let (year, month, day) = (part(4..=7)?, part(2..=2)?, part(2..=2)?);
    if parts.next().is_some() || year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(WRONG);
    }
    let year = i64::try_from(year).map_err(|_| WRONG)?;
    let days = plain::days(if before_christ { 1 - year } else { year }, month, day);
    // The day of a month that is shorter, and the year with a needless zero, come back as another text.
    let mut back = Vec::new();
    plain::date(&mut back, i32::try_from(days).map_err(|_| WRONG)?);
    if back == text.as_bytes() { Ok(days) } else { Err(WRONG) }
}

/// A time of day in units of ten to the power of minus `digits` seconds; 24:00:00 only where it may be.
fn clock(text: &str, digits: usize, with_midnight_after: bool) -> Parsed<u64> {
    let (seconds, fraction) = match text.split_once('.') {
        Some((seconds, fraction)) => (seconds, number(fraction, digits..=digits)?),
        None => (text, 0),
    };
    let mut parts = seconds.split(':');
    let mut part = || number(parts.next().ok_or(WRONG)?, 2..=2);
    let (hour, minute, second) = (part()?, part()?, part()?);
    let unit = 10u64.pow(digits as u32);
    let value = (hour * 3600 + minute * 60 + second) * unit + fraction;
    let end = 86_400 * unit;
    let within = value < end || with_midnight_after && value == end;
    if parts.next().is_some() || minute > 59 || second > 59 || !within {
        return Err(WRONG);
    }
    Ok(value)
}

/// A number of so many digits and nothing else.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Parsed<u64> {
    if !digits.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    text.parse().map_err(|_| WRONG)
}
