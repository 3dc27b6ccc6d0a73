//! An object on its way into the folder.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::OwnedSemaphorePermit;

use super::failure::failed;
use super::session::Temporary;
use super::space::Claim;
use super::{Place, blocking, publish};
use crate::pace::Pace;
use crate::tally::Tally;
use crate::{Created, Upload, Uploaded};

pub(super) struct LocalUpload {
    place: Arc<Place>,
    target: PathBuf,
    pace: Option<Arc<Pace>>,
    /// Absent while a write is under way; a write that was cancelled takes it along, and the file with it.
    writing: Option<Writing>,
    /// Too little to be written by itself.
    waiting: Vec<Bytes>,
}

/// Fewer bytes are written together with those that come next, or with the end.
const WRITE_FROM: usize = 64 << 10;

pub(super) struct Writing {
    temporary: Temporary,
    tally: Tally,
    claim: Claim,
    /// Bytes since the last were brought to the disk.
    run: u64,
}

impl Writing {
    pub(super) fn new(temporary: Temporary, claim: Claim) -> Self {
        Self {
            temporary,
            tally: Tally::default(),
            claim,
            run: 0,
        }
    }

    fn append_all(&mut self, waiting: &[Bytes], target: &Path, run_bytes: Option<u64>) -> Result<()> {
        waiting
            .iter()
            .try_for_each(|bytes| self.append(bytes, target, run_bytes))
    }

    /// Appends, while there is room. After `run_bytes` the bytes go to the disk in one run, where that is asked for.
    pub(super) fn append(&mut self, bytes: &[u8], target: &Path, run_bytes: Option<u64>) -> Result<()> {
        self.claim.write(target, bytes.len() as u64)?;
        let written = self.temporary.file().write_all(bytes);
        written.map_err(|e| failed("write", target, &e))?;
        self.tally.add(bytes);
        self.run += bytes.len() as u64;
        if run_bytes.is_some_and(|run_bytes| self.run >= run_bytes) {
            self.run = 0;
            let synced = self.temporary.file().sync_data();
            synced.map_err(|e| failed("sync", target, &e))?;
        }
        Ok(())
    }
}

impl fmt::Debug for LocalUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalUpload").field(&self.target).finish()
    }
}

impl LocalUpload {
    pub(super) fn new(place: Arc<Place>, target: PathBuf, pace: Option<Arc<Pace>>, writing: Writing) -> Self {
        Self {
            place,
            target,
            pace,
            writing: Some(writing),
            waiting: Vec::new(),
        }
    }

    fn take(&mut self) -> Result<Writing> {
        self.writing.take().ok_or_else(|| {
            let shown = self.target.display();
            Failure::new(
                Code::StorageRejected,
                format!("the upload of {shown} has failed before"),
            )
        })
    }

    async fn write_soon(&mut self, bytes: Bytes) -> Result<()> {
        self.waiting.push(bytes);
        if self.waiting.iter().map(Bytes::len).sum::<usize>() < WRITE_FROM {
            return Ok(());
        }
        let mut writing = self.take()?;
        let (target, run_bytes) = (self.target.clone(), self.place.habit.run_bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let turn = turn(&self.place).await;
        let writing = blocking(move || {
            writing.append_all(&waiting, &target, run_bytes)?;
            drop(turn);
            Ok(writing)
        });
        self.writing = Some(writing.await?);
        Ok(())
    }
}

/// Waits until this upload may write, where the disk takes only some at once.
async fn turn(place: &Place) -> Option<OwnedSemaphorePermit> {
    let turns = place.turns.clone()?;
    // The semaphore is never closed.
    turns.acquire_owned().await.ok()
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        let Some(pace) = self.pace.clone() else {
            return self.write_soon(bytes).await;
        };
        while !bytes.is_empty() {
            let piece = bytes.split_to(pace.piece_bytes().min(bytes.len()));
            pace.admit(piece.len()).await;
            self.write_soon(piece).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded> {
        let mut writing = self.take()?;
        let turn = turn(&self.place).await;
        let Self {
            place, target, waiting, ..
        } = *self;
        blocking(move || {
            writing.append_all(&waiting, &target, None)?;
            let Writing {
                temporary,
                tally,
                claim,
                ..
            } = writing;
            temporary.sync(&target)?;
            drop(turn);
            match publish::link(&place, temporary, &target)? {
                Created::New => {
                    claim.finish();
                    Ok(tally.finish())
                }
                Created::Exists => Err(Failure::new(
                    Code::StorageForeign,
                    format!("{} exists already and is not from this attempt", target.display()),
                )),
            }
        })
        .await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let writing = self.writing.take();
        blocking(move || {
            drop(writing);
            Ok(())
        })
        .await
    }
}
