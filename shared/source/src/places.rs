//! Where the values of a column are within the bytes that were received.

/// So many rows are taken at once: few enough for their fields' places to stay in a near cache, and no power of two,
/// so that those of many columns do not contend for the same lines of it.
pub(crate) const ROWS_AT_ONCE: usize = 200;

/// The values of one column in up to [`ROWS_AT_ONCE`] rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    bytes: &'a [u8],
    starts: &'a [u32],
    /// In bytes; negative for NULL.
    lengths: &'a [i32],
}

impl<'a> Places<'a> {
    /// Places of values that lie within `bytes`, of which there are as many starts as lengths.
    pub(crate) fn new(bytes: &'a [u8], starts: &'a [u32], lengths: &'a [i32]) -> Self {
        Self { bytes, starts, lengths }
    }

    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// All that was received, also between and behind the values.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn lengths(&self) -> &'a [i32] {
        self.lengths
    }

    pub(crate) fn any_null(&self) -> bool {
        self.lengths.iter().fold(0, |all, length| all | length) < 0
    }

    /// Bytes of all values together.
    pub(crate) fn total_bytes(&self) -> usize {
        self.lengths.iter().map(|length| (*length).max(0) as usize).sum()
    }

    /// Start and length of each value; a NULL has no bytes.
    pub(crate) fn spans(self) -> impl Iterator<Item = (usize, usize)> + Clone + 'a {
        let both = self.starts.iter().zip(self.lengths);
        both.map(|(start, length)| (*start as usize, (*length).max(0) as usize))
    }

    /// Each value; NULL is `None`.
    pub(crate) fn each(self) -> impl Iterator<Item = Option<&'a [u8]>> + Clone + 'a {
        let values = self.spans().zip(self.lengths);
        values.map(move |((start, bytes), length)| (*length >= 0).then(|| &self.bytes[start..start + bytes]))
    }

    /// Each value, if all have exactly `N` bytes.
    pub(crate) fn each_of<const N: usize>(self) -> Option<impl Iterator<Item = &'a [u8; N]> + 'a> {
        let differ = self.lengths.iter().fold(0, |all, length| all | (length ^ N as i32));
        let value = move |start: &u32| self.bytes[*start as usize..].first_chunk().expect("values lie within");
        (differ == 0).then(|| self.starts.iter().map(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_length_are_those_that_lie_there() {
        let places = Places::new(b"..abXcd", &[2, 5], &[2, 2]);
        assert!(!places.any_null());
        assert_eq!(places.total_bytes(), 4);
        assert_eq!(places.each_of().map(Iterator::collect), Some(vec![b"ab", b"cd"]));
        assert!(places.each_of::<1>().is_none());
    }

    #[test]
    fn a_null_has_no_bytes_and_no_length_of_others() {
        let places = Places::new(b"ab", &[0, 0, 2], &[2, -1, 0]);
        assert!(places.any_null());
        assert_eq!(places.total_bytes(), 2);
        assert!(places.each_of::<2>().is_none());
        let each: Vec<_> = places.each().collect();
        assert_eq!(each, [Some(&b"ab"[..]), None, Some(b"")]);
    }
}
