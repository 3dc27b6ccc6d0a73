//! Why a field of the stream is no value of its column.

/// A field that the decoder does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// A value of the column's type that the chunk has no exact counterpart for.
    Value(&'static str),
    /// Bytes that are no value of the type at all.
    Malformed(&'static str),
}

/// The bytes as an array of the length that the type has.
pub(crate) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Misfit> {
    bytes
        .try_into()
        .map_err(|_| Misfit::Malformed("a field is not as long as its type"))
}
