//! The cells of a row of the binary protocol, where they lie. Pure and synchronous.

use std::io;
use std::ops::Range;

use super::answers::{Announced, Front, Kind};
use super::packets::malformed;

/// NULL, in the place of a cell's start.
const NULL: u32 = u32::MAX;
const PACKET_HEADER_BYTES: u64 = 4;

/// Where the cells of some rows are, all of which lie in the same bytes.
pub(super) struct Layout {
    kinds: Vec<Kind>,
    /// Start and end of each cell, row by row.
    cells: Vec<(u32, u32)>,
    wire_bytes: u64,
}

/// Some rows, where they were received.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    bytes: &'a [u8],
    cells: &'a [(u32, u32)],
    columns: usize,
    wire_bytes: u64,
}

/// A row of a strip.
#[derive(Clone, Copy)]
pub(crate) struct WireRow<'a> {
    bytes: &'a [u8],
    cells: &'a [(u32, u32)],
}

impl Layout {
    pub(super) fn new(columns: &[Announced]) -> Self {
        Self {
            kinds: columns.iter().map(|column| column.kind).collect(),
            cells: Vec::new(),
            wire_bytes: 0,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.cells.len() / self.kinds.len().max(1)
    }

    /// Whether there may be one more row.
    pub(super) fn has_room(&self, most_rows: usize, most_bytes: usize) -> bool {
        self.cells.is_empty() || (self.rows() < most_rows && self.wire_bytes < most_bytes as u64)
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.wire_bytes = 0;
    }

    /// Adds the row of a packet whose body lies at `place` in `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8], place: Range<usize>) -> io::Result<()> {
        let body = bytes.get(place.clone()).unwrap_or_default();
        if u32::try_from(place.end).is_err() {
            return Err(malformed("a row is longer than 4 GiB"));
        }
        let mut front = Front(body);
        if front.u8()? != 0 {
            return Err(malformed("a packet in the place of a row is none"));
        }
        // The first two bits are not used.
        let nulls = front.bytes((self.kinds.len() + 9) / 8)?;
        for (i, kind) in self.kinds.iter().enumerate() {
            let bit = i + 2;
            if nulls[bit / 8] & (1 << (bit % 8)) != 0 {
                self.cells.push((NULL, NULL));
                continue;
            }
            let length = match kind {
                Kind::Integer(bytes) => usize::from(*bytes),
                Kind::Year => 2,
                Kind::Float => 4,
                Kind::Double => 8,
                // The byte with the length is the value's own: it tells which parts are there.
                Kind::Date | Kind::Time | Kind::DateTime | Kind::Timestamp => {
                    1 + usize::from(*front.0.first().ok_or_else(|| malformed("a row ends too early"))?)
                }
                Kind::Null => return Err(malformed("a value of the type of NULL is not NULL")),
                _ => front.length()?,
            };
            let start = place.end - front.0.len();
            front.bytes(length)?;
            self.cells.push((start as u32, (start + length) as u32));
        }
        if !front.0.is_empty() {
            return Err(malformed("a row goes on behind its last cell"));
        }
        self.wire_bytes += PACKET_HEADER_BYTES + body.len() as u64;
        Ok(())
    }

    pub(super) fn strip<'a>(&'a self, bytes: &'a [u8]) -> Strip<'a> {
        Strip {
            bytes,
            cells: &self.cells,
            columns: self.kinds.len(),
            wire_bytes: self.wire_bytes,
        }
    }
}

impl<'a> Strip<'a> {
    pub(crate) fn rows(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    pub(crate) fn row(&self, index: usize) -> WireRow<'a> {
        let cells = self.cells.chunks(self.columns.max(1)).nth(index);
        WireRow {
            bytes: self.bytes,
            cells: cells.unwrap_or_default(),
        }
    }

    /// The cells of a column; NULL is `None`.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = Option<&'a [u8]>> + Clone + use<'a> {
        let bytes = self.bytes;
        let rows = self.cells.get(column..).unwrap_or_default();
        let cells = rows.iter().step_by(self.columns.max(1));
        cells.map(move |(start, end)| bytes.get(*start as usize..*end as usize))
    }

    /// Bytes that the rows took on the wire.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }
}

impl<'a> WireRow<'a> {
    /// A cell's bytes; `None` for NULL, and where the row has no such cell.
    pub(crate) fn cell(&self, index: usize) -> Option<&'a [u8]> {
        let (start, end) = *self.cells.get(index)?;
        self.bytes.get(start as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(kinds: &[Kind]) -> Layout {
        Layout {
            kinds: kinds.to_vec(),
            cells: Vec::new(),
            wire_bytes: 0,
        }
    }

    #[test]
    fn cells_lie_where_their_columns_put_them() {
        let mut layout = layout(&[
            Kind::Integer(4),
            Kind::Text,
            Kind::Null,
            Kind::Date,
            Kind::Text,
            Kind::Integer(1),
        ]);
        // The third and the fifth are NULL: bits 4 and 6.
        let first = [0, 0b0101_0000, 1, 2, 3, 4, 2, b'h', b'i', 4, 0xe9, 7, 12, 31, 9];
        // All but the first are NULL.
        let second = [0, 0b1111_1000, 5, 6, 7, 8];
        let bytes = [b"head".as_slice(), &first, b"head", &second].concat();
        layout.push(&bytes, 4..19).unwrap();
        layout.push(&bytes, 23..29).unwrap();
        let strip = layout.strip(&bytes);
        let cells: Vec<_> = (0..7).map(|i| strip.row(0).cell(i)).collect();
        let expected: [Option<&[u8]>; 7] = [
            Some(&[1, 2, 3, 4]),
            Some(b"hi"),
            None,
            Some(&[4, 0xe9, 7, 12, 31]),
            None,
            Some(&[9]),
            None,
        ];
        assert_eq!(cells, expected);
        let column = |i| strip.column(i).collect::<Vec<_>>();
        assert_eq!(column(0), [Some([1, 2, 3, 4].as_slice()), Some(&[5, 6, 7, 8])]);
        assert_eq!(column(5), [Some([9].as_slice()), None]);
        assert_eq!((strip.rows(), strip.wire_bytes()), (2, 29));
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let cases: [&[u8]; 5] = [&[], &[1, 0, 0], &[0], &[0, 0, 3, b'a'], &[0, 0, 1, b'a', 9]];
        for body in cases {
            assert!(layout(&[Kind::Text]).push(body, 0..body.len()).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 1..60)) {
            let mut layout = layout(&[Kind::Text, Kind::Date, Kind::Integer(8), Kind::Bit, Kind::Double]);
            if layout.push(&body, 0..body.len()).is_ok() {
                let row = layout.strip(&body).row(0);
                prop_assert!((0..5).filter_map(|i| row.cell(i)).map(<[u8]>::len).sum::<usize>() < body.len());
            }
        }
    }
}
