use std::path::PathBuf;

use super::*;

/// Files of a machine, gone when this is dropped.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path: PathBuf = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn machine(&self) -> Machine {
        Machine::at(self.0.path(), 8)
    }
}

const MEMINFO: (&str, &str) = (
    "proc/meminfo",
    "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n",
);
const UNIFIED: [(&str, &str); 3] = [
    MEMINFO,
    ("proc/self/cgroup", "0::/system/job\n"),
    (
        "proc/self/mountinfo",
        "31 23 0:28 / /sys rw - sysfs sysfs rw\n41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n",
    ),
];

#[test]
fn the_tightest_limit_of_the_group_and_those_above_it_counts() {
    let mut files = UNIFIED.to_vec();
    files.extend([
        ("sys/fs/cgroup/system/job/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/system/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/system/job/memory.max", "536870912\n"),
        ("sys/fs/cgroup/system/memory.max", "1073741824\n"),
    ]);
    let files = Files::new(&files);
    let expected = MachineLimits {
        cores: 1.5,
        quota: true,
        memory: Some(512 << 20),
    };
    assert_eq!(files.machine().limits(), expected);
}

#[test]
fn a_machine_without_limits_is_as_large_as_it_is() {
    let expected = MachineLimits {
        cores: 8.0,
        quota: false,
        memory: Some(16 << 30),
    };
    assert_eq!(Files::new(&UNIFIED).machine().limits(), expected);
    let mut files = UNIFIED.to_vec();
    files.extend([
        ("sys/fs/cgroup/system/job/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/system/job/memory.max", "max\n"),
    ]);
    assert_eq!(Files::new(&files).machine().limits(), expected);
    let nothing = Files::new(&[]);
    assert_eq!(
        nothing.machine().limits(),
        MachineLimits {
            memory: None,
            ..expected
        }
    );
    assert_eq!(nothing.machine().memory_strain(), None);
    assert_eq!(nothing.machine().cpu_times(), None);
}

#[test]
fn the_first_version_is_read_as_a_container_sees_it() {
    let files = Files::new(&[
        MEMINFO,
        (
            "proc/self/cgroup",
            "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/\n0::/\n",
        ),
        (
            "proc/self/mountinfo",
            "35 31 0:32 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             36 31 0:33 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
        ),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "260000000\n"),
        (
            "sys/fs/cgroup/memory/memory.stat",
            "cache 9\ninactive_file 1\ntotal_inactive_file 1564544\n",
        ),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ]);
    let limits = files.machine().limits();
    assert_eq!((limits.cores, limits.memory), (0.5, Some(256 << 20)));
    // 10,000,000 bytes are left of 268,435,456.
    let strain = files.machine().memory_strain().unwrap();
    assert_eq!(strain.signal, "memory left to this control group");
    assert!((1.3..1.4).contains(&strain.level), "{strain:?}");
}

#[test]
fn memory_is_short_when_tasks_wait_for_it() {
    let pressure = |text: &'static str| {
        let mut files = UNIFIED.to_vec();
        files.push(("sys/fs/cgroup/system/job/memory.pressure", text));
        // What the whole machine suffers is not the group's.
        files.push(("proc/pressure/memory", "some avg10=90.00 avg60=0 avg300=0 total=1\n"));
        Files::new(&files).machine().memory_strain().unwrap()
    };
    let calm = pressure("some avg10=0.00 avg60=50.00 avg300=9.00 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=0\n");
    assert!(calm.level < 0.1, "{calm:?}");
    let short = pressure("some avg10=30.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=0\n");
    assert_eq!((short.signal, short.level), ("waits for memory", 1.5));
}

#[test]
fn processor_times_are_read_past_any_program_name() {
    let files = Files::new(&[
        (
            "proc/self/stat",
            "7 (odd ) 1 (name) R 1 1 1 0 -1 4 10 0 0 0 250 50 0 0 20 0 1 0 99 1 1\n",
        ),
        ("proc/stat", "cpu  10 0 10 4000 500 0 0 0 0 0\ncpu0 1 1 1 1 1\n"),
    ]);
    let expected = CpuTimes { own: 3.0, idle: 45.0 };
    assert_eq!(files.machine().cpu_times(), Some(expected));
}

#[cfg(target_os = "linux")]
#[test]
fn this_machine_can_be_read() {
    let machine = Machine::new();
    let limits = machine.limits();
    assert!(limits.cores > 0.0 && limits.memory > Some(64 << 20), "{limits:?}");
    let before = machine.cpu_times().unwrap();
    let mut spent = 0_u64;
    while machine.cpu_times().unwrap().own < before.own + 0.02 {
        spent = spent.wrapping_add(1);
    }
    assert!(machine.memory_strain().is_some(), "{spent}");
}
