//! What the manifest proves about a column's values.

use sqlextract_model::{ChunkType, ColumnAggregate, ColumnMapping};

/// 0001-01-01 and 9999-12-31, in days since 1970.
const PLAIN_DAYS: (i128, i128) = (-719_162, 2_932_896);
const DAY_MICROSECONDS: i128 = 86_400_000_000;

/// A column's aggregate over some rows, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'m> {
    pub(crate) rows: u64,
    aggregate: Option<&'m ColumnAggregate>,
}

impl<'m> Facts<'m> {
    pub(crate) fn new(rows: u64, aggregate: Option<&'m ColumnAggregate>) -> Self {
        Self { rows, aggregate }
    }

    /// Of a column among those of a table or a batch.
    pub(crate) fn of(rows: u64, column: &ColumnMapping, all: &'m [ColumnAggregate]) -> Self {
        Self::new(rows, all.iter().find(|facts| facts.name == column.name))
    }

    /// Whether at least one value is NULL, by proof.
    pub(crate) fn has_null(&self) -> bool {
        self.aggregate.is_some_and(|facts| facts.count < self.rows)
    }

    pub(crate) fn has_no_value(&self) -> bool {
        self.rows == 0 || self.aggregate.is_some_and(|facts| facts.count == 0)
    }

    /// Whether every float is a number: neither NaN nor infinite. `None` where nothing is known.
    pub(crate) fn is_finite(&self) -> Option<bool> {
        if self.has_no_value() {
            return Some(true);
        }
        let facts = self.aggregate?;
        let finite = |text: &Option<String>| text.as_ref()?.parse::<f64>().ok().map(f64::is_finite);
        match (facts.nan?, finite(&facts.min), finite(&facts.max)) {
            (0, Some(low), Some(high)) => Some(low && high),
            (0, None, None) => None,
            _ => Some(false),
        }
    }

    /// Whether every date or timestamp is within the years 1 to 9999, which all platforms read alike. `None` where
    /// nothing is known.
    pub(crate) fn in_plain_years(&self, chunk: &ChunkType) -> Option<bool> {
        let unit = match chunk {
            ChunkType::Date => 1,
            ChunkType::Timestamp { .. } => DAY_MICROSECONDS,
            _ => return Some(true),
        };
        if self.has_no_value() {
            return Some(true);
        }
        let facts = self.aggregate?;
        let days = |text: &Option<String>| text.as_ref()?.parse::<i128>().ok().map(|n| n.div_euclid(unit));
        let (min, max) = (days(&facts.min)?, days(&facts.max)?);
        Some(PLAIN_DAYS.0 <= min && max <= PLAIN_DAYS.1)
    }

    /// Whether some text or bytes are longer than this, for certain: the mean is.
    pub(crate) fn is_surely_longer_than(&self, bytes: u64) -> bool {
        let Some(facts) = self.aggregate else { return false };
        let Some(sum) = facts.sum.as_ref().and_then(|sum| sum.parse::<u64>().ok()) else {
            return false;
        };
        facts.count > 0 && sum / facts.count > bytes
    }

    /// Whether none can be longer than this: all together are not.
    pub(crate) fn is_surely_within(&self, bytes: u64) -> bool {
        let sum = self.aggregate.and_then(|facts| facts.sum.as_ref()?.parse::<u64>().ok());
        self.has_no_value() || sum.is_some_and(|sum| sum <= bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(count: u64, min: &str, max: &str) -> ColumnAggregate {
        ColumnAggregate {
            count,
            nan: Some(0),
            min: Some(min.to_owned()),
            max: Some(max.to_owned()),
            sum: Some("40".to_owned()),
            ..ColumnAggregate::default()
        }
    }

    #[test]
    fn years_are_plain_by_proof_only() {
        let known = facts(2, "-719162", "2932896");
        assert_eq!(Facts::new(2, Some(&known)).in_plain_years(&ChunkType::Date), Some(true));
        let before = facts(2, "-719163", "0");
        assert_eq!(
            Facts::new(2, Some(&before)).in_plain_years(&ChunkType::Date),
            Some(false)
        );
        assert_eq!(Facts::new(2, None).in_plain_years(&ChunkType::Date), None);
        let none = ColumnAggregate::default();
        assert_eq!(Facts::new(2, Some(&none)).in_plain_years(&ChunkType::Date), Some(true));
    }

    #[test]
    fn floats_are_finite_by_their_bounds() {
        let cases = [
            ("1.5", "2", Some(true)),
            ("-inf", "2", Some(false)),
            ("1", "inf", Some(false)),
        ];
        for (min, max, finite) in cases {
            assert_eq!(
                Facts::new(1, Some(&facts(1, min, max))).is_finite(),
                finite,
                "{min} {max}"
            );
        }
        let nan = ColumnAggregate {
            count: 1,
            nan: Some(1),
            ..ColumnAggregate::default()
        };
        assert_eq!(Facts::new(1, Some(&nan)).is_finite(), Some(false));
        assert_eq!(Facts::new(1, None).is_finite(), None);
    }

    #[test]
    fn lengths_are_bounded_by_mean_and_sum() {
        let some = facts(4, "0", "0");
        let some = Facts::new(5, Some(&some));
        assert!(some.is_surely_longer_than(9) && !some.is_surely_longer_than(10));
        assert!(some.is_surely_within(40) && !some.is_surely_within(39));
        assert!(some.has_null());
    }
}
