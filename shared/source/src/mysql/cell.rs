//! Cells of small answers, and the raw bytes of any cell.

use sqlextract_model::{Code, Failure, Result};
use sqlx::mysql::{MySqlRow, MySqlTypeInfo};
use sqlx::{Decode, MySql, Row, Type, TypeInfo, ValueRef};

/// The bytes of a cell as they came; `None` for NULL.
///
/// The driver's own `is_null` takes a zero date for NULL, so it is not asked. The error of a NULL allocates nothing.
pub(super) fn raw(row: &MySqlRow, index: usize) -> Option<&[u8]> {
    let value = row.try_get_raw(index).ok()?;
    <&[u8] as Decode<'_, MySql>>::decode(value).ok()
}

/// A cell of the binary protocol as bytes of text: integers written out, everything else as it came.
pub(super) fn bytes(row: &MySqlRow, index: usize) -> Result<Option<Vec<u8>>> {
    let value = row.try_get_raw(index).map_err(|e| unreadable(index).because(e))?;
    let info = value.type_info().into_owned();
    let Some(raw) = raw(row, index) else { return Ok(None) };
    if !is_integer(&info) {
        return Ok(Some(raw.to_vec()));
    }
    let text = match is_unsigned(&info) {
        true => unsigned(raw).map(|n| n.to_string()),
        false => signed(raw).map(|n| n.to_string()),
    };
    text.map(|t| Some(t.into_bytes())).ok_or_else(|| unreadable(index))
}

pub(super) fn text(row: &MySqlRow, index: usize) -> Result<Option<String>> {
    let text = bytes(row, index)?.map(String::from_utf8).transpose();
    text.map_err(|e| unreadable(index).because(e))
}

/// A number from 0; NULL and anything else is `None`.
pub(super) fn number(row: &MySqlRow, index: usize) -> Result<Option<u64>> {
    Ok(text(row, index)?.and_then(|t| t.parse().ok()))
}

/// A float of either width or its text.
pub(super) fn float(row: &MySqlRow, index: usize) -> Option<f64> {
    let raw = raw(row, index)?;
    let info = row.try_get_raw(index).ok()?.type_info().into_owned();
    match info.name() {
        "DOUBLE" => raw.try_into().ok().map(f64::from_le_bytes),
        "FLOAT" => raw.try_into().ok().map(|bytes| f64::from(f32::from_le_bytes(bytes))),
        _ => text(row, index).ok()??.parse().ok(),
    }
}

pub(super) fn unreadable(index: usize) -> Failure {
    Failure::new(
        Code::SourceProtocol,
        format!("the server's answer cannot be read in column {}", index + 1),
    )
}

pub(super) fn is_integer(info: &MySqlTypeInfo) -> bool {
    <i64 as Type<MySql>>::compatible(info) || is_unsigned(info) || info.name() == "YEAR"
}

pub(super) fn is_unsigned(info: &MySqlTypeInfo) -> bool {
    info.name() != "BIT" && <u64 as Type<MySql>>::compatible(info)
}

/// Little-endian, of one to eight bytes.
pub(super) fn signed(raw: &[u8]) -> Option<i64> {
    Some(match raw.len() {
        1 => i64::from(raw[0].cast_signed()),
        2 => i64::from(i16::from_le_bytes(raw.try_into().ok()?)),
        4 => i64::from(i32::from_le_bytes(raw.try_into().ok()?)),
        8 => i64::from_le_bytes(raw.try_into().ok()?),
        _ => return None,
    })
}

pub(super) fn unsigned(raw: &[u8]) -> Option<u64> {
    Some(match raw.len() {
        1 => u64::from(raw[0]),
        2 => u64::from(u16::from_le_bytes(raw.try_into().ok()?)),
        4 => u64::from(u32::from_le_bytes(raw.try_into().ok()?)),
        8 => u64::from_le_bytes(raw.try_into().ok()?),
        _ => return None,
    })
}
