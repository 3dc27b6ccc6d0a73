//! What kind of disk a folder is on, and how many write there at once.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What Linux tells about the device of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// Its heads move: files that are written in turns end up in pieces, and each turn costs a move.
    Rotational,
    Solid,
    /// Not a device of blocks, such as a network's or memory, or one that may only say that it rotates.
    Unknown,
}

/// How uploads write to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habit {
    /// Files that are written to at once; `None` for as many as come.
    pub(super) writers: Option<usize>,
    /// Bytes after which a file is brought to the disk in one run, by the one who writes it.
    pub(super) run_bytes: Option<u64>,
}

impl Disk {
    /// Reads the device of a folder from the files below `sys`, which is `/sys`. A partition has no queue of its own: the
    /// disk is the folder above it.
    pub(super) fn read(sys: &Path, folder: &Path) -> Self {
        let Ok(device) = std::fs::metadata(folder).map(|folder| folder.dev()) else {
            return Self::Unknown;
        };
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Self::of_device(sys, major, minor)
    }

    fn of_device(sys: &Path, major: u32, minor: u32) -> Self {
        let Ok(device) = sys.join(format!("dev/block/{major}:{minor}")).canonicalize() else {
            return Self::Unknown;
        };
        let told = [Some(device.as_path()), device.parent()]
            .into_iter()
            .flatten()
            .find_map(|folder| Some((std::fs::read_to_string(folder.join("queue/rotational")).ok()?, folder)));
        match told {
            Some((told, disk)) if told.trim() == "1" && is_hardware(disk) => Self::Rotational,
            Some((told, _)) if told.trim() == "0" => Self::Solid,
            _ => Self::Unknown,
        }
    }

    pub(super) fn habit(self) -> Habit {
        match self {
            Self::Rotational => Habit {
                writers: Some(1),
                run_bytes: Some(32 << 20),
            },
            Self::Solid | Self::Unknown => Habit {
                writers: None,
                run_bytes: None,
            },
        }
    }

    /// What it is, and what follows from that.
    pub(super) fn told(self) -> (&'static str, &'static str) {
        let beside = "files are written beside each other";
        match self {
            Self::Rotational => (
                "a disk that rotates",
                "one file is written at a time, in runs of 32 MiB",
            ),
            Self::Solid => ("a disk that does not rotate", beside),
            Self::Unknown => ("no disk that tells its kind", beside),
        }
    }
}

/// Words in the models of disks that a hypervisor makes up.
const MADE_UP: [&str; 6] = ["qemu", "virtual", "vbox", "vmware", "persistentdisk", "xen"];

/// Whether a disk is one that can be touched. The disks of virtual machines say that they rotate, whatever is below them:
/// some have no model, the others one that tells.
fn is_hardware(disk: &Path) -> bool {
    let model = std::fs::read_to_string(disk.join("device/model")).unwrap_or_default();
    let model = model.trim().to_ascii_lowercase();
    !model.is_empty() && !MADE_UP.iter().any(|word| model.contains(word))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_kind_of_a_disk_is_that_of_its_partitions() {
        let sys = tempfile::TempDir::new().unwrap();
        let devices = sys.path().join("devices");
        let blocks = sys.path().join("dev/block");
        fs::create_dir_all(&blocks).unwrap();
        let disks = [
            ("sda", "1\n", "ST4000NM0035-1V4\n"),
            ("sdb", "1\n", "QEMU HARDDISK\n"),
            ("vda", "1\n", ""),
            ("nvme0n1", "0\n", "SSD 990\n"),
            ("odd", "?", "ODD\n"),
        ];
        for (disk, rotational, model) in disks {
            let disk = devices.join(disk);
            for folder in ["queue", "part1", "device"] {
                fs::create_dir_all(disk.join(folder)).unwrap();
            }
            fs::write(disk.join("queue/rotational"), rotational).unwrap();
            if !model.is_empty() {
                fs::write(disk.join("device/model"), model).unwrap();
            }
        }
        let links = [
            ("8:0", "sda"),
            ("8:1", "sda/part1"),
            ("8:17", "sdb/part1"),
            ("254:0", "vda"),
            ("259:0", "nvme0n1"),
            ("259:1", "nvme0n1/part1"),
            ("7:7", "odd"),
            ("9:9", "gone"),
        ];
        for (number, device) in links {
            symlink(devices.join(device), blocks.join(number)).unwrap();
        }
        let cases = [
            ((8, 0), Disk::Rotational),
            ((8, 1), Disk::Rotational),
            ((8, 17), Disk::Unknown),
            ((254, 0), Disk::Unknown),
            ((259, 0), Disk::Solid),
            ((259, 1), Disk::Solid),
            ((7, 7), Disk::Unknown),
            ((9, 9), Disk::Unknown),
            ((0, 42), Disk::Unknown),
        ];
        for ((major, minor), expected) in cases {
            assert_eq!(Disk::of_device(sys.path(), major, minor), expected, "{major}:{minor}");
        }
    }
}
