//! Splitting a table by a key: the leading column first, and below its heavy values the next.

use sqlextract_model::{Code, Dialect, Failure, KeyColumn, KeyValue, Rung};

use crate::calibrate::weigh;
use crate::integer::{Cell, Column, occupancy};
use crate::keys::SplitKey;
use crate::pack::{Divisible, Piece, Segment, pack};
use crate::probed;
use crate::scope::{Need, Scope};
use crate::space::Numbering;
use crate::target::Target;
use crate::transcript::{Stop, Transcript};

/// Questions for a plan whose batches have the size that planning chose.
const QUESTIONS: usize = 560;
/// And for one with a given size, which can mean many boundaries.
const MOST_QUESTIONS: usize = 20_000;
/// Of one search for the reach of an integer below a fixed prefix: 16 times as far with each look.
const REACH_STEPS: u32 = 16;

/// How a key splits its table.
#[derive(Debug, Clone)]
pub(crate) struct KeySplit {
    pub(crate) rung: Rung,
    /// The key's columns as far as boundaries use them.
    pub(crate) columns: Vec<KeyColumn>,
    pub(crate) segments: Vec<Segment>,
    /// Rows by what the look-ups found, where that is more than the statistics tell.
    pub(crate) rows: u64,
}

struct Search<'a> {
    transcript: &'a mut Transcript,
    key: &'a SplitKey,
    dialect: Dialect,
    batch: f64,
    questions: usize,
}

/// Splits by `key`; `None` when it has no value that is not NULL.
pub(crate) fn split(
    transcript: &mut Transcript,
    key: &SplitKey,
    dialect: Dialect,
    target: &Target,
    chosen_size: bool,
) -> Result<Option<KeySplit>, Stop> {
    let Some((smallest, largest)) = transcript.bounds(&key.columns)? else {
        return Ok(None);
    };
    let scope = Scope::whole(&key.columns);
    let (Some(first), Some(last)) = (smallest.first(), largest.first()) else {
        return Err(Failure::new(
            Code::SourceProtocol,
            format!("the bounds of the key {} are empty", key.name),
        )
        .into());
    };
    let numbering = Numbering::of(scope.column().kind, dialect, first);
    let wanted = target.batches() as usize;
    let questions = if chosen_size && numbering.is_none() {
        (wanted.saturating_mul(2) + QUESTIONS).min(MOST_QUESTIONS)
    } else {
        QUESTIONS
    };
    let questions = transcript.asked() + questions;
    let mut search = Search {
        transcript,
        key,
        dialect,
        batch: target.batch_rows as f64,
        questions,
    };
    let rows = target.rows as f64;
    let pieces = search.split_scope(&scope, vec![first.clone()], Some(last), rows)?;
    let rows: f64 = pieces.iter().map(|piece| piece.rows).sum();
    let depth = pieces.iter().map(|piece| piece.from.len()).max().unwrap_or(1);
    let by_integer = numbering == Some(Numbering::Integer) && depth == 1;
    let rung = if by_integer { Rung::IntegerKey } else { Rung::ProbedKey };
    let segments = pack(pieces, target.batch_rows as f64);
    // A number that divides lies one column behind its prefix, which its piece's own start already shows.
    let columns = key.columns[..depth].to_vec();
    Ok(Some(KeySplit {
        rung,
        columns,
        segments,
        rows: rows.round() as u64,
    }))
}

impl Search<'_> {
    /// Pieces of a scope from its `first` key on.
    fn split_scope(
        &mut self,
        scope: &Scope,
        first: Vec<KeyValue>,
        largest: Option<&KeyValue>,
        rows: f64,
    ) -> Result<Vec<Piece>, Stop> {
        let need = Need {
            rows,
            batch: self.batch,
            unique: self.key.unique && scope.columns.len() == self.key.columns.len(),
            questions: self.questions,
        };
        let sample = scope.value(&first).ok_or_else(|| short_key(&self.key.name))?;
        let pieces = match Numbering::of(scope.column().kind, self.dialect, sample) {
            Some(numbering) => self.numbered(&Column { scope, numbering }, sample, largest, &need)?,
            None => probed::pieces(self.transcript, scope, first, largest, &need)?,
        };
        self.deepen(scope, pieces)
    }

    fn numbered(
        &mut self,
        column: &Column<'_>,
        first: &KeyValue,
        largest: Option<&KeyValue>,
        need: &Need,
    ) -> Result<Vec<Piece>, Stop> {
        let number = |value| column.numbering.number(value).ok_or_else(|| short_key(&self.key.name));
        let lo = number(first)?;
        let last = match largest {
            Some(largest) => number(largest)?.max(lo),
            None => self.reach(column, lo)?,
        };
        let cells = occupancy(self.transcript, column, (lo, last), need)?;
        let weighed = weigh(self.transcript, column, &cells, need)?;
        let piece = |(cell, rows): (Cell, f64)| Piece {
            from: column.key(cell.lo),
            divisible: (cell.lo < cell.last).then(|| Divisible {
                prefix: column.scope.prefix.clone(),
                numbering: column.numbering,
                lo: cell.lo,
                width: cell.last - cell.lo,
            }),
            rows,
            single_value: cell.lo == cell.last,
        };
        Ok(weighed.into_iter().map(piece).collect())
    }

    /// A number at or above every one in the scope, found by looks further and further behind its start.
    fn reach(&mut self, column: &Column<'_>, lo: u128) -> Result<u128, Stop> {
        let limit = column.numbering.largest(&column.scope.column().declared).max(lo);
        let far = |step: u32| {
            lo.saturating_add(1u128.checked_shl(step * 4).unwrap_or(u128::MAX))
                .min(limit)
        };
        let points: Vec<u128> = (1..=REACH_STEPS).map(far).take_while(|point| *point < limit).collect();
        let found = column.look(self.transcript, &points)?;
        let beyond = points
            .iter()
            .zip(found)
            .find(|(_, found)| found.is_none())
            .map(|(point, _)| *point);
        Ok(beyond.unwrap_or(limit))
    }

    /// Splits pieces of a single value that are too heavy for a batch by the key's next column.
    fn deepen(&mut self, scope: &Scope, pieces: Vec<Piece>) -> Result<Vec<Piece>, Stop> {
        let depth = scope.columns.len();
        if depth == self.key.columns.len() {
            return Ok(pieces);
        }
        let mut deepened = Vec::with_capacity(pieces.len());
        let starts: Vec<Vec<KeyValue>> = pieces.iter().skip(1).map(|piece| piece.from.clone()).collect();
        for (i, piece) in pieces.into_iter().enumerate() {
            if !piece.single_value || piece.rows <= self.batch * 1.5 || self.transcript.room(self.questions) == 0 {
                deepened.push(piece);
                continue;
            }
            let upper = starts.get(i).cloned().or_else(|| scope.upper.clone());
            let below = Scope {
                columns: self.key.columns[..=depth].to_vec(),
                prefix: piece.from.clone(),
                upper,
            };
            let look = (below.range(), piece.from.clone());
            match self.transcript.next_keys(vec![look])?.pop().flatten() {
                Some(first) => {
                    let parts = self.split_scope(&below, first, None, piece.rows)?;
                    deepened.extend(parts);
                }
                // Two spellings of one value under this collation: the rows lie in the next piece.
                None => deepened.push(piece),
            }
        }
        Ok(deepened)
    }
}

fn short_key(name: &str) -> Failure {
    Failure::new(
        Code::SourceProtocol,
        format!("the database answered a key of {name} in a form unlike its others"),
    )
}
