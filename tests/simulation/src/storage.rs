//! A store that does things late, not at all, or without saying so.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Code, Result};
use sqlextract_storage::{Created, ObjectInfo, Storage, Upload, Uploaded};

use crate::Chance;

#[derive(Debug)]
pub struct FaultyStorage {
    pub inner: Arc<dyn Storage>,
    pub chance: Arc<Chance>,
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        self.chance
            .around(Code::StorageTimeout, self.inner.create(key, body))
            .await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        self.chance
            .around(Code::StorageTimeout, self.inner.replace(key, body))
            .await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let opening = self.inner.upload(key);
        Ok(Box::new(FaultyUpload {
            inner: self.chance.around(Code::StorageUnreachable, opening).await?,
            chance: Arc::clone(&self.chance),
        }))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.chance
            .around(Code::StorageUnreachable, self.inner.read(key, range))
            .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.chance
            .around(Code::StorageUnreachable, self.inner.list(prefix))
            .await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        self.chance.around(Code::StorageTimeout, self.inner.delete(keys)).await
    }

    fn location(&self) -> &str {
        self.inner.location()
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn Upload>,
    chance: Arc<Chance>,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded> {
        self.chance.around(Code::StorageTimeout, self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}
