//! The neutral CSV dialect: one form for all targets.
//!
//! UTF-8 without a mark, `,` between fields, `\n` after every record, a header in every file. A field is quoted, with
//! quotes doubled, if it holds `,`, `"`, CR or LF, is empty but not NULL, begins or ends with a blank, or is `\.`. NULL
//! is nothing between delimiters. There is never a NUL byte. Values have their plain text; lists are JSON.

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use sqlextract_model::{Code, ColumnMapping, Failure, Result};

use crate::cells::Cells;
use crate::{json, plain};

/// What a byte asks of its field.
const DELIMITER: u8 = 1;
const QUOTE: u8 = 2;
const LINE_END: u8 = 4;
const FORBIDDEN: u8 = 8;

const fn class(byte: u8) -> u8 {
    match byte {
        b',' => DELIMITER,
        b'"' => QUOTE,
        b'\r' | b'\n' => LINE_END,
        0 => FORBIDDEN,
        _ => 0,
    }
}

/// Longer values of a large row are written in pieces of this size.
const LONG: usize = 32 << 10;
/// The line that ends a COPY's input.
const COPY_LINE: &[u8] = b"\\.";
const NUL: &str = "holds a NUL byte, which CSV cannot carry";

/// The columns of a batch, to be written row by row.
pub(crate) struct CsvRows<'a> {
    names: Vec<&'a str>,
    columns: Vec<Cells<'a>>,
    /// Of the columns that have any.
    nulls: Vec<Option<&'a NullBuffer>>,
    scratch: Vec<u8>,
    /// A field so far holds a line that is `\.` alone.
    pub(crate) end_of_copy_line: bool,
}

impl<'a> CsvRows<'a> {
    pub(crate) fn new(mappings: &'a [ColumnMapping], batch: &'a RecordBatch) -> Result<Self> {
        let columns = mappings.iter().zip(batch.columns());
        let nulls = batch
            .columns()
            .iter()
            .map(|array| array.nulls().filter(|nulls| nulls.null_count() > 0));
        Ok(Self {
            names: mappings.iter().map(|m| m.name.as_str()).collect(),
            columns: columns
                .map(|(mapping, array)| Cells::new(&mapping.chunk, array.as_ref()))
                .collect::<Result<_>>()?,
            nulls: nulls.collect(),
            scratch: Vec::new(),
            end_of_copy_line: false,
        })
    }

    /// Appends the record of a row; `number` is how the row is called in an error.
    pub(crate) fn write(&mut self, row: usize, number: u64, out: &mut Vec<u8>) -> Result<()> {
        for (position, (cells, nulls)) in self.columns.iter().zip(&self.nulls).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let written = cell(cells, row, &mut self.scratch, out);
            match written {
                Ok(copy_line) => self.end_of_copy_line |= copy_line,
                Err(wrong) => return Err(refused(self.names[position], number, wrong)),
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// Writes the same record as [`Self::write`], a long value in pieces, so that it is in memory once.
    pub(crate) fn write_long(
        &mut self,
        row: usize,
        number: u64,
        put: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut short = Vec::new();
        for (position, (cells, nulls)) in self.columns.iter().zip(&self.nulls).enumerate() {
            if position > 0 {
                short.push(b',');
            }
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let wrong = |wrong| refused(self.names[position], number, wrong);
            match cells {
                Cells::Text(texts) if texts.value(row).len() > LONG => {
                    let text = texts.value(row).as_bytes();
                    let quoted = is_quoted(text, classes_of(text)).map_err(wrong)?;
                    if quoted {
                        short.push(b'"');
                    }
                    for piece in text.chunks(LONG) {
                        match quoted {
                            true => double_quotes(&mut short, piece),
                            false => short.extend_from_slice(piece),
                        }
                        put(&short)?;
                        short.clear();
                    }
                    if quoted {
                        short.push(b'"');
                        self.end_of_copy_line |= has_copy_line(text);
                    }
                }
                Cells::Binary(bytes) if bytes.value(row).len() > LONG => {
                    for piece in bytes.value(row).chunks(LONG) {
                        plain::hexadecimal(&mut short, piece);
                        put(&short)?;
                        short.clear();
                    }
                }
                cells => self.end_of_copy_line |= cell(cells, row, &mut self.scratch, &mut short).map_err(wrong)?,
            }
        }
        short.push(b'\n');
        put(&short)
    }
}

/// Appends a value that is not NULL. Returns whether one of its lines is `\.`.
fn cell(
    cells: &Cells<'_>,
    row: usize,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> std::result::Result<bool, &'static str> {
    match cells {
        Cells::Text(texts) => field(out, texts.value(row).as_bytes()),
        Cells::Binary(bytes) if bytes.value(row).is_empty() => field(out, b""),
        Cells::List(..) => {
            scratch.clear();
            json::value(cells, row, scratch).and_then(|()| list_field(out, scratch))
        }
        cells => cells.write_plain(row, out).map(|()| false),
    }
}

/// The first record of every file.
pub(crate) fn header(mappings: &[ColumnMapping], out: &mut Vec<u8>) -> Result<()> {
    for (position, mapping) in mappings.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        field(out, mapping.name.as_bytes()).map_err(|wrong| {
            let message = format!("the name of column {} {wrong}", position + 1);
            Failure::new(Code::TypeUnsupported, message)
        })?;
    }
    out.push(b'\n');
    Ok(())
}

/// Appends a field that is not NULL. Returns whether one of its lines is `\.`.
pub(crate) fn field(out: &mut Vec<u8>, text: &[u8]) -> std::result::Result<bool, &'static str> {
    let classes = classes_of(text);
    if !is_quoted(text, classes)? {
        out.extend_from_slice(text);
        return Ok(false);
    }
    out.push(b'"');
    match classes & QUOTE {
        0 => out.extend_from_slice(text),
        _ => double_quotes(out, text),
    }
    out.push(b'"');
    Ok(match classes & LINE_END {
        0 => text == COPY_LINE,
        _ => has_copy_line(text),
    })
}

/// The classes of all bytes of a text. Nearly all texts have none, which is seen sixteen bytes at a time.
fn classes_of(text: &[u8]) -> u8 {
    let all = |bytes: &[u8]| bytes.iter().fold(0, |classes, byte| classes | class(*byte));
    let (pieces, rest) = text.as_chunks::<16>();
    match pieces.iter().all(|piece| all(piece) == 0) {
        true => all(rest),
        false => all(text),
    }
}

fn is_quoted(text: &[u8], classes: u8) -> std::result::Result<bool, &'static str> {
    if classes & FORBIDDEN != 0 {
        return Err(NUL);
    }
    let blank = |byte: Option<&u8>| byte.is_none_or(|b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c));
    Ok(classes != 0 || blank(text.first()) || blank(text.last()) || text == COPY_LINE)
}

fn double_quotes(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// A list's JSON, in which a NUL byte is an escape that PostgreSQL refuses as well.
fn list_field(out: &mut Vec<u8>, json: &[u8]) -> std::result::Result<bool, &'static str> {
    let escaped = json.windows(6).enumerate().any(|(at, six)| {
        six == b"\\u0000" && json[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    });
    if escaped { Err(NUL) } else { field(out, json) }
}

/// psql 15 ends its input at such a line, quoted or not, and takes `\r\n` for a line's end too.
fn has_copy_line(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .any(|line| line.strip_suffix(b"\r").unwrap_or(line) == COPY_LINE)
}

fn refused(column: &str, number: u64, wrong: &str) -> Failure {
    Failure::new(Code::ValueRefused, format!("row {number} of column `{column}` {wrong}"))
        .column(column)
        .row(format!("row {number} of the batch"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_classes_of_a_text_are_those_of_its_bytes(text in "[a-z,\"\r\n\\x00]{0,3}[a-zäß]{0,40}[a-z,\"\r\n\\x00]{0,3}[a-z]{0,20}") {
            let each = text.bytes().fold(0, |classes, byte| classes | class(byte));
            prop_assert_eq!(classes_of(text.as_bytes()), each);
        }
    }
}
