//! A folder as storage.
//!
//! Objects are plain files. Each is written beside, under `.sqlextract/tmp/` of the same root, synced, and then
//! linked to its name, which the file system refuses when the name is taken; the folder is synced before anybody is
//! told. Symbolic links below the root are never followed.

mod disk;
mod failure;
mod folders;
mod publish;
mod session;
mod space;
mod upload;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::Semaphore;

use crate::key::{check_key, check_prefix};
use crate::pace::Pace;
use crate::{Created, ObjectInfo, Storage, Upload};

use disk::{Disk, Habit};
use failure::failed;
use folders::Folders;
use session::Session;
use space::Space;
use upload::{LocalUpload, Writing};

/// Storage in a local folder. Cheap to clone; all blocking work runs on the runtime's blocking threads.
#[derive(Clone)]
pub struct LocalStorage {
    place: Arc<Place>,
    /// Where the bytes of uploads have a limit per second.
    pace: Option<Arc<Pace>>,
}

/// The root and what this process keeps there.
struct Place {
    location: String,
    folders: Folders,
    session: Session,
    space: Arc<Space>,
    habit: Habit,
    /// For uploads that write, where the disk takes only some at once.
    turns: Option<Arc<Semaphore>>,
}

impl fmt::Debug for LocalStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalStorage").field(&self.place.location).finish()
    }
}

impl LocalStorage {
    /// Opens a folder, made when it is missing, and proves that it can hold objects: writable, and with hard links,
    /// which create-only writes need. Removes what dead processes left unfinished.
    pub async fn open(root: &Path) -> Result<Self> {
        let root = root.to_owned();
        blocking(move || Self::open_now(&root, Path::new("/sys"))).await
    }

    /// `sys` is where Linux tells about devices.
    fn open_now(root: &Path, sys: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|e| failed("make the output folder", root, &e))?;
        let root = root
            .canonicalize()
            .map_err(|e| failed("resolve the output folder", root, &e))?;
        let location = root.to_str().ok_or_else(|| {
            let shown = root.display();
            Failure::new(
                Code::ConfigInvalid,
                format!("the output folder {shown} is not valid UTF-8"),
            )
        })?;
        let disk = Disk::read(sys, &root);
        let (kind, habit) = disk.told();
        tracing::info!("output {location}: {kind}: {habit}");
        let habit = disk.habit();
        let place = Place {
            location: location.to_owned(),
            space: Space::of(&root),
            habit,
            turns: habit.writers.map(|writers| Arc::new(Semaphore::new(writers))),
            session: Session::open(&root)?,
            folders: Folders::new(root.clone()),
        };
        publish::probe(&place)?;
        Ok(Self {
            place: Arc::new(place),
            pace: None,
        })
    }

    /// What kind of disk a folder is on, and how it is written to for that.
    pub fn disk_of(root: &Path) -> (&'static str, &'static str) {
        Disk::read(Path::new("/sys"), root).told()
    }

    /// Writes uploads no faster than so many bytes per second, all of them together.
    #[must_use]
    pub fn limited_to(mut self, upload_bytes_per_second: NonZeroU64) -> Self {
        self.pace = Some(Arc::new(Pace::new(upload_bytes_per_second)));
        self
    }

    /// Runs on a blocking thread with the place at hand. Once begun, it ends even if nobody waits for it any more.
    async fn with_place<T: Send + 'static>(&self, act: impl FnOnce(&Place) -> Result<T> + Send + 'static) -> Result<T> {
        let place = Arc::clone(&self.place);
        blocking(move || act(&place)).await
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(Failure::new(
            Code::Interrupted,
            "the process is ending before storage was reached",
        )),
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        check_key(key)?;
        let key = key.to_owned();
        self.with_place(move |place| {
            let target = place.folders.target(&key)?;
            if let Some(exists) = publish::taken(place, &target)? {
                return Ok(exists);
            }
            let temporary = place.session.write(&body)?;
            publish::link(place, temporary, &target)
        })
        .await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        check_key(key)?;
        let key = key.to_owned();
        self.with_place(move |place| {
            let target = place.folders.target(&key)?;
            let temporary = place.session.write(&body)?;
            publish::rename(place, temporary, &target)
        })
        .await
    }

    /// Makes the objects' folders, which costs a sync each.
    async fn prepare(&self, keys: &[String]) {
        let keys: Vec<String> = keys.iter().filter(|key| check_key(key).is_ok()).cloned().collect();
        let made = self.with_place(move |place| place.folders.make(&keys)).await;
        if let Err(failure) = made {
            tracing::debug!(error = %failure, "folders could not be made ahead of their objects");
        }
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        check_key(key)?;
        let key = key.to_owned();
        let (place, pace) = (Arc::clone(&self.place), self.pace.clone());
        let upload = blocking(move || {
            let target = place.folders.target(&key)?;
            let claim = place.space.claim(&target)?;
            let writing = Writing::new(place.session.temporary()?, claim);
            Ok(LocalUpload::new(place, target, pace, writing))
        });
        Ok(Box::new(upload.await?))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        check_key(key)?;
        let key = key.to_owned();
        self.with_place(move |place| match place.folders.find(&key)? {
            Some(path) => read(&path, range),
            None => Ok(None),
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        let prefix = prefix.to_owned();
        self.with_place(move |place| walk::list(&place.folders, &prefix)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            check_key(key)?;
        }
        let keys = keys.to_vec();
        self.with_place(move |place| keys.iter().try_for_each(|key| delete(&place.folders, key)))
            .await
    }

    /// What a process that died has left was removed when the folder was opened.
    async fn end_uploads(&self, prefix: &str) -> Result<u64> {
        check_prefix(prefix).map(|()| 0)
    }

    fn location(&self) -> &str {
        &self.place.location
    }
}

fn read(path: &Path, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed("open", path, &e)),
    };
    let bytes = file.metadata().map_err(|e| failed("look at", path, &e))?.len();
    let range = range.unwrap_or(0..bytes);
    if range.start > range.end || range.end > bytes {
        let Range { start, end } = range;
        return Err(Failure::new(
            Code::StorageRejected,
            format!(
                "bytes {start} to {end} of {} are asked for, but it has {bytes}",
                path.display()
            ),
        ));
    }
    let wanted = range.end - range.start;
    file.seek(SeekFrom::Start(range.start))
        .map_err(|e| failed("read", path, &e))?;
    let mut buffer = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
    file.take(wanted)
        .read_to_end(&mut buffer)
        .map_err(|e| failed("read", path, &e))?;
    if buffer.len() as u64 != wanted {
        let shown = path.display();
        return Err(Failure::new(
            Code::StorageCorrupt,
            format!("{shown} became shorter while it was read"),
        ));
    }
    Ok(Some(Bytes::from(buffer)))
}

fn delete(folders: &Folders, key: &str) -> Result<()> {
    let Some(path) = folders.find(key)? else {
        return Ok(());
    };
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("delete", &path, &e)),
        _ => Ok(()),
    }
}
