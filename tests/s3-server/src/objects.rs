//! Buckets, objects and open uploads: bytes in files under the root, everything else in memory.
//!
//! An object is the plain file `<root>/<bucket>/<key>`, so that other tools can look at it. It is written beside and
//! renamed under one lock, which also decides create-only writes: of racing writers exactly one wins. As on a file
//! system, `a` and `a/b` cannot both be objects.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Bytes that arrived: a file beside the objects, removed unless it becomes one.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) etag: String,
    pub(crate) crc32: Option<String>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After the rename nothing is there any more, and that is well.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
    pub(crate) etag: String,
    pub(crate) crc32: Option<String>,
    pub(crate) metadata: Option<HashMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct OpenUpload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) initiated: SystemTime,
    pub(crate) metadata: Option<HashMap<String, String>>,
    pub(crate) parts: BTreeMap<i32, Incoming>,
}

/// A lifecycle rule of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRule {
    pub id: String,
    pub prefix: String,
    /// Uploads that nobody completes are ended.
    pub uploads_end_after_days: Option<i32>,
    /// Objects are removed.
    pub expires_after_days: Option<i32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoSuchBucket,
    /// A create-only write found the name taken.
    Taken,
    BadKey,
    Io(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

type Objects = BTreeMap<String, Object>;

#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    incoming: PathBuf,
    names: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Objects>,
    uploads: BTreeMap<String, OpenUpload>,
    /// Rules by bucket. They are told, and nothing is done about them.
    rules: BTreeMap<String, Vec<ObjectRule>>,
}

impl Store {
    /// Takes up what an earlier server left under the root; its unfinished uploads are gone.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let incoming = root.join(".incoming");
        match fs::remove_dir_all(&incoming) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => fs::create_dir(&incoming)?,
        }
        let mut state = State::default();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() && !name.starts_with('.') {
                state.buckets.insert(name, load(&entry.path())?);
            }
        }
        Ok(Self {
            root,
            incoming,
            names: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn create_bucket(&self, bucket: &str) -> Result<(), Refused> {
        if bucket.starts_with('.') || !is_plain(bucket) || bucket.contains('/') {
            return Err(Refused::BadKey);
        }
        fs::create_dir_all(self.root.join(bucket))?;
        self.lock().buckets.entry(bucket.to_owned()).or_default();
        Ok(())
    }

    pub(crate) fn set_rules(&self, bucket: &str, rules: Vec<ObjectRule>) {
        self.lock().rules.insert(bucket.to_owned(), rules);
    }

    pub(crate) fn rules(&self, bucket: &str) -> Option<Vec<ObjectRule>> {
        self.lock().rules.get(bucket).cloned()
    }

    pub(crate) fn has_bucket(&self, bucket: &str) -> bool {
        self.lock().buckets.contains_key(bucket)
    }

    /// A fresh path to write arriving bytes to.
    pub(crate) fn incoming_path(&self) -> PathBuf {
        self.incoming
            .join(self.names.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Makes the bytes an object, under one lock: whoever comes second with `create_only` is refused.
    pub(crate) fn publish(
        &self,
        (bucket, key): (&str, &str),
        incoming: &Incoming,
        metadata: Option<HashMap<String, String>>,
        create_only: bool,
    ) -> Result<(), Refused> {
        if !is_plain(key) {
            return Err(Refused::BadKey);
        }
        let mut state = self.lock();
        let objects = state.buckets.get_mut(bucket).ok_or(Refused::NoSuchBucket)?;
        if create_only && objects.contains_key(key) {
            return Err(Refused::Taken);
        }
        let path = self.root.join(bucket).join(key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(&incoming.path, &path)?;
        let object = Object {
            bytes: incoming.bytes,
            modified: SystemTime::now(),
            etag: incoming.etag.clone(),
            crc32: incoming.crc32.clone(),
            metadata,
        };
        objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// The object and its bytes, from the same moment.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Result<Option<(Object, fs::File)>, Refused> {
        let state = self.lock();
        let objects = state.buckets.get(bucket).ok_or(Refused::NoSuchBucket)?;
        let Some(object) = objects.get(key) else {
            return Ok(None);
        };
        Ok(Some((
            object.clone(),
            fs::File::open(self.root.join(bucket).join(key))?,
        )))
    }

    /// Up to `limit` objects whose keys start with the prefix and come after `after`, and whether there are more.
    pub(crate) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<(String, Object)>, bool), Refused> {
        let state = self.lock();
        let objects = state.buckets.get(bucket).ok_or(Refused::NoSuchBucket)?;
        let mut found = objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| key.as_str() > after);
        let page = found
            .by_ref()
            .take(limit)
            .map(|(k, o)| (k.clone(), o.clone()))
            .collect();
        Ok((page, found.next().is_some()))
    }

    pub(crate) fn delete(&self, bucket: &str, key: &str) -> Result<(), Refused> {
        let mut state = self.lock();
        let objects = state.buckets.get_mut(bucket).ok_or(Refused::NoSuchBucket)?;
        if objects.remove(key).is_some() {
            fs::remove_file(self.root.join(bucket).join(key))?;
        }
        Ok(())
    }

    pub(crate) fn begin_upload(&self, upload: OpenUpload) -> Result<String, Refused> {
        let mut state = self.lock();
        if !state.buckets.contains_key(&upload.bucket) {
            return Err(Refused::NoSuchBucket);
        }
        let id = format!("upload-{:016x}", self.names.fetch_add(1, Ordering::Relaxed));
        state.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    /// Looks at an open upload or changes it; `None` when there is none of this id and key.
    pub(crate) fn with_upload<T>(
        &self,
        id: &str,
        (bucket, key): (&str, &str),
        act: impl FnOnce(&mut OpenUpload) -> T,
    ) -> Option<T> {
        let mut state = self.lock();
        let upload = state.uploads.get_mut(id)?;
        (upload.bucket == bucket && upload.key == key).then(|| act(upload))
    }

    /// Forgets an upload; its parts' files go with it.
    pub(crate) fn end_upload(&self, id: &str) -> bool {
        self.lock().uploads.remove(id).is_some()
    }

    /// Open uploads of a bucket under a prefix: key, id, start.
    pub(crate) fn uploads(&self, bucket: &str, prefix: &str) -> Vec<(String, String, SystemTime)> {
        let state = self.lock();
        let of_bucket = state
            .uploads
            .iter()
            .filter(|(_, u)| u.bucket == bucket && u.key.starts_with(prefix));
        let mut found: Vec<_> = of_bucket
            .map(|(id, u)| (u.key.clone(), id.clone(), u.initiated))
            .collect();
        found.sort();
        found
    }

    pub(crate) fn parts(&self) -> usize {
        self.lock().uploads.values().map(|upload| upload.parts.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a key names exactly one file below its bucket.
fn is_plain(key: &str) -> bool {
    let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
    !key.is_empty() && !key.contains("//") && !key.ends_with('/') && Path::new(key).components().all(normal)
}

fn load(bucket: &Path) -> io::Result<Objects> {
    let mut objects = Objects::new();
    let mut folders = vec![bucket.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let Some(key) = path.strip_prefix(bucket).ok().and_then(Path::to_str) else {
                continue;
            };
            let object = Object {
                bytes: metadata.len(),
                modified: metadata.modified()?,
                etag: format!("{:032x}", metadata.len()),
                crc32: None,
                metadata: None,
            };
            objects.insert(key.to_owned(), object);
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(store: &Store, body: &str) -> Incoming {
        let path = store.incoming_path();
        fs::write(&path, body).unwrap();
        Incoming {
            path,
            bytes: body.len() as u64,
            etag: body.to_owned(),
            crc32: None,
        }
    }

    #[test]
    fn one_of_64_threads_creates() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.create_bucket("b").unwrap();
        let ready = std::sync::Barrier::new(64);
        let results: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..64)
                .map(|i| {
                    let (store, ready) = (&store, &ready);
                    scope.spawn(move || {
                        let incoming = incoming(store, &i.to_string());
                        ready.wait();
                        store.publish(("b", "k"), &incoming, None, true)
                    })
                })
                .collect();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
        assert_eq!(results.iter().filter(|r| **r == Err(Refused::Taken)).count(), 63);
        let (object, _) = store.object("b", "k").unwrap().unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("b/k")).unwrap(), object.etag);
    }

    #[test]
    fn a_new_server_takes_up_the_objects_of_the_one_before() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.create_bucket("b").unwrap();
        store
            .publish(("b", "x/y"), &incoming(&store, "body"), None, true)
            .unwrap();
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let (object, _) = store.object("b", "x/y").unwrap().unwrap();
        assert_eq!(object.bytes, 4);
        let again = store.publish(("b", "x/y"), &incoming(&store, "other"), None, true);
        assert_eq!(again, Err(Refused::Taken));
    }

    #[test]
    fn keys_that_are_no_file_below_the_bucket_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.create_bucket("b").unwrap();
        for key in ["", "../x", "a/../../x", "/abs", "a//b", "a/"] {
            let refused = store.publish(("b", key), &incoming(&store, "x"), None, false);
            assert_eq!(refused, Err(Refused::BadKey), "{key}");
        }
        let missing = store.publish(("c", "k"), &incoming(&store, "x"), None, false);
        assert_eq!(missing, Err(Refused::NoSuchBucket));
    }
}
