//! The decoder of a statement's rows: bytes in slices of any size, Arrow record batches out.
//!
//! Pure and synchronous. A row is a count of fields in two bytes; then per field its length in four, -1 for NULL, and its
//! bytes in the column's format.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use sqlextract_model::{Code, ColumnMapping, Failure, KeyColumn, Result, TableName};

use super::column::Column;
use super::oversized::Oversized;
use super::strip::{Most, Strip};
use crate::ReadLimits;
use crate::postgres::wire::Format;

/// The number of a row's fields.
const COUNT_BYTES: usize = 2;
/// Arrow's offsets are 31 bits: a batch with one more row than it should have must stay below.
const LARGEST_BATCH_BYTES: usize = 512 << 20;
const LARGEST_ROW_BYTES: usize = 1 << 30;
/// Of a row that arrives in several slices, so many bytes are kept for its name.
const KEPT_ROW_HEAD: usize = 4096;

/// What a slice led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The slice is used up.
    MoreInput,
    /// A record batch is full: take it, then feed the rest of the slice.
    BatchFull,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Row,
    Length(usize),
    Value {
        field: usize,
        bytes: usize,
    },
    /// An error ended the rows.
    Failed,
}

/// Decodes the rows of one statement after another into record batches of one schema.
#[derive(Debug)]
pub(crate) struct RowDecoder {
    pub(super) table: String,
    pub(super) mappings: Vec<ColumnMapping>,
    columns: Vec<Column>,
    /// Where the columns of the row's key are, with their names.
    pub(super) key: Vec<usize>,
    schema: SchemaRef,
    pub(super) limits: ReadLimits,
    row_fixed_bytes: usize,
    state: State,
    /// The beginning of a piece that the last slice cut off.
    carry: Vec<u8>,
    /// The beginning of the row at hand where its slices are several.
    pub(super) row_head: Vec<u8>,
    pub(super) row_bytes: usize,
    batch_rows: usize,
    batch_variable_bytes: usize,
    pub(super) rows: u64,
    strip: Strip,
}

impl RowDecoder {
    pub(crate) fn new(
        table: &TableName,
        mappings: &[ColumnMapping],
        row_key: &[KeyColumn],
        limits: ReadLimits,
    ) -> Result<Self> {
        let columns: Vec<_> = mappings
            .iter()
            .map(Column::new)
            .collect::<Result<_>>()
            .map_err(|failure| failure.table(table))?;
        let fields: Vec<_> = mappings.iter().map(ColumnMapping::field).collect();
        let key: Option<Vec<_>> = row_key
            .iter()
            .map(|k| mappings.iter().position(|m| m.name == k.name))
            .collect();
        Ok(Self {
            table: table.to_string(),
            mappings: mappings.to_vec(),
            key: key.unwrap_or_default(),
            schema: Arc::new(Schema::new(fields)),
            limits: ReadLimits {
                record_batch_bytes: limits.record_batch_bytes.clamp(1, LARGEST_BATCH_BYTES),
                record_batch_rows: limits.record_batch_rows.max(1),
                row_bytes: limits.row_bytes.min(LARGEST_ROW_BYTES),
                ..limits
            },
            row_fixed_bytes: columns.iter().map(Column::fixed_bytes).sum(),
            columns,
            state: State::Row,
            carry: Vec::new(),
            row_head: Vec::new(),
            row_bytes: 0,
            batch_rows: 0,
            batch_variable_bytes: 0,
            rows: 0,
            strip: Strip::default(),
        })
    }

    /// The format in which the rows must come, column by column.
    pub(crate) fn formats(&self) -> Vec<Format> {
        self.columns.iter().map(Column::format).collect()
    }

    /// Rows decoded so far, of all statements.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Fails within a row.
    pub(crate) fn finish_rows(&self) -> Result<()> {
        match self.state {
            State::Row if self.carry.is_empty() => Ok(()),
            _ => Err(self.malformed("the rows ended within one")),
        }
    }

    /// Rows that were decoded and not taken yet, unless there are none.
    pub(crate) fn take_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.batch_rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.batch_rows));
        self.batch_rows = 0;
        self.batch_variable_bytes = 0;
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map(Some)
            .map_err(|error| Failure::new(Code::Defect, "decoded columns make no record batch").because(error))
    }

    /// Decodes from the front of `input` and leaves there what follows a full batch.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Progress> {
        // The row at hand as far as it lies in this slice, to find its key when a field is refused.
        let mut row: Option<&[u8]> = None;
        let result = self.advance(input, &mut row);
        if result.is_err() {
            self.state = State::Failed;
        } else if let (State::Length(_) | State::Value { .. }, Some(row)) = (self.state, row) {
            self.row_head.clear();
            self.row_head.extend_from_slice(&row[..row.len().min(KEPT_ROW_HEAD)]);
        }
        result
    }

    /// Decodes messages of one row each from the front of what was received, column by column, as long as they are whole
    /// and not large. Answers with the bytes that were used; the rest is for [`RowDecoder::feed`].
    pub(crate) fn feed_messages(&mut self, received: &[u8]) -> Result<(usize, Progress)> {
        if !matches!(self.state, State::Row) || !self.carry.is_empty() {
            return Ok((0, Progress::MoreInput));
        }
        let mut strip = std::mem::take(&mut self.strip);
        let fed = self.feed_strips(&mut strip, received);
        self.strip = strip;
        fed
    }

    fn feed_strips(&mut self, strip: &mut Strip, received: &[u8]) -> Result<(usize, Progress)> {
        let mut used = 0;
        loop {
            let most = Most {
                rows: self.limits.record_batch_rows.saturating_sub(self.batch_rows),
                bytes: self.limits.record_batch_bytes.saturating_sub(self.batch_bytes()),
                row_bytes: self.limits.row_bytes.min(self.limits.alone_bytes),
            };
            let rest = &received[used..];
            let taken = strip.take(rest, self.columns.len(), most);
            used += taken;
            let progress = self.append_strip(strip, rest)?;
            if taken == 0 || progress == Progress::BatchFull {
                return Ok((used, progress));
            }
        }
    }

    fn append_strip(&mut self, strip: &Strip, received: &[u8]) -> Result<Progress> {
        for field in 0..self.columns.len() {
            let column = &mut self.columns[field];
            let values = strip.column(received, field);
            if column.is_variable() {
                self.batch_variable_bytes += values.total_bytes();
            }
            if let Err((place, misfit)) = column.append_all(values) {
                self.state = State::Failed;
                self.rows += place as u64;
                return Err(self.misfit(misfit, field, strip.row(received, place)));
            }
        }
        self.rows += strip.rows() as u64;
        self.batch_rows += strip.rows();
        Ok(self.fullness())
    }

    fn batch_bytes(&self) -> usize {
        self.batch_rows * self.row_fixed_bytes + self.batch_variable_bytes
    }

    fn fullness(&self) -> Progress {
        let full = self.batch_rows >= self.limits.record_batch_rows;
        match full || self.batch_bytes() >= self.limits.record_batch_bytes {
            true => Progress::BatchFull,
            false => Progress::MoreInput,
        }
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8], row: &mut Option<&'a [u8]>) -> Result<Progress> {
        loop {
            match self.state {
                State::Row => {
                    let whole = self.carry.is_empty();
                    let Some(count) = self.take::<COUNT_BYTES>(input) else {
                        return Ok(Progress::MoreInput);
                    };
                    *row = whole.then_some(*input);
                    self.row_head.clear();
                    self.begin_row(i16::from_be_bytes(count))?;
                }
                State::Length(field) if field == self.columns.len() => {
                    if self.end_row() {
                        return Ok(Progress::BatchFull);
                    }
                }
                State::Length(field) => {
                    if self.carry.is_empty() {
                        self.fields(field, input, *row)?;
                    }
                    if !self.length(input, *row)? {
                        return Ok(Progress::MoreInput);
                    }
                }
                State::Value { field, bytes } => {
                    if !self.value(field, bytes, input)? {
                        return Ok(Progress::MoreInput);
                    }
                }
                State::Failed => return Err(self.malformed("the rows have failed already")),
            }
        }
    }

    /// Decodes the fields that lie whole in the slice: the path that nearly all rows take.
    fn fields(&mut self, first: usize, input: &mut &[u8], row: Option<&[u8]>) -> Result<()> {
        let mut field = first;
        while field < self.columns.len() {
            let Some((length, rest)) = input.split_first_chunk::<4>() else {
                break;
            };
            let column = &mut self.columns[field];
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                column.append_null();
                *input = rest;
                field += 1;
                continue;
            }
            let Ok(bytes) = usize::try_from(length) else { break };
            if bytes > rest.len() || bytes > self.limits.row_bytes.saturating_sub(self.row_bytes) {
                break;
            }
            let (value, rest) = rest.split_at(bytes);
            if column.is_variable() {
                self.batch_variable_bytes += bytes;
            }
            if let Err(misfit) = column.append(value) {
                return Err(self.misfit(misfit, field, row));
            }
            self.row_bytes += bytes;
            *input = rest;
            field += 1;
        }
        self.state = State::Length(field);
        Ok(())
    }

    /// Takes the length of a field that is not whole in its slice, too large, or wrong.
    fn length(&mut self, input: &mut &[u8], row: Option<&[u8]>) -> Result<bool> {
        let State::Length(field) = self.state else {
            return Ok(true);
        };
        if field == self.columns.len() {
            return Ok(true);
        }
        let Some(length) = self.take::<4>(input) else {
            return Ok(false);
        };
        let length = i32::from_be_bytes(length);
        if length == -1 {
            self.columns[field].append_null();
            self.state = State::Length(field + 1);
            return Ok(true);
        }
        let bytes = usize::try_from(length).map_err(|_| self.malformed("a field has a negative length"))?;
        self.row_bytes = self.row_bytes.saturating_add(bytes);
        if self.row_bytes > self.limits.row_bytes {
            return Err(self.too_large(field, row));
        }
        self.state = State::Value { field, bytes };
        Ok(true)
    }

    /// Gathers a field that came in several slices.
    fn value(&mut self, field: usize, bytes: usize, input: &mut &[u8]) -> Result<bool> {
        if !self.gather(bytes, input) {
            return Ok(false);
        }
        let column = &mut self.columns[field];
        if column.is_variable() {
            self.batch_variable_bytes += bytes;
        }
        let appended = column.append(&self.carry);
        self.carry.clear();
        if self.carry.capacity() > 1 << 20 {
            self.carry = Vec::new();
        }
        appended.map_err(|misfit| self.misfit(misfit, field, None))?;
        self.state = State::Length(field + 1);
        Ok(true)
    }

    /// Moves bytes into the carry until it holds `bytes`.
    fn gather(&mut self, bytes: usize, input: &mut &[u8]) -> bool {
        let missing = bytes.saturating_sub(self.carry.len());
        if self.carry.is_empty() && missing <= self.limits.row_bytes {
            self.carry.reserve_exact(missing);
        }
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.carry.extend_from_slice(taken);
        *input = rest;
        taken.len() == missing
    }

    fn take<const N: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        if self.carry.is_empty()
            && let Some((taken, rest)) = input.split_first_chunk::<N>()
        {
            *input = rest;
            return Some(*taken);
        }
        if !self.gather(N, input) {
            return None;
        }
        let taken = self.carry.as_slice().try_into().ok();
        self.carry.clear();
        taken
    }

    fn begin_row(&mut self, fields: i16) -> Result<()> {
        self.row_bytes = 0;
        if usize::try_from(fields) != Ok(self.columns.len()) {
            return Err(self.malformed("a row has not as many fields as were asked for"));
        }
        self.state = State::Length(0);
        Ok(())
    }

    /// Whether the batch is full now.
    fn end_row(&mut self) -> bool {
        self.state = State::Row;
        self.rows += 1;
        self.batch_rows += 1;
        self.fullness() == Progress::BatchFull
    }

    /// Bytes of a row that are not of its values.
    pub(crate) fn bytes_beside_values(&self) -> usize {
        COUNT_BYTES + 4 * self.columns.len()
    }

    /// For the bytes of the next row, which is not to be decoded.
    pub(crate) fn oversized(&self) -> Oversized {
        Oversized::new(COUNT_BYTES)
    }
}
