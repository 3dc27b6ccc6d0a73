//! Splitting a column that only the database can compare, by real keys found through its index.
//!
//! Every look-up is bounded by two known keys, so that its answer lies between them whatever the collation does. A
//! guess that the database places elsewhere costs a question, never a row.

use sqlextract_model::{KeyRange, KeyValue};

use crate::pack::Piece;
use crate::scope::{Need, Scope};
use crate::space::Space;
use crate::transcript::{Stop, Transcript};

/// Boundaries that a plan holds at most.
const MOST_BOUNDARIES: usize = 10_000;
/// Intervals looked at in one round.
const ROUND: usize = 2_048;
/// Keys that a space is learnt from.
const SEEN: usize = 200;
/// Guesses in an interval before it counts as one value.
const TRIES: u8 = 6;
/// An interval with at least this share of the scope's rows is divided by an estimate; below it by interpolation.
const ESTIMATED_SHARE: f64 = 1.0 / 128.0;

/// Keys from `lo` to before the next interval's.
#[derive(Debug, Clone)]
struct Interval {
    lo: Vec<KeyValue>,
    rows: f64,
    /// Guesses that turned out to lie at or below `lo`, and above every key of the interval.
    floor: Option<KeyValue>,
    ceiling: Option<KeyValue>,
    tries: u8,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Open,
    /// No key was found strictly between `lo` and the end.
    SingleValue,
    /// Values of this form cannot be guessed.
    Opaque,
}

/// One guess, and where the interval lies by it.
#[derive(Debug)]
struct Look {
    interval: usize,
    within: KeyRange,
    guess: KeyValue,
    space: Space,
    /// Places of the interval's start and end.
    places: (f64, f64),
}

#[derive(Debug)]
struct Search<'a> {
    scope: &'a Scope,
    /// A key at the scope's end, where one is known.
    largest: Option<&'a KeyValue>,
    need: &'a Need,
    intervals: Vec<Interval>,
}

/// Pieces of the scope from its `first` key on.
pub(crate) fn pieces(
    transcript: &mut Transcript,
    scope: &Scope,
    first: Vec<KeyValue>,
    largest: Option<&KeyValue>,
    need: &Need,
) -> Result<Vec<Piece>, Stop> {
    let mut search = Search {
        scope,
        largest,
        need,
        intervals: vec![Interval::new(first, need.rows)],
    };
    loop {
        let looks = search.guesses(transcript.room(need.questions));
        if looks.is_empty() {
            break;
        }
        let questions = looks
            .iter()
            .map(|look| (look.within.clone(), scope.key(look.guess.clone())))
            .collect();
        let answers = transcript.next_keys(questions)?;
        let mut found = Vec::new();
        for (look, answer) in looks.into_iter().zip(answers) {
            found.extend(search.intervals[look.interval].judge(look, answer));
        }
        search.divide(transcript, found)?;
    }
    let piece = |interval: Interval| Piece {
        from: interval.lo,
        divisible: None,
        rows: interval.rows,
        single_value: interval.end == End::SingleValue,
    };
    Ok(search.intervals.into_iter().map(piece).collect())
}

impl Interval {
    fn new(lo: Vec<KeyValue>, rows: f64) -> Self {
        Self {
            lo,
            rows,
            floor: None,
            ceiling: None,
            tries: 0,
            end: End::Open,
        }
    }

    /// Takes the answer to a guess: a key to divide at, or narrower limits for the next guess.
    fn judge(&mut self, look: Look, answer: Option<Vec<KeyValue>>) -> Option<(Look, Vec<KeyValue>)> {
        match answer {
            Some(key) if key != self.lo => return Some((look, key)),
            // The guess lies at or below the interval's start.
            Some(_) => self.floor = Some(look.guess),
            None => self.ceiling = Some(look.guess),
        }
        self.tries += 1;
        if self.tries >= TRIES {
            self.end = End::SingleValue;
        }
        None
    }
}

impl Search<'_> {
    /// Guesses for the heaviest intervals, as long as questions are left.
    fn guesses(&mut self, room: usize) -> Vec<Look> {
        // Each division asks for a key and perhaps for an estimate.
        let most = (room / 2)
            .min(ROUND)
            .min(MOST_BOUNDARIES.saturating_sub(self.intervals.len()));
        let heavy = |interval: &Interval| interval.end == End::Open && interval.rows > self.need.batch * 1.5;
        let mut chosen: Vec<usize> = (0..self.intervals.len())
            .filter(|i| heavy(&self.intervals[*i]))
            .collect();
        if chosen.is_empty() || most == 0 {
            return Vec::new();
        }
        chosen.sort_by(|a, b| {
            self.intervals[*b]
                .rows
                .total_cmp(&self.intervals[*a].rows)
                .then(a.cmp(b))
        });
        chosen.truncate(most);
        let space = self.space();
        let guesses: Vec<(usize, Option<Look>)> = chosen.into_iter().map(|i| (i, self.guess(i, &space))).collect();
        for (i, look) in &guesses {
            if look.is_none() && self.intervals[*i].end == End::Open {
                let single = *i + 1 == self.intervals.len() && self.starts_at_largest(*i);
                self.intervals[*i].end = if single { End::SingleValue } else { End::Opaque };
            }
        }
        let looks: Vec<Look> = guesses.into_iter().filter_map(|(_, look)| look).collect();
        if looks.is_empty() {
            // What was chosen cannot be guessed at; lighter ones may be.
            return self.guesses(room);
        }
        looks
    }

    /// What the keys seen so far tell about the column's values.
    fn space(&self) -> Space {
        // Evenly over all of them, which tells as much as every one.
        let every = self.intervals.len().div_ceil(SEEN);
        let starts = self
            .intervals
            .iter()
            .step_by(every)
            .filter_map(|interval| self.scope.value(&interval.lo));
        let seen: Vec<&KeyValue> = starts.chain(self.largest).collect();
        Space::of(self.scope.column().kind, &seen)
    }

    fn starts_at_largest(&self, i: usize) -> bool {
        self.largest.is_some() && self.scope.value(&self.intervals[i].lo) == self.largest
    }

    fn guess(&self, i: usize, space: &Space) -> Option<Look> {
        let interval = &self.intervals[i];
        let next = self.intervals.get(i + 1);
        if next.is_none() && self.starts_at_largest(i) {
            return None;
        }
        let start = self.scope.value(&interval.lo)?;
        let end = next.map_or(self.largest, |next| self.scope.value(&next.lo));
        let space = space.between(start, end);
        let place = |value: &Option<KeyValue>| value.as_ref().and_then(|value| space.place(value));
        let low = place(&interval.floor).or_else(|| space.place(start))?;
        let high = place(&interval.ceiling)
            .or_else(|| space.place(end?))
            .or_else(|| space.end())?;
        let part = if interval.tries == 0 { 0.5 } else { 0.2 };
        let behind = (interval.tries + 1 == TRIES).then(|| space.behind(start)).flatten();
        let guess = behind.or_else(|| space.at(low + (high - low) * part, start))?;
        let upper = next.map(|next| next.lo.clone());
        let within = self.scope.between(interval.lo.clone(), upper);
        Some(Look {
            interval: i,
            within,
            guess,
            space,
            places: (low, high),
        })
    }

    /// Divides intervals at the keys that were found, which are in the order of the rounds' looks.
    fn divide(&mut self, transcript: &mut Transcript, mut found: Vec<(Look, Vec<KeyValue>)>) -> Result<(), Stop> {
        found.sort_by_key(|(look, _)| look.interval);
        let least = self.need.rows * ESTIMATED_SHARE;
        let asks = |look: &Look| self.intervals[look.interval].rows >= least;
        let ranges = found.iter().filter(|(look, _)| asks(look)).map(|(look, key)| {
            self.scope
                .rows_between(self.intervals[look.interval].lo.clone(), Some(key.clone()))
        });
        let mut estimates = transcript.estimates(ranges.collect())?.map(Vec::into_iter);
        let mut shares = Vec::with_capacity(found.len());
        for (look, key) in &found {
            let rows = self.intervals[look.interval].rows;
            let estimate = if asks(look) {
                estimates.as_mut().and_then(Iterator::next)
            } else {
                None
            };
            let share = match estimate {
                Some(estimate) => estimate as f64 / rows,
                None => self.share_before(look, key),
            };
            // Neither part counts as empty: both the optimizer and the interpolation are guesses.
            shares.push(share.clamp(0.02, 0.98));
        }
        let mut found = found.into_iter().zip(shares).peekable();
        let mut divided = Vec::with_capacity(self.intervals.len() + found.len());
        for (i, mut interval) in std::mem::take(&mut self.intervals).into_iter().enumerate() {
            let Some(((look, key), share)) = found.next_if(|((look, _), _)| look.interval == i) else {
                divided.push(interval);
                continue;
            };
            let rows = interval.rows;
            let mut behind = Interval::new(key, rows * (1.0 - share));
            behind.ceiling = interval.ceiling.take();
            divided.push(Interval {
                rows: rows * share,
                ceiling: Some(look.guess),
                tries: 0,
                ..interval
            });
            divided.push(behind);
        }
        self.intervals = divided;
        Ok(())
    }

    /// The part of an interval's rows before a found key, by its place.
    fn share_before(&self, look: &Look, key: &[KeyValue]) -> f64 {
        let place = |value: Option<&KeyValue>| value.and_then(|value| look.space.place(value));
        let (low, high) = look.places;
        let (Some(guess), Some(key)) = (place(Some(&look.guess)), place(self.scope.value(key))) else {
            return 0.5;
        };
        // Between the guess and the key is nothing.
        let (before, behind) = ((guess - low).max(0.0), (high - key).max(0.0));
        if before + behind > 0.0 {
            before / (before + behind)
        } else {
            0.5
        }
    }
}
