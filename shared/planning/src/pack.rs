//! From pieces of a key's space to segments of whole batches.

use sqlextract_model::KeyValue;

use crate::space::{Numbering, share};

const CUT: u64 = 1 << 32;

/// A piece of a key's space, from `from` to the next piece's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) from: Vec<KeyValue>,
    /// Where the piece can be divided without asking.
    pub(crate) divisible: Option<Divisible>,
    pub(crate) rows: f64,
    /// One value of the last column in `from`: only the key's next column can divide it.
    pub(crate) single_value: bool,
}

/// Numbered values below a fixed prefix: from `lo`, `width + 1` of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Divisible {
    pub(crate) prefix: Vec<KeyValue>,
    pub(crate) numbering: Numbering,
    pub(crate) lo: u128,
    pub(crate) width: u128,
}

/// Consecutive batches that share out one piece evenly.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    from: Vec<KeyValue>,
    divisible: Option<Divisible>,
    /// Batches in this segment, at least 1.
    pub(crate) batches: u64,
    /// Estimated rows of each.
    pub(crate) rows: u64,
}

impl Segment {
    /// The first key of one of the segment's batches.
    pub(crate) fn start(&self, batch: u64) -> Vec<KeyValue> {
        match &self.divisible {
            // `batches` is at most the number of values, so that starts grow strictly.
            Some(space) if batch > 0 => space.key(space.lo + share(space.width, batch, self.batches) + 1),
            _ => self.from.clone(),
        }
    }
}

/// Packs light pieces together and divides heavy ones, for batches of about `batch` rows.
pub(crate) fn pack(pieces: Vec<Piece>, batch: f64) -> Vec<Segment> {
    let total: f64 = pieces.iter().map(|piece| piece.rows).sum();
    let even = total / (total / batch).round().max(1.0);
    let mut packing = Packing {
        batch: even.max(1.0),
        segments: Vec::new(),
        open: None,
    };
    for piece in pieces {
        packing.add(piece);
    }
    packing.close();
    packing.segments
}

struct Packing {
    batch: f64,
    segments: Vec<Segment>,
    /// A batch that has room left: where it begins, and its rows so far.
    open: Option<(Vec<KeyValue>, f64)>,
}

impl Packing {
    fn add(&mut self, piece: Piece) {
        let gathered = self.gathered();
        // A tenth too much is better than a boundary more.
        if gathered + piece.rows <= self.batch * 1.1 {
            return self.gather(piece.from, piece.rows);
        }
        let Piece {
            from, divisible, rows, ..
        } = piece;
        let Some(space) = divisible else {
            return self.add_whole(from, rows);
        };
        if gathered < self.batch * 0.1 {
            // What was open, if anything, is the beginning of this piece's first batch.
            let from = self.open.take().map_or(from, |(open, _)| open);
            return self.divide(from, space, rows + gathered);
        }
        let head = self.batch - gathered;
        let (before, tail) = space.cut(head / rows);
        let head = if before { head.clamp(0.0, rows) } else { 0.0 };
        self.gather(from, head);
        self.close();
        if let Some(tail) = tail {
            self.divide(tail.first(), tail, rows - head);
        }
    }

    /// Takes as many full batches as a space has, and leaves the remainder open.
    fn divide(&mut self, from: Vec<KeyValue>, space: Divisible, rows: f64) {
        let full = (rows / self.batch + 0.1).floor().min(9e18) as u64;
        let rest = rows - full as f64 * self.batch;
        if full == 0 {
            return self.gather(from, rows);
        }
        let tail = match space.cut(1.0 - rest / rows) {
            (true, tail) if rest > self.batch * 0.1 => tail,
            _ => None,
        };
        let rest = if tail.is_some() { rest } else { 0.0 };
        let width = tail.as_ref().map_or(space.width, |tail| tail.lo - 1 - space.lo);
        let batches = u128::from(full).min(width.saturating_add(1)) as u64;
        let rows = ((rows - rest) / batches as f64).round() as u64;
        self.segments.push(Segment {
            from,
            divisible: Some(Divisible { width, ..space }),
            batches,
            rows,
        });
        if let Some(tail) = tail {
            self.open = Some((tail.first(), rest));
        }
    }

    fn add_whole(&mut self, from: Vec<KeyValue>, rows: f64) {
        if self.gathered() >= self.batch / 2.0 {
            self.close();
        }
        self.gather(from, rows);
        if self.gathered() >= self.batch {
            self.close();
        }
    }

    fn gathered(&self) -> f64 {
        self.open.as_ref().map_or(0.0, |(_, rows)| *rows)
    }

    fn gather(&mut self, from: Vec<KeyValue>, rows: f64) {
        match &mut self.open {
            Some((_, gathered)) => *gathered += rows,
            None => self.open = Some((from, rows)),
        }
    }

    fn close(&mut self) {
        if let Some((from, rows)) = self.open.take() {
            self.segments.push(Segment {
                from,
                divisible: None,
                batches: 1,
                rows: rows.round() as u64,
            });
        }
    }
}

impl Divisible {
    fn first(&self) -> Vec<KeyValue> {
        self.key(self.lo)
    }

    fn key(&self, number: u128) -> Vec<KeyValue> {
        let mut key = self.prefix.clone();
        key.push(self.numbering.value(number));
        key
    }

    /// Whether there is anything before the cut at this part of the space, and what is behind it.
    fn cut(&self, part: f64) -> (bool, Option<Self>) {
        // In parts of 2^32, which is exact enough for a boundary and cannot overflow.
        let before = share(self.width, (part.clamp(0.0, 1.0) * CUT as f64) as u64, CUT);
        if part >= 1.0 {
            return (true, None);
        }
        if before == 0 {
            return (false, Some(self.clone()));
        }
        (
            true,
            Some(Self {
                lo: self.lo + before,
                width: self.width - before,
                ..self.clone()
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(lo: i128, values: u128, rows: f64) -> Piece {
        let numbering = Numbering::Integer;
        let lo = numbering.number(&KeyValue::Integer(lo)).unwrap();
        let space = Divisible {
            prefix: Vec::new(),
            numbering,
            lo,
            width: values - 1,
        };
        Piece {
            from: space.first(),
            divisible: (values > 1).then_some(space),
            rows,
            single_value: values == 1,
        }
    }

    fn starts(segments: &[Segment]) -> Vec<Vec<KeyValue>> {
        segments
            .iter()
            .flat_map(|segment| (0..segment.batches).map(|batch| segment.start(batch)))
            .collect()
    }

    fn integers(starts: &[Vec<KeyValue>]) -> Vec<i128> {
        let value = |key: &Vec<KeyValue>| match key[0] {
            KeyValue::Integer(value) => value,
            _ => panic!("{key:?}"),
        };
        starts.iter().map(value).collect()
    }

    #[test]
    fn batches_of_one_value_each_have_a_start_each() {
        for rows in [8.0, 80.0] {
            let starts = integers(&starts(&pack(vec![piece(-4, 8, rows), piece(4, 1, 1.0)], 1.0)));
            assert_eq!(starts[..8], [-4, -3, -2, -1, 0, 1, 2, 3], "{rows} rows");
        }
    }

    #[test]
    fn starts_grow_through_empty_light_and_heavy_pieces() {
        let pieces = vec![
            piece(0, 10, 0.0),
            piece(10, 1_000, 950.0),
            piece(2_000, 1, 0.0),
            piece(3_000, 50, 40.0),
            piece(4_000, 1, 700.0),
            piece(5_000, 2, 900.0),
            piece(6_000, 1 << 100, 1e6),
        ];
        let segments = pack(pieces, 100.0);
        let starts = integers(&starts(&segments));
        assert!(starts.is_sorted_by(|a, b| a < b), "{starts:?}");
        assert_eq!(starts[0], 0);
        let heavy = starts.iter().filter(|start| **start >= 6_000).count();
        assert!((9_000..=10_100).contains(&heavy), "{heavy}");
    }
}
