//! The cells of many rows at once: what depends on the column is decided once for all of them.

use arrow::array::ArrowPrimitiveType;
use arrow::array::builder::PrimitiveBuilder;
use sqlextract_model::Wire;

use super::decode::{
    Builder, ColumnDecoder, Refusal, bounded, bounded_short, integer, narrow, no_counterpart, text_of,
};
use super::temporal::DateTime;
use crate::decimals::Decimals;

type Refused = (usize, Refusal);

impl ColumnDecoder {
    /// Takes cells as [`ColumnDecoder::push`] does. Where one is refused, answers with its place; the decoder is of no use
    /// then.
    pub(super) fn push_all<'a>(
        &mut self,
        cells: impl Iterator<Item = Option<&'a [u8]>> + Clone,
    ) -> Result<(), Refused> {
        let (wire, round) = (&self.wire, self.round);
        let exact = !self.never_null && !self.null_unrepresentable;
        match (&mut self.builder, wire) {
            (Builder::Int16(b), Wire::Int { bytes: 2 }) if exact => {
                fill(b, cells, |raw| whole(wire, raw, i16::from_le_bytes))
            }
            (Builder::Int32(b), Wire::Int { bytes: 4 }) if exact => {
                fill(b, cells, |raw| whole(wire, raw, i32::from_le_bytes))
            }
            (Builder::Int64(b), Wire::Int { bytes: 8 }) if exact => {
                fill(b, cells, |raw| whole(wire, raw, i64::from_le_bytes))
            }
            (Builder::Float64(b), Wire::Float { bytes: 8 }) if exact => fill(b, cells, |raw| {
                let exact = raw.try_into().map_err(|_| Refusal::protocol(wire))?;
                Ok(f64::from_le_bytes(exact))
            }),
            (Builder::Decimal { builder, digits }, Wire::Decimal) if exact => {
                let digits = *digits;
                match builder {
                    Decimals::Short(b) => fill(b, cells, |raw| bounded_short(wire, raw, digits, round)),
                    Decimals::Long(b) => fill(b, cells, |raw| bounded(wire, raw, digits, round)),
                }
            }
            (Builder::Date(b), Wire::Date) if exact => fill(b, cells, |raw| {
                let date = DateTime::read(raw).ok_or_else(|| Refusal::protocol(wire))?;
                date.days().ok_or_else(|| no_counterpart(wire, raw))
            }),
            (Builder::Text(b), Wire::Text | Wire::Json | Wire::Uuid | Wire::Decimal | Wire::Bytes) if exact => {
                b.append_all(cells.clone()).map_err(|place| {
                    let refused = cells.clone().nth(place).flatten().unwrap_or_default();
                    (place, text_of(refused).err().unwrap_or_else(|| Refusal::protocol(wire)))
                })
            }
            _ => self.push_each(cells),
        }
    }

    fn push_each<'a>(&mut self, cells: impl Iterator<Item = Option<&'a [u8]>>) -> Result<(), Refused> {
        for (place, raw) in cells.enumerate() {
            self.push(raw).map_err(|refusal| (place, refusal))?;
        }
        Ok(())
    }
}

#[inline]
fn fill<'a, T: ArrowPrimitiveType>(
    builder: &mut PrimitiveBuilder<T>,
    cells: impl Iterator<Item = Option<&'a [u8]>>,
    read: impl Fn(&'a [u8]) -> Result<T::Native, Refusal>,
) -> Result<(), Refused> {
    for (place, raw) in cells.enumerate() {
        match raw {
            Some(raw) => builder.append_value(read(raw).map_err(|refusal| (place, refusal))?),
            None => builder.append_null(),
        }
    }
    Ok(())
}

/// An integer, which nearly always comes in the width of its column's type.
fn whole<T: TryFrom<i128>, const N: usize>(wire: &Wire, raw: &[u8], exact: fn([u8; N]) -> T) -> Result<T, Refusal> {
    match raw.try_into() {
        Ok(bytes) => Ok(exact(bytes)),
        Err(_) => narrow(integer(wire, raw)?),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use proptest::prelude::*;
    use sqlextract_model::{Cast, ChunkType, ColumnMapping, Lossy};

    use super::*;

    /// A column's cells decoded each by itself, and the same as in a strip: as text, or the place of what is refused.
    fn both_ways(mapping: &ColumnMapping, cells: &[Option<Vec<u8>>]) -> [Result<String, (usize, Refusal)>; 2] {
        let raw = || cells.iter().map(|cell| cell.as_deref());
        let decoded = |all: bool| {
            let mut decoder = ColumnDecoder::new(mapping).unwrap();
            match all {
                true => decoder.push_all(raw())?,
                false => decoder.push_each(raw())?,
            }
            let array = decoder.finish();
            assert_eq!(array.len(), cells.len());
            Ok(format!("{array:?}"))
        };
        [decoded(false), decoded(true)]
    }

    fn mappings() -> Vec<ColumnMapping> {
        let decimal = |precision, scale| ChunkType::Decimal { precision, scale };
        let pairs = [
            (Wire::Int { bytes: 2 }, ChunkType::Int16),
            (Wire::Int { bytes: 4 }, ChunkType::Int32),
            (Wire::Int { bytes: 8 }, ChunkType::Int64),
            (Wire::Int { bytes: 4 }, ChunkType::Int16),
            (Wire::Float { bytes: 8 }, ChunkType::Float64),
            (Wire::Decimal, decimal(5, 2)),
            (Wire::Decimal, decimal(38, 0)),
            (Wire::Decimal, ChunkType::Text),
            (Wire::Date, ChunkType::Date),
            (Wire::Text, ChunkType::Text),
        ];
        let choices = [None, Some(Lossy::Rounded), Some(Lossy::NullForUnrepresentable)];
        let mapping = |(wire, chunk): (Wire, ChunkType), lossy| ColumnMapping {
            name: "c".to_owned(),
            declared: String::new(),
            nullable: true,
            cast: Cast::None,
            wire,
            chunk,
            lossy,
            length: None,
        };
        let pairs = pairs.into_iter();
        pairs
            .flat_map(|pair| choices.map(|lossy| mapping(pair.clone(), lossy)))
            .collect()
    }

    #[test]
    fn an_integer_may_come_in_another_width_than_its_plan_knows() {
        let cells = [Some(7_i32.to_le_bytes().to_vec()), None];
        let [each, all] = both_ways(&mappings()[0], &cells);
        assert!(each.is_ok());
        assert_eq!(each, all);
    }

    proptest! {
        #[test]
        fn cells_of_a_strip_are_judged_as_each_is(
            column in 0..mappings().len(),
            cells in prop::collection::vec(
                prop::option::of(prop_oneof![
                    any::<i16>().prop_map(|n| n.to_le_bytes().to_vec()),
                    any::<i32>().prop_map(|n| n.to_le_bytes().to_vec()),
                    any::<i64>().prop_map(|n| n.to_le_bytes().to_vec()),
                    "-?[0-9]{1,4}(\\.[0-9]{1,3})?".prop_map(String::into_bytes),
                    (1_u8..3, 0_u8..14, 0_u8..33).prop_map(|(a, month, day)| vec![4, a, 7, month, day]),
                    prop::collection::vec(any::<u8>(), 0..6),
                ]),
                0..6,
            ),
        ) {
            let [each, all] = both_ways(&mappings()[column], &cells);
            prop_assert_eq!(each, all);
        }
    }
}
