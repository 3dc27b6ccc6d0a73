//! Control groups of Linux, both versions: the process's own group and those above it, whose limits hold as well.

use std::path::{Path, PathBuf};

/// The folders of the process's groups, nearest first; empty where there is no such controller.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    unified: Vec<PathBuf>,
    /// Version 1.
    cpu: Vec<PathBuf>,
    memory: Vec<PathBuf>,
}

/// A mounted hierarchy of groups.
struct Mount<'a> {
    /// The group that is seen at the mount point.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    /// With version 1: the controllers.
    options: &'a str,
}

impl Groups {
    pub(super) fn find(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
        let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(mount).collect();
        let mut found = Self::default();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
                continue;
            };
            let folders = |mounted: &dyn Fn(&Mount<'_>) -> bool| {
                let mount = mounts.iter().find(|mount| mounted(mount));
                mount.map_or_else(Vec::new, |mount| mount.folders(root, group))
            };
            if controllers.is_empty() {
                found.unified = folders(&|mount| mount.kind == "cgroup2");
            }
            let has = |list: &str, name: &str| list.split(',').any(|one| one == name);
            for (name, place) in [("cpu", &mut found.cpu), ("memory", &mut found.memory)] {
                if has(controllers, name) {
                    *place = folders(&|mount| mount.kind == "cgroup" && has(mount.options, name));
                }
            }
        }
        found
    }

    /// Processors that may be used in each period, of the tightest quota.
    pub(super) fn cpu_quota(&self) -> Option<f64> {
        let unified = self.unified.iter().filter_map(|folder| {
            let text = text(folder, "cpu.max")?;
            let (quota, period) = text.split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.trim().parse::<f64>().ok()?)
        });
        let first = self.cpu.iter().filter_map(|folder| {
            let quota = text(folder, "cpu.cfs_quota_us")?.parse::<f64>().ok();
            let period = text(folder, "cpu.cfs_period_us")?.parse::<f64>().ok()?;
            // Without a quota it is -1.
            Some(quota.filter(|quota| *quota > 0.0)? / period)
        });
        unified
            .chain(first)
            .filter(|cores| cores.is_finite() && *cores > 0.0)
            .min_by(f64::total_cmp)
    }

    /// Bytes, of the tightest limit. One that was never set is larger than any machine or no number.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.memory_levels().map(|level| level.limit).min()
    }

    /// The limit whose group has the least left, and what is left: pages of files that can be dropped count as free.
    pub(super) fn memory_left(&self) -> Option<(u64, u64)> {
        let left = self.memory_levels().filter_map(|level| {
            let used = number(&level.folder, level.used)?;
            let droppable = text(&level.folder, "memory.stat")?
                .lines()
                .find_map(|line| line.strip_prefix(level.droppable)?.trim().parse::<u64>().ok())?;
            Some((level.limit, level.limit.saturating_sub(used.saturating_sub(droppable))))
        });
        left.min_by_key(|(_, free)| *free)
    }

    /// Percent of the last ten seconds in which some task of the group waited for memory.
    pub(super) fn memory_pressure(&self) -> Option<f64> {
        super::stalled(&text(self.unified.first()?, "memory.pressure")?)
    }

    fn memory_levels(&self) -> impl Iterator<Item = Level> {
        let level = |folder: &PathBuf, names: [&'static str; 3]| {
            let [limit, used, droppable] = names;
            Some(Level {
                limit: number(folder, limit).filter(|limit| *limit < 1 << 60)?,
                folder: folder.clone(),
                used,
                droppable,
            })
        };
        let unified = ["memory.max", "memory.current", "inactive_file "];
        let first = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
        let unified = self.unified.iter().filter_map(move |folder| level(folder, unified));
        unified.chain(self.memory.iter().filter_map(move |folder| level(folder, first)))
    }
}

/// A group with a limit, and the names of what tells its use.
struct Level {
    folder: PathBuf,
    limit: u64,
    used: &'static str,
    droppable: &'static str,
}

/// Of a line like `35 31 0:32 /group /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let kind = after.next()?;
    Some(Mount {
        root,
        point,
        kind,
        options: after.nth(1)?,
    })
}

impl Mount<'_> {
    /// The group's folder and those above it, as far as they are mounted.
    fn folders(&self, root: &Path, group: &str) -> Vec<PathBuf> {
        let point = root.join(self.point.trim_start_matches('/'));
        // In a container of version 1 the group is named as the host sees it, and mounted as the top.
        let below = match self.root {
            "/" => group,
            top => group.strip_prefix(top).unwrap_or(""),
        };
        let below = Path::new(below.trim_start_matches('/'));
        below.ancestors().map(|part| point.join(part)).collect()
    }
}

fn text(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn number(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name)?.parse().ok()
}
