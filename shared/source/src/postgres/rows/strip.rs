//! Rows that lie whole in received bytes, so that they can be decoded column by column.

use crate::places::{Places, ROWS_AT_ONCE};

/// The tag of a row's message, its length, and the number of fields.
const MESSAGE_HEAD: usize = 7;
const DATA_ROW: u8 = b'D';

/// Where the fields of some rows are. Each row is a message.
#[derive(Debug, Default)]
pub(super) struct Strip {
    columns: Vec<Fields>,
    rows: usize,
}

/// Where the fields of one column are, row by row.
#[derive(Debug, Clone)]
struct Fields {
    starts: [u32; ROWS_AT_ONCE],
    lengths: [i32; ROWS_AT_ONCE],
}

/// How much of the bytes may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) rows: usize,
    /// Of all rows.
    pub(super) bytes: usize,
    /// Of one row.
    pub(super) row_bytes: usize,
}

impl Strip {
    /// Takes messages from the front as long as each is whole and holds one row of so many columns, at most
    /// [`ROWS_AT_ONCE`]. Answers with the bytes that were taken. What is left is for whoever takes bytes one by one, and
    /// knows what is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8], columns: usize, most: Most) -> usize {
        let none = Fields {
            starts: [0; ROWS_AT_ONCE],
            lengths: [0; ROWS_AT_ONCE],
        };
        self.columns.resize(columns, none);
        self.rows = 0;
        // Places are kept in 32 bits.
        let bytes = &bytes[..bytes.len().min(most.bytes).min(i32::MAX as usize)];
        let mut used = 0;
        while self.rows < most.rows.min(ROWS_AT_ONCE) {
            let Some(end) = self.take_row(bytes, used, most.row_bytes) else {
                break;
            };
            self.rows += 1;
            used = end;
        }
        used
    }

    /// The end of the message that begins at `from`, if all of it is a row.
    fn take_row(&mut self, bytes: &[u8], from: usize, row_bytes: usize) -> Option<usize> {
        let head: &[u8; MESSAGE_HEAD] = bytes.get(from..)?.first_chunk()?;
        let [tag, a, b, c, d, e, f] = *head;
        let body = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4)?;
        let fields = i16::from_be_bytes([e, f]);
        if tag != DATA_ROW || body > row_bytes || usize::try_from(fields) != Ok(self.columns.len()) {
            return None;
        }
        let end = from + MESSAGE_HEAD - 2 + body;
        let row = bytes.get(..end)?;
        let mut at = from + MESSAGE_HEAD;
        for column in &mut self.columns {
            let length = i32::from_be_bytes(*row.get(at..)?.first_chunk()?);
            at += 4;
            column.starts[self.rows] = at as u32;
            column.lengths[self.rows] = length;
            if length >= 0 {
                at += length as usize;
            } else if length != -1 {
                return None;
            }
        }
        (at == end).then_some(end)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The values of a column, out of the bytes that the strip was taken from.
    pub(super) fn column<'a>(&'a self, bytes: &'a [u8], column: usize) -> Places<'a> {
        let fields = &self.columns[column];
        Places::new(bytes, &fields.starts[..self.rows], &fields.lengths[..self.rows])
    }

    /// The fields of a row, from the first one's length on.
    pub(super) fn row<'a>(&self, bytes: &'a [u8], row: usize) -> Option<&'a [u8]> {
        let first = *self.columns.first()?.starts.get(row)? as usize;
        bytes.get(first - 4..)
    }
}
