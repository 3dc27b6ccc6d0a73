//! Temporary files: one folder per process, held by a lock that the system frees when the process dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sqlextract_model::{Code, Failure, Result};

use super::failure::failed;
use crate::key::OWN_SEGMENT;

/// Where locks cannot tell (some network file systems have none), age does.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// `.sqlextract/tmp/<id>/` with the process's temporary files, and `<id>.lock` beside it, locked as long as it lives.
pub(super) struct Session {
    folder: PathBuf,
    lock_path: PathBuf,
    /// The lock is this open file.
    _lock: File,
    names: AtomicU64,
}

impl Session {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let parent = root.join(OWN_SEGMENT).join("tmp");
        fs::create_dir_all(&parent).map_err(|e| failed("make", &parent, &e))?;
        // The root is canonical, so that any difference is a link that leads elsewhere.
        if parent.canonicalize().map_err(|e| failed("resolve", &parent, &e))? != parent {
            let message = format!("{} is reached through a symbolic link", parent.display());
            return Err(Failure::new(Code::StorageForeign, message));
        }
        remove_abandoned(&parent);
        loop {
            let id = random_id()?;
            let lock_path = parent.join(format!("{id}.lock"));
            let lock = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&lock_path)
                .map_err(|e| failed("make", &lock_path, &e))?;
            match lock.lock() {
                Err(e) if e.kind() != ErrorKind::Unsupported => return Err(failed("lock", &lock_path, &e)),
                _ => {}
            }
            // Between its making and its locking, another process may have taken the file for a dead one's.
            if !lock_path.exists() {
                continue;
            }
            let folder = parent.join(id);
            fs::create_dir(&folder).map_err(|e| failed("make", &folder, &e))?;
            return Ok(Self {
                folder,
                lock_path,
                _lock: lock,
                names: AtomicU64::new(0),
            });
        }
    }

    /// An empty temporary file.
    pub(super) fn temporary(&self) -> Result<Temporary> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}.part"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| failed("make", &path, &e))?;
        Ok(Temporary::new(path, file))
    }

    /// A temporary file of these bytes, synced.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Temporary> {
        let mut temporary = self.temporary()?;
        let written = temporary.file.write_all(bytes);
        written.map_err(|e| failed("write", &temporary.path, &e))?;
        temporary.sync(&temporary.path)?;
        Ok(temporary)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process that opens the folder.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// A file beside the objects, removed when dropped. A link to it stays.
pub(super) struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    pub(super) fn new(path: PathBuf, file: File) -> Self {
        Self { path, file }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Brings the bytes to the disk; a failure names the object that they are for.
    pub(super) fn sync(&self, of: &Path) -> Result<()> {
        self.file.sync_all().map_err(|e| failed("sync", of, &e))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A rename has taken it away already, or the next process that opens the folder sweeps.
        let _ = fs::remove_file(&self.path);
    }
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::new(Code::PreflightFailed, "the system gives no random numbers").because(e))?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Removes the folders whose process is gone: the system has freed its lock. Sweeping is a courtesy; what cannot be
/// looked at is left alone.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|e| e != "lock") {
            continue;
        }
        // Held until both are gone, so that a process that is just opening waits and then takes another name.
        if let Some(_lock) = take_over(&path) {
            let folder = path.with_extension("");
            tracing::debug!(folder = %folder.display(), "removing what a dead process left");
            let removed = fs::remove_dir_all(&folder);
            // The lock goes last: as long as it is there, the next opener tries again.
            if removed.is_ok() || !folder.exists() {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// The dead process's lock, now ours.
fn take_over(lock_path: &Path) -> Option<File> {
    let lock = OpenOptions::new().write(true).open(lock_path).ok()?;
    let abandoned = match lock.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => {
            let modified = lock.metadata().and_then(|m| m.modified());
            modified.is_ok_and(|m| {
                SystemTime::now()
                    .duration_since(m)
                    .is_ok_and(|age| age > ABANDONED_AFTER)
            })
        }
    };
    abandoned.then_some(lock)
}
