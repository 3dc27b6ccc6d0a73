//! PostgreSQL's binary numeric: groups of four decimal digits, the first one weighing 10000^weight.

use super::misfit::Misfit;
use crate::decimals::short;

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
const TOO_LARGE: Misfit = Misfit::Value("the number has more digits before the point than the chunk's type");

const POWERS: [i128; 39] = powers();

const fn powers() -> [i128; 39] {
    let mut powers = [1; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
}

/// The parts of a field, its digits still as they came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numeric<'a> {
    digits: &'a [u8],
    weight: i32,
    sign: u16,
}

/// What becomes of digits beyond the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Refused,
    /// Half to even.
    Rounded,
}

impl<'a> Numeric<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Misfit> {
        let (head, digits) = bytes
            .split_first_chunk::<8>()
            .ok_or(Misfit::Malformed("a numeric has no head"))?;
        let groups = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if digits.len() != groups * 2 {
            return Err(Misfit::Malformed(
                "a numeric does not hold the digits that it announces",
            ));
        }
        Ok(Self {
            digits,
            weight: i32::from(i16::from_be_bytes([head[2], head[3]])),
            sign: u16::from_be_bytes([head[4], head[5]]),
        })
    }

    /// The number times 10^`scale`, within `precision` digits.
    pub(crate) fn scaled(&self, precision: u8, scale: i8, excess: Excess) -> Result<i128, Misfit> {
        let negative = self.is_negative()?;
        let magnitude = match self.small(i32::from(scale)) {
            Some(magnitude) => i128::from(magnitude),
            None => self.magnitude(i32::from(scale), excess)?,
        };
        let limit = POWERS.get(usize::from(precision)).copied().unwrap_or(i128::MAX);
        if magnitude >= limit {
            return Err(TOO_LARGE);
        }
        Ok(if negative { -magnitude } else { magnitude })
    }

    /// [`Numeric::scaled`] for a precision of no more than 18 digits.
    pub(crate) fn scaled_short(&self, precision: u8, scale: i8, excess: Excess) -> Result<i64, Misfit> {
        let limit = POWERS
            .get(usize::from(precision))
            .map_or(0, |power| u64::try_from(*power).unwrap_or(0));
        match (self.small(i32::from(scale)), self.sign) {
            (Some(magnitude), 0) if magnitude < limit => Ok(magnitude as i64),
            (Some(magnitude), NEGATIVE) if magnitude < limit => Ok(-(magnitude as i64)),
            _ => self.scaled(precision, scale, excess).map(short),
        }
    }

    /// The nearest 64-bit float; NaN and the infinities are themselves.
    pub(crate) fn float(&self, scratch: &mut String) -> Result<f64, Misfit> {
        use std::fmt::Write as _;

        match self.sign {
            NOT_A_NUMBER => return Ok(f64::NAN),
            INFINITY => return Ok(f64::INFINITY),
            NEGATIVE_INFINITY => return Ok(f64::NEG_INFINITY),
            _ => {}
        }
        let negative = self.is_negative()?;
        scratch.clear();
        scratch.push_str(if negative { "-0" } else { "0" });
        let mut groups = 0;
        for group in self.groups() {
            write!(scratch, "{:04}", group?).map_err(|_| Misfit::Malformed("a numeric cannot be written"))?;
            groups += 1;
        }
        let exponent = 4 * (self.weight + 1 - groups);
        write!(scratch, "e{exponent}").map_err(|_| Misfit::Malformed("a numeric cannot be written"))?;
        scratch
            .parse()
            .map_err(|_| Misfit::Malformed("a numeric cannot be read as a float"))
    }

    fn is_negative(&self) -> Result<bool, Misfit> {
        match self.sign {
            0 => Ok(false),
            NEGATIVE => Ok(true),
            NOT_A_NUMBER => Err(Misfit::Value("the number is NaN")),
            INFINITY | NEGATIVE_INFINITY => Err(Misfit::Value("the number is infinite")),
            _ => Err(Misfit::Malformed("a numeric has no known sign")),
        }
    }

    fn groups(&self) -> impl Iterator<Item = Result<i128, Misfit>> + 'a {
        self.digits.as_chunks::<2>().0.iter().map(|pair| {
            let group = u16::from_be_bytes(*pair);
            if group < 10_000 {
                Ok(i128::from(group))
            } else {
                Err(Misfit::Malformed("a numeric's digit is over 9999"))
            }
        })
    }

    /// The magnitude where it is exact and everything on the way to it fits into 64 bits: nearly always.
    fn small(&self, scale: i32) -> Option<u64> {
        if self.digits.len() > 8 {
            return None;
        }
        let mut sum: u64 = 0;
        let mut exponent = 4 * (self.weight + 1) + scale;
        for pair in self.digits.as_chunks::<2>().0 {
            let group = u16::from_be_bytes(*pair);
            if group > 9_999 {
                return None;
            }
            sum = sum * 10_000 + u64::from(group);
            exponent -= 4;
        }
        // The server leaves no group of zeroes at the end, so that the last one reaches to the scale and not beyond it.
        match exponent {
            0 => Some(sum),
            1 => Some(sum * 10),
            2 => Some(sum * 100),
            3 => Some(sum * 1000),
            -1 => part::<10>(sum),
            -2 => part::<100>(sum),
            -3 => part::<1000>(sum),
            // Zero has no groups at all.
            _ if sum == 0 => Some(0),
            _ => None,
        }
    }

    fn magnitude(&self, scale: i32, excess: Excess) -> Result<i128, Misfit> {
        let mut sum: i128 = 0;
        // Of the group at hand: the power of ten of its last digit, in units of the scaled number.
        let mut exponent = 4 * self.weight + scale;
        let mut dropped = Dropped::default();
        for group in self.groups() {
            let group = group?;
            if exponent >= 0 {
                sum = shifted(sum, 4)?.checked_add(group).ok_or(TOO_LARGE)?;
            } else if exponent > -4 {
                let unit = POWERS[exponent.unsigned_abs() as usize];
                sum = shifted(sum, (4 + exponent) as usize)?
                    .checked_add(group / unit)
                    .ok_or(TOO_LARGE)?;
                dropped.first(group % unit, unit);
            } else {
                // With no group before it, the number is far below one unit: its first group is no more than a rest.
                dropped.further(group, exponent == -4);
            }
            exponent -= 4;
        }
        let last = exponent + 4;
        if last > 0 && sum > 0 {
            sum = shifted(sum, usize::try_from(last).map_err(|_| TOO_LARGE)?)?;
        }
        match (dropped.any(), excess) {
            (false, _) => Ok(sum),
            (true, Excess::Rounded) => Ok(if dropped.rounds_up(sum) { sum + 1 } else { sum }),
            (true, Excess::Refused) => Err(Misfit::Value(
                "the number has more digits after the point than the chunk's type",
            )),
        }
    }
}

/// A divisor that is known when this is compiled costs a multiplication.
fn part<const UNIT: u64>(sum: u64) -> Option<u64> {
    sum.is_multiple_of(UNIT).then_some(sum / UNIT)
}

fn shifted(sum: i128, digits: usize) -> Result<i128, Misfit> {
    if sum == 0 {
        return Ok(0);
    }
    let power = POWERS.get(digits).ok_or(TOO_LARGE)?;
    sum.checked_mul(*power).ok_or(TOO_LARGE)
}

/// The digits behind the scale: how their first part compares with one half, and whether anything follows it.
#[derive(Debug, Default)]
struct Dropped {
    half: Option<std::cmp::Ordering>,
    rest: bool,
}

impl Dropped {
    fn first(&mut self, part: i128, unit: i128) {
        self.half = Some((part * 2).cmp(&unit));
        self.rest |= part > 0;
    }

    /// `adjoining`: the group stands right behind the scale.
    fn further(&mut self, group: i128, adjoining: bool) {
        if adjoining && self.half.is_none() {
            self.first(group, 10_000);
        } else if group > 0 {
            self.rest = true;
            self.half = self.half.map(|half| half.then(std::cmp::Ordering::Greater));
        }
    }

    fn any(&self) -> bool {
        self.rest
    }

    fn rounds_up(&self, sum: i128) -> bool {
        match self.half {
            Some(std::cmp::Ordering::Greater) => true,
            Some(std::cmp::Ordering::Equal) => sum % 2 == 1,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the server would send it: no leading or trailing zero groups.
    fn encode(mantissa: i128, scale: u32) -> Vec<u8> {
        let text = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale as usize + 1);
        let (whole, fraction) = text.split_at(text.len() - scale as usize);
        let whole = format!("{whole:0>width$}", width = whole.len().div_ceil(4) * 4);
        let fraction = format!("{fraction:0<width$}", width = fraction.len().div_ceil(4) * 4);
        let mut weight = (whole.len() / 4) as i16 - 1;
        let all = whole + &fraction;
        let mut groups: Vec<u16> = (0..all.len())
            .step_by(4)
            .map(|i| all[i..i + 4].parse().unwrap())
            .collect();
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let sign = if mantissa < 0 { NEGATIVE } else { 0 };
        let head = [groups.len() as u16, weight as u16, sign, scale as u16];
        head.iter().chain(&groups).flat_map(|v| v.to_be_bytes()).collect()
    }

    fn scaled(mantissa: i128, from: u32, to: i8, excess: Excess) -> Result<i128, Misfit> {
        let bytes = encode(mantissa, from);
        Numeric::parse(&bytes).unwrap().scaled(38, to, excess)
    }

    proptest! {
        #[test]
        fn a_number_read_at_its_own_scale_is_itself(mantissa in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u32..=38) {
            prop_assert_eq!(scaled(mantissa, scale, scale as i8, Excess::Refused), Ok(mantissa));
        }

        #[test]
        fn digits_beyond_the_scale_are_refused_or_rounded_half_to_even(mantissa in -1_000_000i128..1_000_000, from in 1u32..12, drop in 1u32..10) {
            let drop = drop.min(from);
            let unit = 10i128.pow(drop);
            let to = (from - drop) as i8;
            let (down, rest) = (mantissa.abs() / unit, mantissa.abs() % unit);
            let up = rest * 2 > unit || (rest * 2 == unit && down % 2 == 1);
            let rounded = (down + i128::from(up)) * mantissa.signum();
            prop_assert_eq!(scaled(mantissa, from, to, Excess::Rounded), Ok(rounded));
            prop_assert_eq!(scaled(mantissa, from, to, Excess::Refused).is_ok(), rest == 0);
        }

        #[test]
        fn a_short_number_is_judged_as_a_long_one(mantissa in -10i128.pow(20)..10i128.pow(20), from in 0u32..12, precision in 1u8..=18, to in 0i8..12) {
            let bytes = encode(mantissa / 10i128.pow(from), from);
            let numeric = Numeric::parse(&bytes).unwrap();
            for excess in [Excess::Refused, Excess::Rounded] {
                let short = numeric.scaled_short(precision, to, excess).map(i128::from);
                prop_assert_eq!(short, numeric.scaled(precision, to, excess));
            }
        }

        #[test]
        fn a_float_is_the_nearest_one(mantissa in any::<i64>(), scale in 0u32..30) {
            let bytes = encode(mantissa.into(), scale);
            let nearest: f64 = format!("{mantissa}e-{scale}").parse().unwrap();
            prop_assert_eq!(Numeric::parse(&bytes).unwrap().float(&mut String::new()), Ok(nearest));
        }

        #[test]
        fn arbitrary_bytes_are_a_number_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), precision in 0u8..=38, scale in 0i8..=38) {
            if let Ok(numeric) = Numeric::parse(&bytes) {
                let _ = numeric.scaled(precision, scale, Excess::Rounded);
                let _ = numeric.float(&mut String::new());
            }
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        let bytes = encode(10i128.pow(15), 0);
        let numeric = Numeric::parse(&bytes).unwrap();
        assert_eq!(numeric.scaled(15, 0, Excess::Refused), Err(TOO_LARGE));
        assert_eq!(numeric.scaled(16, 0, Excess::Refused), Ok(10i128.pow(15)));
        assert_eq!(numeric.scaled(38, 30, Excess::Refused), Err(TOO_LARGE));
        // 10000^32767: the exponent itself is far out of range.
        let huge = [0u8, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 1];
        assert_eq!(
            Numeric::parse(&huge).unwrap().scaled(38, 0, Excess::Rounded),
            Err(TOO_LARGE)
        );
    }
}
