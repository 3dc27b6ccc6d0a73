//! How many batches are worked at once: a decision made of facts, the gate that holds to it, and the sampler that looks
//! at the facts again and again.
//!
//! Only strain that others feel, and a machine that runs out of memory, lower the number. Our own load (memory of the
//! budget, our processor time) never does: reads raise those themselves, and a rule that feeds on them sheds workers on
//! an idle server.

mod gate;
mod sampler;
#[cfg(test)]
mod tests;

pub use gate::{Course, Gate, GatePermit};
pub use sampler::Sampler;

use sqlextract_model::Strain;

/// From here on the source is strained.
const STRAINED: f64 = 1.0;
/// Up to here the source is calm; in between nothing changes.
const CALM: f64 = 0.7;
/// Samples in a row that make strain or calm true.
const STRAINED_IN_A_ROW: u32 = 2;
const CALM_IN_A_ROW: u32 = 3;
/// Samples that a lowering is given to show its effect.
const SETTLING: u32 = 3;
/// Samples after which a strain that stays is asked whether it is ours, by one more worker.
const PROBE_AFTER: u32 = 60;
/// How far the wait for the next raise grows when raises are answered by strain.
const MOST_PATIENCE: u32 = 6;
/// Part of all processors that we use, from which on workers are added one by one.
const BUSY_PROCESSORS: f64 = 0.95;
/// Processors without work, from which on a worker beyond the usual number is worth its memory: a worker whose source
/// is another machine waits for it almost half of the time.
const PROCESSOR_OF_ONE: f64 = 0.5;

/// Between which numbers of workers is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least one.
    pub floor: u16,
    /// Enough to keep the processors busy with a source that is as quick as we are: where a run begins.
    pub usual: u16,
    /// Beyond the usual number only while processors have nothing to do.
    pub ceiling: u16,
}

/// What is known when the number is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Bytes of the memory budget.
    pub memory_used: u64,
    pub memory_limit: u64,
    /// Our part of the processors that we may use, from 0 to 1.
    pub own_cpu: f64,
    /// Processors of the machine that have nothing to do, as far as we may use them.
    pub free_cpus: f64,
    /// `None` where the source tells nothing.
    pub foreign: Option<Strain>,
    /// How short the machine is of memory.
    pub memory: Option<Strain>,
    pub current: u16,
    pub bounds: Bounds,
    pub history: History,
}

/// What earlier samples have shown, counted in samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    strained: u32,
    calm: u32,
    since_change: u32,
    /// The last change was a raise.
    raised: bool,
    /// Raises in a row that were answered by strain; each doubles the wait for the next.
    patience: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Hold { reason: String },
    Raise { to: u16, reason: String },
    Lower { to: u16, reason: String },
}

/// Decides from one sample. The caller keeps `sample.history.after(&sample, &decision)` for the next.
pub fn decide(sample: &Sample) -> Decision {
    let (current, floor) = (sample.current, sample.bounds.floor.max(1));
    let ceiling = sample.bounds.ceiling.max(floor);
    let usual = sample.bounds.usual.clamp(floor, ceiling);
    let history = sample.history.seen(sample.level());
    if current > ceiling {
        return lower(ceiling, "above the ceiling");
    }
    if current < floor {
        return raise(floor, "below the floor");
    }
    if sample.level() > CALM && current < usual && history.since_change >= PROBE_AFTER << history.patience {
        let text = format!("{}, for long: one more shows whether it is ours", sample.words());
        return raise(current + 1, &text);
    }
    if sample.level() >= STRAINED {
        let settled = history.since_change >= SETTLING || history.raised;
        return if current == floor {
            hold(format!("{}, and the floor is reached", sample.words()))
        } else if history.strained < STRAINED_IN_A_ROW || !settled {
            hold(format!("{}, not yet for sure", sample.words()))
        } else {
            lower(floor.max(current - step(current)), &sample.words())
        };
    }
    if sample.level() > CALM {
        return hold(sample.words());
    }
    decide_when_calm(sample, history, usual, ceiling)
}

fn decide_when_calm(sample: &Sample, history: History, usual: u16, ceiling: u16) -> Decision {
    let current = sample.current;
    if current == ceiling {
        return hold("the ceiling is reached".to_owned());
    }
    if history.calm < CALM_IN_A_ROW << history.patience {
        return hold(format!("calm for {} samples, not yet for sure", history.calm));
    }
    let next_fits = u128::from(sample.memory_used) * (u128::from(current) + 1)
        <= u128::from(sample.memory_limit) * u128::from(current);
    if !next_fits {
        return hold("calm, but another worker would wait for memory".to_owned());
    }
    if current >= usual {
        return if sample.free_cpus < PROCESSOR_OF_ONE {
            hold("calm, and no processor is free for another worker".to_owned())
        } else {
            raise(current + 1, "calm, and processors have nothing to do")
        };
    }
    if sample.own_cpu >= BUSY_PROCESSORS {
        return raise(current + 1, "calm; our own processors are busy, so one by one");
    }
    raise(usual.min(current + step(current)), "calm")
}

/// A quarter, at least one.
fn step(current: u16) -> u16 {
    (current / 4).max(1)
}

fn hold(reason: String) -> Decision {
    Decision::Hold { reason }
}

fn raise(to: u16, reason: &str) -> Decision {
    let reason = reason.to_owned();
    Decision::Raise { to, reason }
}

fn lower(to: u16, reason: &str) -> Decision {
    let reason = reason.to_owned();
    Decision::Lower { to, reason }
}

impl Sample {
    fn strain(&self) -> Option<Strain> {
        Strain::strongest([self.foreign, self.memory].into_iter().flatten())
    }

    fn level(&self) -> f64 {
        self.strain().map_or(0.0, |strain| strain.level)
    }

    fn words(&self) -> String {
        let signal = self.strain().map_or("", |strain| strain.signal);
        format!("{signal} at {:.0} % of what is tolerated", self.level() * 100.0)
    }
}

impl History {
    /// With this sample counted in.
    fn seen(self, level: f64) -> Self {
        let count = |so_far: u32, now: bool| if now { so_far.saturating_add(1) } else { 0 };
        Self {
            strained: count(self.strained, level >= STRAINED),
            calm: count(self.calm, level <= CALM),
            since_change: self.since_change.saturating_add(1),
            ..self
        }
    }

    /// What the next sample is to be decided with.
    #[must_use]
    pub fn after(self, sample: &Sample, decision: &Decision) -> Self {
        let seen = self.seen(sample.level());
        match decision {
            Decision::Hold { .. } => seen,
            Decision::Raise { .. } => Self {
                calm: 0,
                since_change: 0,
                raised: true,
                ..seen
            },
            Decision::Lower { .. } => {
                // A raise that lasted has shown that it was right; one that brought strain is not repeated soon.
                let answered = seen.raised && seen.since_change < PROBE_AFTER;
                Self {
                    strained: 0,
                    calm: 0,
                    since_change: 0,
                    raised: false,
                    patience: if answered {
                        (seen.patience + 1).min(MOST_PATIENCE)
                    } else {
                        0
                    },
                }
            }
        }
    }
}
