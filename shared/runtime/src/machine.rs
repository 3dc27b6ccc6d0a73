//! What this machine gives the process: processors and memory, by its own size and by control groups, and how short
//! they are. Read from the files of Linux; what cannot be read says nothing.

mod cgroup;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sqlextract_model::Strain;

use cgroup::Groups;

/// The unit of processor time in the files of Linux, on every architecture that this is built for.
const TICKS_PER_SECOND: f64 = 100.0;
/// Part of the last ten seconds, in percent, in which some task waited for memory.
const MEMORY_STALLS: f64 = 20.0;
/// Memory that must stay free: this part of the limit, but no more than this.
const FREE_PART: f64 = 0.05;
const FREE_BYTES: f64 = (256 << 20) as f64;

/// Where the machine is read. Clones read the same.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
    processors: u32,
}

/// What the process may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineLimits {
    /// Processors, or the part of them that a quota allows.
    pub cores: f64,
    /// A quota is what limits them.
    pub quota: bool,
    /// Bytes of memory, where known.
    pub memory: Option<u64>,
}

/// Times since some beginning, in seconds of one processor: two of these tell what happened between.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CpuTimes {
    /// Of this process.
    pub(crate) own: f64,
    /// In which processors of the machine had nothing to do.
    pub(crate) idle: f64,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::at(Path::new("/"), u32::try_from(processors).unwrap_or(u32::MAX))
    }

    /// A machine with other files; for tests.
    pub(crate) fn at(root: &Path, processors: u32) -> Self {
        Self {
            root: root.to_owned(),
            processors,
        }
    }

    pub fn limits(&self) -> MachineLimits {
        let groups = Groups::find(&self.root);
        let quota = groups.cpu_quota();
        let processors = f64::from(self.processors);
        let memory = [self.meminfo("MemTotal:"), groups.memory_limit()];
        MachineLimits {
            cores: quota.map_or(processors, |quota| quota.min(processors)),
            quota: quota.is_some_and(|quota| quota < processors),
            memory: memory.into_iter().flatten().min(),
        }
    }

    pub(crate) fn cpu_times(&self) -> Option<CpuTimes> {
        let own = self.text("proc/self/stat")?;
        // The name of the program is in parentheses and may hold anything.
        let (_, fields) = own.rsplit_once(')')?;
        let mut used = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let own = used.next()?.ok()? + used.next()?.ok()?;
        let all = self.text("proc/stat")?;
        let of_all = all.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // Nothing to do, and nothing to do until the disk answers.
        let idle = of_all.split_whitespace().skip(3).take(2);
        let idle: f64 = idle.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Some(CpuTimes {
            own: own / TICKS_PER_SECOND,
            idle: idle / TICKS_PER_SECOND,
        })
    }

    /// How short memory is: tasks that wait for it, and what is left of the limits.
    ///
    /// The budget bounds what we hold ourselves, so whatever passes these is more than a machine of this size can give;
    /// fewer workers need less.
    pub(crate) fn memory_strain(&self) -> Option<Strain> {
        let groups = Groups::find(&self.root);
        let stalls = groups
            .memory_pressure()
            .or_else(|| self.text("proc/pressure/memory").as_deref().and_then(stalled));
        let machine = self.meminfo("MemTotal:").zip(self.meminfo("MemAvailable:"));
        let stalls = stalls.map(|percent| Strain::of("waits for memory", percent, MEMORY_STALLS));
        let groups = groups.memory_left();
        let left = groups.map(|(limit, free)| shortage("memory left to this control group", limit, free));
        let free = machine.map(|(total, free)| shortage("memory left on this machine", total, free));
        Strain::strongest([stalls, left, free].into_iter().flatten())
    }

    fn meminfo(&self, name: &str) -> Option<u64> {
        let text = self.text("proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok()
    }
}

fn shortage(signal: &'static str, limit: u64, free: u64) -> Strain {
    let needed = (limit as f64 * FREE_PART).min(FREE_BYTES);
    // The less is left, the higher.
    Strain::of(signal, needed, (free as f64).max(1.0))
}

/// Percent of the last ten seconds in which some task waited, of a pressure file.
fn stalled(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok()
}
