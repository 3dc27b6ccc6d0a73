//! A storage that counts.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::Result;
use sqlextract_storage::{Created, ObjectInfo, Storage, Upload, Uploaded};

use super::result_of;
use crate::{Metric, Metrics};

/// Counts the calls of a storage.
#[derive(Debug)]
pub struct MeteredStorage {
    inner: Arc<dyn Storage>,
    metrics: Metrics,
}

impl MeteredStorage {
    pub fn new(inner: Arc<dyn Storage>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

fn called<T>(metrics: &Metrics, op: &'static str, began: Instant, result: Result<T>) -> Result<T> {
    metrics.observe(Metric::StorageSeconds, &[("op", op)], began.elapsed());
    let labels = [("op", op), ("code", result_of(&result))];
    metrics.count(Metric::StorageRequestsTotal, &labels, 1);
    result
}

#[async_trait]
impl Storage for MeteredStorage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let began = Instant::now();
        let created = called(&self.metrics, "create", began, self.inner.create(key, body).await)?;
        if created == Created::Exists {
            self.metrics.count(Metric::StorageConflictsTotal, &[], 1);
        }
        Ok(created)
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        let began = Instant::now();
        called(&self.metrics, "replace", began, self.inner.replace(key, body).await)
    }

    /// Not counted: it is no request of anybody's.
    async fn prepare(&self, keys: &[String]) {
        self.inner.prepare(keys).await;
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let began = Instant::now();
        Ok(Box::new(MeteredUpload {
            inner: called(&self.metrics, "upload", began, self.inner.upload(key).await)?,
            metrics: self.metrics.clone(),
        }))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let began = Instant::now();
        called(&self.metrics, "read", began, self.inner.read(key, range).await)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let began = Instant::now();
        called(&self.metrics, "list", began, self.inner.list(prefix).await)
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let began = Instant::now();
        called(&self.metrics, "delete", began, self.inner.delete(keys).await)
    }

    async fn end_uploads(&self, prefix: &str) -> Result<u64> {
        let began = Instant::now();
        called(
            &self.metrics,
            "end_uploads",
            began,
            self.inner.end_uploads(prefix).await,
        )
    }

    fn location(&self) -> &str {
        self.inner.location()
    }
}

#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn Upload>,
    metrics: Metrics,
}

#[async_trait]
impl Upload for MeteredUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded> {
        let Self { inner, metrics } = *self;
        let began = Instant::now();
        called(&metrics, "finish", began, inner.finish().await)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}
