//! Which processes that use the checkpoint are alive, told by the locks of the operating system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name part of life files, between the checkpoint's name and the process.
const ALIVE: &str = ".alive-";

/// A file that is locked as long as its maker lives, however it ends.
#[derive(Debug)]
pub(super) struct LifeFile {
    checkpoint: PathBuf,
    /// What stands after the checkpoint's name.
    name: String,
    /// Holds the lock.
    _locked: File,
}

impl LifeFile {
    /// Makes our file, under a name that nobody had before.
    pub(super) fn create(checkpoint: &Path) -> io::Result<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = since_1970.as_nanos();
        for attempt in 0..1000u32 {
            let name = format!("{}-{start:x}-{attempt}", std::process::id());
            let path = life_path(checkpoint, &name);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.try_lock().map_err(io::Error::from)?;
                    return Ok(Self {
                        checkpoint: checkpoint.to_owned(),
                        name,
                        _locked: file,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no name for a lock file is free"))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the maker of a life file lives. Where the file system has no locks everybody is taken for alive, and only
    /// the time to live frees a lease.
    pub(super) fn lives(&self, name: &str) -> bool {
        if name == self.name {
            return true;
        }
        match OpenOptions::new()
            .read(true)
            .write(true)
            .open(life_path(&self.checkpoint, name))
        {
            Ok(file) => match file.try_lock() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
            },
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Names of all other life files.
    pub(super) fn others(&self) -> Vec<String> {
        let Some(file_name) = self.checkpoint.file_name().and_then(|name| name.to_str()) else {
            return Vec::new();
        };
        let prefix = format!("{file_name}{ALIVE}");
        let folder = self.checkpoint.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
            return Vec::new();
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix(&prefix).map(str::to_owned)
        });
        names.filter(|name| *name != self.name).collect()
    }

    /// Removes the files of killed processes. To be called while `lock_opening` is held: a file that is just being made
    /// is not locked yet.
    pub(super) fn bury_the_dead(&self) {
        for other in self.others() {
            if !self.lives(&other) {
                self.bury(&other);
            }
        }
    }

    /// Removes the file of a process that is dead. What cannot be removed does no harm.
    pub(super) fn bury(&self, name: &str) {
        let _ = std::fs::remove_file(life_path(&self.checkpoint, name));
    }
}

impl Drop for LifeFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(life_path(&self.checkpoint, &self.name));
    }
}

fn life_path(checkpoint: &Path, name: &str) -> PathBuf {
    beside(checkpoint, &format!("{ALIVE}{name}"))
}

pub(super) fn beside(checkpoint: &Path, suffix: &str) -> PathBuf {
    let mut path = checkpoint.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Waits until no other process is opening this checkpoint. A process that dies leaves at once.
pub(super) fn lock_opening(checkpoint: &Path) -> io::Result<File> {
    let path = beside(checkpoint, ".opening");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.lock() {
        // Without locks in the file system, SQLite's own must do.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

/// Wall time since 1970. Leases of one machine are measured by its one clock.
pub(super) fn now_milliseconds() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
