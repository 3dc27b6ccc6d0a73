//! Rows of each cell, from densities, the table's statistics, and the optimizer's estimates.

use sqlextract_model::Range;

use crate::integer::{Cell, Column};
use crate::scope::Need;
use crate::transcript::{Stop, Transcript};

/// Levels to which every heavy cell is cut by estimates, each into this many parts.
const LEVELS: usize = 3;
const PARTS: u64 = 8;
/// Levels to which a heavy cell is cut where its rows turned out to lie on one side: a clump in a span of 2^64 is found.
const MOST_LEVELS: usize = 21;
/// The share of a cut cell's rows above which one of its parts is no even part.
const UNEVEN: f64 = 2.0 / PARTS as f64;
/// Cells that are asked about at once.
const ASKED: usize = 96;

/// A cell and its estimated rows.
pub(crate) type Weighed = (Cell, f64);

/// Gives each cell its rows, cutting heavy ones further where the database estimates ranges.
pub(crate) fn weigh(
    transcript: &mut Transcript,
    column: &Column<'_>,
    cells: &[Cell],
    need: &Need,
) -> Result<Vec<Weighed>, Stop> {
    let mut weighed = by_density(cells, need);
    if need.rows == 0.0 || cells.len() < 2 && cells.iter().all(|cell| cell.lo == cell.last) {
        return Ok(weighed);
    }
    let Some(estimates) = estimate(transcript, column, &weighed, need)? else {
        return Ok(weighed);
    };
    let total: f64 = estimates.iter().sum();
    // Statistics that were never gathered give every range the same share of the table, whatever it holds.
    if !(need.rows / 4.0..=need.rows * 4.0).contains(&total) {
        return Ok(weighed);
    }
    for ((cell, rows), estimate) in weighed.iter_mut().zip(&estimates) {
        *rows = at_most_span(cell, estimate * need.rows / total, need);
    }
    for level in 0..MOST_LEVELS {
        let worth_it = |cell: &Cell, rows: f64| level < LEVELS || is_clump(cell, rows, need);
        if !cut_heavy(transcript, column, &mut weighed, need, worth_it)? {
            break;
        }
    }
    Ok(weighed)
}

/// Whether a cell's rows may still lie on one side of it.
fn is_clump(cell: &Cell, rows: f64, need: &Need) -> bool {
    let dense = need.unique && rows >= cell.span() / 2.0;
    cell.density.is_none() && !dense
}

/// From what is known without asking. Unique columns give absolute numbers, others only proportions.
fn by_density(cells: &[Cell], need: &Need) -> Vec<Weighed> {
    let even: f64 = cells.iter().map(|cell| cell.span() * cell.density.unwrap_or(0.0)).sum();
    let unknown: f64 = cells.iter().filter(|cell| cell.density.is_none()).map(Cell::span).sum();
    if !need.unique {
        // Summed directly: a difference of sums loses a single value beside a span of 2^64.
        let measured: f64 = cells.iter().filter(|cell| cell.density.is_some()).map(Cell::span).sum();
        let density = if even > 0.0 { even / measured } else { 1.0 };
        let values = |cell: &Cell| cell.span() * cell.density.unwrap_or(density);
        let total: f64 = cells.iter().map(values).sum();
        let rows = if need.rows == 0.0 { total } else { need.rows };
        return cells.iter().map(|cell| (*cell, rows * values(cell) / total)).collect();
    }
    let rest = if need.rows == 0.0 {
        unknown
    } else {
        (need.rows - even).max(0.0)
    };
    let rows = |cell: &Cell| match cell.density {
        Some(density) => cell.span() * density,
        None => at_most_span(cell, rest * cell.span() / unknown, need).max(1.0),
    };
    let total: f64 = cells.iter().map(rows).sum();
    // Old statistics: look-ups that found far more rows than the catalogue tells are believed. Evenly spaced values
    // look up to twice as dense as they are.
    let scale = if need.rows == 0.0 || total > need.rows * 2.5 || total < 1.0 {
        1.0
    } else {
        need.rows / total
    };
    cells
        .iter()
        .map(|cell| (*cell, at_most_span(cell, rows(cell) * scale, need)))
        .collect()
}

fn at_most_span(cell: &Cell, rows: f64, need: &Need) -> f64 {
    if need.unique { rows.min(cell.span()) } else { rows }
}

/// The optimizer's estimates of the heaviest cells; the others keep their rows.
fn estimate(
    transcript: &mut Transcript,
    column: &Column<'_>,
    weighed: &[Weighed],
    need: &Need,
) -> Result<Option<Vec<f64>>, Stop> {
    let room = transcript.room(need.questions).min(ASKED);
    let mut heaviest: Vec<usize> = (0..weighed.len()).collect();
    heaviest.sort_by(|a, b| weighed[*b].1.total_cmp(&weighed[*a].1).then(a.cmp(b)));
    heaviest.truncate(room);
    let Some((first, others)) = heaviest.split_first() else {
        return Ok(None);
    };
    let range = |i: &usize| range_of(column, &weighed[*i].0);
    // One question tells whether this database answers at all.
    let Some(of_first) = transcript.estimates(vec![range(first)])? else {
        return Ok(None);
    };
    let mut rows: Vec<f64> = weighed.iter().map(|(_, rows)| *rows).collect();
    rows[*first] = of_first[0] as f64;
    if let Some(of_others) = transcript.estimates(others.iter().map(range).collect())? {
        for (i, estimate) in others.iter().zip(of_others) {
            rows[*i] = estimate as f64;
        }
    }
    Ok(Some(rows))
}

/// Cuts the cells that hold many batches and asks about their parts; `false` when there is nothing to cut. A part that
/// holds far more than its share comes out without a density.
fn cut_heavy(
    transcript: &mut Transcript,
    column: &Column<'_>,
    weighed: &mut Vec<Weighed>,
    need: &Need,
    worth_it: impl Fn(&Cell, f64) -> bool,
) -> Result<bool, Stop> {
    let heavy = (1.5 * need.batch).max(need.rows / 64.0);
    let mut room = transcript.room(need.questions) / PARTS as usize;
    let mut cut = Vec::new();
    for (cell, rows) in weighed.iter() {
        let wide = cell.last - cell.lo >= u128::from(PARTS);
        let chosen = *rows > heavy && wide && room > 0 && worth_it(cell, *rows);
        room -= usize::from(chosen);
        cut.push(if chosen { cell.cut(PARTS) } else { Vec::new() });
    }
    if cut.iter().all(Vec::is_empty) {
        return Ok(false);
    }
    let ranges: Vec<Range> = cut.iter().flatten().map(|part| range_of(column, part)).collect();
    let Some(estimates) = transcript.estimates(ranges)? else {
        return Ok(false);
    };
    let mut estimates = estimates.into_iter().map(|rows| rows as f64);
    let mut refined = Vec::with_capacity(weighed.len());
    for ((cell, rows), parts) in weighed.iter().zip(cut) {
        if parts.is_empty() {
            refined.push((*cell, *rows));
            continue;
        }
        let of_parts: Vec<f64> = estimates.by_ref().take(parts.len()).collect();
        let total = of_parts.iter().sum::<f64>().max(1.0);
        refined.extend(parts.iter().zip(of_parts).map(|(part, part_rows)| {
            let even = part_rows <= total * UNEVEN;
            let part = Cell {
                density: even.then(|| cell.density.unwrap_or(1.0)),
                ..*part
            };
            (part, at_most_span(&part, rows * part_rows / total, need))
        }));
    }
    *weighed = refined;
    Ok(true)
}

fn range_of(column: &Column<'_>, cell: &Cell) -> Range {
    let upper = cell.last.checked_add(1).map(|next| column.key(next));
    column.scope.rows_between(column.key(cell.lo), upper)
}
