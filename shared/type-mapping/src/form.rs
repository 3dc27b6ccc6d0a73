//! How one column travels: what the select list adds, what arrives, what the chunk holds.

use sqlextract_model::{Cast, ChunkType, TimestampUnit, Wire};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) cast: Cast,
    pub(crate) wire: Wire,
    pub(crate) chunk: ChunkType,
}

impl Form {
    /// The column as it is.
    pub(crate) fn native(wire: Wire, chunk: ChunkType) -> Self {
        Self {
            cast: Cast::None,
            wire,
            chunk,
        }
    }

    /// The database's own text of a value whose type the chunk has no exact form for.
    pub(crate) fn server_text() -> Self {
        Self {
            cast: Cast::Text,
            wire: Wire::Text,
            chunk: ChunkType::Text,
        }
    }

    /// PostgreSQL's JSON of a value with parts.
    pub(crate) fn server_json() -> Self {
        Self {
            cast: Cast::Json,
            wire: Wire::Json,
            chunk: ChunkType::Json,
        }
    }

    pub(crate) fn well_known_binary() -> Self {
        Self {
            cast: Cast::WellKnownBinary,
            wire: Wire::Bytes,
            chunk: ChunkType::Binary,
        }
    }

    /// The source's own text, so that its declared length is the length of what the chunk holds.
    pub(crate) fn is_text_as_declared(&self) -> bool {
        self.cast == Cast::None && matches!(self.wire, Wire::Text | Wire::Cell)
    }
}

/// Microseconds: no target reads nanoseconds everywhere, and no source here has them.
pub(crate) const fn timestamp(utc: bool) -> ChunkType {
    ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    }
}

/// The decimal that Parquet readers everywhere hold: at most 38 digits, scale within the precision. `None` for any
/// other, which travels as text.
pub(crate) fn portable_decimal(precision: Option<u32>, scale: Option<i32>) -> Option<ChunkType> {
    let precision = precision
        .and_then(|p| u8::try_from(p).ok())
        .filter(|p| (1..=38).contains(p))?;
    let scale = i8::try_from(scale.unwrap_or(0))
        .ok()
        .filter(|s| (0..=precision.cast_signed()).contains(s))?;
    Some(ChunkType::Decimal { precision, scale })
}
