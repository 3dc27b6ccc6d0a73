//! Exact numbers as decimal text, and the merging of aggregates.

use std::cmp::Ordering;
use std::fmt::Display;

use arrow::datatypes::i256;
use sqlextract_model::{ChunkType, ColumnAggregate};

use crate::plain;

/// `unscaled` times ten to the power of minus `scale`, with the whole scale written out.
pub(crate) fn text(unscaled: i256, scale: i8) -> String {
    let mut out = Vec::new();
    let digits = unscaled.to_string();
    let digits = match digits.strip_prefix('-') {
        Some(magnitude) => {
            out.push(b'-');
            magnitude
        }
        None => &digits,
    };
    plain::scaled(&mut out, digits.as_bytes(), scale);
    String::from_utf8_lossy(&out).into_owned()
}

/// The inverse of [`text`]; `None` for what it never writes.
fn parse(text: &str, scale: i8) -> Option<i256> {
    let fraction_digits = usize::try_from(scale).unwrap_or(0);
    let digits = if fraction_digits == 0 {
        text.to_owned()
    } else {
        let (whole, fraction) = text.split_once('.')?;
        (fraction.len() == fraction_digits).then(|| format!("{whole}{fraction}"))?
    };
    let unsigned = digits.strip_prefix('-').unwrap_or(&digits);
    if unsigned.is_empty() || unsigned.len() > 76 || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = i256::from_string(&digits)?;
    match u32::try_from(-i32::from(scale)) {
        Ok(zeros) if zeros > 0 => value.checked_div(i256::from_i128(10).checked_pow(zeros)?),
        _ => Some(value),
    }
}

/// Rust's own text of a float; the two zeros, which are equal in SQL, are one.
pub(crate) fn float_text<F: Display + Default>(is_zero: bool, value: F) -> String {
    if is_zero {
        F::default().to_string()
    } else {
        value.to_string()
    }
}

/// The aggregate of the values of both, exactly.
///
/// What either lacks or what cannot be read as the text of its type is missing in the result; bounds that only one
/// has, because the other's column was all NULL, are kept.
pub fn merge(a: &ColumnAggregate, b: &ColumnAggregate, chunk: &ChunkType) -> ColumnAggregate {
    let scale = match chunk {
        ChunkType::Decimal { scale, .. } => *scale,
        _ => 0,
    };
    let order: &dyn Fn(&str, &str) -> Option<Ordering> = match chunk {
        ChunkType::Float32 | ChunkType::Float64 => &float_order,
        _ => &|left, right| Some(parse(left, scale)?.cmp(&parse(right, scale)?)),
    };
    let sum = |left: &str, right: &str| Some(text(parse(left, scale)?.checked_add(parse(right, scale)?)?, scale));
    ColumnAggregate {
        name: a.name.clone(),
        count: a.count.saturating_add(b.count),
        nan: a.nan.zip(b.nan).map(|(left, right)| left.saturating_add(right)),
        sum: a
            .sum
            .as_deref()
            .zip(b.sum.as_deref())
            .and_then(|(left, right)| sum(left, right)),
        min: bound(&a.min, &b.min, |left, right| order(left, right).map(Ordering::is_le)),
        max: bound(&a.max, &b.max, |left, right| order(left, right).map(Ordering::is_ge)),
    }
}

/// The one of two bounds that `prefers_left` chooses.
fn bound(
    left: &Option<String>,
    right: &Option<String>,
    prefers_left: impl Fn(&str, &str) -> Option<bool>,
) -> Option<String> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if prefers_left(left, right)? {
            left.clone()
        } else {
            right.clone()
        }),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

fn float_order(left: &str, right: &str) -> Option<Ordering> {
    left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?)
}
