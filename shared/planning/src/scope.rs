//! The part of a key's space that is being split: a column of the key below fixed values of the columns before it.

use sqlextract_model::{KeyColumn, KeyRange, KeyValue, Range};

#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The key's columns up to and including the one that is being split.
    pub(crate) columns: Vec<KeyColumn>,
    /// Values of all columns but the last.
    pub(crate) prefix: Vec<KeyValue>,
    /// The first key behind the scope; `None` where it reaches to the end.
    pub(crate) upper: Option<Vec<KeyValue>>,
}

impl Scope {
    pub(crate) fn whole(columns: &[KeyColumn]) -> Self {
        Self {
            columns: columns[..1].to_vec(),
            prefix: Vec::new(),
            upper: None,
        }
    }

    pub(crate) fn column(&self) -> &KeyColumn {
        &self.columns[self.prefix.len()]
    }

    /// A key of the scope with this value in the column that is being split.
    pub(crate) fn key(&self, value: KeyValue) -> Vec<KeyValue> {
        let mut key = self.prefix.clone();
        key.push(value);
        key
    }

    /// The value of the split column in an answered key; `None` for a key that is too short.
    pub(crate) fn value<'a>(&self, key: &'a [KeyValue]) -> Option<&'a KeyValue> {
        key.get(self.prefix.len())
    }

    /// All of the scope.
    pub(crate) fn range(&self) -> KeyRange {
        let lower = (!self.prefix.is_empty()).then(|| self.prefix.clone());
        KeyRange {
            columns: self.columns.clone(),
            lower,
            upper: self.upper.clone(),
        }
    }

    /// From a key of the scope to before another, or to the scope's end.
    pub(crate) fn between(&self, lower: Vec<KeyValue>, upper: Option<Vec<KeyValue>>) -> KeyRange {
        let upper = upper.or_else(|| self.upper.clone());
        KeyRange {
            columns: self.columns.clone(),
            lower: Some(lower),
            upper,
        }
    }

    pub(crate) fn rows_between(&self, lower: Vec<KeyValue>, upper: Option<Vec<KeyValue>>) -> Range {
        Range::Keys(self.between(lower, upper))
    }
}

/// What is wanted of a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// Estimated rows in the scope; 0 where nothing is known.
    pub(crate) rows: f64,
    /// Rows that a batch should have.
    pub(crate) batch: f64,
    /// No two rows of the scope share a value of the split column.
    pub(crate) unique: bool,
    /// Questions that may be asked altogether, as the transcript counts them.
    pub(crate) questions: usize,
}
