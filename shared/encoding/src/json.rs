//! JSON of values: lists in CSV, and the lines of `cat --as jsonl`.
//!
//! Integers, booleans and finite floats are JSON's own. Decimals, dates, times and timestamps are strings of their plain
//! text, bytes are strings of hexadecimal digits, NaN and the infinities are strings. A JSON value is a string of its
//! text: so its bytes stay, and JSON's null is not mistaken for NULL.

use crate::cells::{Cells, list_range};

/// Writes a value, or `null`.
///
/// # Errors
/// What is wrong with the value.
pub(crate) fn value(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if cells.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match cells {
        Cells::Text(texts) => string(out, texts.value(row)),
        Cells::List(list, element) => {
            out.push(b'[');
            for (position, index) in list_range(list, row).enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                value(element, index, out)?;
            }
            out.push(b']');
        }
        cells if cells.is_json_literal(row) => cells.write_plain(row, out)?,
        // Nothing in the plain text of these needs an escape.
        cells => {
            out.push(b'"');
            cells.write_plain(row, out)?;
            out.push(b'"');
        }
    }
    Ok(())
}

/// Writes a JSON string. Only what must be escaped is.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                crate::plain::hexadecimal(out, &[control]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
