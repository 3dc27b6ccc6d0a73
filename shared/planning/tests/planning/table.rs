//! A table in memory: sorted rows of key values under a collation of its own, which answers planning's questions.

use std::cmp::Ordering;

use sqlextract_model::{
    Batch, Compression, Consistency, Dialect, FileFormat, Format, KeyColumn, KeyFacts, KeyKind, KeyRange, KeyValue,
    ParquetVersion, Range, TableFacts, TableKind, TableName,
};
use sqlextract_planning::{Answer, PlanOptions, Planner, Question, Split};

pub(crate) type Row = Vec<Option<KeyValue>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    Bytes,
    /// Letters of both cases are equal.
    CaseInsensitive,
    /// The text is a number.
    Number,
}

/// What `EstimateRows` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Estimates {
    None,
    Exact,
    /// Off by up to a factor of two either way.
    Rough,
    /// A default share of the table, whatever is asked.
    Useless,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<KeyColumn>,
    pub(crate) collation: Collation,
    pub(crate) estimates: Estimates,
    pub(crate) unique: bool,
    /// Rows whose first column is not NULL, in order.
    rows: Vec<Vec<KeyValue>>,
    nulls: u64,
}

pub(crate) fn column(name: &str, kind: KeyKind, nullable: bool) -> KeyColumn {
    let declared = match kind {
        KeyKind::Integer => "bigint",
        KeyKind::Uuid => "uuid",
        KeyKind::Text => "text",
        KeyKind::Bytes => "bytea",
        KeyKind::Literal => "numeric",
    };
    KeyColumn {
        name: name.to_owned(),
        kind,
        nullable,
        declared: declared.to_owned(),
    }
}

impl Table {
    pub(crate) fn new(columns: Vec<KeyColumn>, collation: Collation, estimates: Estimates, rows: Vec<Row>) -> Self {
        let all = rows.len();
        let mut keys: Vec<Vec<KeyValue>> = rows.into_iter().filter_map(|row| row.into_iter().collect()).collect();
        let nulls = (all - keys.len()) as u64;
        keys.sort_by(|a, b| compare(a, b, collation));
        let unique = keys.is_sorted_by(|a, b| compare(a, b, collation) == Ordering::Less);
        Self {
            columns,
            collation,
            estimates,
            unique,
            rows: keys,
            nulls,
        }
    }

    pub(crate) fn integers(values: impl IntoIterator<Item = i128>, estimates: Estimates) -> Self {
        let rows = values
            .into_iter()
            .map(|value| vec![Some(KeyValue::Integer(value))])
            .collect();
        Self::new(
            vec![column("id", KeyKind::Integer, false)],
            Collation::Bytes,
            estimates,
            rows,
        )
    }

    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64 + self.nulls
    }

    pub(crate) fn facts(&self) -> TableFacts {
        let key = KeyFacts {
            name: "t_key".to_owned(),
            columns: self.columns.clone(),
            unique: self.unique,
            primary: self.unique,
        };
        TableFacts {
            name: TableName::new("public", "t"),
            kind: TableKind::Table,
            columns: Vec::new(),
            estimated_rows: self.len(),
            estimated_bytes: self.len() * 100,
            keys: vec![key],
            leaves: Vec::new(),
            logged: true,
        }
    }

    /// The position of the first row at or behind a bound, which may be a prefix.
    fn position(&self, bound: &[KeyValue]) -> usize {
        self.rows
            .partition_point(|row| compare(row, bound, self.collation) == Ordering::Less)
    }

    fn span(&self, range: &KeyRange) -> (usize, usize) {
        let from = range.lower.as_ref().map_or(0, |bound| self.position(bound));
        let to = range
            .upper
            .as_ref()
            .map_or(self.rows.len(), |bound| self.position(bound));
        (from, to.max(from))
    }

    /// Rows that a batch would read.
    pub(crate) fn count(&self, range: &Range) -> u64 {
        match range {
            Range::All => self.len(),
            Range::Keys(range) => {
                let (from, to) = self.span(range);
                (to - from) as u64
            }
            Range::KeyIsNull(_) => self.nulls,
            Range::Blocks(_) => 0,
        }
    }

    pub(crate) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Bounds { columns } => {
                let cut = |row: &Vec<KeyValue>| row[..columns.len()].to_vec();
                Answer::Bounds(self.rows.first().zip(self.rows.last()).map(|(a, b)| (cut(a), cut(b))))
            }
            Question::NextKey { within, at_least } => {
                let (from, to) = self.span(within);
                let at = from.max(self.position(at_least));
                let found = self.rows[..to].get(at).map(|row| row[..within.columns.len()].to_vec());
                Answer::NextKey(found)
            }
            Question::EstimateRows { range } => {
                let exact = self.count(range);
                Answer::Rows(match self.estimates {
                    Estimates::None => None,
                    Estimates::Exact => Some(exact),
                    Estimates::Rough => Some(if exact.is_multiple_of(2) {
                        exact * 2
                    } else {
                        exact / 2 + 1
                    }),
                    Estimates::Useless => Some(self.len() / 200 + 1),
                })
            }
            Question::Explain { .. } => Answer::Explain(None),
        }
    }

    /// Whether a batch would read a row, by the meaning of its range alone.
    pub(crate) fn holds(&self, range: &Range, row: &Row) -> bool {
        match range {
            Range::All => true,
            Range::KeyIsNull(_) => row[0].is_none(),
            Range::Blocks(_) => false,
            Range::Keys(range) => {
                let Some(key) = row.iter().cloned().collect::<Option<Vec<KeyValue>>>() else {
                    return false;
                };
                let side = |bound: &[KeyValue]| compare(&key, bound, self.collation);
                range.lower.as_deref().is_none_or(|bound| side(bound) != Ordering::Less)
                    && range.upper.as_deref().is_none_or(|bound| side(bound) == Ordering::Less)
            }
        }
    }
}

/// A row against a bound: equal on the columns of a shorter bound means behind it.
fn compare(row: &[KeyValue], bound: &[KeyValue], collation: Collation) -> Ordering {
    let by_column = row.iter().zip(bound).map(|(a, b)| compare_values(a, b, collation));
    by_column.fold(Ordering::Equal, Ordering::then)
}

fn compare_values(a: &KeyValue, b: &KeyValue, collation: Collation) -> Ordering {
    match (a, b) {
        (KeyValue::Integer(a), KeyValue::Integer(b)) => a.cmp(b),
        (KeyValue::Bytes(a), KeyValue::Bytes(b)) => a.cmp(b),
        (KeyValue::Text(a), KeyValue::Text(b)) => match collation {
            Collation::Bytes => a.cmp(b),
            Collation::CaseInsensitive => a.to_lowercase().cmp(&b.to_lowercase()),
            Collation::Number => {
                let number = |text: &str| text.parse::<f64>().expect("literals of this table are numbers");
                number(a).total_cmp(&number(b))
            }
        },
        _ => panic!("planning compares {a:?} with {b:?}"),
    }
}

pub(crate) fn options(batch_rows: u64) -> PlanOptions {
    PlanOptions {
        consistency: Consistency::Batch,
        shared_snapshot: false,
        batch_rows: Some(batch_rows),
        bytes_per_second: None,
        chunk_bytes: 128_000_000,
        format: FileFormat {
            format: Format::Parquet,
            compression: Compression::Zstd,
            level: None,
            parquet_version: ParquetVersion::default(),
        },
    }
}

/// What a planning run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) questions: usize,
    pub(crate) rounds: usize,
}

pub(crate) fn plan_with(
    facts: &TableFacts,
    dialect: Dialect,
    options: PlanOptions,
    mut answer: impl FnMut(&Question) -> Answer,
) -> (Split, Cost) {
    let mut planner = Planner::new(facts, dialect, options).unwrap();
    let mut cost = Cost::default();
    loop {
        let questions = planner.questions();
        if questions.is_empty() {
            return (planner.finish().unwrap(), cost);
        }
        cost.questions += questions.len();
        cost.rounds += 1;
        planner.answer(questions.iter().map(&mut answer).collect()).unwrap();
    }
}

pub(crate) fn plan(table: &Table, dialect: Dialect, batch_rows: u64) -> (Split, Cost) {
    plan_with(&table.facts(), dialect, options(batch_rows), |question| {
        table.answer(question)
    })
}

pub(crate) fn batches(split: &Split) -> Vec<Batch> {
    assert!(split.batches < 1_000_000, "{}", split.reason);
    split.iter().collect()
}
