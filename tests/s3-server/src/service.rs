//! The operations of S3 that the project uses, over the objects on disk.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Md5};
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

use crate::faults::FaultControl;
use crate::objects::{Incoming, Object as Stored, ObjectRule, OpenUpload, Refused, Store};

/// As in S3: every part but the last.
const SMALLEST_PART_BYTES: u64 = 5 << 20;
const COPY_BYTES: usize = 256 << 10;
/// What is gathered of a body before it is written.
const WRITE_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Arc<FaultControl>,
}

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoSuchBucket => s3_error!(NoSuchBucket),
            Refused::Taken => s3_error!(PreconditionFailed, "an object of this name exists"),
            Refused::BadKey => s3_error!(InvalidArgument, "a file cannot have this name"),
            Refused::Io(text) => S3Error::with_message(S3ErrorCode::InternalError, text),
        }
    }
}

fn io_error(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        self.store.create_bucket(&req.input.bucket)?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        if !self.store.has_bucket(&req.input.bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let input = req.input;
        let create_only = self.admit(input.if_none_match.as_ref())?;
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let incoming = self.receive(body, input.checksum_crc32).await?;
        self.store
            .publish((&input.bucket, &input.key), &incoming, input.metadata, create_only)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(incoming.etag.clone())),
            checksum_crc32: incoming.crc32.clone(),
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let (bucket, key) = (&req.input.bucket, &req.input.key);
        let found = self.store.object(bucket, key)?;
        let (object, mut file) = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        let whole = 0..object.bytes;
        let span = match req.input.range {
            Some(range) => range.check(object.bytes)?,
            None => whole.clone(),
        };
        file.seek(SeekFrom::Start(span.start)).map_err(io_error)?;
        let length = span.end - span.start;
        let corrupt = self.faults.strikes(|f| &mut f.corrupt_download);
        let body = read_stream(tokio::fs::File::from_std(file), length, corrupt);
        let content_range = format!("bytes {}-{}/{}", span.start, span.end.saturating_sub(1), object.bytes);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            content_length: i64::try_from(length).ok(),
            content_range: req.input.range.is_some().then_some(content_range),
            checksum_crc32: object.crc32.filter(|_| span == whole),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(object.modified.into()),
            metadata: object.metadata,
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let found = self.store.object(&req.input.bucket, &req.input.key)?;
        let (object, _) = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(object.bytes).ok(),
            checksum_crc32: object.crc32,
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(object.modified.into()),
            metadata: object.metadata,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.store.delete(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            self.store.delete(&req.input.bucket, &object.key)?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let limit = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or(0).min(1000);
        let after = input.continuation_token.as_ref().or(input.start_after.as_ref());
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let after = after.map(String::as_str).unwrap_or_default();
        let (page, truncated) = self.store.list(&input.bucket, prefix, after, limit)?;
        let next = page.last().map(|(key, _)| key.clone()).filter(|_| truncated);
        let newest = SystemTime::now() - Duration::from_millis(self.faults.get().listing_lag_ms);
        let shown = page.into_iter().filter(|(_, object)| object.modified <= newest);
        let contents: Vec<Object> = shown.map(|(key, object)| listed(key, object)).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len()).ok(),
            contents: Some(contents),
            is_truncated: Some(truncated),
            next_continuation_token: next,
            name: Some(input.bucket),
            prefix: input.prefix,
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let input = req.input;
        let upload = OpenUpload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            initiated: SystemTime::now(),
            metadata: input.metadata,
            parts: BTreeMap::new(),
        };
        let id = self.store.begin_upload(upload)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let input = req.input;
        self.admit(None)?;
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "part numbers are 1 to 10000"));
        }
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let incoming = self.receive(body, input.checksum_crc32).await?;
        let output = UploadPartOutput {
            e_tag: Some(ETag::Strong(incoming.etag.clone())),
            checksum_crc32: incoming.crc32.clone(),
            ..Default::default()
        };
        let kept = self
            .store
            .with_upload(&input.upload_id, (&input.bucket, &input.key), |upload| {
                upload.parts.insert(input.part_number, incoming);
            });
        kept.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(output))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = req.input;
        let create_only = self.admit(input.if_none_match.as_ref())?;
        let name = (input.bucket.as_str(), input.key.as_str());
        let parts = input.multipart_upload.and_then(|m| m.parts).unwrap_or_default();
        let checked = self
            .store
            .with_upload(&input.upload_id, name, |upload| chosen_parts(upload, &parts));
        let (paths, metadata) = checked.ok_or_else(|| s3_error!(NoSuchUpload))??;
        let incoming = self.join(paths).await?;
        self.store.publish(name, &incoming, metadata, create_only)?;
        self.store.end_upload(&input.upload_id);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            e_tag: Some(ETag::Strong(incoming.etag.clone())),
            bucket: Some(input.bucket),
            key: Some(input.key),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        if !self.store.end_upload(&req.input.upload_id) {
            return Err(s3_error!(NoSuchUpload));
        }
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Answer<GetBucketLifecycleConfigurationOutput> {
        let rules = self.store.rules(&req.input.bucket);
        let rules = rules.ok_or_else(|| s3_error!(NoSuchLifecycleConfiguration))?;
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(rules.into_iter().map(lifecycle_rule).collect()),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        let input = req.input;
        if !self.store.has_bucket(&input.bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        let found = self
            .store
            .uploads(&input.bucket, input.prefix.as_deref().unwrap_or_default());
        let uploads = found.into_iter().map(|(key, id, initiated)| MultipartUpload {
            key: Some(key),
            upload_id: Some(id),
            initiated: Some(initiated.into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            is_truncated: Some(false),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            ..Default::default()
        }))
    }
}

impl Service {
    /// Lets a write of data pass, or strikes it; answers whether the write is create-only.
    fn admit(&self, if_none_match: Option<&ETagCondition>) -> S3Result<bool> {
        if self.faults.strikes(|f| &mut f.full) {
            let mut full = S3Error::new(S3ErrorCode::Custom("QuotaExceeded".into()));
            full.set_status_code(hyper::StatusCode::INSUFFICIENT_STORAGE);
            return Err(full);
        }
        let create_only = if_none_match.is_some_and(ETagCondition::is_any) && !self.faults.get().ignore_if_none_match;
        if create_only && self.faults.strikes(|f| &mut f.conflict) {
            return Err(s3_error!(ConditionalRequestConflict));
        }
        Ok(create_only)
    }

    /// Writes a body beside the objects and checks it against the sender's checksum before anybody can see it.
    async fn receive(&self, mut body: StreamingBlob, expected_crc32: Option<String>) -> S3Result<Incoming> {
        let (file, mut incoming) = self.incoming().await?;
        // Each write to the file is a trip to another thread.
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut crc32 = ChecksumHasher {
            crc32: Some(Crc32::new()),
            ..Default::default()
        };
        // A sender's checksum names the body as well: S3 has tags that are no MD5 too. MD5 takes as long as all else that
        // is done here, on processors that are shared with what is measured.
        let mut md5 = expected_crc32.is_none().then(Md5::new);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|e| S3Error::with_source(S3ErrorCode::BadDigest, e))?;
            if let Some(md5) = &mut md5 {
                md5.update(&bytes);
            }
            crc32.update(&bytes);
            incoming.bytes += bytes.len() as u64;
            file.write_all(&bytes).await.map_err(io_error)?;
        }
        file.flush().await.map_err(io_error)?;
        let crc32 = crc32.finalize().checksum_crc32;
        if expected_crc32.is_some() && expected_crc32 != crc32 {
            return Err(s3_error!(
                BadDigest,
                "the body does not have the checksum that was sent"
            ));
        }
        incoming.etag = match md5 {
            Some(md5) => hex(&md5.finalize()),
            None => format!("{}-{}", incoming.bytes, crc32.as_deref().unwrap_or_default()),
        };
        incoming.crc32 = expected_crc32.and(crc32);
        Ok(incoming)
    }

    async fn join(&self, parts: Vec<std::path::PathBuf>) -> S3Result<Incoming> {
        let (file, mut incoming) = self.incoming().await?;
        let mut md5 = Md5::new();
        for path in &parts {
            md5.update(path.as_os_str().as_encoded_bytes());
        }
        let (mut file, joined) = (file.into_std().await, parts.clone());
        // Within one thread, where the kernel copies from file to file.
        let copying = tokio::task::spawn_blocking(move || {
            joined.iter().try_fold(0, |bytes, path| {
                Ok(bytes + io::copy(&mut std::fs::File::open(path)?, &mut file)?)
            })
        });
        incoming.bytes = copying.await.map_err(io::Error::other).flatten().map_err(io_error)?;
        incoming.etag = format!("{}-{}", hex(&md5.finalize()), parts.len());
        Ok(incoming)
    }

    async fn incoming(&self) -> S3Result<(tokio::fs::File, Incoming)> {
        let path = self.store.incoming_path();
        let file = tokio::fs::File::create(&path).await.map_err(io_error)?;
        let incoming = Incoming {
            path,
            bytes: 0,
            etag: String::new(),
            crc32: None,
        };
        Ok((file, incoming))
    }
}

type Chosen = (Vec<std::path::PathBuf>, Option<Metadata>);

/// The files of the parts that the client named, in its order, if they are those that arrived.
fn chosen_parts(upload: &OpenUpload, named: &[CompletedPart]) -> S3Result<Chosen> {
    let mut paths = Vec::with_capacity(named.len());
    let mut before = 0;
    for (i, part) in named.iter().enumerate() {
        let number = part.part_number.ok_or_else(|| s3_error!(InvalidPart))?;
        if number <= before {
            return Err(s3_error!(InvalidPartOrder));
        }
        before = number;
        let arrived = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
        if part.e_tag.as_ref().is_none_or(|tag| tag.value() != arrived.etag) {
            return Err(s3_error!(InvalidPart));
        }
        if arrived.bytes < SMALLEST_PART_BYTES && i + 1 < named.len() {
            return Err(s3_error!(EntityTooSmall));
        }
        paths.push(arrived.path.clone());
    }
    if paths.is_empty() {
        return Err(s3_error!(InvalidPart, "an upload has at least one part"));
    }
    Ok((paths, upload.metadata.clone()))
}

fn lifecycle_rule(rule: ObjectRule) -> LifecycleRule {
    LifecycleRule {
        abort_incomplete_multipart_upload: rule.uploads_end_after_days.map(|days| AbortIncompleteMultipartUpload {
            days_after_initiation: Some(days),
        }),
        expiration: rule.expires_after_days.map(|days| LifecycleExpiration {
            days: Some(days),
            ..Default::default()
        }),
        filter: Some(LifecycleRuleFilter {
            prefix: Some(rule.prefix),
            ..Default::default()
        }),
        id: Some(rule.id),
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
        transitions: None,
    }
}

fn listed(key: String, object: Stored) -> Object {
    Object {
        key: Some(key),
        size: i64::try_from(object.bytes).ok(),
        e_tag: Some(ETag::Strong(object.etag)),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    }
}

fn read_stream(
    file: tokio::fs::File,
    length: u64,
    corrupt: bool,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    stream::try_unfold((file, length, corrupt), |(mut file, left, corrupt)| async move {
        let end = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_BYTES);
        if end == 0 {
            return Ok(None);
        }
        let mut buffer = vec![0; end];
        file.read_exact(&mut buffer).await?;
        if corrupt {
            buffer[0] ^= 1;
        }
        Ok(Some((Bytes::from(buffer), (file, left - end as u64, false))))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
