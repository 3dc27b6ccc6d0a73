//! A store in memory, and one that does things late, not at all, or without saying so.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Code, Digest, Failure, Result};
use sqlextract_storage::{Created, ObjectInfo, Storage, Upload, Uploaded, check_key, check_prefix};

use crate::Wire;

/// Objects in memory. Clones are handles of the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStorage {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        check_key(key)?;
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(Created::Exists);
        }
        objects.insert(key.to_owned(), body);
        Ok(Created::New)
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        check_key(key)?;
        self.objects().insert(key.to_owned(), body);
        Ok(())
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        check_key(key)?;
        Ok(Box::new(MemoryUpload {
            storage: self.clone(),
            key: key.to_owned(),
            bytes: Vec::new(),
        }))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        check_key(key)?;
        let Some(body) = self.objects().get(key).cloned() else {
            return Ok(None);
        };
        let Some(range) = range else { return Ok(Some(body)) };
        if range.start > range.end || range.end > body.len() as u64 {
            let text = format!("{key} has {} bytes and no range {range:?}", body.len());
            return Err(Failure::new(Code::StorageRejected, text));
        }
        Ok(Some(body.slice(range.start as usize..range.end as usize)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        let objects = self.objects();
        let from = objects.range(prefix.to_owned()..);
        let below = from.take_while(|(key, _)| key.starts_with(prefix));
        let infos = below.map(|(key, body)| ObjectInfo {
            key: key.clone(),
            bytes: body.len() as u64,
        });
        Ok(infos.collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let mut objects = self.objects();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }

    /// An upload lives in the writer's memory alone.
    async fn end_uploads(&self, prefix: &str) -> Result<u64> {
        check_prefix(prefix).map(|()| 0)
    }

    fn location(&self) -> &str {
        "/simulated"
    }
}

#[derive(Debug)]
struct MemoryUpload {
    storage: MemoryStorage,
    key: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded> {
        let uploaded = Uploaded {
            bytes: self.bytes.len() as u64,
            crc32c: crc32c::crc32c(&self.bytes),
            sha256: Digest::of(&self.bytes),
        };
        match self.storage.create(&self.key, self.bytes.into()).await? {
            Created::New => Ok(uploaded),
            Created::Exists => {
                let text = format!("{} is there already", self.key);
                Err(Failure::new(Code::StorageForeign, text))
            }
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct FaultyStorage {
    pub inner: Arc<dyn Storage>,
    pub wire: Wire,
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let what = Digest::of(&body);
        let creating = async {
            let created = self.inner.create(key, body).await?;
            if created == Created::New && key.contains("/parts/") {
                self.wire.trace.reached("a part of a batch was settled");
            }
            if created == Created::Exists && key.contains("/parts/") {
                self.wire.trace.reached("another attempt was first at a part");
            }
            if created == Created::Exists && key.contains("/commits/") {
                self.wire.trace.reached("another attempt was first");
            }
            Ok(created)
        };
        self.wire
            .call(format!("create {key} {what}"), Code::StorageTimeout, creating)
            .await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        let what = Digest::of(&body);
        let replacing = self.inner.replace(key, body);
        self.wire
            .call(format!("replace {key} {what}"), Code::StorageTimeout, replacing)
            .await
    }

    async fn prepare(&self, keys: &[String]) {
        self.inner.prepare(keys).await;
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let opening = self.inner.upload(key);
        let opened = self
            .wire
            .call(format!("upload {key}"), Code::StorageUnreachable, opening);
        Ok(Box::new(FaultyUpload {
            inner: opened.await?,
            key: key.to_owned(),
            wire: self.wire.clone(),
        }))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let reading = self.inner.read(key, range.clone());
        self.wire
            .call(format!("read {key} {range:?}"), Code::StorageUnreachable, reading)
            .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let listing = self.inner.list(prefix);
        self.wire
            .call(format!("list {prefix}"), Code::StorageUnreachable, listing)
            .await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let deleting = self.inner.delete(keys);
        self.wire
            .call(format!("delete {keys:?}"), Code::StorageTimeout, deleting)
            .await
    }

    async fn end_uploads(&self, prefix: &str) -> Result<u64> {
        let ending = self.inner.end_uploads(prefix);
        self.wire
            .call(format!("end uploads {prefix}"), Code::StorageTimeout, ending)
            .await
    }

    fn location(&self) -> &str {
        self.inner.location()
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn Upload>,
    key: String,
    wire: Wire,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let (length, writing) = (bytes.len(), self.inner.write(bytes));
        let what = format!("write {} {length}", self.key);
        self.wire.call(what, Code::StorageTimeout, writing).await
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded> {
        let what = format!("finish {}", self.key);
        self.wire.call(what, Code::StorageTimeout, self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let what = format!("abort {}", self.key);
        self.wire.call(what, Code::StorageTimeout, self.inner.abort()).await
    }
}
