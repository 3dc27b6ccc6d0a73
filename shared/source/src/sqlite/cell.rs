//! One cell as a value of a type, or why not.

use std::fmt::{Debug, Write as _};

use arrow::array::{BinaryBuilder, StringBuilder};
use rusqlite::types::ValueRef;

use super::value;

/// Offsets of Arrow's texts and bytes are 31 bits.
const LARGEST_COLUMN_BYTES: usize = i32::MAX as usize;
const LONGEST_NUMBER_BYTES: usize = 32;

/// Why a cell is refused: what the column takes, and the form that would take the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) wanted: &'static str,
    pub(super) remedy: Remedy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Text,
    Binary,
    /// More than a record batch can hold.
    TooLarge,
}

pub(super) const fn wanted(wanted: &'static str) -> Misfit {
    Misfit {
        wanted,
        remedy: Remedy::Text,
    }
}

const NOT_UTF8: Misfit = Misfit {
    wanted: "text in UTF-8",
    remedy: Remedy::Binary,
};
const COLUMN_FULL: Misfit = Misfit {
    wanted: "at most 2 GiB in a record batch",
    remedy: Remedy::TooLarge,
};
pub(super) const INTEGER: Misfit = wanted("an integer");

pub(super) fn boolean(cell: ValueRef<'_>) -> Result<bool, Misfit> {
    match cell {
        ValueRef::Integer(0) => Ok(false),
        ValueRef::Integer(1) => Ok(true),
        _ => Err(wanted("0 or 1")),
    }
}

pub(super) fn integer<T: TryFrom<i64>>(cell: ValueRef<'_>, form: &'static str) -> Result<T, Misfit> {
    match cell {
        ValueRef::Integer(value) => T::try_from(value).map_err(|_| wanted(form)),
        _ => Err(wanted(form)),
    }
}

/// Integers up to 2^53 are reals as they are.
pub(super) fn real(cell: ValueRef<'_>) -> Result<f64, Misfit> {
    match cell {
        ValueRef::Real(value) => Ok(value),
        ValueRef::Integer(value) if value.unsigned_abs() <= 1 << 53 => Ok(value as f64),
        _ => Err(wanted("a real, or an integer that is exact as one")),
    }
}

pub(super) fn decimal(cell: ValueRef<'_>, precision: u8, scale: i8) -> Result<i128, Misfit> {
    let misfit = wanted("a decimal number within the precision and scale");
    match cell {
        ValueRef::Integer(number) => value::decimal(&number.to_string(), precision, scale),
        ValueRef::Real(number) => value::decimal(&value::real_text(number), precision, scale),
        ValueRef::Text(bytes) => value::decimal(utf8(bytes)?, precision, scale),
        _ => None,
    }
    .ok_or(misfit)
}

pub(super) fn json(cell: ValueRef<'_>) -> Result<&str, Misfit> {
    let misfit = wanted("text that is one JSON value");
    let ValueRef::Text(bytes) = cell else {
        return Err(misfit);
    };
    let text = utf8(bytes)?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| text)
        .map_err(|_| misfit)
}

pub(super) fn parsed<T>(
    cell: ValueRef<'_>,
    parse: impl FnOnce(&str) -> Option<T>,
    form: &'static str,
) -> Result<T, Misfit> {
    match cell {
        ValueRef::Text(bytes) => parse(utf8(bytes)?).ok_or(wanted(form)),
        _ => Err(wanted(form)),
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Misfit> {
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

pub(super) fn append_text(builder: &mut StringBuilder, text: &str) -> Result<(), Misfit> {
    room(builder.values_slice().len(), text.len())?;
    builder.append_value(text);
    Ok(())
}

pub(super) fn append_bytes(builder: &mut BinaryBuilder, bytes: &[u8]) -> Result<(), Misfit> {
    room(builder.values_slice().len(), bytes.len())?;
    builder.append_value(bytes);
    Ok(())
}

pub(super) fn room(held: usize, more: usize) -> Result<(), Misfit> {
    if held.saturating_add(more) > LARGEST_COLUMN_BYTES {
        Err(COLUMN_FULL)
    } else {
        Ok(())
    }
}

pub(super) fn append_any(builder: &mut StringBuilder, cell: ValueRef<'_>) -> Result<(), Misfit> {
    match cell {
        ValueRef::Null => builder.append_null(),
        ValueRef::Integer(value) => append_number(builder, &value)?,
        ValueRef::Real(value) if value.is_finite() => append_number(builder, &value)?,
        ValueRef::Real(value) => append_text(builder, &value::real_text(value))?,
        ValueRef::Text(bytes) => append_text(builder, utf8(bytes)?)?,
        ValueRef::Blob(bytes) => {
            room(builder.values_slice().len(), 2 * bytes.len())?;
            append_hex(builder, bytes);
        }
    }
    Ok(())
}

/// Digits straight into the builder's memory, which takes every write. `Debug` gives a real its shortest digits, and
/// always a point or an exponent, so that it does not look like an integer.
fn append_number(builder: &mut StringBuilder, number: &impl Debug) -> Result<(), Misfit> {
    room(builder.values_slice().len(), LONGEST_NUMBER_BYTES)?;
    let _ = write!(builder, "{number:?}");
    builder.append_value("");
    Ok(())
}

/// Through a small buffer: the text of a large value is written once, where it stays.
pub(super) fn append_hex(builder: &mut StringBuilder, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len().min(512));
    for part in bytes.chunks(512) {
        text.clear();
        for byte in part {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        let _ = builder.write_str(&text);
    }
    builder.append_value("");
}
