//! Dates and times of the binary protocol: a length byte, then as many parts as are not zero.

use std::fmt::Write as _;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A date with a time of day, as its parts. The server may hold zeroes, years below 1 and days that no month has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DateTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

impl DateTime {
    /// `None` where the bytes are no value of the protocol.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let (length, parts) = raw.split_first()?;
        if usize::from(*length) != parts.len() || !matches!(length, 0 | 4 | 7 | 11) {
            return None;
        }
        let byte = |i: usize| parts.get(i).copied().unwrap_or(0);
        Some(Self {
            year: u16::from_le_bytes([byte(0), byte(1)]),
            month: byte(2),
            day: byte(3),
            hour: byte(4),
            minute: byte(5),
            second: byte(6),
            micros: u32::from_le_bytes([byte(7), byte(8), byte(9), byte(10)]),
        })
    }

    /// Days since 1970-01-01; `None` for a date that is not between 0001-01-01 and 9999-12-31.
    pub(super) fn days(&self) -> Option<i32> {
        let exists = (1..=9999).contains(&self.year) && (1..=12).contains(&self.month) && self.day >= 1;
        (exists && self.day <= days_in_month(self.year, self.month))
            .then(|| days_since_1970(self.year, self.month, self.day))
    }

    /// Microseconds since 1970-01-01 00:00:00; `None` where there is no such date.
    pub(super) fn micros(&self) -> Option<i64> {
        let time = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let days = i64::from(self.days()?);
        Some(days * MICROS_PER_DAY + time * MICROS_PER_SECOND + i64::from(self.micros))
    }
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)?;
        if (self.hour, self.minute, self.second, self.micros) != (0, 0, 0, 0) {
            write!(f, " {:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        }
        if self.micros != 0 {
            write!(f, ".{:06}", self.micros)?;
        }
        Ok(())
    }
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The proleptic Gregorian calendar, counted in eras of 400 years that begin on the first of March.
fn days_since_1970(year: u16, month: u8, day: u8) -> i32 {
    const DAYS_PER_ERA: i32 = 146_097;
    const FROM_YEAR_0_TO_1970: i32 = 719_468;
    let (month, day) = (i32::from(month), i32::from(day));
    let year = i32::from(year) - i32::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - FROM_YEAR_0_TO_1970
}

/// MySQL's TIME: a signed duration of up to 838 hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Duration {
    negative: bool,
    hours: u32,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Duration {
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let (length, parts) = raw.split_first()?;
        if usize::from(*length) != parts.len() || !matches!(length, 0 | 8 | 12) {
            return None;
        }
        let byte = |i: usize| parts.get(i).copied().unwrap_or(0);
        let days = u32::from_le_bytes([byte(1), byte(2), byte(3), byte(4)]);
        Some(Self {
            negative: byte(0) != 0,
            hours: days.checked_mul(24)?.checked_add(u32::from(byte(5)))?,
            minute: byte(6),
            second: byte(7),
            micros: u32::from_le_bytes([byte(8), byte(9), byte(10), byte(11)]),
        })
    }

    /// Microseconds since midnight; `None` for a duration that is no time of day.
    pub(super) fn time_of_day(&self) -> Option<i64> {
        let seconds = i64::from(self.hours) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let micros = seconds * MICROS_PER_SECOND + i64::from(self.micros);
        (!(self.negative && micros != 0) && micros < MICROS_PER_DAY).then_some(micros)
    }

    /// Writes `[-]HHH:MM:SS[.ffffff]` with at least two digits of hours, as the server's own text.
    ///
    /// `digits` of the fraction are written, and all six where the value has more than that.
    pub(super) fn write(&self, digits: u32, text: &mut String) {
        let sign = if self.negative { "-" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{sign}{:02}:{:02}:{:02}", self.hours, self.minute, self.second);
        let digits = digits.min(6);
        let cut = 10_u32.pow(6 - digits);
        if !self.micros.is_multiple_of(cut) {
            let _ = write!(text, ".{:06}", self.micros);
        } else if digits > 0 {
            let _ = write!(text, ".{:0width$}", self.micros / cut, width = digits as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> DateTime {
        let [low, high] = year.to_le_bytes();
        DateTime::read(&[4, low, high, month, day]).unwrap()
    }

    #[test]
    fn dates_count_days_since_1970() {
        let cases = [
            ((1970, 1, 1), Some(0)),
            ((1969, 12, 31), Some(-1)),
            ((2000, 2, 29), Some(11_016)),
            ((2024, 3, 1), Some(19_783)),
            ((1, 1, 1), Some(-719_162)),
            ((9999, 12, 31), Some(2_932_896)),
            ((1900, 2, 29), None),
            ((2024, 2, 31), None),
            ((2024, 0, 15), None),
            ((2024, 1, 0), None),
            ((0, 1, 1), None),
            ((0, 0, 0), None),
        ];
        for ((year, month, day), expected) in cases {
            assert_eq!(date(year, month, day).days(), expected, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn every_day_of_the_calendar_follows_the_day_before() {
        let mut expected = -719_162;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn datetimes_have_microseconds() {
        let raw = [11, 0xE8, 0x07, 2, 29, 23, 59, 59, 0x3F, 0x42, 0x0F, 0x00];
        let value = DateTime::read(&raw).unwrap();
        assert_eq!(value.micros(), Some(19_782 * MICROS_PER_DAY + MICROS_PER_DAY - 1));
        assert_eq!(value.to_string(), "2024-02-29 23:59:59.999999");
        assert_eq!(DateTime::read(&[0]).unwrap().micros(), None);
        assert_eq!(DateTime::read(&[7, 1]), None);
        assert_eq!(DateTime::read(&[]), None);
    }

    #[test]
    fn times_are_written_as_the_server_writes_them() {
        let longest = [8, 1, 34, 0, 0, 0, 22, 59, 59];
        let half = [12, 0, 0, 0, 0, 0, 1, 2, 3, 0x20, 0xA1, 0x07, 0x00];
        let cases: [(&[u8], u32, &str); 5] = [
            (&longest, 0, "-838:59:59"),
            (&[0], 0, "00:00:00"),
            (&[0], 3, "00:00:00.000"),
            (&half, 1, "01:02:03.5"),
            (&half, 0, "01:02:03.500000"),
        ];
        for (raw, digits, expected) in cases {
            let mut text = String::new();
            Duration::read(raw).unwrap().write(digits, &mut text);
            assert_eq!(text, expected);
        }
        assert_eq!(Duration::read(&longest).unwrap().time_of_day(), None);
        assert_eq!(Duration::read(&half).unwrap().time_of_day(), Some(3_723_500_000));
    }
}
