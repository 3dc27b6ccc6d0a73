//! The proof that a plan holds every row exactly once, made from the plan alone and one batch at a time.

use std::collections::HashMap;

use sqlextract_model::{
    Batch, BlockLeaf, BlockRange, Code, Failure, KeyColumn, KeyRange, KeyValue, Range, Result, TableFacts,
};

/// Fails with `plan_unsound` unless the batches are numbered from 0 without a gap, and their ranges are disjoint and
/// hold every row of the table: those below and above all known keys, those behind the last known block, and NULLs.
///
/// Bounds of a kind that only the database can order are taken to be in the order in which it answered them.
/// Memory grows with the table's leaves, not with the batches.
pub fn check(plan: impl IntoIterator<Item = Batch>, facts: &TableFacts) -> Result<()> {
    let unsound = |message: String| Failure::new(Code::PlanUnsound, message).table(&facts.name);
    let mut cover = Cover::Nothing;
    for (place, batch) in (0..).zip(plan) {
        if batch.index.0 != place {
            return Err(unsound(format!(
                "batch {} stands where batch {place} belongs",
                batch.index.0
            )));
        }
        cover = cover
            .add(batch.range, facts)
            .map_err(|why| unsound(format!("batch {}: {why}", batch.index.0)))?;
    }
    cover.complete().map_err(unsound)
}

/// What the batches so far hold.
enum Cover {
    Nothing,
    All,
    Keys(KeyCover),
    Blocks(HashMap<u32, LeafCover>),
}

struct KeyCover {
    columns: Vec<KeyColumn>,
    /// Where the next range must begin; `None` behind the last.
    upper: Option<Vec<KeyValue>>,
    nulls: bool,
}

struct LeafCover {
    leaf: BlockLeaf,
    /// The first block that is not held yet; `None` when all are.
    next: Option<u64>,
}

type Step<T> = std::result::Result<T, String>;

impl Cover {
    fn add(self, range: Range, facts: &TableFacts) -> Step<Self> {
        match (self, range) {
            (Self::Nothing, Range::All) => Ok(Self::All),
            (Self::Nothing, Range::Keys(range)) => KeyCover::first(range).map(Self::Keys),
            (Self::Keys(cover), Range::Keys(range)) => cover.then(range).map(Self::Keys),
            (Self::Keys(cover), Range::KeyIsNull(column)) => cover.then_nulls(&column).map(Self::Keys),
            (Self::Nothing, Range::Blocks(ranges)) => {
                let mut leaves = leaves(facts)?;
                take_blocks(&mut leaves, ranges)?;
                Ok(Self::Blocks(leaves))
            }
            (Self::Blocks(mut leaves), Range::Blocks(ranges)) => {
                take_blocks(&mut leaves, ranges)?;
                Ok(Self::Blocks(leaves))
            }
            (Self::All, _) => Err("a batch before it already holds every row".to_owned()),
            (_, range) => Err(format!("{} beside batches of another kind", kind(&range))),
        }
    }

    fn complete(self) -> Step<()> {
        match self {
            Self::Nothing => Err("the plan has no batch".to_owned()),
            Self::All => Ok(()),
            Self::Keys(cover) => cover.complete(),
            Self::Blocks(leaves) => match leaves.values().find(|cover| cover.next.is_some()) {
                Some(cover) => Err(format!("no batch reads the last blocks of {}", cover.leaf.name)),
                None => Ok(()),
            },
        }
    }
}

impl KeyCover {
    fn first(range: KeyRange) -> Step<Self> {
        if range.columns.is_empty() {
            return Err("the key has no column".to_owned());
        }
        if range.columns.len() > 1 && range.columns.iter().any(|column| column.nullable) {
            return Err("a key of several columns has one that can be NULL".to_owned());
        }
        if range.lower.is_some() {
            return Err("the first range is not open below".to_owned());
        }
        let cover = Self {
            columns: range.columns,
            upper: range.upper,
            nulls: false,
        };
        cover.check_width(cover.upper.as_deref())?;
        Ok(cover)
    }

    fn then(self, range: KeyRange) -> Step<Self> {
        let Some(expected) = self.upper.as_ref().filter(|_| !self.nulls) else {
            return Err("the range before it is open above".to_owned());
        };
        if range.columns != self.columns {
            return Err("its key is not that of the batch before".to_owned());
        }
        if range.lower.as_ref() != Some(expected) {
            return Err("it does not begin where the range before it ends".to_owned());
        }
        if range.upper.as_ref().is_some_and(|upper| !may_follow(expected, upper)) {
            return Err("it ends before it begins, or where it begins".to_owned());
        }
        self.check_width(range.upper.as_deref())?;
        Ok(Self {
            upper: range.upper,
            ..self
        })
    }

    fn then_nulls(self, column: &KeyColumn) -> Step<Self> {
        if self.nulls || self.upper.is_some() {
            return Err("NULLs have one batch, behind the last range".to_owned());
        }
        if !column.nullable || self.columns.first() != Some(column) {
            return Err("it reads NULLs of a column that is not the key, or has none".to_owned());
        }
        Ok(Self { nulls: true, ..self })
    }

    fn complete(self) -> Step<()> {
        if self.upper.is_some() {
            return Err("the last range is not open above".to_owned());
        }
        match self.columns.iter().find(|column| column.nullable && !self.nulls) {
            Some(column) => Err(format!(
                "the key {} can be NULL, and no batch reads its NULLs",
                column.name
            )),
            None => Ok(()),
        }
    }

    fn check_width(&self, bound: Option<&[KeyValue]>) -> Step<()> {
        match bound {
            Some(bound) if bound.is_empty() || bound.len() > self.columns.len() => {
                Err("a bound has no value, or more than the key has columns".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Whether `upper` can lie behind `lower`: certain for integers and bytes, and anything but equal for the rest.
fn may_follow(lower: &[KeyValue], upper: &[KeyValue]) -> bool {
    for (low, high) in lower.iter().zip(upper) {
        match (low, high) {
            (KeyValue::Integer(low), KeyValue::Integer(high)) if low != high => return low < high,
            (KeyValue::Bytes(low), KeyValue::Bytes(high)) if low != high => return low < high,
            (low, high) if low != high => return true,
            _ => {}
        }
    }
    // A prefix sorts before everything that begins with it.
    lower.len() < upper.len()
}

fn leaves(facts: &TableFacts) -> Step<HashMap<u32, LeafCover>> {
    let mut leaves = HashMap::new();
    for leaf in &facts.leaves {
        if !leaf.heap {
            return Err(format!("rows of {} have no block address", leaf.name));
        }
        if leaves
            .insert(
                leaf.oid,
                LeafCover {
                    leaf: leaf.clone(),
                    next: Some(0),
                },
            )
            .is_some()
        {
            return Err(format!("{} is listed twice among the leaves", leaf.name));
        }
    }
    Ok(leaves)
}

fn take_blocks(leaves: &mut HashMap<u32, LeafCover>, ranges: Vec<BlockRange>) -> Step<()> {
    if ranges.is_empty() {
        return Err("it reads no blocks".to_owned());
    }
    for range in ranges {
        let cover = leaves.get_mut(&range.oid).filter(|cover| cover.leaf.name == range.name);
        let cover = cover.ok_or_else(|| format!("{} is no leaf of the table", range.name))?;
        if cover.next != Some(range.from) {
            return Err(format!(
                "blocks of {} are not read one after the other, each once",
                range.name
            ));
        }
        if range.to.is_some_and(|to| to <= range.from || to > u64::from(u32::MAX)) {
            return Err(format!(
                "a range of {} ends before it begins, or behind the last block",
                range.name
            ));
        }
        cover.next = range.to;
    }
    Ok(())
}

fn kind(range: &Range) -> &'static str {
    match range {
        Range::All => "all rows",
        Range::Blocks(_) => "blocks",
        Range::Keys(_) => "a range of keys",
        Range::KeyIsNull(_) => "NULLs",
    }
}
