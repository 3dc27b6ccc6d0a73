//! How many batches are worked at once: a decision made of facts, and the gate that holds to it.
//!
//! Only strain that others feel lowers the number. Our own load (memory in use, our processor time) never does: reads
//! raise those themselves, and a rule that feeds on them sheds workers on an idle server.

mod gate;
#[cfg(test)]
mod tests;

pub use gate::{Gate, GatePermit};

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

/// How much others feel, as far as the source tells: replica lag, lock waits, sessions of others that wait or work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strain {
    /// 1 is what the operator tolerates; the highest of the signals. Our own sessions are never counted in.
    pub level: f64,
    /// The signal that is highest, for people.
    pub signal: &'static str,
}

/// What is known when the number is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Bytes of the memory budget.
    pub memory_used: u64,
    pub memory_limit: u64,
    /// Our part of all processors, from 0 to 1.
    pub own_cpu: f64,
    /// `None` where the source tells nothing.
    pub foreign: Option<Strain>,
    pub current: u16,
    pub floor: u16,
    pub ceiling: u16,
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
    let (current, floor) = (sample.current, sample.floor.max(1));
    let ceiling = sample.ceiling.max(floor);
    let history = sample.history.seen(sample.level());
    if current > ceiling {
        return lower(ceiling, "above the ceiling");
    }
    if current < floor {
        return raise(floor, "below the floor");
    }
    if sample.level() > CALM && current < ceiling && history.since_change >= PROBE_AFTER << history.patience {
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
    decide_when_calm(sample, history, ceiling)
}

fn decide_when_calm(sample: &Sample, history: History, ceiling: u16) -> Decision {
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
    if sample.own_cpu >= BUSY_PROCESSORS {
        return raise(current + 1, "calm; our own processors are busy, so one by one");
    }
    raise(ceiling.min(current + step(current)), "calm")
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
    /// A level that is no number says nothing.
    fn level(&self) -> f64 {
        self.foreign
            .map_or(0.0, |strain| if strain.level.is_nan() { 0.0 } else { strain.level })
    }

    fn words(&self) -> String {
        let signal = self.foreign.map_or("", |strain| strain.signal);
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
