//! Texts and numbers of SQLite as values of other types, exactly or not at all.

/// A decimal of at most `precision` digits, `scale` of them behind the point, as an integer of its smallest unit.
/// `None` for what is no decimal number, or one with more digits than fit.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 400)?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    // Places by which the digits must move to the left to stand in the smallest unit.
    let shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    let mut digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .skip_while(|b| *b == b'0')
        .collect();
    for _ in shift..0 {
        match digits.pop() {
            None => return Some(0),
            Some(b'0') => {}
            Some(_) => return None,
        }
    }
    if digits.is_empty() {
        return Some(0);
    }
    let places = usize::try_from(shift.max(0)).ok()?;
    if digits.len() + places > usize::from(precision) {
        return None;
    }
    digits.extend(std::iter::repeat_n(b'0', places));
    let value = digits.iter().try_fold(0_i128, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
    })?;
    Some(if negative { -value } else { value })
}

/// The shortest text that reads back as the same real. Infinities are words that the targets know.
pub(super) fn real_text(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => format!("{value:?}"),
    }
}

/// Days since 1970 of `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?);
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_of_month(year, month);
    valid.then(|| days_from_civil(year, month, day))
}

/// Microseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`.
pub(super) fn time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&bytes[..2])?, digits(&bytes[3..5])?);
    let (second, micros) = match &bytes[5..] {
        [] => (0, 0),
        [b':', second @ ..] if second.len() == 2 => (digits(second)?, 0),
        [b':', a, b, b'.', fraction @ ..] => (digits(&[*a, *b])?, micros(fraction)?),
        _ => return None,
    };
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then(|| (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000 + micros)
}

/// Microseconds since 1970 of a date and a time, with a blank or a `T` between. Instants take a zone (`Z`, `+01:00`),
/// and one without is UTC, as SQLite's own functions have it; a plain timestamp has none.
pub(super) fn timestamp(text: &str, utc: bool) -> Option<i64> {
    let day = date(text.get(..10)?)?;
    let rest = text.get(10..)?;
    let clock = match rest.strip_prefix([' ', 'T']) {
        Some(clock) => clock,
        None if rest.is_empty() => "00:00",
        None => return None,
    };
    let (clock, offset_minutes) = match zone(clock) {
        Some(_) if !utc => return None,
        Some(split) => split,
        None => (clock, 0),
    };
    let micros = i64::from(day) * 86_400_000_000 + time(clock)?;
    Some(micros - i64::from(offset_minutes) * 60_000_000)
}

/// A clock's text and the minutes that its zone is ahead of UTC.
fn zone(clock: &str) -> Option<(&str, i32)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = clock.len().checked_sub(6)?;
    let (clock, zone) = (clock.get(..at)?, clock.as_bytes().get(at..)?);
    let sign = match zone[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&zone[1..3])?, digits(&zone[4..6])?);
    (zone[3] == b':' && hours <= 14 && minutes < 60).then(|| (clock, sign * (hours * 60 + minutes)))
}

fn digits(bytes: &[u8]) -> Option<i32> {
    let all_digits = !bytes.is_empty() && bytes.len() <= 9 && bytes.iter().all(u8::is_ascii_digit);
    all_digits.then(|| bytes.iter().fold(0, |sum, b| sum * 10 + i32::from(b - b'0')))
}

/// Digits beyond the sixth must be zeros.
fn micros(fraction: &[u8]) -> Option<i64> {
    let (kept, lost) = fraction.split_at(fraction.len().min(6));
    if fraction.is_empty() || !lost.iter().all(|b| *b == b'0') {
        return None;
    }
    let scale = 10_i64.pow(6 - u32::try_from(kept.len()).ok()?);
    Some(i64::from(digits(kept)?) * scale)
}

fn days_of_month(year: i32, month: i32) -> i32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// In the Gregorian calendar before its time as well; years begin in March, so that the leap day is a year's last.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        let cases = [
            ("12.30", Some(1230)),
            ("-0.1", Some(-10)),
            ("+7", Some(700)),
            ("1.5e1", Some(1500)),
            ("150e-1", Some(1500)),
            ("1e-400", None),
            ("0e-400", Some(0)),
            ("0.001", None),
            ("0.000", Some(0)),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("999.99", Some(99_999)),
            ("1000", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1 ", None),
            ("inf", None),
            ("0x10", None),
            ("1e", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decimal(text, 5, 2), expected, "{text}");
        }
        assert_eq!(
            decimal("99999999999999999999999999999999999999", 38, 0),
            Some(10_i128.pow(38) - 1)
        );
    }

    #[test]
    fn dates_and_times_are_what_the_calendar_says() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(11_016));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("0000-01-01"), Some(-719_528));
        for text in [
            "1900-02-29",
            "2024-13-01",
            "2024-00-15",
            "0000-00-00",
            "2024-1-1",
            "20240101",
            "2024-01-01 ",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(time("23:59:59.999999"), Some(86_399_999_999));
        assert_eq!(time("01:02"), Some(3_720_000_000));
        assert_eq!(time("00:00:00.5000000"), Some(500_000));
        for text in [
            "24:00:00",
            "1:00",
            "00:60",
            "00:00:60",
            "00:00:00.",
            "00:00:00.0000001",
            "00:00:0",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn instants_take_a_zone_and_timestamps_none() {
        assert_eq!(timestamp("1970-01-01 00:00:01", false), Some(1_000_000));
        assert_eq!(timestamp("1970-01-01T01:00:00.5+01:00", true), Some(500_000));
        assert_eq!(timestamp("1970-01-01 00:00:00Z", true), Some(0));
        assert_eq!(timestamp("1970-01-02", true), Some(86_400_000_000));
        assert_eq!(timestamp("1970-01-01 00:00:00Z", false), None);
        assert_eq!(timestamp("1970-01-01 00:00:00+1:00", true), None);
        assert_eq!(timestamp("1970-01-01x00:00:00", true), None);
    }

    #[test]
    fn reals_read_back_from_their_text() {
        for value in [0.1, 1.0, -0.0, 5e-324, f64::MAX, 1e16, 0.300_000_000_000_000_04] {
            assert_eq!(real_text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(real_text(1.0), "1.0");
        assert_eq!(real_text(f64::NEG_INFINITY), "-Infinity");
    }
}
