//! Streams of any size: one request when small, parts when large.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use sqlextract_model::{Code, Failure, Result};
use tokio::task::JoinSet;

use super::bucket::{Bucket, Put, UPLOAD_METADATA};
use super::failure::{Failed, Intent};
use super::join_one;
use super::stale::abort_one;
use crate::tally::Tally;
use crate::{Created, Upload, Uploaded};

const PARTS_IN_FLIGHT: usize = 2;
const MOST_PARTS: i32 = 10_000;
/// With so many bytes, room is made for all that may wait: growing step by step would copy them again and again.
const WHOLE_ROOM_FROM: usize = 1 << 20;

pub(super) struct S3Upload {
    bucket: Arc<Bucket>,
    key: String,
    /// Marks the object as this upload's, so that a lost answer can be told from a foreign object.
    token: String,
    tally: Tally,
    /// Bytes not sent yet.
    pending: BytesMut,
    parts: Option<Parts>,
    /// A write has failed or was dropped half-way: what was taken is unknown.
    broken: bool,
}

/// A multipart upload that the store has opened.
struct Parts {
    id: String,
    sent: i32,
    running: JoinSet<Result<CompletedPart>>,
    done: Vec<CompletedPart>,
}

impl fmt::Debug for S3Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Upload").field(&self.bucket.shown(&self.key)).finish()
    }
}

impl S3Upload {
    pub(super) fn new(bucket: Arc<Bucket>, key: &str) -> Result<Self> {
        Ok(Self {
            bucket,
            key: key.to_owned(),
            token: random_token()?,
            tally: Tally::default(),
            pending: BytesMut::new(),
            parts: None,
            broken: false,
        })
    }

    /// Collects up to the limit; only when more comes is it clear that this is a large upload.
    async fn take(&mut self, mut bytes: Bytes) -> Result<()> {
        loop {
            let limit = match self.parts {
                Some(_) => self.bucket.part_bytes,
                None => self.bucket.threshold_bytes.max(self.bucket.part_bytes),
            };
            let room = limit.saturating_sub(self.pending.len());
            let taken = bytes.split_to(room.min(bytes.len()));
            if self.pending.len() + taken.len() > WHOLE_ROOM_FROM {
                self.pending.reserve(room);
            }
            self.pending.extend_from_slice(&taken);
            if bytes.is_empty() {
                return Ok(());
            }
            while self.pending.len() >= self.bucket.part_bytes {
                let part = self.pending.split_to(self.bucket.part_bytes).freeze();
                self.send(part).await?;
            }
        }
    }

    async fn send(&mut self, body: Bytes) -> Result<()> {
        if self.parts.is_none() {
            self.parts = Some(self.begin().await?);
        }
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        if parts.sent == MOST_PARTS {
            let message = format!("{} has more than {MOST_PARTS} parts", self.bucket.shown(&self.key));
            return Err(Failure::new(Code::StorageRejected, message).remedy("Lower `--chunk-size`."));
        }
        if parts.running.len() >= PARTS_IN_FLIGHT {
            parts.done.extend(join_one(&mut parts.running).await?);
        }
        parts.sent += 1;
        let sending = Part {
            bucket: Arc::clone(&self.bucket),
            key: self.key.clone(),
            id: parts.id.clone(),
            number: parts.sent,
        };
        parts.running.spawn(sending.send(body));
        Ok(())
    }

    async fn begin(&self) -> Result<Parts> {
        let request = self.bucket.client.create_multipart_upload();
        let request = request.bucket(&self.bucket.name).key(self.bucket.full_key(&self.key));
        let sent = request.metadata(UPLOAD_METADATA, &self.token).send().await;
        let message = || format!("cannot begin the upload of {}", self.bucket.shown(&self.key));
        // An upload that was begun unnoticed has no parts, and the sweep aborts it: nothing is indeterminate here.
        let begun = sent.map_err(|error| Failed::new(Intent::Read, message(), error))?;
        Ok(Parts {
            id: begun.upload_id.unwrap_or_default(),
            sent: 0,
            running: JoinSet::new(),
            done: Vec::new(),
        })
    }

    /// Aborts what the store has opened, in the background: nobody needs the answer.
    fn discard(&mut self) {
        self.pending = BytesMut::new();
        // Without a runtime nothing can be sent any more, and the sweep aborts it.
        let (Some(mut parts), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (bucket, full_key) = (Arc::clone(&self.bucket), self.bucket.full_key(&self.key));
        runtime.spawn(async move {
            // A part that arrives after the abort would stay.
            parts.running.shutdown().await;
            if let Err(failure) = abort_one(&bucket, &full_key, &parts.id).await {
                tracing::warn!(key = full_key, %failure, "an upload stays open until the sweep");
            }
        });
    }

    async fn finish_whole(&mut self) -> Result<()> {
        let body = self.pending.split().freeze();
        match self.bucket.put(&self.key, body, Put::Upload(&self.token)).await? {
            Created::New => Ok(()),
            Created::Exists => self.prove_ours().await,
        }
    }

    async fn finish_parts(&mut self) -> Result<()> {
        let rest = self.pending.split().freeze();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        while let Some(part) = join_one(&mut parts.running).await? {
            parts.done.push(part);
        }
        parts.done.sort_by_key(|part| part.part_number);
        let list = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut parts.done)));
        let mut request = self.bucket.client.complete_multipart_upload();
        if self.bucket.creates_only {
            request = request.if_none_match("*");
        }
        let completing = request
            .bucket(&self.bucket.name)
            .key(self.bucket.full_key(&self.key))
            .upload_id(&parts.id)
            .multipart_upload(list.build())
            .customize();
        // The store joins the parts before it answers.
        let completing = self.bucket.for_body(completing, self.tally.bytes());
        let Err(error) = completing.send().await else {
            return Ok(());
        };
        let message = format!("cannot complete the upload of {}", self.bucket.shown(&self.key));
        let failed = Failed::new(Intent::Write, message, error);
        // After a lost answer, the client's own second try finds the object, or no upload any more.
        if failed.status() == Some(412) || failed.is("NoSuchUpload") {
            return self.prove_ours().await;
        }
        Err(failed.into())
    }

    /// An object of this name is there: ours if it has our token and every byte.
    async fn prove_ours(&self) -> Result<()> {
        let shown = self.bucket.shown(&self.key);
        match self.bucket.head(&self.key).await? {
            Some(head) if head.token.as_deref() == Some(&self.token) && head.bytes == self.tally.bytes() => Ok(()),
            Some(_) => Err(Failure::new(
                Code::StorageForeign,
                format!("{shown} exists already and is not from this attempt"),
            )),
            None => Err(Failure::new(
                Code::StorageUnreachable,
                format!("the upload of {shown} was ended by somebody else"),
            )),
        }
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.broken {
            return Err(broken(&self.bucket.shown(&self.key)));
        }
        self.broken = true;
        self.tally.add(&bytes);
        let taken = self.take(bytes).await;
        match taken {
            Ok(()) => self.broken = false,
            Err(_) => self.discard(),
        }
        taken
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded> {
        if self.broken {
            return Err(broken(&self.bucket.shown(&self.key)));
        }
        match self.parts {
            None => self.finish_whole().await?,
            Some(_) => self.finish_parts().await?,
        }
        self.parts = None;
        Ok(std::mem::take(&mut self.tally).finish())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let Some(mut parts) = self.parts.take() else {
            return Ok(());
        };
        // A part that arrives after the abort would stay.
        parts.running.shutdown().await;
        abort_one(&self.bucket, &self.bucket.full_key(&self.key), &parts.id).await
    }
}

fn broken(shown: &str) -> Failure {
    Failure::new(
        Code::StorageRejected,
        format!("the upload of {shown} has failed before"),
    )
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        self.discard();
    }
}

struct Part {
    bucket: Arc<Bucket>,
    key: String,
    id: String,
    number: i32,
}

impl Part {
    async fn send(self, body: Bytes) -> Result<CompletedPart> {
        let Self {
            bucket,
            key,
            id,
            number,
        } = self;
        let length = body.len() as u64;
        let request = bucket
            .client
            .upload_part()
            .bucket(&bucket.name)
            .key(bucket.full_key(&key));
        let request = request.upload_id(id).part_number(number).body(ByteStream::from(body));
        let mut sending = bucket.for_body(request.customize(), length);
        if !bucket.signs_bodies {
            sending = sending.disable_payload_signing();
        }
        let turn = bucket.turn(length).await;
        let sent = sending.send().await;
        drop(turn);
        let message = || format!("cannot send part {number} of {}", bucket.shown(&key));
        // A part that may have arrived changes nothing that anybody sees.
        let part = sent.map_err(|error| Failed::new(Intent::Read, message(), error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }
}

pub(super) fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::new(Code::PreflightFailed, "the system gives no random numbers").because(e))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
