//! Cells of the binary protocol, straight into Arrow builders.

use std::fmt;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int8Builder, Int16Builder,
    Int32Builder, Int64Builder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use sqlextract_model::{Cast, ChunkType, Code, ColumnMapping, Failure, Lossy, Result, TimestampUnit, Wire};

use super::temporal::{DateTime, Duration};
use super::{cell, sql};
use crate::decimal_text::{self, Misfit};
use crate::decimals::{Decimals, short};
use crate::regrow;
use crate::texts::Texts;

/// Why a cell is refused; the reader adds table, column and row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) reason: String,
}

impl Refusal {
    fn value(reason: impl fmt::Display) -> Self {
        Self {
            code: Code::ValueRefused,
            reason: reason.to_string(),
        }
    }

    pub(super) fn protocol(wire: &Wire) -> Self {
        Self {
            code: Code::SourceProtocol,
            reason: format!("the server's bytes are no {wire:?}"),
        }
    }
}

/// One column on its way into a record batch.
pub(super) struct ColumnDecoder {
    pub(super) wire: Wire,
    pub(super) builder: Builder,
    pub(super) round: bool,
    pub(super) null_unrepresentable: bool,
    /// A value that the server's cast lost would arrive as NULL.
    pub(super) never_null: bool,
    /// Digits of a time's fraction, as declared.
    fraction: u32,
    text: String,
}

pub(super) enum Builder {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal { builder: Decimals, digits: Digits },
    Text(Texts),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Micros(TimestampMicrosecondBuilder),
    Nanos(TimestampNanosecondBuilder),
}

/// Of the decimals of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits {
    precision: u8,
    scale: u32,
    /// 10^precision: a value must be smaller. Up to 10^38 the powers fit.
    bound: u128,
}

/// Applies the same expression to whichever builder it is.
macro_rules! each {
    ($builder:expr, $name:ident => $body:expr) => {
        match $builder {
            Builder::Boolean($name) => $body,
            Builder::Int8($name) => $body,
            Builder::Int16($name) => $body,
            Builder::Int32($name) => $body,
            Builder::Int64($name) => $body,
            Builder::Float32($name) => $body,
            Builder::Float64($name) => $body,
            Builder::Decimal { builder: $name, .. } => $body,
            Builder::Text($name) => $body,
            Builder::Binary($name) => $body,
            Builder::Date($name) => $body,
            Builder::Time($name) => $body,
            Builder::Micros($name) => $body,
            Builder::Nanos($name) => $body,
        }
    };
}

impl ColumnDecoder {
    pub(super) fn new(mapping: &ColumnMapping) -> Result<Self> {
        let supported = supports(&mapping.wire, &mapping.chunk);
        let builder = builder(&mapping.chunk).filter(|_| supported).ok_or_else(|| {
            let message = format!("no way from {:?} to {:?}", mapping.wire, mapping.chunk);
            Failure::new(Code::Defect, message).column(&mapping.name)
        })?;
        Ok(Self {
            wire: mapping.wire.clone(),
            builder,
            round: mapping.lossy == Some(Lossy::Rounded),
            null_unrepresentable: mapping.lossy == Some(Lossy::NullForUnrepresentable),
            never_null: !mapping.nullable && mapping.cast != Cast::None,
            fraction: fraction_digits(&mapping.declared),
            text: String::new(),
        })
    }

    /// Bytes that a value takes in its array, but for the text or bytes themselves.
    pub(super) fn fixed_bytes(&self) -> usize {
        match &self.builder {
            Builder::Boolean(_) | Builder::Int8(_) => 2,
            Builder::Int16(_) => 3,
            Builder::Int32(_) | Builder::Float32(_) | Builder::Date(_) | Builder::Text(_) | Builder::Binary(_) => 5,
            Builder::Decimal { builder, .. } => 1 + builder.bytes(),
            _ => 9,
        }
    }

    /// Whether a value's own bytes come on top of [`Self::fixed_bytes`].
    pub(super) fn is_variable(&self) -> bool {
        matches!(self.builder, Builder::Text(_) | Builder::Binary(_))
    }

    /// The values so far; the decoder is empty afterwards.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Boolean(b) => regrow::boolean(b),
            Builder::Int8(b) => regrow::primitive(b),
            Builder::Int16(b) => regrow::primitive(b),
            Builder::Int32(b) => regrow::primitive(b),
            Builder::Int64(b) => regrow::primitive(b),
            Builder::Float32(b) => regrow::primitive(b),
            Builder::Float64(b) => regrow::primitive(b),
            Builder::Decimal { builder, .. } => builder.finish(),
            Builder::Text(b) => b.finish(),
            Builder::Binary(b) => regrow::variable(b),
            Builder::Date(b) => regrow::primitive(b),
            Builder::Time(b) => regrow::primitive(b),
            Builder::Micros(b) => regrow::primitive(b),
            Builder::Nanos(b) => regrow::primitive(b),
        }
    }

    pub(super) fn push(&mut self, raw: Option<&[u8]>) -> std::result::Result<(), Refusal> {
        let Some(raw) = raw else { return self.push_null() };
        let wire = &self.wire;
        match &mut self.builder {
            Builder::Int8(b) => b.append_value(narrow(integer(wire, raw)?)?),
            Builder::Int16(b) => b.append_value(narrow(integer(wire, raw)?)?),
            Builder::Int32(b) => b.append_value(narrow(integer(wire, raw)?)?),
            Builder::Int64(b) => b.append_value(narrow(integer(wire, raw)?)?),
            Builder::Boolean(b) => b.append_value(boolean(integer(wire, raw)?)?),
            Builder::Decimal { builder, digits } => builder.append_value(bounded(wire, raw, *digits, self.round)?),
            Builder::Float32(b) => b.append_value(float32(raw).ok_or_else(|| Refusal::protocol(wire))?),
            Builder::Float64(b) => b.append_value(float64(wire, raw, self.round)?),
            Builder::Text(b) => {
                b.append(text(wire, raw, self.fraction, &mut self.text)?);
            }
            Builder::Binary(b) => b.append_value(raw),
            Builder::Date(_) | Builder::Time(_) | Builder::Micros(_) | Builder::Nanos(_) => {
                return self.push_temporal(raw);
            }
        }
        Ok(())
    }

    fn push_temporal(&mut self, raw: &[u8]) -> std::result::Result<(), Refusal> {
        let wire = &self.wire;
        let instant = || DateTime::read(raw).ok_or_else(|| Refusal::protocol(wire));
        let pushed = match &mut self.builder {
            Builder::Date(b) => instant()?.days().map(|days| b.append_value(days)),
            Builder::Micros(b) => instant()?.micros().map(|micros| b.append_value(micros)),
            Builder::Nanos(b) => instant()?
                .micros()
                .and_then(|m| m.checked_mul(1000))
                .map(|nanos| b.append_value(nanos)),
            Builder::Time(b) => {
                let time = Duration::read(raw).ok_or_else(|| Refusal::protocol(wire))?;
                time.time_of_day().map(|micros| b.append_value(micros))
            }
            _ => return Err(Refusal::protocol(wire)),
        };
        match pushed {
            Some(()) => Ok(()),
            None if self.null_unrepresentable => {
                each!(&mut self.builder, b => b.append_null());
                Ok(())
            }
            None => Err(no_counterpart(wire, raw)),
        }
    }

    fn push_null(&mut self) -> std::result::Result<(), Refusal> {
        if self.never_null {
            return Err(Refusal::value("the server's cast made NULL of a value"));
        }
        each!(&mut self.builder, b => b.append_null());
        Ok(())
    }
}

/// Pairs that [`ColumnDecoder::push`] decodes.
fn supports(wire: &Wire, chunk: &ChunkType) -> bool {
    let whole = matches!(wire, Wire::Int { .. } | Wire::Unsigned { .. } | Wire::Bit | Wire::Year);
    match chunk {
        ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64 | ChunkType::Decimal { .. } => {
            whole || *wire == Wire::Decimal
        }
        ChunkType::Boolean => whole,
        ChunkType::Float32 => *wire == Wire::Float { bytes: 4 },
        ChunkType::Float64 => whole || matches!(wire, Wire::Float { bytes: 4 | 8 } | Wire::Decimal),
        ChunkType::Text => {
            whole
                || matches!(
                    wire,
                    Wire::Float { .. } | Wire::Decimal | Wire::Text | Wire::Json | Wire::Bytes | Wire::Uuid
                )
                || *wire == Wire::Time
        }
        ChunkType::Json | ChunkType::Uuid => matches!(wire, Wire::Text | Wire::Json | Wire::Uuid),
        ChunkType::Binary => matches!(wire, Wire::Bytes | Wire::Text | Wire::Json),
        ChunkType::Date => *wire == Wire::Date,
        ChunkType::Time => *wire == Wire::Time,
        ChunkType::Timestamp { .. } => matches!(wire, Wire::Timestamp | Wire::TimestampWithZone | Wire::Date),
        ChunkType::List(_) => false,
    }
}

fn builder(chunk: &ChunkType) -> Option<Builder> {
    Some(match chunk {
        ChunkType::Boolean => Builder::Boolean(BooleanBuilder::new()),
        ChunkType::Int8 => Builder::Int8(Int8Builder::new()),
        ChunkType::Int16 => Builder::Int16(Int16Builder::new()),
        ChunkType::Int32 => Builder::Int32(Int32Builder::new()),
        ChunkType::Int64 => Builder::Int64(Int64Builder::new()),
        ChunkType::Float32 => Builder::Float32(Float32Builder::new()),
        ChunkType::Float64 => Builder::Float64(Float64Builder::new()),
        ChunkType::Decimal { precision, scale } => Builder::Decimal {
            builder: Decimals::new(*precision, *scale),
            digits: Digits {
                precision: *precision,
                scale: u32::try_from(*scale).ok()?,
                bound: 10_u128.checked_pow(u32::from(*precision))?,
            },
        },
        ChunkType::Text | ChunkType::Json | ChunkType::Uuid => Builder::Text(Texts::default()),
        ChunkType::Binary => Builder::Binary(BinaryBuilder::new()),
        ChunkType::Date => Builder::Date(Date32Builder::new()),
        ChunkType::Time => Builder::Time(Time64MicrosecondBuilder::new()),
        ChunkType::Timestamp {
            unit: TimestampUnit::Microsecond,
            ..
        } => Builder::Micros(TimestampMicrosecondBuilder::new().with_data_type(chunk.arrow())),
        ChunkType::Timestamp {
            unit: TimestampUnit::Nanosecond,
            ..
        } => Builder::Nanos(TimestampNanosecondBuilder::new().with_data_type(chunk.arrow())),
        ChunkType::List(_) => return None,
    })
}

/// Digits of the fraction of `time(3)`, `datetime(6)`.
pub(super) fn fraction_digits(declared: &str) -> u32 {
    let digits = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    match sql::base_of(declared).to_ascii_lowercase().as_str() {
        "time" | "datetime" | "timestamp" => digits.and_then(|(inside, _)| inside.trim().parse().ok()).unwrap_or(0),
        _ => 0,
    }
}

pub(super) fn integer(wire: &Wire, raw: &[u8]) -> std::result::Result<i128, Refusal> {
    let value = match wire {
        Wire::Int { .. } => cell::signed(raw).map(i128::from),
        Wire::Unsigned { .. } | Wire::Year => cell::unsigned(raw).map(i128::from),
        Wire::Bit if raw.len() <= 8 => Some(raw.iter().fold(0, |value, byte| value << 8 | i128::from(*byte))),
        Wire::Decimal => match decimal_text::parse(raw, 0, false) {
            Ok(value) => Some(value),
            Err(misfit) => return Err(misfitting(misfit, wire, raw)),
        },
        _ => None,
    };
    value.ok_or_else(|| Refusal::protocol(wire))
}

pub(super) fn narrow<T: TryFrom<i128>>(value: i128) -> std::result::Result<T, Refusal> {
    T::try_from(value).map_err(|_| Refusal::value(format!("{value} is out of the chunk type's range")))
}

fn boolean(value: i128) -> std::result::Result<bool, Refusal> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Refusal::value(format!("{value} is neither 0 nor 1"))),
    }
}

/// The unscaled value, which fits the column's decimals.
pub(super) fn bounded(wire: &Wire, raw: &[u8], digits: Digits, round: bool) -> std::result::Result<i128, Refusal> {
    let Digits {
        precision,
        scale,
        bound,
    } = digits;
    let too_many =
        |value: &dyn fmt::Display| Refusal::value(format!("{value} does not fit decimal({precision},{scale})"));
    let value = match wire {
        Wire::Decimal => decimal_text::parse(raw, scale, round).map_err(|misfit| misfitting(misfit, wire, raw))?,
        _ => {
            let whole = integer(wire, raw)?;
            let scaled = 10_i128.checked_pow(scale).and_then(|factor| whole.checked_mul(factor));
            scaled.ok_or_else(|| too_many(&whole))?
        }
    };
    match value.unsigned_abs() < bound {
        true => Ok(value),
        false => Err(too_many(&printed(wire, raw))),
    }
}

/// [`bounded`] for the text of a decimal in a column of no more than 18 digits.
pub(super) fn bounded_short(wire: &Wire, raw: &[u8], digits: Digits, round: bool) -> std::result::Result<i64, Refusal> {
    match decimal_text::parse_short(raw, digits.scale as usize) {
        Some(value) if u128::from(value.unsigned_abs()) < digits.bound => Ok(value),
        _ => bounded(wire, raw, digits, round).map(short),
    }
}

fn misfitting(misfit: Misfit, wire: &Wire, raw: &[u8]) -> Refusal {
    match misfit {
        Misfit::NotDecimal => Refusal::protocol(wire),
        Misfit::Scale => Refusal::value(format!(
            "{} has digits behind the chunk type's scale",
            printed(wire, raw)
        )),
        Misfit::Size => Refusal::value(format!("{} has more digits than the chunk type", printed(wire, raw))),
    }
}

fn float32(raw: &[u8]) -> Option<f32> {
    raw.try_into().ok().map(f32::from_le_bytes)
}

fn float64(wire: &Wire, raw: &[u8], round: bool) -> std::result::Result<f64, Refusal> {
    let value = match wire {
        Wire::Float { bytes: 4 } => float32(raw).map(f64::from),
        Wire::Float { .. } => raw.try_into().ok().map(f64::from_le_bytes),
        Wire::Decimal => std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()),
        _ => {
            let whole = integer(wire, raw)?;
            let value = whole as f64;
            if value as i128 != whole && !round {
                return Err(Refusal::value(format!("{whole} is no 64-bit float")));
            }
            Some(value)
        }
    };
    value.ok_or_else(|| Refusal::protocol(wire))
}

pub(super) fn no_counterpart(wire: &Wire, raw: &[u8]) -> Refusal {
    Refusal::value(format!("`{}` has no counterpart in the chunk", printed(wire, raw)))
}

pub(super) fn text_of(raw: &[u8]) -> std::result::Result<&str, Refusal> {
    std::str::from_utf8(raw).map_err(|e| Refusal::value(format!("the bytes are no UTF-8 text: {e}")))
}

fn text<'a>(wire: &Wire, raw: &'a [u8], fraction: u32, made: &'a mut String) -> std::result::Result<&'a str, Refusal> {
    use fmt::Write as _;
    made.clear();
    // Writing to a string cannot fail.
    let _ = match wire {
        Wire::Text | Wire::Json | Wire::Uuid | Wire::Decimal | Wire::Bytes => {
            return text_of(raw);
        }
        Wire::Time => {
            let time = Duration::read(raw).ok_or_else(|| Refusal::protocol(wire))?;
            time.write(fraction, made);
            Ok(())
        }
        Wire::Float { bytes: 4 } => write!(made, "{}", float32(raw).ok_or_else(|| Refusal::protocol(wire))?),
        Wire::Float { .. } => write!(made, "{}", float64(wire, raw, false)?),
        _ => write!(made, "{}", integer(wire, raw)?),
    };
    Ok(made)
}

/// A value as people read it, for error messages. Long ones are cut.
pub(super) fn printed(wire: &Wire, raw: &[u8]) -> String {
    const LONGEST: usize = 100;
    let mut made = String::new();
    let text = match wire {
        Wire::Date | Wire::Timestamp | Wire::TimestampWithZone => DateTime::read(raw).map(|d| d.to_string()),
        Wire::Bytes => None,
        _ => text(wire, raw, 0, &mut made).ok().map(str::to_owned),
    };
    let text = text.unwrap_or_else(|| raw.iter().take(LONGEST).map(|b| format!("{b:02x}")).collect());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
