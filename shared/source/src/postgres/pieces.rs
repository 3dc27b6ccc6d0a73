//! Large rows that arrive in pieces: gathered, and decoded as if they had come whole. Pure and synchronous.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use sqlextract_model::{Cast, ChunkType, Code, ColumnMapping, Failure, Result, Wire};

use super::copy::{CopyDecoder, Progress, STREAM_HEAD};

/// What a piece led to.
#[derive(Debug, PartialEq)]
pub(crate) enum Gathered {
    /// A row of so many bytes begins. Nothing of it was kept yet: admit it, then add the piece again.
    Begins(usize),
    Part,
    Whole(RecordBatch),
    /// The row has more bytes than a row may have.
    TooLarge,
}

/// Gathers one row after the other.
#[derive(Debug)]
pub(crate) struct Pieces {
    table: String,
    decoder: CopyDecoder,
    columns: usize,
    row_bytes: usize,
    open: Option<OpenRow>,
}

#[derive(Debug)]
struct OpenRow {
    bytes: usize,
    pieces: i32,
    record: Vec<u8>,
    name: Option<String>,
}

/// The columns of the statement that sends pieces.
pub(crate) fn columns() -> Vec<ColumnMapping> {
    let column = |name: &str, wire, chunk| ColumnMapping {
        name: name.to_owned(),
        declared: String::new(),
        nullable: true,
        cast: Cast::None,
        wire,
        chunk,
        lossy: None,
        length: None,
    };
    vec![
        column("piece", Wire::Int { bytes: 4 }, ChunkType::Int32),
        column("bytes", Wire::Int { bytes: 4 }, ChunkType::Int32),
        column("body", Wire::Bytes, ChunkType::Binary),
        column("name", Wire::Text, ChunkType::Text),
        column("lengths", Wire::Text, ChunkType::Text),
    ]
}

/// A row of the statement that sends pieces.
pub(crate) struct Piece<'a> {
    pub(crate) number: i32,
    /// Of the whole row.
    pub(crate) bytes: Option<i32>,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) name: Option<&'a str>,
    pub(crate) lengths: Option<&'a str>,
}

impl<'a> Piece<'a> {
    /// Of a record batch with the columns of [`columns`].
    pub(crate) fn of(batch: &'a RecordBatch, row: usize) -> Self {
        let integer = |at: usize| {
            let integers = batch.column(at).as_primitive::<Int32Type>();
            batch.column(at).is_valid(row).then(|| integers.value(row))
        };
        let text = |at: usize| {
            let texts = batch.column(at).as_string::<i32>();
            batch.column(at).is_valid(row).then(|| texts.value(row))
        };
        let bodies = batch.column(2).as_binary::<i32>();
        Self {
            number: integer(0).unwrap_or(-1),
            bytes: integer(1),
            body: batch.column(2).is_valid(row).then(|| bodies.value(row)),
            name: text(3),
            lengths: text(4),
        }
    }
}

impl Pieces {
    /// `decoder` is fresh and makes batches of one row.
    pub(crate) fn new(table: String, mut decoder: CopyDecoder, columns: usize, row_bytes: usize) -> Result<Self> {
        decoder.feed(&mut STREAM_HEAD.as_slice())?;
        Ok(Self {
            table,
            decoder,
            columns,
            row_bytes,
            open: None,
        })
    }

    /// Rows that are whole.
    pub(crate) fn rows(&self) -> u64 {
        self.decoder.rows()
    }

    /// Fails unless the last row came to its end.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.open {
            None => Ok(()),
            Some(_) => Err(self.malformed("a large row ended before its last piece")),
        }
    }

    /// Makes room for the row that begins with this piece.
    pub(crate) fn admit(&mut self, bytes: usize, piece: &Piece<'_>) {
        self.open = Some(OpenRow {
            bytes,
            pieces: 0,
            record: Vec::with_capacity(bytes),
            name: piece.name.map(str::to_owned),
        });
    }

    pub(crate) fn add(&mut self, piece: &Piece<'_>) -> Result<Gathered> {
        let bytes = piece.bytes.map(|bytes| usize::try_from(bytes).unwrap_or(0));
        let Some(open) = &mut self.open else {
            return match bytes {
                _ if piece.number != 0 => Err(self.malformed("a large row does not begin with its first piece")),
                None => Ok(Gathered::TooLarge),
                Some(bytes) if bytes > self.row_bytes => Ok(Gathered::TooLarge),
                Some(bytes) => Ok(Gathered::Begins(bytes)),
            };
        };
        let body = piece.body.unwrap_or_default();
        let fits = open.record.len() + body.len() <= open.bytes;
        if piece.number != open.pieces || bytes != Some(open.bytes) || body.is_empty() || !fits {
            return Err(self.malformed("the pieces of a large row do not follow each other"));
        }
        open.pieces += 1;
        open.record.extend_from_slice(body);
        if open.record.len() < open.bytes {
            return Ok(Gathered::Part);
        }
        let Some(row) = self.open.take() else {
            return Ok(Gathered::Part);
        };
        let decoded = self.decode(&row.record);
        decoded.map(Gathered::Whole).map_err(|failure| match row.name {
            Some(name) => Failure {
                row: Some(name),
                ..failure
            },
            None => failure,
        })
    }

    /// Decodes a row as `record_send` makes it: the number of fields in four bytes; per field the type in four, then as
    /// COPY has it the length in four, -1 for NULL, and the bytes.
    fn decode(&mut self, record: &[u8]) -> Result<RecordBatch> {
        let cut = "a large row is not put together as expected";
        let (count, mut rest) = record.split_first_chunk::<4>().ok_or_else(|| self.malformed(cut))?;
        let fields = usize::try_from(i32::from_be_bytes(*count)).unwrap_or(usize::MAX);
        if fields != self.columns {
            return Err(self.malformed(cut));
        }
        let short = u16::try_from(fields).map_err(|_| self.malformed(cut))?;
        let mut progress = self.decoder.feed(&mut short.to_be_bytes().as_slice())?;
        for _ in 0..fields {
            let field = rest.get(4..).ok_or_else(|| self.malformed(cut))?;
            let (length, value) = field.split_first_chunk::<4>().ok_or_else(|| self.malformed(cut))?;
            let bytes = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let (mut field, after) = match value.len() < bytes {
                true => return Err(self.malformed(cut)),
                false => field.split_at(4 + bytes),
            };
            progress = self.decoder.feed(&mut field)?;
            rest = after;
        }
        if progress != Progress::BatchFull || !rest.is_empty() {
            return Err(self.malformed(cut));
        }
        self.decoder.take_batch()?.ok_or_else(|| self.malformed(cut))
    }

    fn malformed(&self, reason: &str) -> Failure {
        Failure::new(Code::SourceProtocol, format!("{}: {reason}", self.table)).table(&self.table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlextract_model::TableName;

    use super::*;
    use crate::ReadLimits;

    fn decoder(columns: &[ColumnMapping]) -> CopyDecoder {
        let limits = ReadLimits {
            record_batch_bytes: 1 << 20,
            record_batch_rows: 1,
            alone_bytes: 1,
            row_bytes: 1 << 20,
        };
        CopyDecoder::new(&TableName::new("public", "t"), columns, &[], limits).unwrap()
    }

    /// Three columns: of a row, its piece's number, its bytes, its body.
    fn subject() -> Pieces {
        let columns = &columns()[..3];
        Pieces::new("public.t".to_owned(), decoder(columns), 3, 1 << 20).unwrap()
    }

    /// As `record_send` writes it.
    fn record(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = (fields.len() as i32).to_be_bytes().to_vec();
        for field in fields {
            bytes.extend(25_i32.to_be_bytes());
            bytes.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            bytes.extend_from_slice(field.unwrap_or_default());
        }
        bytes
    }

    fn piece(number: i32, bytes: usize, body: &[u8]) -> Piece<'_> {
        Piece {
            number,
            bytes: i32::try_from(bytes).ok(),
            body: Some(body),
            name: Some("id=7"),
            lengths: None,
        }
    }

    /// Adds a record in pieces of a size.
    fn add(pieces: &mut Pieces, record: &[u8], size: usize) -> Result<Gathered> {
        let mut last = Gathered::Part;
        for (number, body) in record.chunks(size).enumerate() {
            let piece = piece(number as i32, record.len(), body);
            last = pieces.add(&piece)?;
            if let Gathered::Begins(bytes) = last {
                pieces.admit(bytes, &piece);
                last = pieces.add(&piece)?;
            }
        }
        Ok(last)
    }

    #[test]
    fn rows_come_out_as_they_were_whatever_the_pieces() {
        for size in [1, 3, 10, 1000] {
            let mut pieces = subject();
            for number in 0..3_i32 {
                let body = vec![b'x'; 100];
                let row = record(&[Some(&number.to_be_bytes()), None, Some(&body)]);
                let Gathered::Whole(batch) = add(&mut pieces, &row, size).unwrap() else {
                    panic!("the row is whole");
                };
                assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(0), number);
                assert!(batch.column(1).is_null(0));
                assert_eq!(batch.column(2).as_binary::<i32>().value(0), body);
            }
            assert_eq!(pieces.rows(), 3);
            pieces.finish().unwrap();
        }
    }

    #[test]
    fn pieces_that_do_not_follow_each_other_are_refused() {
        let row = record(&[None, None, Some(&[1; 100])]);
        let first = piece(0, row.len(), &row[..50]);
        let wrong = [
            piece(0, row.len(), &row[50..]),
            piece(2, row.len(), &row[50..]),
            piece(1, row.len() + 1, &row[50..]),
            piece(1, row.len(), &row),
            piece(1, row.len(), b""),
        ];
        for second in wrong {
            let mut pieces = subject();
            pieces.admit(row.len(), &first);
            assert_eq!(pieces.add(&first).unwrap(), Gathered::Part);
            assert_eq!(pieces.finish().unwrap_err().code, Code::SourceProtocol);
            assert_eq!(pieces.add(&second).unwrap_err().code, Code::SourceProtocol);
        }
        assert_eq!(
            subject().add(&piece(1, 10, b"x")).unwrap_err().code,
            Code::SourceProtocol
        );
    }

    #[test]
    fn a_row_beyond_the_limit_is_told_before_it_is_gathered() {
        let unsent = Piece {
            bytes: None,
            body: None,
            ..piece(0, 0, b"")
        };
        assert_eq!(subject().add(&unsent).unwrap(), Gathered::TooLarge);
        assert_eq!(subject().add(&piece(0, 1 << 21, b"x")).unwrap(), Gathered::TooLarge);
    }

    #[test]
    fn a_refused_value_is_named_by_the_row_of_its_first_piece() {
        let row = record(&[Some(b"three"), None, None]);
        let failure = add(&mut subject(), &row, 4).unwrap_err();
        assert_eq!(failure.row.as_deref(), Some("id=7"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_are_a_row_or_a_failure(
            bytes in proptest::collection::vec(any::<u8>(), 4..200),
            fields in prop_oneof![Just(3_i32), any::<i32>()],
            size in 1_usize..50,
        ) {
            let mut row = bytes;
            row[..4].copy_from_slice(&fields.to_be_bytes());
            let mut pieces = subject();
            if let Err(failure) = add(&mut pieces, &row, size) {
                prop_assert_eq!(failure.code, Code::SourceProtocol);
            }
        }

        #[test]
        fn a_row_with_a_byte_changed_is_a_row_or_a_failure(at in 0_usize..136, to in any::<u8>()) {
            let mut row = record(&[Some(&7_i32.to_be_bytes()), None, Some(&[b'x'; 100])]);
            let at = at % row.len();
            row[at] = to;
            if let Err(failure) = add(&mut subject(), &row, 64) {
                prop_assert_eq!(failure.code, Code::SourceProtocol);
            }
        }
    }
}
