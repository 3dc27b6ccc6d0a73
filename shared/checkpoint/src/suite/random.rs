//! Random sequences of calls, each compared with the model.

use std::ops::Range;

use super::model::Model;
use super::{Subject, batch, failure, job, state};
use crate::BatchId;

const SEQUENCES: u64 = 20;
const CALLS: u32 = 150;
const BATCHES: u64 = 9;

/// A plain generator: a seed gives one sequence, and a failure names its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, range: Range<u64>) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        range.start + (self.0 >> 33) % (range.end - range.start)
    }

    fn table(&mut self) -> &'static str {
        ["a", "b", "c"][self.below(0..3) as usize]
    }

    fn batch(&mut self) -> BatchId {
        let table = self.table();
        batch(table, self.below(1..4) as u32, self.below(0..BATCHES))
    }
}

pub async fn any_sequence_agrees_with_the_model(subject: Subject) {
    for seed in 0..SEQUENCES {
        let (mut chance, mut model) = (Chance(seed), Model::default());
        for call in 0..CALLS {
            let name = job(&format!("seed-{seed}-{}", chance.below(0..2)));
            let handle = if chance.below(0..2) == 0 {
                &subject.first
            } else {
                &subject.second
            };
            let what = format!("seed {seed}, call {call}");
            match chance.below(0..10) {
                0 => {
                    let mut tables = Vec::new();
                    for table in ["a", "b", "c"] {
                        if chance.below(0..4) > 0 {
                            let done: Vec<u64> = (0..BATCHES).filter(|_| chance.below(0..3) == 0).collect();
                            tables.push(state(table, chance.below(1..4) as u32, BATCHES, &done));
                        }
                    }
                    model.begin(&name, &tables);
                    assert_eq!(handle.begin(&name, &tables).await, Ok(()), "{what}");
                }
                1..=5 => {
                    let (batch, rows) = (chance.batch(), chance.below(0..1000));
                    let expected = model.complete(&name, &batch, rows, 2 * rows);
                    assert_eq!(
                        handle.complete(&name, &batch, rows, 2 * rows).await,
                        Ok(expected),
                        "{what}"
                    );
                }
                6 | 7 => {
                    let batch = chance.batch();
                    let expected = model.attempt(&name, &batch);
                    assert_eq!(handle.attempt(&name, &batch).await, Ok(expected), "{what}");
                }
                _ => {
                    let failure = (chance.below(0..3) > 0).then(|| failure(&what));
                    let batch = chance.batch();
                    model.park(&name, &batch, failure.as_ref());
                    assert_eq!(handle.park(&name, &batch, failure.as_ref()).await, Ok(()), "{what}");
                }
            }
            assert_eq!(handle.progress(&name).await, Ok(model.progress(&name)), "{what}");
        }
    }
}
