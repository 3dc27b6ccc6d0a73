//! The sampler: looks at the source and the machine in a steady beat, and lets each look move the gate.

use std::sync::Arc;
use std::time::Duration;

use sqlextract_model::{Result, Strain};
use sqlextract_source::Source;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Bounds, Gate, History, Sample, decide};
use crate::machine::CpuTimes;
use crate::{Machine, MemoryBudget, Shutdown};

#[cfg(test)]
mod tests;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest wait for a word of the source; it may have to wait for a connection behind the readers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Looks without a word of the source, through which its last word is taken to hold; then it says nothing.
const UNHEARD: u32 = 3;

/// Adapts the number of workers while they run.
#[derive(Debug)]
pub struct Sampler {
    gate: Gate,
    bounds: Bounds,
    source: Arc<dyn Source>,
    machine: Machine,
    budget: MemoryBudget,
    history: History,
    /// The source's last word, and looks since it.
    heard: Option<Strain>,
    unheard: u32,
    /// When the processors were looked at, and their times then.
    looked: Option<(Instant, CpuTimes)>,
}

impl Sampler {
    /// `gate` is the one that the workers pass; `source` is what they read.
    pub fn new(gate: Gate, bounds: Bounds, source: Arc<dyn Source>, machine: Machine, budget: MemoryBudget) -> Self {
        Self {
            gate,
            bounds,
            source,
            machine,
            budget,
            history: History::default(),
            heard: None,
            unheard: 0,
            looked: None,
        }
    }

    /// Samples until the shutdown begins. A source that cannot be asked changes nothing: without its word the workers
    /// are as many as they may be.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<()> {
        let mut beat = tokio::time::interval_at(Instant::now() + PERIOD, PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.processors();
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining().cancelled() => return Ok(()),
                () = async {
                    beat.tick().await;
                    self.listen().await;
                } => {}
            }
            let sample = self.sample();
            let decision = decide(&sample);
            self.history = sample.history.after(&sample, &decision);
            tracing::debug!(?sample, ?decision, "workers");
            self.gate.apply(&decision);
        }
    }

    async fn listen(&mut self) {
        let failure = match tokio::time::timeout(PATIENCE, self.source.strain()).await {
            Ok(Ok(strain)) => {
                (self.heard, self.unheard) = (strain, 0);
                return;
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        self.unheard = self.unheard.saturating_add(1);
        if self.unheard == UNHEARD {
            self.heard = None;
            tracing::info!("what others feel cannot be seen, so it lowers no workers: {failure}");
        }
    }

    fn sample(&mut self) -> Sample {
        let (own_cpu, free_cpus) = self.processors();
        Sample {
            memory_used: self.budget.used(),
            memory_limit: self.budget.limit(),
            own_cpu,
            free_cpus,
            foreign: self.heard,
            memory: self.machine.memory_strain(),
            current: self.gate.width(),
            bounds: self.bounds,
            history: self.history,
        }
    }

    /// Our part of the processors since the last look, and how many of them had nothing to do. Where that cannot be read,
    /// none is busy with us and none is free.
    fn processors(&mut self) -> (f64, f64) {
        let now = self.machine.cpu_times().map(|times| (Instant::now(), times));
        let before = std::mem::replace(&mut self.looked, now);
        let (Some((then, before)), Some((now, after))) = (before, now) else {
            return (0.0, 0.0);
        };
        let seconds = (now - then).as_secs_f64();
        let cores = self.machine.limits().cores;
        if seconds <= 0.0 || cores <= 0.0 {
            return (0.0, 0.0);
        }
        let own = (after.own - before.own).max(0.0) / seconds;
        let idle = (after.idle - before.idle).max(0.0) / seconds;
        (own / cores, idle.min((cores - own).max(0.0)))
    }
}
