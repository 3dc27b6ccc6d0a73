//! Decimals from a server's text, exactly.

/// Why a text has no value at the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Not the text of a decimal.
    NotDecimal,
    /// Digits other than zero behind the scale.
    Scale,
    /// More digits than 128 bits hold.
    Size,
}

/// The unscaled value of `text` at `scale`: `-1.50` at 3 is -1500. `round` rounds what is behind the scale half to even.
pub(crate) fn parse(text: &[u8], scale: u32, round: bool) -> Result<i128, Misfit> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let point = digits.iter().position(|b| *b == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(Misfit::NotDecimal);
    }
    let kept = fraction.len().min(scale as usize);
    let (kept, dropped) = fraction.split_at(kept);
    let padding = scale - kept.len() as u32;
    let mut value = match whole.len() + kept.len() <= 18 {
        // Most decimals fit 64 bits, where a step costs a fraction.
        true => i128::from(accumulated64(whole, kept)?),
        false => accumulated(whole, kept)?,
    };
    if padding > 0 {
        let factor = 10_i128.checked_pow(padding);
        value = match value {
            0 => 0,
            _ => factor.and_then(|f| value.checked_mul(f)).ok_or(Misfit::Size)?,
        };
    }
    if dropped.iter().any(|b| *b != b'0') {
        value = value.checked_add(carry(dropped, value, round)?).ok_or(Misfit::Size)?;
    }
    Ok(if negative { -value } else { value })
}

/// [`parse`] for what nearly all texts are: no more than 18 digits, of which as many as the scale has are behind the point.
/// `None` for every other text.
pub(crate) fn parse_short(text: &[u8], scale: usize) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match scale {
        0 => (digits, &[][..]),
        _ => {
            let (whole, rest) = digits.split_at_checked(digits.len().checked_sub(scale + 1)?)?;
            let (b'.', fraction) = rest.split_first()? else {
                return None;
            };
            (whole, fraction)
        }
    };
    if whole.is_empty() || whole.len() + fraction.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    let mut largest = 0;
    for byte in whole.iter().chain(fraction) {
        let digit = byte.wrapping_sub(b'0');
        largest = largest.max(digit);
        value = value * 10 + i64::from(digit);
    }
    (largest <= 9).then_some(if negative { -value } else { value })
}

fn accumulated64(whole: &[u8], fraction: &[u8]) -> Result<i64, Misfit> {
    let mut value = 0_i64;
    for byte in whole.iter().chain(fraction) {
        value = value * 10 + i64::from(digit(*byte)?);
    }
    Ok(value)
}

fn accumulated(whole: &[u8], fraction: &[u8]) -> Result<i128, Misfit> {
    let mut value = 0_i128;
    for byte in whole.iter().chain(fraction) {
        let digit = i128::from(digit(*byte)?);
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(digit))
            .ok_or(Misfit::Size)?;
    }
    Ok(value)
}

/// What rounding adds to the magnitude.
fn carry(dropped: &[u8], value: i128, round: bool) -> Result<i128, Misfit> {
    for byte in dropped {
        digit(*byte)?;
    }
    if !round {
        return Err(Misfit::Scale);
    }
    let beyond_half = dropped[1..].iter().any(|b| *b != b'0');
    Ok(i128::from(match dropped[0] {
        b'0'..=b'4' => false,
        b'5' => beyond_half || value % 2 != 0,
        _ => true,
    }))
}

fn digit(byte: u8) -> Result<u8, Misfit> {
    byte.is_ascii_digit().then(|| byte - b'0').ok_or(Misfit::NotDecimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_have_their_unscaled_value_or_a_reason() {
        let widest = "9".repeat(38);
        let negative = format!("-{widest}");
        let cases = [
            ("0", 0, Ok(0)),
            ("-1.50", 3, Ok(-1500)),
            ("1.50", 1, Ok(15)),
            (".5", 1, Ok(5)),
            ("1.55", 1, Err(Misfit::Scale)),
            ("", 0, Err(Misfit::NotDecimal)),
            ("-", 0, Err(Misfit::NotDecimal)),
            ("1e5", 0, Err(Misfit::NotDecimal)),
            (widest.as_str(), 0, Ok(10_i128.pow(38) - 1)),
            (negative.as_str(), 0, Ok(1 - 10_i128.pow(38))),
            (widest.as_str(), 1, Err(Misfit::Size)),
            ("0.000", 60, Ok(0)),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(parse(text.as_bytes(), scale, false), expected, "{text}");
        }
    }

    #[test]
    fn rounding_is_half_to_even() {
        let cases = [
            ("0.5", 0),
            ("1.5", 2),
            ("2.5", 2),
            ("2.51", 3),
            ("-2.5", -2),
            ("-3.5", -4),
            ("2.49", 2),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes(), 0, true), Ok(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any::<i128>(), scale in 0_u32..=30) {
            let value = value / 1000;
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}");
            prop_assert_eq!(parse(text.as_bytes(), scale, false), Ok(value));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80), scale in 0_u32..=38) {
            let _ = parse(&bytes, scale, true);
            if let Some(value) = parse_short(&bytes, scale as usize) {
                prop_assert_eq!(parse(&bytes, scale, false), Ok(value.into()));
            }
        }

        #[test]
        fn a_short_text_is_what_a_long_one_is(text in "-?[0-9]{0,20}\\.?[0-9]{0,4}", scale in 0_u32..6) {
            match parse_short(text.as_bytes(), scale as usize) {
                Some(value) => prop_assert_eq!(parse(text.as_bytes(), scale, false), Ok(value.into())),
                None => {
                    let digits = text.bytes().filter(u8::is_ascii_digit).count();
                    let of_the_scale = text.len() > scale as usize
                        && text.split_once('.').map_or(0, |(_, fraction)| fraction.len()) == scale as usize;
                    let whole = text.trim_start_matches('-').split('.').next().is_some_and(|whole| !whole.is_empty());
                    prop_assert!(digits > 18 || !of_the_scale || !whole || (scale == 0 && text.contains('.')), "{text}");
                }
            }
        }
    }
}
