//! From cells to the pending record batch, as far as a row's size and its values allow.

use sqlextract_model::{Code, Failure, Result};

use super::decode::Refusal;
use super::pending::Pending;
use super::reader::Reader;
use super::selected::Selected;
use super::wire::{Strip, WireRow};
use crate::ReadSummary;

/// What a row of the first statement is.
pub(super) enum Size {
    Bytes(usize),
    LeftOut(usize),
}

impl Reader {
    /// Decodes rows column by column. None is left out, and none is large.
    pub(super) fn decode_strip(
        &self,
        strip: &Strip<'_>,
        pending: &mut Pending,
        summary: &mut ReadSummary,
    ) -> Result<()> {
        let position = summary.rows;
        for (i, decoder) in pending.decoders.iter_mut().enumerate() {
            let cells = strip.column(i);
            if decoder.is_variable() {
                pending.bytes += cells.clone().flatten().map(<[u8]>::len).sum::<usize>();
            }
            decoder.push_all(cells).map_err(|(place, refusal)| {
                self.refused(&self.rows, &strip.row(place), i, position + place as u64, refusal)
            })?;
        }
        summary.rows += strip.rows() as u64;
        pending.rows += strip.rows();
        pending.bytes += pending.fixed_bytes * strip.rows();
        Ok(())
    }

    /// Decodes the cells of a row.
    pub(super) fn decode(
        &self,
        selected: &Selected,
        row: &WireRow<'_>,
        pending: &mut Pending,
        position: u64,
    ) -> Result<()> {
        let mut variable_bytes = 0;
        for (i, decoder) in pending.decoders.iter_mut().enumerate() {
            let raw = row.cell(i);
            if decoder.is_variable() {
                variable_bytes += raw.map_or(0, <[u8]>::len);
            }
            decoder
                .push(raw)
                .map_err(|refusal| self.refused(selected, row, i, position, refusal))?;
        }
        let in_arrays = pending.fixed_bytes + variable_bytes;
        if in_arrays > self.limits.row_bytes {
            self.size(selected, row, pending, position)?;
        }
        pending.rows += 1;
        pending.bytes += in_arrays;
        Ok(())
    }

    /// Bytes that the row takes in arrays, unless its long values were kept back. A row that is too large is refused,
    /// here or by the guard before it was sent.
    pub(super) fn size(
        &self,
        selected: &Selected,
        row: &WireRow<'_>,
        pending: &Pending,
        position: u64,
    ) -> Result<Size> {
        if let Some(guard) = &selected.guard
            && let Some(lengths) = row.cell(guard.index)
        {
            let lengths: Vec<u64> = String::from_utf8_lossy(lengths)
                .split(',')
                .map(|l| l.parse().unwrap_or(0))
                .collect();
            let total: u64 = lengths.iter().sum();
            if total <= self.limits.row_bytes as u64 {
                return Ok(Size::LeftOut(usize::try_from(total).unwrap_or(usize::MAX)));
            }
            let largest = guard.columns.iter().zip(lengths).max_by_key(|(_, length)| *length);
            let (column, length) = largest.map_or((0, 0), |(column, length)| (*column, length));
            return Err(self.too_large(selected, row, column, length, position));
        }
        let mut bytes = pending.fixed_bytes;
        let mut largest = (0, 0);
        for i in &pending.variable {
            let length = row.cell(*i).map_or(0, <[u8]>::len);
            bytes += length;
            largest = largest.max((length, *i));
        }
        if bytes > self.limits.row_bytes {
            return Err(self.too_large(selected, row, largest.1, largest.0 as u64, position));
        }
        Ok(Size::Bytes(bytes))
    }

    pub(super) fn too_large(
        &self,
        selected: &Selected,
        row: &WireRow<'_>,
        column: usize,
        length: u64,
        position: u64,
    ) -> Failure {
        let limit = self.limits.row_bytes;
        let reason = format!("the value has {length} bytes, and a row may have {limit} in memory");
        self.refused(
            selected,
            row,
            column,
            position,
            Refusal {
                code: Code::ValueTooLarge,
                reason,
            },
        )
    }

    fn refused(
        &self,
        selected: &Selected,
        row: &WireRow<'_>,
        column: usize,
        position: u64,
        refusal: Refusal,
    ) -> Failure {
        let name = &self.columns[column].name;
        let row = selected.row_name(row, position);
        let message = format!("`{}`, column `{name}`, row {row}: {}", self.table, refusal.reason);
        Failure::new(refusal.code, message)
            .table(&self.table)
            .column(name)
            .row(row)
    }
}
