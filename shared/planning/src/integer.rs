//! Where the values of a numbered column lie: dense, sparse, or in clusters.
//!
//! Index look-ups at points spread over the span show the gaps. A stretch whose gaps are all small against the
//! distance of the points is even, and its density follows from them; any other is cut at its gaps and looked at
//! again, the widest first. What lies in a gap needs no batch.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sqlextract_model::KeyValue;

use crate::scope::{Need, Scope};
use crate::space::{Numbering, share};
use crate::transcript::{Stop, Transcript};

/// Points of the first look, and of a look at a part.
const FIRST_POINTS: u64 = 64;
const POINTS: u64 = 4;
/// Parts looked at in one round.
const PARTS: usize = 24;
/// Parts that an even but heavy stretch is cut into for a closer look.
const CLOSER: u64 = 8;
/// Values counted one by one when a column seems to have few.
const STEPS: usize = 64;

/// A stretch that may hold values: from `lo` to `last`, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) lo: u128,
    pub(crate) last: u128,
    /// Distinct values per unit, where the stretch is known to be even.
    pub(crate) density: Option<f64>,
    /// A part of an even stretch: it is not cut for a closer look again.
    pub(crate) closer: bool,
}

impl Cell {
    pub(crate) fn new(lo: u128, last: u128) -> Self {
        let density = (lo == last).then_some(1.0);
        Self {
            lo,
            last,
            density,
            closer: false,
        }
    }

    pub(crate) fn span(&self) -> f64 {
        (self.last - self.lo) as f64 + 1.0
    }

    /// `parts` stretches of about the same width, of unknown density; fewer where the cell has fewer values.
    pub(crate) fn cut(&self, parts: u64) -> Vec<Self> {
        let width = self.last - self.lo;
        let parts = u128::from(parts).min(width.saturating_add(1)) as u64;
        let start = |part: u64| self.lo + share(width, part, parts) + u128::from(part > 0);
        let end = |part: u64| if part == parts { self.last } else { start(part) - 1 };
        (0..parts)
            .map(|part| Self {
                closer: true,
                ..Self::new(start(part), end(part + 1))
            })
            .collect()
    }
}

/// The numbered column of a scope.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) numbering: Numbering,
}

impl Column<'_> {
    pub(crate) fn key(&self, number: u128) -> Vec<KeyValue> {
        self.scope.key(self.numbering.value(number))
    }

    /// For each point, the number of the smallest key at or above it.
    pub(crate) fn look(&self, transcript: &mut Transcript, points: &[u128]) -> Result<Vec<Option<u128>>, Stop> {
        let looks = points
            .iter()
            .map(|point| (self.scope.range(), self.key(*point)))
            .collect();
        let answers = transcript.next_keys(looks)?;
        let number = |key: Option<Vec<KeyValue>>| key.and_then(|key| self.numbering.number(self.scope.value(&key)?));
        Ok(answers.into_iter().map(number).collect())
    }
}

/// Cells that hold every value from `lo` to `last`, in order.
pub(crate) fn occupancy(
    transcript: &mut Transcript,
    column: &Column<'_>,
    (lo, last): (u128, u128),
    need: &Need,
) -> Result<Vec<Cell>, Stop> {
    let mut cells = vec![Cell::new(lo, last)];
    let mut per_cell = FIRST_POINTS;
    loop {
        let room = transcript.room(need.questions) as u64 / per_cell;
        let chosen = most_uncertain(&cells, need, (room as usize).min(PARTS));
        if chosen.is_empty() {
            return Ok(cells);
        }
        let looks: Vec<Vec<u128>> = chosen.iter().map(|i| points_in(&cells[*i], per_cell)).collect();
        let answers = column.look(transcript, &looks.concat())?;
        if per_cell == FIRST_POINTS && !need.unique {
            let seen: BTreeSet<_> = answers.iter().flatten().collect();
            if seen.len() <= STEPS / 2
                && let Some(values) = few_values(transcript, column, (lo, last))?
            {
                return Ok(values.into_iter().map(|value| Cell::new(value, value)).collect());
            }
        }
        cells = refine(&cells, &chosen, &looks, answers.into_iter());
        look_closer(&mut cells, need);
        per_cell = POINTS;
    }
}

/// The cells whose distribution matters most and is not known, by position.
fn most_uncertain(cells: &[Cell], need: &Need, count: usize) -> Vec<usize> {
    let total: f64 = cells.iter().map(Cell::span).sum();
    // A unique column has at most one row per unit.
    let most_rows = |cell: &Cell| {
        if need.unique || need.rows == 0.0 {
            cell.span()
        } else {
            need.rows * cell.span() / total
        }
    };
    let unknown = |cell: &Cell| cell.density.is_none() && cell.last > cell.lo;
    let mut chosen: Vec<usize> = (0..cells.len())
        .filter(|i| unknown(&cells[*i]) && most_rows(&cells[*i]) > need.batch / 2.0)
        .collect();
    chosen.sort_by_key(|i| (Reverse(cells[*i].last - cells[*i].lo), *i));
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

/// Up to `count` distinct points inside the cell, behind its start.
fn points_in(cell: &Cell, count: u64) -> Vec<u128> {
    let width = cell.last - cell.lo;
    if width <= u128::from(count) {
        return (cell.lo + 1..=cell.last).collect();
    }
    (1..=count)
        .map(|part| cell.lo + share(width, part, count + 1))
        .collect()
}

fn refine(
    cells: &[Cell],
    chosen: &[usize],
    looks: &[Vec<u128>],
    mut answers: impl Iterator<Item = Option<u128>>,
) -> Vec<Cell> {
    let mut looks = chosen.iter().zip(looks).peekable();
    let mut refined = Vec::with_capacity(cells.len());
    for (i, cell) in cells.iter().enumerate() {
        match looks.next_if(|(chosen, _)| **chosen == i) {
            Some((_, points)) => {
                let found: Vec<_> = points.iter().copied().zip(answers.by_ref()).collect();
                refined.extend(learn(cell, &found));
            }
            None => refined.push(*cell),
        }
    }
    refined
}

/// What a cell turns into, given the smallest key at or above each point.
fn learn(cell: &Cell, found: &[(u128, Option<u128>)]) -> Vec<Cell> {
    let count = found.len() as f64;
    let step = cell.span() / (count + 1.0);
    let gaps: Option<Vec<f64>> = found
        .iter()
        .map(|(point, key)| key.filter(|k| *k <= cell.last).map(|k| (k - point) as f64))
        .collect();
    let even =
        gaps.filter(|gaps| step > 1.5 && found.len() as u64 >= POINTS && gaps.iter().all(|gap| *gap <= step / 4.0));
    if let Some(gaps) = even {
        let density = count / (gaps.iter().sum::<f64>() + count);
        return vec![Cell {
            density: Some(density),
            ..*cell
        }];
    }
    let mut parts = Vec::new();
    let mut start = Some(cell.lo);
    for (point, key) in found {
        if let Some(from) = start.filter(|from| from < point) {
            parts.push(Cell {
                closer: cell.closer,
                ..Cell::new(from, point - 1)
            });
            start = *key;
        }
    }
    if let Some(from) = start.filter(|from| *from <= cell.last) {
        parts.push(Cell {
            closer: cell.closer,
            ..Cell::new(from, cell.last)
        });
    }
    parts
}

/// Cuts even stretches that will hold many batches, so that a difference in density between their parts shows.
fn look_closer(cells: &mut Vec<Cell>, need: &Need) {
    let known: f64 = cells.iter().map(|cell| cell.span() * cell.density.unwrap_or(0.0)).sum();
    let scale = if need.unique || need.rows == 0.0 {
        1.0
    } else {
        need.rows / known
    };
    let heavy = (2.0 * need.batch).max(known * scale / 32.0);
    let closer = |cell: &Cell| {
        !cell.closer
            && cell
                .density
                .is_some_and(|density| cell.span() * density * scale > heavy)
    };
    *cells = std::mem::take(cells)
        .into_iter()
        .flat_map(|cell| if closer(&cell) { cell.cut(CLOSER) } else { vec![cell] })
        .collect();
}

/// All values of a column that has few, found by stepping from each to the next.
fn few_values(
    transcript: &mut Transcript,
    column: &Column<'_>,
    (lo, last): (u128, u128),
) -> Result<Option<Vec<u128>>, Stop> {
    let mut values = vec![lo];
    let mut at = lo;
    while at < last {
        if values.len() > STEPS {
            return Ok(None);
        }
        match column.look(transcript, &[at + 1])?.first().copied().flatten() {
            Some(next) if next > at => at = next,
            _ => break,
        }
        values.push(at);
    }
    Ok(Some(values))
}
