//! The decoder and the framing by themselves, for tests that feed them arbitrary bytes.

use arrow::record_batch::RecordBatch;
use sqlextract_model::{ColumnMapping, Result, TableName};

use super::rows::{Progress, RowDecoder};
use super::wire::{Frame, Frames};
use crate::ReadLimits;

/// Decodes one row after another, fed in slices of `slice` bytes.
pub fn decode_row_bytes(
    columns: &[ColumnMapping],
    bytes: &[u8],
    slice: usize,
    limits: ReadLimits,
) -> Result<Vec<RecordBatch>> {
    let mut decoder = RowDecoder::new(&TableName::new("public", "fuzzed"), columns, &[], limits)?;
    let mut batches = Vec::new();
    for mut part in bytes.chunks(slice.max(1)) {
        while decoder.feed(&mut part)? == Progress::BatchFull {
            batches.extend(decoder.take_batch()?);
        }
    }
    decoder.finish_rows()?;
    batches.extend(decoder.take_batch()?);
    Ok(batches)
}

/// Decodes the messages of a statement's rows, received in slices of `slice` bytes.
pub fn decode_row_messages(
    columns: &[ColumnMapping],
    bytes: &[u8],
    slice: usize,
    limits: ReadLimits,
) -> Result<Vec<RecordBatch>> {
    let mut decoder = RowDecoder::new(&TableName::new("public", "fuzzed"), columns, &[], limits)?;
    let mut frames = Frames::new();
    let mut batches = Vec::new();
    for mut part in bytes.chunks(slice.max(1)) {
        while !part.is_empty() {
            let room = frames.room();
            let (taken, rest) = part.split_at(room.len().min(part.len()));
            room[..taken.len()].copy_from_slice(taken);
            frames.received(taken.len());
            part = rest;
        }
        loop {
            let (used, progress) = decoder.feed_messages(frames.messages())?;
            frames.pass(used);
            if progress == Progress::BatchFull {
                batches.extend(decoder.take_batch()?);
                continue;
            }
            let mut rows = frames.rows();
            if rows.is_empty() {
                match frames.next() {
                    Ok(Frame::Incomplete) | Err(_) => break,
                    Ok(_) => continue,
                }
            }
            let before = rows.len();
            let progress = decoder.feed(&mut rows)?;
            let used = before - rows.len();
            frames.used(used);
            if progress == Progress::BatchFull {
                batches.extend(decoder.take_batch()?);
            }
        }
    }
    decoder.finish_rows()?;
    batches.extend(decoder.take_batch()?);
    Ok(batches)
}

/// Splits what a server sends, received in slices of `slice` bytes, into messages: the bodies of those with rows, and how
/// many others there are before the end or the first error.
pub fn split_messages(bytes: &[u8], slice: usize) -> (Vec<Vec<u8>>, usize) {
    let mut frames = Frames::new();
    let (mut bodies, mut others): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
    for mut part in bytes.chunks(slice.max(1)) {
        while !part.is_empty() {
            let room = frames.room();
            let (taken, rest) = part.split_at(room.len().min(part.len()));
            room[..taken.len()].copy_from_slice(taken);
            frames.received(taken.len());
            part = rest;
        }
        loop {
            if frames.within_rows() {
                let here = frames.rows();
                let used = here.len();
                if used == 0 {
                    break;
                }
                bodies
                    .last_mut()
                    .into_iter()
                    .for_each(|body| body.extend_from_slice(here));
                frames.used(used);
                continue;
            }
            match frames.next() {
                Ok(Frame::Row(_)) => bodies.push(Vec::new()),
                Ok(Frame::Message(_)) => others += 1,
                Ok(Frame::Incomplete) => break,
                Err(_) => return (bodies, others),
            }
        }
    }
    (bodies, others)
}
