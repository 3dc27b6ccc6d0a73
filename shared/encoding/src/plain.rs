//! The plain text of values: one form for CSV, JSON and COPY, whatever a session's settings are.
//!
//! | type | text |
//! | --- | --- |
//! | integers, decimals | digits; a decimal always with its whole scale, never an exponent |
//! | floats | the shortest digits that read back as the same float: `1.5`, `1e+300`, `-0`, `NaN`, `Infinity`, `-Infinity` |
//! | dates | `2024-02-29`; beyond four digits `12024-02-29`; before year 1 `0044-03-15 BC` (44 BC) |
//! | times | `12:30:00`, with six digits of a second only where they are not zero |
//! | timestamps | `2024-02-29 12:30:00.250000`; of an instant with `+00:00`; ` BC` at the end |
//! | bytes | lowercase hexadecimal |
//!
//! The forms outside of years 1 to 9999 are PostgreSQL's, since the other targets have no such dates.

use sqlextract_model::TimestampUnit;

const MICROS_PER_DAY: i64 = 86_400_000_000;
const PAIRS: &[u8; 200] =
    b"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748\
4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798\
99";

pub(crate) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// `unscaled` times ten to the power of minus `scale`.
pub(crate) fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let magnitude = unscaled.unsigned_abs();
    // Division of 128 bits is slow, and most decimals do not need it.
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    };
    scaled(out, digits.as_bytes(), scale);
}

/// Digits with the point put in.
pub(crate) fn scaled(out: &mut Vec<u8>, digits: &[u8], scale: i8) {
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    };
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

pub(crate) fn float(out: &mut Vec<u8>, value: impl Float) {
    match value.name() {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => {
            let mut buffer = zmij::Buffer::new();
            let text = buffer.format_finite(value);
            out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
    }
}

/// The two floats.
pub(crate) trait Float: zmij::Float {
    /// The name of a value that has no digits.
    fn name(&self) -> Option<&'static str>;
}

macro_rules! float {
    ($($float:ty)*) => {$(
        impl Float for $float {
            fn name(&self) -> Option<&'static str> {
                if self.is_finite() {
                    None
                } else if self.is_nan() {
                    Some("NaN")
                } else if *self > 0.0 {
                    Some("Infinity")
                } else {
                    Some("-Infinity")
                }
            }
        }
    )*};
}

float!(f32 f64);

/// Days since 1970.
pub(crate) fn date(out: &mut Vec<u8>, days: i32) {
    if year_month_day(out, i64::from(days)) {
        out.extend_from_slice(b" BC");
    }
}

/// Microseconds since midnight, up to and with 24:00:00.
///
/// Returns `false` and writes nothing for what is no time of day.
pub(crate) fn time(out: &mut Vec<u8>, micros: i64) -> bool {
    let valid = (0..=MICROS_PER_DAY).contains(&micros);
    if valid {
        clock(out, micros.unsigned_abs(), 6);
    }
    valid
}

pub(crate) fn timestamp(out: &mut Vec<u8>, value: i64, unit: TimestampUnit, utc: bool) {
    let (per_day, digits) = match unit {
        TimestampUnit::Microsecond => (MICROS_PER_DAY, 6),
        TimestampUnit::Nanosecond => (MICROS_PER_DAY * 1000, 9),
    };
    let before_christ = year_month_day(out, value.div_euclid(per_day));
    out.push(b' ');
    clock(out, value.rem_euclid(per_day).unsigned_abs(), digits);
    if utc {
        out.extend_from_slice(b"+00:00");
    }
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

pub(crate) fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Writes the date of the proleptic Gregorian calendar; returns whether its year is before year 1.
fn year_month_day(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year < 1;
    let year = if before_christ { 1 - year } else { year }.unsigned_abs();
    let ([a, b], [c, d]) = (two_digits(month), two_digits(day));
    if year < 10_000 {
        let ([e, f], [g, h]) = (two_digits(year / 100), two_digits(year % 100));
        out.extend_from_slice(&[e, f, g, h, b'-', a, b, b'-', c, d]);
    } else {
        integer(out, year);
        out.extend_from_slice(&[b'-', a, b, b'-', c, d]);
    }
    before_christ
}

/// Year, month and day of a day since 1970, by Howard Hinnant's algorithm: 400-year eras that begin on 1 March.
fn civil(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468;
    // Nearly all days have 32 bits, of which division is cheap.
    let (era, day_of_era) = match u32::try_from(days) {
        Ok(days) => (i64::from(days / 146_097), days % 146_097),
        Err(_) => (days.div_euclid(146_097), days.rem_euclid(146_097) as u32),
    };
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + i64::from(year_of_era) + i64::from(month <= 2);
    (year, month.into(), day.into())
}

/// A day since 1970 of a date; the inverse of [`civil`].
pub(crate) fn days(year: i64, month: u64, day: u64) -> i64 {
    let year = year - i64::from(month <= 2);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year as i64;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

/// A time of day in units of ten to the power of minus `digits` seconds.
fn clock(out: &mut Vec<u8>, value: u64, digits: usize) {
    let unit = 10u64.pow(digits as u32);
    let (seconds, fraction) = (value / unit, value % unit);
    pair(out, seconds / 3600);
    out.push(b':');
    pair(out, seconds / 60 % 60);
    out.push(b':');
    pair(out, seconds % 60);
    if fraction > 0 {
        out.push(b'.');
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(fraction);
        out.resize(out.len() + digits - text.len(), b'0');
        out.extend_from_slice(text.as_bytes());
    }
}

fn pair(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&two_digits(value));
}

/// Of a number below 100.
fn two_digits(value: u64) -> [u8; 2] {
    let at = 2 * (value % 100) as usize;
    [PAIRS[at], PAIRS[at + 1]]
}
