//! Sizes in bytes and durations, as people write them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes. Reads `100`, `64KB` (1,000), `64KiB` (1,024), `1.5GB`; a blank before the suffix is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("k", 1_000),
];

impl ByteSize {
    pub const MIB: u64 = 1 << 20;

    /// Returns `None` for a text that is no size, is negative, or passes 2^63.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text)?;
        let unit = unit.to_ascii_lowercase();
        let factor = match unit.as_str() {
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            other => UNITS.iter().find(|(name, _)| *name == other)?.1,
        };
        scaled(number, factor).map(Self)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| format!("`{text}` is no size; write for example 64MiB, 128MB or 1GB"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEPS: [(u64, &str); 4] = [
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        match STEPS.iter().find(|(step, _)| self.0 >= *step) {
            Some((step, unit)) if self.0.is_multiple_of(*step) => write!(f, "{} {unit}", self.0 / step),
            Some((step, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / *step as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// Reads `250ms`, `10s`, `5m`, `2h`; a bare number counts seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    scaled(number, milliseconds).map(Duration::from_millis)
}

fn split_unit(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| (number, unit.trim_start()))
}

/// `number` times `factor`, exact for decimals down to a thousandth of the unit.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let whole: u128 = whole.parse().ok()?;
    let mut value = whole.checked_mul(u128::from(factor))?;
    if !fraction.is_empty() {
        let digits: u128 = fraction.get(..fraction.len().min(18))?.parse().ok()?;
        let divisor = 10u128.pow(fraction.len().min(18) as u32);
        value += digits * u128::from(factor) / divisor;
    }
    u64::try_from(value).ok().filter(|v| *v <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_si_and_iec_suffixes() {
        let cases = [
            ("0", Some(0)),
            ("1GB", Some(1_000_000_000)),
            ("64KiB", Some(65_536)),
            ("64 MiB", Some(67_108_864)),
            ("1.5mb", Some(1_500_000)),
            ("10k", Some(10_000)),
            ("-1", None),
            ("1XB", None),
            ("", None),
            ("GB", None),
            (".5GB", None),
            ("99999999999TB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(ByteSize::parse(text).map(|s| s.0), expected, "{text}");
        }
    }

    #[test]
    fn durations_read_their_units() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(parse_duration("7 weeks"), None);
    }
}
