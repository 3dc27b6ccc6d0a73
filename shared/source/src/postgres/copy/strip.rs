//! Rows that lie whole in received bytes, so that they can be decoded column by column.

/// The tag of a message with rows, its length, and the number of fields.
const MESSAGE_HEAD: usize = 7;
const COPY_DATA: u8 = b'd';

/// Where the fields of some rows are. Each row is a message.
#[derive(Debug, Default)]
pub(super) struct Strip {
    columns: usize,
    /// Start and length of every field, row by row; a negative length is NULL.
    fields: Vec<(u32, i32)>,
    /// Where the first field of each row is.
    starts: Vec<u32>,
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
    /// Takes messages from the front as long as each is whole and holds one row of so many columns. Answers with the bytes
    /// that were taken. What is left is for whoever takes bytes one by one, and knows what is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8], columns: usize, most: Most) -> usize {
        self.columns = columns;
        self.fields.clear();
        self.starts.clear();
        // Places are kept in 32 bits.
        let bytes = &bytes[..bytes.len().min(most.bytes).min(i32::MAX as usize)];
        let mut used = 0;
        while self.starts.len() < most.rows {
            let Some(end) = self.take_row(bytes, used, most.row_bytes) else {
                self.fields.truncate(self.starts.len() * columns);
                break;
            };
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
        if tag != COPY_DATA || body > row_bytes || usize::try_from(fields) != Ok(self.columns) {
            return None;
        }
        let end = from + MESSAGE_HEAD - 2 + body;
        let row = bytes.get(..end)?;
        let start = from + MESSAGE_HEAD;
        let mut at = start;
        for _ in 0..self.columns {
            let length = i32::from_be_bytes(*row.get(at..)?.first_chunk()?);
            at += 4;
            self.fields.push((at as u32, length));
            if length >= 0 {
                at += length as usize;
            } else if length != -1 {
                return None;
            }
        }
        if at != end {
            return None;
        }
        self.starts.push(start as u32);
        Some(end)
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// The values of a column, out of the bytes that the strip was taken from.
    pub(super) fn column<'a>(&'a self, bytes: &'a [u8], column: usize) -> Values<'a> {
        Values {
            bytes,
            fields: self
                .fields
                .get(column..)
                .unwrap_or_default()
                .chunks(self.columns.max(1)),
        }
    }

    /// The fields of a row, from the first one's length on.
    pub(super) fn row<'a>(&self, bytes: &'a [u8], row: usize) -> Option<&'a [u8]> {
        bytes.get(*self.starts.get(row)? as usize..)
    }
}

/// A column's values; NULL is `None`.
#[derive(Clone)]
pub(super) struct Values<'a> {
    bytes: &'a [u8],
    fields: std::slice::Chunks<'a, (u32, i32)>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (start, length) = *self.fields.next()?.first()?;
        let Ok(length) = usize::try_from(length) else {
            return Some(None);
        };
        Some(self.bytes.get(start as usize..start as usize + length))
    }
}
