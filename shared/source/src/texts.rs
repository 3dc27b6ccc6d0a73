//! Text under construction.

use std::str::from_utf8;
use std::sync::Arc;

use arrow::array::{ArrayRef, NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::places::Places;
use crate::regrow::{room, room_bytes};

/// Values of up to so many bytes are copied in one move of this size, into room that the next value takes.
const MOVED_AT_ONCE: usize = 32;

/// Values of a text column. Those of many rows are copied first and judged together: one look at many bytes is cheaper
/// than many looks at a few.
#[derive(Debug)]
pub(crate) struct Texts {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl Texts {
    fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self {
            offsets,
            bytes: Vec::with_capacity(bytes),
            nulls: NullBufferBuilder::new(values),
        }
    }

    pub(crate) fn append(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.nulls.append_non_null();
        self.end();
    }

    pub(crate) fn append_null(&mut self) {
        self.nulls.append_null();
        self.end();
    }

    /// Appends values as they come from the database, or none of them and says which is the first that is no UTF-8.
    pub(crate) fn append_all<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<(), usize> {
        let (first, from) = (self.nulls.len(), self.bytes.len());
        let mut torn = false;
        for value in values {
            let Some(value) = value else {
                self.append_null();
                continue;
            };
            torn |= is_torn(value);
            self.bytes.extend_from_slice(value);
            self.nulls.append_non_null();
            self.end();
        }
        if !torn && from_utf8(&self.bytes[from..]).is_ok() {
            return Ok(());
        }
        let is_text = |ends: &[i32]| from_utf8(&self.bytes[ends[0] as usize..ends[1] as usize]).is_ok();
        let refused = self.offsets[first..].windows(2).position(|ends| !is_text(ends));
        self.offsets.truncate(first + 1);
        self.bytes.truncate(from);
        self.nulls.truncate(first);
        Err(refused.unwrap_or(0))
    }

    /// [`Texts::append_all`] for values of which it is known where they are.
    pub(crate) fn append_places(&mut self, values: Places<'_>) -> Result<(), usize> {
        if !values.any_null() && self.append_whole(values) {
            return Ok(());
        }
        self.append_all(values.each())
    }

    /// Appends values of which none is NULL, or nothing if one of them is no text.
    fn append_whole(&mut self, values: Places<'_>) -> bool {
        let from = self.bytes.len();
        let mut end = end_of(from);
        let last = from + values.total_bytes();
        end_of(last);
        self.bytes.resize(last + MOVED_AT_ONCE, 0);
        let mut at = from;
        for (start, length) in values.spans() {
            let (value, room) = (&values.bytes()[start..], &mut self.bytes[at..]);
            match (value.first_chunk::<MOVED_AT_ONCE>(), room.first_chunk_mut()) {
                (Some(value), Some(room)) if length <= MOVED_AT_ONCE => *room = *value,
                _ => room[..length].copy_from_slice(&value[..length]),
            }
            at += length;
        }
        self.bytes.truncate(last);
        let together = &self.bytes[from..];
        let are_texts = together.is_ascii() || (!values.each().flatten().any(is_torn) && from_utf8(together).is_ok());
        if !are_texts {
            self.bytes.truncate(from);
            return false;
        }
        self.nulls.append_n_non_nulls(values.len());
        self.offsets.extend(values.lengths().iter().map(|length| {
            end += length;
            end
        }));
        true
    }

    fn end(&mut self) {
        self.offsets.push(end_of(self.bytes.len()));
    }

    /// The values so far; nothing is left but room for about as many again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let next = Self::with_capacity(room(self.nulls.len()), room_bytes(self.bytes.len()));
        let mut done = std::mem::replace(self, next);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(done.offsets));
        Arc::new(StringArray::new(
            offsets,
            Buffer::from_vec(done.bytes),
            done.nulls.finish(),
        ))
    }
}

/// Begins within a character: only with such a one can two values that are no text be one together.
fn is_torn(value: &[u8]) -> bool {
    value.first().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000)
}

/// An offset of Arrow's.
fn end_of(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a record batch and one more row stay below 2 GiB")
}

impl Default for Texts {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    type Value = Option<Vec<u8>>;

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let value = prop_oneof![
            "\\PC{0,4}".prop_map(String::into_bytes),
            "[a-z]{0,70}".prop_map(String::into_bytes),
            prop::collection::vec(prop_oneof![Just(0xc3_u8), Just(0xa9), Just(0x41)], 0..3),
        ];
        prop::collection::vec(prop::option::weighted(0.9, value), 0..8)
    }

    /// What becomes of values between two others, and the place of the first that is refused.
    fn appended(values: &[Value], append: impl FnOnce(&mut Texts) -> Result<(), usize>) -> (Vec<Value>, Option<usize>) {
        let mut texts = Texts::default();
        texts.append("before");
        let refused = append(&mut texts).err();
        texts.append("after");
        let array = texts.finish();
        let found = array
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|t| t.as_bytes().to_vec()));
        assert_eq!(refused.map_or(values.len() + 2, |_| 2), array.len());
        (found.collect(), refused)
    }

    proptest! {
        #[test]
        fn many_values_are_judged_as_each_is(values in values()) {
            let refused = values.iter().position(|value| value.as_ref().is_some_and(|v| from_utf8(v).is_err()));
            let within = if refused.is_some() { Vec::new() } else { values.clone() };
            let expected = [vec![Some(b"before".to_vec())], within, vec![Some(b"after".to_vec())]].concat();
            let all = appended(&values, |texts| texts.append_all(values.iter().map(|value| value.as_deref())));
            prop_assert_eq!(&all, &(expected, refused));

            // The same where they lie in what was received, with other bytes between them and none behind the last.
            let (mut bytes, mut starts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
            for value in &values {
                bytes.extend_from_slice(b"\xff\xff");
                starts.push(bytes.len() as u32);
                lengths.push(value.as_ref().map_or(-1, |value| value.len() as i32));
                bytes.extend_from_slice(value.as_deref().unwrap_or_default());
            }
            let places = Places::new(&bytes, &starts, &lengths);
            prop_assert_eq!(appended(&values, |texts| texts.append_places(places)), all);
        }
    }
}
