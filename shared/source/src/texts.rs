//! Text under construction.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::regrow::{room, room_bytes};

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
        // Two values that are no text could be one together, only if the second begins within a character.
        let mut torn = false;
        for value in values {
            let Some(value) = value else {
                self.append_null();
                continue;
            };
            torn |= value.first().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
            self.bytes.extend_from_slice(value);
            self.nulls.append_non_null();
            self.end();
        }
        if !torn && std::str::from_utf8(&self.bytes[from..]).is_ok() {
            return Ok(());
        }
        let is_text = |ends: &[i32]| std::str::from_utf8(&self.bytes[ends[0] as usize..ends[1] as usize]).is_ok();
        let refused = self.offsets[first..].windows(2).position(|ends| !is_text(ends));
        self.offsets.truncate(first + 1);
        self.bytes.truncate(from);
        self.nulls.truncate(first);
        Err(refused.unwrap_or(0))
    }

    fn end(&mut self) {
        let end = i32::try_from(self.bytes.len()).expect("a record batch and one more row stay below 2 GiB");
        self.offsets.push(end);
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

    proptest! {
        #[test]
        fn many_values_are_judged_as_each_is(
            values in prop::collection::vec(
                prop::option::of(prop_oneof![
                    "\\PC{0,4}".prop_map(String::into_bytes),
                    prop::collection::vec(prop_oneof![Just(0xc3_u8), Just(0xa9), Just(0x41)], 0..3),
                ]),
                0..8,
            ),
        ) {
            let mut texts = Texts::default();
            texts.append("before");
            let appended = texts.append_all(values.iter().map(|value| value.as_deref()));
            let refused = values.iter().position(|value| value.as_ref().is_some_and(|v| std::str::from_utf8(v).is_err()));
            prop_assert_eq!(appended.err(), refused);
            texts.append("after");
            let array = texts.finish();
            let found: Vec<_> = array.as_string::<i32>().iter().map(|text| text.map(|t| t.as_bytes().to_vec())).collect();
            let within = if refused.is_some() { Vec::new() } else { values };
            let expected = [vec![Some(b"before".to_vec())], within, vec![Some(b"after".to_vec())]].concat();
            prop_assert_eq!(found, expected);
        }
    }
}
