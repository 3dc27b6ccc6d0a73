//! Which keys a table can be split by.

use sqlextract_model::{Dialect, KeyColumn, KeyFacts, TableFacts, TableKind};

/// Keys that are tried before the table is read as a whole.
const MOST_TRIED: usize = 3;

/// The part of an index that ranges can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitKey {
    pub(crate) name: String,
    pub(crate) columns: Vec<KeyColumn>,
    /// No two rows share the values of all `columns`.
    pub(crate) unique: bool,
}

impl SplitKey {
    fn of(key: &KeyFacts) -> Option<Self> {
        let not_null = key.columns.iter().take_while(|column| !column.nullable).count();
        // Tuples with NULLs in them compare to nothing; a nullable first column stands alone and its NULLs get a batch.
        let columns = key.columns.get(..not_null.max(1))?.to_vec();
        let unique = key.unique && columns.len() == key.columns.len();
        Some(Self {
            name: key.name.clone(),
            columns,
            unique,
        })
    }

    /// The column whose NULLs no range of keys holds.
    pub(crate) fn nullable(&self) -> Option<&KeyColumn> {
        self.columns.first().filter(|column| column.nullable)
    }
}

/// Keys to try, best first.
pub(crate) fn candidates(facts: &TableFacts, dialect: Dialect) -> Vec<SplitKey> {
    // A view's or another server's rows have no index that could be asked.
    if matches!(facts.kind, TableKind::View | TableKind::Foreign) {
        return Vec::new();
    }
    let mut keys: Vec<&KeyFacts> = facts.keys.iter().collect();
    if dialect == Dialect::Sqlite {
        // The table itself is ordered by its rowid; every other index leads to it row by row.
        keys.sort_by_key(|key| key.name != "rowid");
    }
    let mut found: Vec<SplitKey> = Vec::new();
    for key in keys.into_iter().filter_map(SplitKey::of) {
        if found.iter().all(|other| other.columns != key.columns) {
            found.push(key);
        }
    }
    found.truncate(MOST_TRIED);
    found
}
