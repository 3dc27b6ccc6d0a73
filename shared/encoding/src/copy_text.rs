//! PostgreSQL's COPY text format.

use crate::cells::{Cells, list_range};

const NUL: &str = "holds a NUL byte, which PostgreSQL has no text for";

/// Appends a row. The error is the column's position and what is wrong there.
pub(crate) fn record(cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) -> Result<(), (usize, &'static str)> {
    for (position, cells) in cells.iter().enumerate() {
        if position > 0 {
            out.push(b'\t');
        }
        let written = if cells.is_null(row) {
            out.extend_from_slice(b"\\N");
            Ok(())
        } else {
            field(cells, row, out)
        };
        written.map_err(|wrong| (position, wrong))?;
    }
    out.push(b'\n');
    Ok(())
}

fn field(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match cells {
        Cells::Boolean(values) => out.push(if values.value(row) { b't' } else { b'f' }),
        Cells::Text(texts) => return escaped(out, texts.value(row).as_bytes()),
        Cells::Binary(_) => {
            out.extend_from_slice(b"\\\\x");
            return cells.write_plain(row, out);
        }
        Cells::List(..) => {
            let mut literal = Vec::new();
            array(cells, row, &mut literal)?;
            return escaped(out, &literal);
        }
        _ => return cells.write_plain(row, out),
    }
    Ok(())
}

/// Text with COPY's escapes.
fn escaped(out: &mut Vec<u8>, text: &[u8]) -> Result<(), &'static str> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| escape(*byte).is_some()) {
        out.extend_from_slice(&rest[..at]);
        match escape(rest[at]) {
            Some(0) => return Err(NUL),
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {}
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// The letter behind the backslash; 0 for the byte that has none.
fn escape(byte: u8) -> Option<u8> {
    match byte {
        0 => Some(0),
        0x08 => Some(b'b'),
        0x0b => Some(b'v'),
        0x0c => Some(b'f'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        b'\\' => Some(b'\\'),
        _ => None,
    }
}

/// An array literal: `{1,NULL,"a \"b\""}`.
fn array(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let Cells::List(list, element) = cells else {
        return field(cells, row, out);
    };
    out.push(b'{');
    for (position, index) in list_range(list, row).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if element.is_null(index) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        match element.as_ref() {
            Cells::Text(texts) => quoted(out, texts.value(index).as_bytes()),
            // The backslash of `\x` is doubled by the literal's own quoting.
            Cells::Binary(_) => {
                out.extend_from_slice(b"\"\\\\x");
                element.write_plain(index, out)?;
                out.push(b'"');
            }
            // A blank stands in the text of these.
            Cells::Micros(..) | Cells::Nanos(..) | Cells::Date(_) => {
                out.push(b'"');
                element.write_plain(index, out)?;
                out.push(b'"');
            }
            _ => array(element, index, out)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
