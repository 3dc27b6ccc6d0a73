//! Halves of a batch's range, for a batch that turns out too long.
//!
//! They follow from the range and the plan alone. An open end is taken to be as far away as a batch of the plan is wide.

use sqlextract_model::{Batch, BlockRange, Dialect, KeyRange, KeyValue, Range};

use crate::space::Numbering;

/// Two ranges that hold every row of the first, each one once; `None` where only the database could tell a boundary.
/// `plan` are batches of the same plan.
pub fn halves(range: &Range, dialect: Dialect, plan: &[Batch]) -> Option<[Range; 2]> {
    match range {
        Range::All | Range::KeyIsNull(_) => None,
        Range::Blocks(ranges) => {
            let typical = plan.iter().find_map(|batch| match &batch.range {
                Range::Blocks(ranges) => ranges.iter().map(width).sum::<Option<u64>>(),
                _ => None,
            });
            let [first, second] = of_blocks(ranges, typical)?;
            Some([Range::Blocks(first), Range::Blocks(second)])
        }
        Range::Keys(range) => {
            let typical = plan.iter().find_map(|batch| match &batch.range {
                Range::Keys(range) => differing(range, dialect)?.width(),
                _ => None,
            });
            let boundary = boundary(range, dialect, typical)?;
            let (mut first, mut second) = (range.clone(), range.clone());
            first.upper = Some(boundary.clone());
            second.lower = Some(boundary);
            Some([Range::Keys(first), Range::Keys(second)])
        }
    }
}

/// Blocks of a range with two ends.
fn width(range: &BlockRange) -> Option<u64> {
    Some(range.to?.saturating_sub(range.from))
}

fn of_blocks(ranges: &[BlockRange], typical: Option<u64>) -> Option<[Vec<BlockRange>; 2]> {
    let widths: Vec<u64> = ranges
        .iter()
        .map(|range| width(range).or(typical))
        .collect::<Option<_>>()?;
    let mut left = widths.iter().sum::<u64>() / 2;
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    for (range, width) in ranges.iter().zip(widths) {
        let middle = range.from + left;
        match left {
            0 => second.push(range.clone()),
            _ if left >= width && range.to.is_some() => {
                first.push(range.clone());
                left -= width;
            }
            _ => {
                first.push(BlockRange {
                    to: Some(middle),
                    ..range.clone()
                });
                second.push(BlockRange {
                    from: middle,
                    ..range.clone()
                });
                left = 0;
            }
        }
    }
    (!first.is_empty() && !second.is_empty()).then_some([first, second])
}

/// Where two bounds of a key differ first.
struct Differing {
    /// Values before it, which both have.
    prefix: Vec<KeyValue>,
    numbering: Numbering,
    lower: Option<u128>,
    upper: Option<u128>,
}

impl Differing {
    fn width(&self) -> Option<u128> {
        self.upper?.checked_sub(self.lower?)
    }
}

fn differing(range: &KeyRange, dialect: Dialect) -> Option<Differing> {
    let (lower, upper) = (range.lower.as_deref(), range.upper.as_deref());
    let same = match (lower, upper) {
        (Some(lower), Some(upper)) => lower.iter().zip(upper).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let [lower, upper] = [lower, upper].map(|bound| bound.and_then(|bound| bound.get(same)));
    let numbering = Numbering::of(range.columns.get(same)?.kind, dialect, lower.or(upper)?)?;
    let number = |value: Option<&KeyValue>| value.map(|value| numbering.number(value));
    Some(Differing {
        prefix: range.lower.as_ref().map_or(&[][..], |lower| &lower[..same]).to_vec(),
        numbering,
        lower: number(lower).map_or(Some(None), |number| number.map(Some))?,
        upper: number(upper).map_or(Some(None), |number| number.map(Some))?,
    })
}

fn boundary(range: &KeyRange, dialect: Dialect, typical: Option<u128>) -> Option<Vec<KeyValue>> {
    let Differing {
        mut prefix,
        numbering,
        lower,
        upper,
    } = differing(range, dialect)?;
    // A literal that the column's type does not have would be an error.
    let largest = numbering.largest(&range.columns.get(prefix.len())?.declared);
    let middle = match (lower, upper) {
        (Some(lower), Some(upper)) => lower + upper.checked_sub(lower)? / 2,
        (Some(lower), None) => lower
            .checked_add(typical?.div_ceil(2))
            .filter(|middle| *middle <= largest)?,
        // As far below zero as above; an unsigned column is merely compared with what it never holds.
        (None, Some(upper)) => upper
            .checked_sub(typical?.div_ceil(2))
            .filter(|middle| *middle >= !largest)?,
        (None, None) => return None,
    };
    // Above the lower bound and below the upper one, so that both halves are smaller.
    let between = lower.is_none_or(|lower| lower < middle) && upper.is_none_or(|upper| middle < upper);
    between.then(|| {
        prefix.push(numbering.value(middle));
        prefix
    })
}

#[cfg(test)]
mod tests {
    use sqlextract_model::{BatchIndex, KeyColumn, KeyKind, TableName};

    use super::*;

    fn block(from: u64, to: Option<u64>) -> BlockRange {
        BlockRange {
            oid: 7,
            name: TableName::new("public", "t"),
            from,
            to,
        }
    }

    fn keys(lower: Option<&[i128]>, upper: Option<&[i128]>) -> Range {
        let column = |name: &str| KeyColumn {
            name: name.to_owned(),
            kind: KeyKind::Integer,
            nullable: false,
            declared: "bigint".to_owned(),
        };
        let values = |bound: &[i128]| bound.iter().map(|value| KeyValue::Integer(*value)).collect();
        Range::Keys(KeyRange {
            columns: vec![column("a"), column("b")],
            lower: lower.map(values),
            upper: upper.map(values),
        })
    }

    fn plan(range: Range) -> Vec<Batch> {
        vec![Batch {
            index: BatchIndex(0),
            range,
            estimated_rows: 1,
        }]
    }

    #[test]
    fn blocks_are_halved_by_their_number_and_an_open_end_by_what_is_usual() {
        let plan = plan(Range::Blocks(vec![block(0, Some(100))]));
        let cases = [
            (
                vec![block(0, Some(10))],
                Some([vec![block(0, Some(5))], vec![block(5, Some(10))]]),
            ),
            (vec![block(4, Some(5))], None),
            (
                vec![block(0, Some(2)), block(8, Some(14))],
                Some([vec![block(0, Some(2)), block(8, Some(10))], vec![block(10, Some(14))]]),
            ),
            (
                vec![block(0, Some(6)), block(8, Some(14))],
                Some([vec![block(0, Some(6))], vec![block(8, Some(14))]]),
            ),
            (
                vec![block(300, None)],
                Some([vec![block(300, Some(350))], vec![block(350, None)]]),
            ),
        ];
        for (ranges, expected) in cases {
            let found = halves(&Range::Blocks(ranges.clone()), Dialect::Postgres, &plan);
            assert_eq!(found, expected.map(|e| e.map(Range::Blocks)), "{ranges:?}");
        }
        assert_eq!(
            halves(&Range::Blocks(vec![block(300, None)]), Dialect::Postgres, &[]),
            None
        );
    }

    #[test]
    fn keys_are_halved_between_their_bounds() {
        let plan = plan(keys(Some(&[100]), Some(&[300])));
        let cases: [(Range, Option<&[i128]>); 9] = [
            (keys(Some(&[-10]), Some(&[10])), Some(&[0])),
            (keys(Some(&[7]), Some(&[9])), Some(&[8])),
            (keys(Some(&[7]), Some(&[8])), None),
            (keys(Some(&[7, 100]), Some(&[7, 200])), Some(&[7, 150])),
            (keys(Some(&[7, 100]), Some(&[9, 3])), Some(&[8])),
            (keys(Some(&[7, 100]), Some(&[8, 3])), None),
            (keys(None, Some(&[1000])), Some(&[900])),
            (keys(Some(&[1000]), None), Some(&[1100])),
            (keys(None, None), None),
        ];
        for (range, expected) in cases {
            let found = halves(&range, Dialect::Mysql, &plan);
            let Some([Range::Keys(first), Range::Keys(second)]) = &found else {
                assert_eq!(expected, None, "{range:?}");
                continue;
            };
            let Range::Keys(whole) = &range else {
                unreachable!("the cases are ranges of keys")
            };
            assert_eq!((&first.lower, &second.upper), (&whole.lower, &whole.upper));
            assert_eq!(first.upper, second.lower, "{range:?}");
            let boundary: Vec<_> = expected.into_iter().flatten().map(|v| KeyValue::Integer(*v)).collect();
            assert_eq!(first.upper.as_ref(), Some(&boundary), "{range:?}");
        }
    }

    #[test]
    fn no_boundary_is_beyond_what_the_column_holds() {
        let plan = plan(keys(Some(&[0]), Some(&[1000])));
        let of_type = |range: Range, declared: &str| {
            let Range::Keys(mut range) = range else {
                unreachable!("it is a range of keys")
            };
            range.columns[0].declared = declared.to_owned();
            Range::Keys(range)
        };
        for (lower, upper, declared, halved) in [
            (Some(32_000), None, "smallint", true),
            (Some(32_700), None, "smallint", false),
            (Some(32_700), None, "integer", true),
            (None, Some(-32_000), "smallint", true),
            (None, Some(-32_700), "smallint", false),
        ] {
            let bound = |value: Option<i128>| value.map(|value| vec![value]);
            let (lower, upper) = (bound(lower), bound(upper));
            let range = of_type(keys(lower.as_deref(), upper.as_deref()), declared);
            let found = halves(&range, Dialect::Postgres, &plan);
            assert_eq!(found.is_some(), halved, "{range:?}");
        }
    }

    #[test]
    fn what_only_the_database_compares_is_not_halved() {
        let column = KeyColumn {
            name: "name".to_owned(),
            kind: KeyKind::Text,
            nullable: false,
            declared: "text".to_owned(),
        };
        let text = |text: &str| Some(vec![KeyValue::Text(text.to_owned())]);
        let names = Range::Keys(KeyRange {
            columns: vec![column.clone()],
            lower: text("a"),
            upper: text("z"),
        });
        for range in [names, Range::All, Range::KeyIsNull(column)] {
            assert_eq!(halves(&range, Dialect::Postgres, &[]), None, "{range:?}");
        }
    }
}
