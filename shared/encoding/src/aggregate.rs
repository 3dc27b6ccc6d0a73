//! Aggregates of columns, exactly as each source's SQL computes them.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType, i256,
};
use sqlextract_model::{ChunkType, Code, ColumnAggregate, ColumnMapping, Failure, Result};

use crate::check::same_type;
use crate::exact;

/// Aggregates record batches column by column, in memory that does not grow.
#[derive(Debug)]
pub struct Aggregator {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    arrow: DataType,
    state: State,
    count: u64,
}

/// What is kept of a column.
#[derive(Debug)]
enum State {
    /// Only the values that are not NULL are counted.
    Count,
    /// How many are true; how many bytes the values have.
    Total(u64),
    Integer(Integers),
    Decimal(Integers, i8),
    Float32(Floats<f32>),
    Float64(Floats<f64>),
}

#[derive(Debug, Default)]
struct Integers {
    /// 2^64 values of 127 bits stay below 2^191.
    sum: i256,
    bounds: Option<(i128, i128)>,
}

#[derive(Debug, Default)]
struct Floats<F> {
    nan: u64,
    bounds: Option<(F, F)>,
}

impl Aggregator {
    pub fn new(columns: &[ColumnMapping]) -> Self {
        let columns = columns.iter().map(|mapping| Column {
            name: mapping.name.clone(),
            arrow: mapping.chunk.arrow(),
            state: State::new(&mapping.chunk),
            count: 0,
        });
        Self {
            columns: columns.collect(),
        }
    }

    /// # Errors
    /// `defect` for a batch whose columns are not those of the mapping.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            let message = format!(
                "{} columns arrive where {} are planned",
                batch.num_columns(),
                self.columns.len()
            );
            return Err(Failure::new(Code::Defect, message));
        }
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            if !same_type(&column.arrow, array.data_type()) {
                let message = format!("column `{}` arrives as {}", column.name, array.data_type());
                return Err(Failure::new(Code::Defect, message).column(&column.name));
            }
            column.count += (array.len() - array.null_count()) as u64;
            column.state.update(array.as_ref());
        }
        Ok(())
    }

    /// One aggregate per column, in their order.
    pub fn finish(self) -> Vec<ColumnAggregate> {
        self.columns.into_iter().map(Column::finish).collect()
    }
}

impl State {
    fn new(chunk: &ChunkType) -> Self {
        match chunk {
            ChunkType::List(_) => Self::Count,
            ChunkType::Boolean | ChunkType::Text | ChunkType::Json | ChunkType::Uuid | ChunkType::Binary => {
                Self::Total(0)
            }
            ChunkType::Decimal { scale, .. } => Self::Decimal(Integers::default(), *scale),
            ChunkType::Float32 => Self::Float32(Floats::default()),
            ChunkType::Float64 => Self::Float64(Floats::default()),
            ChunkType::Int8
            | ChunkType::Int16
            | ChunkType::Int32
            | ChunkType::Int64
            | ChunkType::Date
            | ChunkType::Time
            | ChunkType::Timestamp { .. } => Self::Integer(Integers::default()),
        }
    }

    fn update(&mut self, array: &dyn Array) {
        match self {
            Self::Count => {}
            Self::Total(total) => *total += total_of(array),
            Self::Integer(integers) => match array.data_type() {
                DataType::Int8 => integers.update::<Int8Type>(array.as_primitive()),
                DataType::Int16 => integers.update::<Int16Type>(array.as_primitive()),
                DataType::Int32 => integers.update::<Int32Type>(array.as_primitive()),
                DataType::Int64 => integers.update::<Int64Type>(array.as_primitive()),
                DataType::Date32 => integers.update::<Date32Type>(array.as_primitive()),
                DataType::Time64(_) => integers.update::<Time64MicrosecondType>(array.as_primitive()),
                DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                    let nanos = array.as_primitive::<TimestampNanosecondType>();
                    let micros = nanos.unary::<_, TimestampMicrosecondType>(|value| value.div_euclid(1000));
                    integers.update::<TimestampMicrosecondType>(&micros);
                }
                DataType::Timestamp(..) => integers.update::<TimestampMicrosecondType>(array.as_primitive()),
                _ => {}
            },
            Self::Decimal(integers, _) => match array.data_type() {
                DataType::Decimal64(..) => integers.update::<Decimal64Type>(array.as_primitive()),
                _ => integers.update_wide(array.as_primitive()),
            },
            Self::Float32(floats) => floats.update::<Float32Type>(array.as_primitive()),
            Self::Float64(floats) => floats.update::<Float64Type>(array.as_primitive()),
        }
    }
}

/// True values, or octets.
fn total_of(array: &dyn Array) -> u64 {
    fn octets(array: &dyn Array, offsets: &[i32]) -> u64 {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => (offsets[offsets.len() - 1] - offsets[0]) as u64,
            // A NULL's slot may hold bytes all the same.
            Some(nulls) => nulls
                .valid_indices()
                .map(|row| (offsets[row + 1] - offsets[row]) as u64)
                .sum(),
        }
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().true_count() as u64,
        DataType::Utf8 => octets(array, array.as_string::<i32>().value_offsets()),
        DataType::Binary => octets(array, array.as_binary::<i32>().value_offsets()),
        _ => 0,
    }
}

impl Integers {
    /// Integers of up to 64 bits: 2^31 rows, more than a batch can have, cannot overflow 128 bits.
    fn update<T: ArrowPrimitiveType<Native: Into<i64> + Ord>>(&mut self, array: &PrimitiveArray<T>) {
        let fold = |(sum, least, most): (i128, T::Native, T::Native), value: T::Native| {
            let wide: i64 = value.into();
            (sum + i128::from(wide), least.min(value), most.max(value))
        };
        let Some(first) = array.iter().flatten().next() else {
            return;
        };
        let start = (0, first, first);
        let (sum, least, most) = if array.null_count() == 0 {
            array.values().iter().copied().fold(start, fold)
        } else {
            array.iter().flatten().fold(start, fold)
        };
        let (least, most): (i64, i64) = (least.into(), most.into());
        self.add(i256::from_i128(sum), i128::from(least), i128::from(most));
    }

    fn update_wide(&mut self, array: &PrimitiveArray<Decimal128Type>) {
        let Some(first) = array.iter().flatten().next() else {
            return;
        };
        // Whether all values fit into 64 bits is known after the fact; if not, they are added again in 256 bits.
        let fold = |(sum, least, most): (i128, i128, i128), value: i128| {
            (sum.wrapping_add(value), least.min(value), most.max(value))
        };
        let start = (0, first, first);
        let (narrow, least, most) = if array.null_count() == 0 {
            array.values().iter().copied().fold(start, fold)
        } else {
            array.iter().flatten().fold(start, fold)
        };
        let fits = i64::try_from(least).is_ok() && i64::try_from(most).is_ok();
        let sum = if fits {
            i256::from_i128(narrow)
        } else {
            array
                .iter()
                .flatten()
                .fold(i256::ZERO, |sum, value| sum.wrapping_add(i256::from_i128(value)))
        };
        self.add(sum, least, most);
    }

    fn add(&mut self, sum: i256, least: i128, most: i128) {
        self.sum = self.sum.wrapping_add(sum);
        self.bounds = Some(match self.bounds {
            None => (least, most),
            Some((low, high)) => (low.min(least), high.max(most)),
        });
    }
}

impl<F: PartialOrd + Copy> Floats<F> {
    #[expect(clippy::eq_op, reason = "only NaN differs from itself, for either width")]
    fn update<T: ArrowPrimitiveType<Native = F>>(&mut self, array: &PrimitiveArray<T>) {
        for value in array.iter().flatten() {
            if value != value {
                self.nan += 1;
                continue;
            }
            self.bounds = Some(match self.bounds {
                None => (value, value),
                Some((low, high)) => (
                    if value < low { value } else { low },
                    if value > high { value } else { high },
                ),
            });
        }
    }
}

impl Column {
    fn finish(self) -> ColumnAggregate {
        let empty = ColumnAggregate {
            name: self.name,
            count: self.count,
            ..ColumnAggregate::default()
        };
        match self.state {
            State::Count => empty,
            State::Total(total) => ColumnAggregate {
                sum: Some(total.to_string()),
                ..empty
            },
            State::Integer(integers) => integers.finish(empty, 0),
            State::Decimal(integers, scale) => integers.finish(empty, scale),
            State::Float32(floats) => floats.finish(empty, |value| exact::float_text(value == 0.0, value)),
            State::Float64(floats) => floats.finish(empty, |value| exact::float_text(value == 0.0, value)),
        }
    }
}

impl Integers {
    fn finish(self, empty: ColumnAggregate, scale: i8) -> ColumnAggregate {
        ColumnAggregate {
            sum: Some(exact::text(self.sum, scale)),
            min: self.bounds.map(|(least, _)| exact::text(i256::from_i128(least), scale)),
            max: self.bounds.map(|(_, most)| exact::text(i256::from_i128(most), scale)),
            ..empty
        }
    }
}

impl<F: Copy> Floats<F> {
    fn finish(self, empty: ColumnAggregate, text: impl Fn(F) -> String) -> ColumnAggregate {
        ColumnAggregate {
            nan: Some(self.nan),
            min: self.bounds.map(|(low, _)| text(low)),
            max: self.bounds.map(|(_, high)| text(high)),
            ..empty
        }
    }
}
