//! Types by name: `--column-type T.C=TYPE`, and what `--on-lossy` changes.
//!
//! A type by name never turns a value into NULL, but for the one that is named so. A value that does not fit is found
//! by the adapter and is an error. What is known beforehand to lose digits (a float of a long number) is refused, or
//! rounded or given as text as `--on-lossy` says; what loses digits only where the values have them (a decimal of
//! smaller scale) is checked, or rounded with `--on-lossy round`.

use sqlextract_model::{Cast, ChunkType, Dialect, Lossy, OnLossy, OverrideType, SourceColumn, Wire};

use crate::form::{Form, portable_decimal, timestamp};
use crate::refusal::Refusal;
use crate::{mysql, postgres, sqlite, table_form};

/// Decimal digits that every 64-bit float gives back.
const FLOAT64_DIGITS: u32 = 15;

/// What becomes of the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// Each value arrives whole or is an error.
    Kept,
    /// Some values have more than the form holds.
    MayRound,
    /// Values of the usual size have more than the form holds.
    Rounds,
}

pub(crate) fn form_by_name(
    dialect: Dialect,
    column: &SourceColumn,
    target: OverrideType,
    on_lossy: OnLossy,
) -> Result<(Form, Option<Lossy>), Refusal> {
    match target {
        OverrideType::Decimal { precision, scale }
            if portable_decimal(Some(precision.into()), Some(scale.into())).is_none() =>
        {
            Err(Refusal::NoSuchDecimal(target))
        }
        OverrideType::Text => text(dialect, column).ok_or(Refusal::NotByName(target)),
        OverrideType::NullUnrepresentable => null(dialect, column).ok_or(Refusal::NotByName(target)),
        _ => {
            let (form, digits) = convert(dialect, column, target).ok_or(Refusal::NotByName(target))?;
            match (digits, on_lossy) {
                (Digits::Kept, _) | (Digits::MayRound, OnLossy::Fail | OnLossy::Text) => Ok((form, None)),
                (_, OnLossy::Round) => Ok((form, Some(Lossy::Rounded))),
                (Digits::Rounds, OnLossy::Text) => text(dialect, column).ok_or(Refusal::Rounds(target)),
                (Digits::Rounds, OnLossy::Fail) => Err(Refusal::Rounds(target)),
            }
        }
    }
}

/// The types by name that a column takes, in the order of the documentation. Decimals stand for all decimals.
pub(crate) fn possible(dialect: Dialect, column: &SourceColumn) -> Vec<OverrideType> {
    let every = [
        OverrideType::Text,
        OverrideType::Boolean,
        OverrideType::Int16,
        OverrideType::Int32,
        OverrideType::Int64,
        OverrideType::Float64,
        OverrideType::Decimal {
            precision: 38,
            scale: 10,
        },
        OverrideType::Date,
        OverrideType::Time,
        OverrideType::Timestamp,
        OverrideType::TimestampUtc,
        OverrideType::Binary,
        OverrideType::Json,
        OverrideType::NullUnrepresentable,
    ];
    every
        .into_iter()
        .filter(|target| form_by_name(dialect, column, *target, OnLossy::Round).is_ok())
        .collect()
}

fn text(dialect: Dialect, column: &SourceColumn) -> Option<(Form, Option<Lossy>)> {
    let form = match dialect {
        Dialect::Postgres => postgres::text(column)?,
        Dialect::Mysql => mysql::text(column)?,
        Dialect::Sqlite => sqlite::any_cell_as_text(),
    };
    let given_up = table_form(dialect, column).is_none_or(|natural| natural != form);
    Some((form, given_up.then_some(Lossy::AsText)))
}

/// The table's own form, with NULL for what it cannot hold: infinite and zero dates, dates beyond the file's range,
/// NaN and infinity in a decimal.
fn null(dialect: Dialect, column: &SourceColumn) -> Option<(Form, Option<Lossy>)> {
    let form = table_form(dialect, column)?;
    let can_miss = match (&form.wire, dialect) {
        (Wire::Date | Wire::Timestamp | Wire::TimestampWithZone, _) => true,
        (Wire::Decimal, Dialect::Postgres) => form.cast == Cast::None,
        _ => false,
    };
    can_miss.then_some((form, Some(Lossy::NullForUnrepresentable)))
}

fn convert(dialect: Dialect, column: &SourceColumn, target: OverrideType) -> Option<(Form, Digits)> {
    if dialect == Dialect::Sqlite {
        let form = sqlite::form_by_name(target)?;
        // A cell may have any number of digits; the row that has too many is an error unless rounding is chosen.
        let digits = match form.chunk {
            ChunkType::Decimal { .. } | ChunkType::Float64 => Digits::MayRound,
            _ => Digits::Kept,
        };
        return Some((form, digits));
    }
    let (cast, wire) = match dialect {
        Dialect::Postgres => postgres::reading(column, target)?,
        Dialect::Mysql | Dialect::Sqlite => mysql::reading(column)?,
    };
    let (chunk, digits) = conversion(&cast, &wire, column, target)?;
    Some((Form { cast, wire, chunk }, digits))
}

/// What an arriving value can become. Every pair is exact or checked per value by the adapter, and rounds only where
/// said here.
fn conversion(cast: &Cast, wire: &Wire, column: &SourceColumn, target: OverrideType) -> Option<(ChunkType, Digits)> {
    let server_text = *cast == Cast::Text;
    let chunk = match (wire, target) {
        (Wire::Bool | Wire::Int { .. } | Wire::Unsigned { .. } | Wire::Bit, OverrideType::Boolean) => {
            ChunkType::Boolean
        }
        (Wire::Int { .. } | Wire::Unsigned { .. } | Wire::Bit | Wire::Year, _) => return whole_number(wire, target),
        (Wire::Decimal, _) => return decimal(cast, column, target),
        (Wire::Float { .. }, OverrideType::Float64) => ChunkType::Float64,
        (Wire::Text, OverrideType::Json) if !server_text => ChunkType::Json,
        (Wire::Text, OverrideType::Binary) if !server_text => ChunkType::Binary,
        (Wire::Bytes, OverrideType::Binary) => ChunkType::Binary,
        (Wire::Date, OverrideType::Date) => ChunkType::Date,
        (Wire::Time, OverrideType::Time) => ChunkType::Time,
        // The same microseconds; only what is known about their zone changes, by name.
        (Wire::Timestamp | Wire::TimestampWithZone, OverrideType::Timestamp) => timestamp(false),
        (Wire::Timestamp | Wire::TimestampWithZone, OverrideType::TimestampUtc) => timestamp(true),
        (Wire::Json | Wire::Jsonb, OverrideType::Json) => ChunkType::Json,
        _ => return None,
    };
    Some((chunk, Digits::Kept))
}

fn whole_number(wire: &Wire, target: OverrideType) -> Option<(ChunkType, Digits)> {
    let exact_as_float = match wire {
        Wire::Int { bytes } | Wire::Unsigned { bytes } => *bytes <= 4,
        Wire::Year => true,
        _ => false,
    };
    match target {
        OverrideType::Float64 if exact_as_float => Some((ChunkType::Float64, Digits::Kept)),
        OverrideType::Float64 => Some((ChunkType::Float64, Digits::Rounds)),
        _ => Some((integer_or_decimal(target)?, Digits::Kept)),
    }
}

fn decimal(cast: &Cast, column: &SourceColumn, target: OverrideType) -> Option<(ChunkType, Digits)> {
    let (precision, scale) = match cast {
        Cast::Decimal { precision, scale } => (Some(u32::from(*precision)), Some(i32::from(*scale))),
        // Without a precision the type is unconstrained, and a scale means nothing.
        _ => (column.precision, column.precision.and(column.scale)),
    };
    if target == OverrideType::Float64 {
        let exact = precision.is_some_and(|p| p <= FLOAT64_DIGITS);
        return Some((ChunkType::Float64, if exact { Digits::Kept } else { Digits::Rounds }));
    }
    let chunk = integer_or_decimal(target)?;
    let kept = match chunk {
        ChunkType::Decimal { scale, .. } => i32::from(scale),
        _ => 0,
    };
    let fits = scale.is_some_and(|s| s <= kept);
    Some((chunk, if fits { Digits::Kept } else { Digits::MayRound }))
}

fn integer_or_decimal(target: OverrideType) -> Option<ChunkType> {
    match target {
        OverrideType::Int16 => Some(ChunkType::Int16),
        OverrideType::Int32 => Some(ChunkType::Int32),
        OverrideType::Int64 => Some(ChunkType::Int64),
        OverrideType::Decimal { precision, scale } => Some(ChunkType::Decimal { precision, scale }),
        _ => None,
    }
}
