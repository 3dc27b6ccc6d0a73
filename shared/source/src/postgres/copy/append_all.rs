//! The values of many rows at once: what depends on the column is decided once for all of them.

use arrow::array::ArrowPrimitiveType;
use arrow::array::builder::PrimitiveBuilder;

use super::column::{Cells, Column};
use super::misfit::{Misfit, exactly};
use super::numeric::Numeric;
use super::strip::Values;
use super::temporal;
use crate::decimals::{Decimals, short};

type Read<T> = Result<T, Misfit>;

impl Column {
    /// Appends values as [`Column::append`] and [`Column::append_null`] do. Where one is refused, answers with its place;
    /// the column is of no use then.
    pub(super) fn append_all(&mut self, values: Values<'_>) -> Result<(), (usize, Misfit)> {
        let excess = self.excess;
        let misfit_is_null = self.misfit_is_null;
        let fill_i32 = |bytes: &[u8]| Ok(i32::from_be_bytes(exactly(bytes)?));
        match &mut self.cells {
            Cells::Int16(cells) => fill(cells, values, false, |bytes| Ok(i16::from_be_bytes(exactly(bytes)?))),
            Cells::Int32(cells) => fill(cells, values, false, fill_i32),
            Cells::Int64(cells) => fill(cells, values, false, |bytes| Ok(i64::from_be_bytes(exactly(bytes)?))),
            Cells::Float32(cells) => fill(cells, values, false, |bytes| Ok(f32::from_be_bytes(exactly(bytes)?))),
            Cells::Float64(cells) => fill(cells, values, false, |bytes| Ok(f64::from_be_bytes(exactly(bytes)?))),
            Cells::Date(cells) => fill(cells, values, misfit_is_null, temporal::date),
            Cells::Microseconds(cells) => fill(cells, values, misfit_is_null, temporal::timestamp),
            Cells::Decimal {
                precision,
                scale,
                cells,
            } => {
                let (precision, scale) = (*precision, *scale);
                let scaled = |bytes: &[u8]| Numeric::parse(bytes)?.scaled(precision, scale, excess);
                match cells {
                    Decimals::Short(cells) => fill(cells, values, misfit_is_null, |bytes| scaled(bytes).map(short)),
                    Decimals::Long(cells) => fill(cells, values, misfit_is_null, scaled),
                }
            }
            Cells::Text(texts) if !misfit_is_null => {
                let refused = Misfit::Value("the bytes are no UTF-8");
                texts.append_all(values).map_err(|place| (place, refused))
            }
            _ => self.append_each(values),
        }
    }

    fn append_each(&mut self, values: Values<'_>) -> Result<(), (usize, Misfit)> {
        for (place, value) in values.enumerate() {
            match value {
                Some(bytes) => self.append(bytes).map_err(|misfit| (place, misfit))?,
                None => self.append_null(),
            }
        }
        Ok(())
    }
}

#[inline]
fn fill<T: ArrowPrimitiveType>(
    cells: &mut PrimitiveBuilder<T>,
    values: Values<'_>,
    misfit_is_null: bool,
    read: impl Fn(&[u8]) -> Read<T::Native>,
) -> Result<(), (usize, Misfit)> {
    for (place, value) in values.enumerate() {
        match value.map(&read) {
            Some(Ok(value)) => cells.append_value(value),
            None => cells.append_null(),
            Some(Err(Misfit::Value(_))) if misfit_is_null => cells.append_null(),
            Some(Err(misfit)) => return Err((place, misfit)),
        }
    }
    Ok(())
}
