//! The values of many rows at once: what depends on the column is decided once for all of them.

use arrow::array::ArrowPrimitiveType;
use arrow::array::builder::PrimitiveBuilder;

use super::column::{Cells, Column};
use super::misfit::{Misfit, exactly};
use super::temporal;
use crate::decimals::Decimals;
use crate::places::{Places, ROWS_AT_ONCE};

type Read<T> = Result<T, Misfit>;
type Refused = (usize, Misfit);

impl Column {
    /// Appends values as [`Column::append`] and [`Column::append_null`] do. Where one is refused, answers with its place;
    /// the column is of no use then.
    pub(super) fn append_all(&mut self, values: Places<'_>) -> Result<(), Refused> {
        let misfit_is_null = self.misfit_is_null;
        match &mut self.cells {
            Cells::Int16(cells) => fill_exact(cells, values, false, |bytes| Ok(i16::from_be_bytes(bytes))),
            Cells::Int32(cells) => fill_exact(cells, values, false, |bytes| Ok(i32::from_be_bytes(bytes))),
            Cells::Int64(cells) => fill_exact(cells, values, false, |bytes| Ok(i64::from_be_bytes(bytes))),
            Cells::Float32(cells) => fill_exact(cells, values, false, |bytes| Ok(f32::from_be_bytes(bytes))),
            Cells::Float64(cells) => fill_exact(cells, values, false, |bytes| Ok(f64::from_be_bytes(bytes))),
            Cells::Date(cells) => fill_exact(cells, values, misfit_is_null, temporal::date),
            Cells::Microseconds(cells) => fill_exact(cells, values, misfit_is_null, temporal::timestamp),
            Cells::Decimal(scale, Decimals::Short(cells)) => {
                fill(cells, values, misfit_is_null, |text| scale.read_short(text))
            }
            Cells::Decimal(scale, Decimals::Long(cells)) => {
                fill(cells, values, misfit_is_null, |text| scale.read(text))
            }
            Cells::Text(texts) if !misfit_is_null => {
                let refused = Misfit::Value("the bytes are no UTF-8");
                texts.append_places(values).map_err(|place| (place, refused))
            }
            _ => self.append_each(values),
        }
    }

    fn append_each(&mut self, values: Places<'_>) -> Result<(), Refused> {
        for (place, value) in values.each().enumerate() {
            match value {
                Some(bytes) => self.append(bytes).map_err(|misfit| (place, misfit))?,
                None => self.append_null(),
            }
        }
        Ok(())
    }
}

/// Values of a type that has `N` bytes.
#[inline]
fn fill_exact<T: ArrowPrimitiveType, const N: usize>(
    cells: &mut PrimitiveBuilder<T>,
    values: Places<'_>,
    misfit_is_null: bool,
    read: impl Fn([u8; N]) -> Read<T::Native>,
) -> Result<(), Refused> {
    if let Some(each) = values.each_of()
        && fill_whole(cells, each.map(|bytes| read(*bytes)))
    {
        return Ok(());
    }
    fill_each(cells, values, misfit_is_null, |bytes| read(exactly(bytes)?))
}

#[inline]
fn fill<T: ArrowPrimitiveType>(
    cells: &mut PrimitiveBuilder<T>,
    values: Places<'_>,
    misfit_is_null: bool,
    read: impl Fn(&[u8]) -> Read<T::Native>,
) -> Result<(), Refused> {
    if !values.any_null() && fill_whole(cells, values.each().flatten().map(&read)) {
        return Ok(());
    }
    fill_each(cells, values, misfit_is_null, read)
}

/// Appends the values of one strip, or nothing if one of them is refused.
#[inline]
fn fill_whole<T: ArrowPrimitiveType>(
    cells: &mut PrimitiveBuilder<T>,
    values: impl Iterator<Item = Read<T::Native>>,
) -> bool {
    let mut whole = [T::Native::default(); ROWS_AT_ONCE];
    let mut rows = 0;
    for (place, value) in whole.iter_mut().zip(values) {
        let Ok(value) = value else { return false };
        *place = value;
        rows += 1;
    }
    cells.append_slice(&whole[..rows]);
    true
}

fn fill_each<T: ArrowPrimitiveType>(
    cells: &mut PrimitiveBuilder<T>,
    values: Places<'_>,
    misfit_is_null: bool,
    read: impl Fn(&[u8]) -> Read<T::Native>,
) -> Result<(), Refused> {
    for (place, value) in values.each().enumerate() {
        match value.map(&read) {
            Some(Ok(value)) => cells.append_value(value),
            None => cells.append_null(),
            Some(Err(Misfit::Value(_))) if misfit_is_null => cells.append_null(),
            Some(Err(misfit)) => return Err((place, misfit)),
        }
    }
    Ok(())
}
