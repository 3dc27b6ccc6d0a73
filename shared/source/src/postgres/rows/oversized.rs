//! A row that is too large to be decoded: what it tells about itself, without its values being kept.

/// Bytes of a value that may be part of the row's name.
const LARGEST_KEPT: usize = 4096;
const LENGTH_BYTES: usize = 4;

#[derive(Debug, Clone, Copy)]
enum State {
    /// Bytes to pass over: the number of fields, or a value.
    Pass(usize),
    /// Bytes of a value to keep.
    Keep(usize),
    Length,
}

/// Takes the bytes of one row in slices of any size.
#[derive(Debug)]
pub(crate) struct Oversized {
    state: State,
    /// Bytes of the length at hand.
    length: Vec<u8>,
    /// Values so far; `None` for NULL and for what is too long to be kept.
    kept: Vec<Option<Vec<u8>>>,
    largest: (usize, usize),
    bytes: usize,
}

impl Oversized {
    /// `before` is what comes before the first field.
    pub(crate) fn new(before: usize) -> Self {
        Self {
            state: State::Pass(before),
            length: Vec::with_capacity(LENGTH_BYTES),
            kept: Vec::new(),
            largest: (0, 0),
            bytes: 0,
        }
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (State::Pass(wanted) | State::Keep(wanted)) = self.state else {
                bytes = self.take_length(bytes);
                continue;
            };
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            let left = wanted - taken.len();
            if let (State::Keep(_), Some(Some(value))) = (self.state, self.kept.last_mut()) {
                value.extend_from_slice(taken);
            }
            self.state = match self.state {
                _ if left == 0 => State::Length,
                State::Keep(_) => State::Keep(left),
                _ => State::Pass(left),
            };
            bytes = rest;
        }
    }

    fn take_length<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, rest) = bytes.split_at((LENGTH_BYTES - self.length.len()).min(bytes.len()));
        self.length.extend_from_slice(taken);
        let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(self.length.as_slice()) else {
            return rest;
        };
        self.length.clear();
        // -1 is NULL.
        let length = usize::try_from(i32::from_be_bytes(length)).ok();
        let bytes = length.unwrap_or(0);
        if bytes > self.largest.1 {
            self.largest = (self.kept.len(), bytes);
        }
        self.bytes += bytes;
        let keeps = length.is_some_and(|bytes| bytes <= LARGEST_KEPT);
        self.kept.push(keeps.then(Vec::new));
        self.state = match bytes {
            0 => State::Length,
            bytes if keeps => State::Keep(bytes),
            bytes => State::Pass(bytes),
        };
        rest
    }

    /// The number of the column with the largest value.
    pub(crate) fn largest(&self) -> usize {
        self.largest.0
    }

    /// Of all values together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn value(&self, field: usize) -> Option<&[u8]> {
        self.kept.get(field)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_and_the_short_ones_are_known_however_the_row_arrives() {
        let mut row = vec![0, 4];
        for value in [Some(vec![7; 4]), None, Some(vec![1; 50_000]), Some(vec![9; 10])] {
            let length = value.as_ref().map_or(-1, |value: &Vec<u8>| value.len() as i32);
            row.extend(length.to_be_bytes());
            row.extend(value.unwrap_or_default());
        }
        for slice in [1, 3, 1000, 60_000] {
            let mut oversized = Oversized::new(2);
            row.chunks(slice).for_each(|part| oversized.feed(part));
            assert_eq!((oversized.largest(), oversized.bytes()), (2, 50_014), "{slice}");
            let values: Vec<_> = (0..5).map(|field| oversized.value(field).map(<[u8]>::len)).collect();
            assert_eq!(values, [Some(4), None, None, Some(10), None], "{slice}");
        }
    }
}
