//! PostgreSQL's numeric, as the server writes it down: never with an exponent.

use super::misfit::Misfit;
use crate::decimal_text::{self, parse_short};
use crate::decimals::short;

const TOO_LARGE: Misfit = Misfit::Value("the number has more digits before the point than the chunk's type");
const TOO_FINE: Misfit = Misfit::Value("the number has more digits after the point than the chunk's type");
const NOT_A_NUMBER: Misfit = Misfit::Value("the number is NaN");
const INFINITE: Misfit = Misfit::Value("the number is infinite");
const MALFORMED: Misfit = Misfit::Malformed("a numeric is no decimal number");

/// What becomes of digits beyond the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Refused,
    /// Half to even.
    Rounded,
}

/// What a decimal type holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Digits behind the point.
    digits: u32,
    /// The first unscaled value that has too many digits.
    limit: i128,
    excess: Excess,
}

impl Scale {
    /// `None` for what is no decimal type.
    pub(crate) fn new(precision: u8, scale: i8, excess: Excess) -> Option<Self> {
        Some(Self {
            digits: scale.try_into().ok()?,
            limit: 10_i128.checked_pow(precision.into())?,
            excess,
        })
    }

    /// The unscaled value.
    pub(crate) fn read(&self, text: &[u8]) -> Result<i128, Misfit> {
        let rounds = self.excess == Excess::Rounded;
        let value = decimal_text::parse(text, self.digits, rounds).map_err(|misfit| match (misfit, text) {
            (decimal_text::Misfit::Scale, _) => TOO_FINE,
            (decimal_text::Misfit::Size, _) => TOO_LARGE,
            (decimal_text::Misfit::NotDecimal, b"NaN") => NOT_A_NUMBER,
            (decimal_text::Misfit::NotDecimal, b"Infinity" | b"-Infinity") => INFINITE,
            (decimal_text::Misfit::NotDecimal, _) => MALFORMED,
        })?;
        match value.unsigned_abs() < self.limit.unsigned_abs() {
            true => Ok(value),
            false => Err(TOO_LARGE),
        }
    }

    /// [`Scale::read`] for a precision of no more than 18 digits.
    #[inline]
    pub(crate) fn read_short(&self, text: &[u8]) -> Result<i64, Misfit> {
        match parse_short(text, self.digits as usize) {
            Some(value) if i128::from(value.unsigned_abs()) < self.limit => Ok(value),
            _ => self.read(text).map(short),
        }
    }
}

/// The nearest 64-bit float; NaN and the infinities are themselves.
pub(crate) fn float(text: &[u8]) -> Result<f64, Misfit> {
    match text {
        b"NaN" => Ok(f64::NAN),
        b"Infinity" => Ok(f64::INFINITY),
        b"-Infinity" => Ok(f64::NEG_INFINITY),
        _ => {
            let plain = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'));
            let text = str::from_utf8(text).map_err(|_| MALFORMED)?;
            text.parse().ok().filter(|_| plain).ok_or(MALFORMED)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scale(precision: u8, scale: i8, excess: Excess) -> Scale {
        Scale::new(precision, scale, excess).unwrap()
    }

    fn written(mantissa: i128, scale: u32) -> String {
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
        let point = if scale == 0 { "" } else { "." };
        format!("{}{whole}{point}{fraction}", if mantissa < 0 { "-" } else { "" })
    }

    fn read(mantissa: i128, from: u32, to: i8, excess: Excess) -> Result<i128, Misfit> {
        scale(38, to, excess).read(written(mantissa, from).as_bytes())
    }

    proptest! {
        #[test]
        fn a_number_read_at_its_own_scale_is_itself(mantissa in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u32..=38) {
            prop_assert_eq!(read(mantissa, scale, scale as i8, Excess::Refused), Ok(mantissa));
        }

        #[test]
        fn digits_beyond_the_scale_are_refused_or_rounded_half_to_even(mantissa in -1_000_000i128..1_000_000, from in 1u32..12, drop in 1u32..10) {
            let drop = drop.min(from);
            let unit = 10i128.pow(drop);
            let to = (from - drop) as i8;
            let (down, rest) = (mantissa.abs() / unit, mantissa.abs() % unit);
            let up = rest * 2 > unit || (rest * 2 == unit && down % 2 == 1);
            let rounded = (down + i128::from(up)) * mantissa.signum();
            prop_assert_eq!(read(mantissa, from, to, Excess::Rounded), Ok(rounded));
            prop_assert_eq!(read(mantissa, from, to, Excess::Refused).is_ok(), rest == 0);
        }

        #[test]
        fn a_short_number_is_judged_as_a_long_one(mantissa in -10i128.pow(20)..10i128.pow(20), from in 0u32..12, precision in 1u8..=18, to in 0i8..12) {
            let text = written(mantissa / 10i128.pow(from), from);
            for excess in [Excess::Refused, Excess::Rounded] {
                let scale = scale(precision, to, excess);
                prop_assert_eq!(scale.read_short(text.as_bytes()).map(i128::from), scale.read(text.as_bytes()));
            }
        }

        #[test]
        fn a_float_is_the_nearest_one(mantissa in any::<i64>(), scale in 0u32..30) {
            let nearest: f64 = format!("{mantissa}e-{scale}").parse().unwrap();
            prop_assert_eq!(float(written(mantissa.into(), scale).as_bytes()), Ok(nearest));
        }

        #[test]
        fn arbitrary_bytes_are_a_number_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), precision in 0u8..=38, digits in 0i8..=38) {
            let _ = scale(precision, digits, Excess::Rounded).read(&bytes);
            let _ = float(&bytes);
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        let text = written(10i128.pow(15), 0);
        let read = |precision, digits| scale(precision, digits, Excess::Refused).read(text.as_bytes());
        assert_eq!(read(15, 0), Err(TOO_LARGE));
        assert_eq!(read(16, 0), Ok(10i128.pow(15)));
        assert_eq!(read(38, 30), Err(TOO_LARGE));
        // The longest numeric that there is.
        let huge = "9".repeat(131_072);
        assert_eq!(scale(38, 0, Excess::Rounded).read(huge.as_bytes()), Err(TOO_LARGE));
        assert_eq!(float(huge.as_bytes()), Ok(f64::INFINITY));
    }

    #[test]
    fn what_is_no_decimal_number_is_named() {
        let read = |text: &str| scale(15, 2, Excess::Rounded).read_short(text.as_bytes());
        assert_eq!(read("NaN"), Err(NOT_A_NUMBER));
        assert_eq!(read("Infinity"), Err(INFINITE));
        assert_eq!(read("-Infinity"), Err(INFINITE));
        for text in ["", "-", "1e5", "0x1", " 1", "inf", "nan"] {
            assert_eq!(read(text), Err(MALFORMED), "{text}");
            assert_eq!(float(text.as_bytes()), Err(MALFORMED), "{text}");
        }
    }
}
