//! CSV chunks read back: a strict reader of the project's own dialect.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::{Buf, Bytes};
use flate2::bufread::GzDecoder;
use sqlextract_model::{Code, ColumnMapping, Compression, Failure, Result};

use crate::decode::{BATCH_BYTES, BATCH_ROWS};
use crate::parse::ColumnBuilder;

/// No longer record is read: the databases' own limit for a value is near, and Arrow's offsets end at twice this.
const RECORD_BYTES: usize = 1 << 30;

/// Bytes that mean something in a field; all others are its text.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    stops[0] = true;
    stops[b',' as usize] = true;
    stops[b'"' as usize] = true;
    stops[b'\r' as usize] = true;
    stops[b'\n' as usize] = true;
    stops
};

pub(crate) struct CsvReader {
    records: Records,
    columns: Vec<(String, ColumnBuilder)>,
    schema: SchemaRef,
}

impl CsvReader {
    pub(crate) fn new(compression: Compression, mappings: &[ColumnMapping], bytes: Bytes) -> Result<Self> {
        let mut records = Records::new(open(compression, bytes)?);
        if !records.next()? {
            return Err(corrupt(1, "the header is missing"));
        }
        let names: Vec<Option<&[u8]>> = records.fields().collect();
        let expected: Vec<Option<&[u8]>> = mappings.iter().map(|m| Some(m.name.as_bytes())).collect();
        if names != expected {
            return Err(corrupt(1, "the header does not name the columns of the plan"));
        }
        Ok(Self {
            records,
            columns: mappings
                .iter()
                .map(|m| (m.name.clone(), ColumnBuilder::new(&m.chunk)))
                .collect(),
            schema: Arc::new(Schema::new(
                mappings.iter().map(ColumnMapping::field).collect::<Vec<_>>(),
            )),
        })
    }

    pub(crate) fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.read_batch().transpose()
    }

    fn read_batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.records.next()? {
            let line = self.records.line_of_record;
            if self.records.ends.len() != self.columns.len() {
                let message = format!(
                    "{} fields where there are {}",
                    self.records.ends.len(),
                    self.columns.len()
                );
                return Err(corrupt(line, &message));
            }
            for ((name, column), field) in self.columns.iter_mut().zip(self.records.fields()) {
                column
                    .push(field)
                    .map_err(|wrong| corrupt(line, &format!("column `{name}` {wrong}")).column(name.clone()))?;
            }
            rows += 1;
            bytes += self.records.data.len();
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = self
            .columns
            .iter_mut()
            .map(|(_, column)| column.finish())
            .collect::<std::result::Result<_, _>>();
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays));
        batch
            .map(Some)
            .map_err(|error| corrupt(self.records.line, "the rows make no record batch").because(error))
    }
}

fn open(compression: Compression, bytes: Bytes) -> Result<Box<dyn BufRead + Send>> {
    match compression {
        Compression::Gzip => Ok(Box::new(BufReader::with_capacity(
            64 << 10,
            Whole::new(GzDecoder::new(bytes.reader()), |decoder| {
                decoder.get_ref().get_ref().len()
            }),
        ))),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes.reader())
                .map_err(|error| corrupt(1, "zstd cannot begin").because(error))?
                .single_frame();
            let decoder = Whole::new(decoder, |decoder| decoder.get_ref().get_ref().len());
            Ok(Box::new(BufReader::with_capacity(64 << 10, decoder)))
        }
        _ => Ok(Box::new(bytes.reader())),
    }
}

/// A decompressor whose input must be used up when its output ends: a chunk has one stream and nothing behind it.
struct Whole<D, F> {
    decoder: D,
    left: F,
}

impl<D: Read, F: Fn(&D) -> usize> Whole<D, F> {
    fn new(decoder: D, left: F) -> Self {
        Self { decoder, left }
    }
}

impl<D: Read, F: Fn(&D) -> usize> Read for Whole<D, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        match (self.left)(&self.decoder) {
            left if read == 0 && !buffer.is_empty() && left > 0 => Err(std::io::Error::other(format!(
                "{left} bytes follow the compressed stream"
            ))),
            _ => Ok(read),
        }
    }
}

/// Records, one at a time.
struct Records {
    input: Box<dyn BufRead + Send>,
    /// The fields' text, without quotes, one after the other.
    data: Vec<u8>,
    /// Where each field ends in `data`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// Lines of the file that were read, and the one that the record begins in.
    line: u64,
    line_of_record: u64,
}

/// Where the reader stands in a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Bare,
    Quoted,
    /// Behind a quote inside of a quoted field: its end, or half of a doubled quote.
    Quote,
}

impl Records {
    fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            data: Vec::new(),
            ends: Vec::new(),
            line: 0,
            line_of_record: 1,
        }
    }

    /// The fields of the record; `None` for NULL.
    fn fields(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, quoted))| {
            let text = &self.data[start..*end];
            (*quoted || !text.is_empty()).then_some(text)
        })
    }

    /// Reads the next record; `false` at the end.
    fn next(&mut self) -> Result<bool> {
        self.data.clear();
        self.ends.clear();
        self.line_of_record = self.line + 1;
        let mut at = At::Start;
        loop {
            let line = self.line + 1;
            let input = self
                .input
                .fill_buf()
                .map_err(|error| corrupt(line, "cannot be read on").because(error))?;
            if input.is_empty() {
                let nothing = at == At::Start && self.ends.is_empty();
                return if nothing {
                    Ok(false)
                } else {
                    Err(corrupt(line, "the file ends inside of a record"))
                };
            }
            let mut taken = 0;
            let mut ended = false;
            while taken < input.len() && !ended {
                if matches!(at, At::Bare | At::Quoted) {
                    let rest = &input[taken..];
                    let run = rest
                        .iter()
                        .position(|byte| STOPS[usize::from(*byte)])
                        .unwrap_or(rest.len());
                    self.data.extend_from_slice(&rest[..run]);
                    taken += run;
                }
                let Some(byte) = input.get(taken) else { break };
                taken += 1;
                at = step(at, *byte, &mut self.data, &mut self.ends).map_err(|wrong| corrupt(self.line + 1, wrong))?;
                if *byte == b'\n' {
                    self.line += 1;
                    ended = at == At::Start;
                }
            }
            self.input.consume(taken);
            if ended {
                return Ok(true);
            }
            if self.data.len() > RECORD_BYTES {
                return Err(corrupt(
                    self.line_of_record,
                    "the record is longer than any that is written",
                ));
            }
        }
    }
}

/// Takes one byte. The state is [`At::Start`] again when a field or a record has ended.
fn step(at: At, byte: u8, data: &mut Vec<u8>, ends: &mut Vec<(usize, bool)>) -> std::result::Result<At, &'static str> {
    match (at, byte) {
        (_, 0) => Err("a NUL byte"),
        (At::Start, b'"') => Ok(At::Quoted),
        (At::Quoted, b'"') => Ok(At::Quote),
        (At::Quote, b'"') | (At::Quoted, _) => {
            data.push(byte);
            Ok(At::Quoted)
        }
        (At::Start | At::Bare | At::Quote, b',' | b'\n') => {
            ends.push((data.len(), at == At::Quote));
            Ok(At::Start)
        }
        (At::Quote, _) => Err("text behind a closing quote"),
        (At::Bare, b'"') => Err("a quote in an unquoted field"),
        (_, b'\r') => Err("an unquoted carriage return"),
        (At::Start | At::Bare, _) => {
            data.push(byte);
            Ok(At::Bare)
        }
    }
}

fn corrupt(line: u64, wrong: &str) -> Failure {
    let message = format!("a CSV chunk cannot be read as what was written: line {line}: {wrong}");
    Failure::new(Code::StorageCorrupt, message).row(format!("line {line}"))
}
