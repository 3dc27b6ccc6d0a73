//! A column on its way: as the source declares it, as it is read, and as the chunk holds it.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// A column as the source's catalogue declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceColumn {
    pub name: String,
    /// The whole declared type, as the database prints it: `numeric(10,2)`, `int(10) unsigned`.
    pub declared: String,
    /// The type's bare name in lower case: `numeric`, `int4`, `bigint`, `integer`; an array's element type; in
    /// PostgreSQL the name of `pg_type` (`int8`, not `bigint`) after domains are resolved.
    pub base: String,
    pub class: TypeClass,
    pub nullable: bool,
    /// Total digits of a decimal, or fractional seconds of a temporal type.
    pub precision: Option<u32>,
    pub scale: Option<i32>,
    /// Longest text in characters or bytes, display width of a MySQL integer, width of a bit string.
    pub length: Option<u32>,
    pub unsigned: bool,
    /// The text is bytes: MySQL's `binary` character set.
    pub binary: bool,
}

/// What kind of type `base` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeClass {
    Scalar,
    Array,
    Enum,
    Range,
    Composite,
    /// A type of an extension or of the user that the project has no table row for.
    Other,
}

/// How a chunk holds a column: the project's one type model, for files and scripts alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkType {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Text,
    /// Text that is one JSON value.
    Json,
    /// Text that is a canonical lowercase UUID.
    Uuid,
    Binary,
    Date,
    /// Time of day without a zone, in microseconds; text by default, since Spark cannot read a file with it.
    Time,
    Timestamp {
        unit: TimestampUnit,
        utc: bool,
    },
    List(Box<ChunkType>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    Microsecond,
    Nanosecond,
}

/// Decimals of up to so many digits are held in 64 bits, as Parquet stores them: half of the memory is more rows per row
/// group, and nothing is left to convert.
const SHORT_DECIMAL_DIGITS: u8 = 18;

impl ChunkType {
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } if *precision <= SHORT_DECIMAL_DIGITS => {
                DataType::Decimal64(*precision, *scale)
            }
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Text | Self::Json | Self::Uuid => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { unit, utc } => {
                let unit = match unit {
                    TimestampUnit::Microsecond => TimeUnit::Microsecond,
                    TimestampUnit::Nanosecond => TimeUnit::Nanosecond,
                };
                DataType::Timestamp(unit, utc.then(|| Arc::from("UTC")))
            }
            // `element` is the name in Parquet's standard list; BigQuery infers ARRAY<T> from no other.
            Self::List(element) => DataType::List(Arc::new(Field::new("element", element.arrow(), true))),
        }
    }
}

/// What the adapter adds to the select list, so that the value arrives as [`Wire`] says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// The column as it is.
    None,
    /// The database's own text of the value.
    Text,
    /// PostgreSQL's `to_json`, as text.
    Json,
    /// An exact decimal of this precision and scale, cast by the database: `money` and the like.
    Decimal { precision: u8, scale: i8 },
    /// Well-known binary of a geometry, by `ST_AsBinary`.
    WellKnownBinary,
}

/// The form in which a value arrives from the database, after the cast.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    Bool,
    /// Signed integers by their width on the wire, in bytes.
    Int {
        bytes: u8,
    },
    /// Unsigned integers (MySQL, PostgreSQL's `oid`).
    Unsigned {
        bytes: u8,
    },
    Float {
        bytes: u8,
    },
    /// PostgreSQL's numeric, MySQL's decimal text.
    Decimal,
    Text,
    Bytes,
    Date,
    /// Time of day (PostgreSQL: microseconds; MySQL: signed duration).
    Time,
    TimeWithZone,
    Timestamp,
    TimestampWithZone,
    Interval,
    Uuid,
    Json,
    Jsonb,
    /// MySQL's `bit(n)`, big-endian bytes.
    Bit,
    /// MySQL's `year`.
    Year,
    /// A PostgreSQL one-dimensional array of the element.
    Array(Box<Wire>),
    /// A SQLite cell: its storage class is checked against the chunk's type, row by row.
    Cell,
    /// A SQLite cell of any storage class, taken as text by choice (bytes as lowercase hexadecimal).
    CellAsText,
}

/// What a column loses by choice, recorded in the plan and the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lossy {
    /// Digits beyond the scale are rounded half to even.
    Rounded,
    /// Values without a counterpart (zero dates, infinities, NaN) become NULL.
    NullForUnrepresentable,
    /// The native type is given up for its text; no value is lost.
    AsText,
}

/// The one decision about a column, made before the first row and stored in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMapping {
    /// Name in the source, in the chunk and in scripts before their own mapping.
    pub name: String,
    pub declared: String,
    pub nullable: bool,
    pub cast: Cast,
    pub wire: Wire,
    pub chunk: ChunkType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossy: Option<Lossy>,
    /// Declared length of a text, for scripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
}

impl ColumnMapping {
    /// The Arrow field of the chunk. Every field is nullable in the file: targets read such files best, and the
    /// source's NOT NULL is in the manifest.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.chunk.arrow(), true)
    }
}
