//! Keys to paths below the root, and folders that are durable.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlextract_model::{Code, Failure, Result};

use super::failure::failed;

pub(super) struct Folders {
    root: PathBuf,
    /// Folders whose way up to the root this process has synced.
    durable: Mutex<HashSet<PathBuf>>,
    syncs: Mutex<HashMap<PathBuf, Arc<FolderSync>>>,
}

/// One folder's syncs, shared: whoever waits behind a running sync is served by the next one together with all others.
#[derive(Default)]
struct FolderSync {
    tickets: Mutex<u64>,
    /// The highest ticket that a finished sync covers. Held during the sync itself.
    covered: Mutex<u64>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            durable: Mutex::default(),
            syncs: Mutex::default(),
        }
    }

    /// The path of an object to be written, its folders made and durable. The key has been checked.
    pub(super) fn target(&self, key: &str) -> Result<PathBuf> {
        self.make(&[key])?;
        Ok(self.root.join(key))
    }

    /// Makes the folders of objects, durable when this returns. A folder that got several is synced once.
    pub(super) fn make<K: AsRef<str>>(&self, keys: &[K]) -> Result<()> {
        let mut fresh = Vec::new();
        let mut parents = BTreeSet::new();
        for key in keys {
            let mut folder = self.root.clone();
            let (folders, _) = key.as_ref().rsplit_once('/').unwrap_or_default();
            for segment in folders.split('/').filter(|s| !s.is_empty()) {
                let parent = folder.clone();
                folder.push(segment);
                self.ensure_folder(&folder)?;
                // A folder that another process made may not be durable yet, so that the first use syncs in any case.
                if !lock(&self.durable).contains(&folder) {
                    parents.insert(parent);
                    fresh.push(folder.clone());
                }
            }
        }
        parents.iter().try_for_each(|parent| self.sync(parent))?;
        lock(&self.durable).extend(fresh);
        Ok(())
    }

    /// The path of an object to be read or deleted, if a regular file is there.
    pub(super) fn find(&self, key: &str) -> Result<Option<PathBuf>> {
        self.descend(key, FileType::is_file)
    }

    /// The path of a folder to be listed, if it is there; the root for the empty key.
    pub(super) fn find_folder(&self, key: &str) -> Result<Option<PathBuf>> {
        match key {
            "" => Ok(Some(self.root.clone())),
            _ => self.descend(key, FileType::is_dir),
        }
    }

    fn descend(&self, key: &str, wanted: fn(&FileType) -> bool) -> Result<Option<PathBuf>> {
        let mut path = self.root.clone();
        let mut segments = key.split('/').peekable();
        while let Some(segment) = segments.next() {
            path.push(segment);
            let kind = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
                Err(e) => return Err(failed("look at", &path, &e)),
            };
            if kind.is_symlink() {
                return Err(symlink(&path));
            }
            let fits = match segments.peek() {
                Some(_) => kind.is_dir(),
                None => wanted(&kind),
            };
            if !fits {
                return Ok(None);
            }
        }
        Ok(Some(path))
    }

    /// Makes what was linked into or renamed within a folder survive a power failure.
    pub(super) fn sync(&self, folder: &Path) -> Result<()> {
        let sync = Arc::clone(lock(&self.syncs).entry(folder.to_owned()).or_default());
        let ticket = {
            let mut tickets = lock(&sync.tickets);
            *tickets += 1;
            *tickets
        };
        let mut covered = lock(&sync.covered);
        if *covered >= ticket {
            return Ok(());
        }
        let begun = *lock(&sync.tickets);
        File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| failed("sync", folder, &e))?;
        *covered = begun;
        Ok(())
    }

    /// Another process may make the same folder at the same time; that is as good.
    fn ensure_folder(&self, folder: &Path) -> Result<()> {
        let kind = match fs::symlink_metadata(folder) {
            Ok(metadata) => metadata.file_type(),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                match fs::create_dir(folder) {
                    Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed("make", folder, &e)),
                    _ => {}
                }
                lock(&self.durable).remove(folder);
                fs::symlink_metadata(folder)
                    .map_err(|e| failed("look at", folder, &e))?
                    .file_type()
            }
            Err(e) => return Err(failed("look at", folder, &e)),
        };
        if kind.is_symlink() {
            return Err(symlink(folder));
        }
        if !kind.is_dir() {
            let shown = folder.display();
            return Err(Failure::new(
                Code::StorageForeign,
                format!("{shown} is a file where a folder must be"),
            ));
        }
        Ok(())
    }
}

fn symlink(path: &Path) -> Failure {
    Failure::new(
        Code::StorageForeign,
        format!(
            "{} is a symbolic link; links below the output folder are not followed",
            path.display()
        ),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole between any two statements, so that a panic elsewhere leaves nothing half-done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
