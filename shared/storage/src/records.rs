//! A job's objects by their meaning: plans, commit records, the outcome.

mod prepare;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlextract_model::{
    Batch, BatchIndex, ChunkRecord, Code, CommitRecord, Digest, Epoch, EpochRecord, Failure, Generation, JobId,
    JobRecord, Manifest, ManifestEntry, ObjectKey, PartPath, PartRecord, PlanId, Platform, Result, ScriptLanguage,
    TablePlan, TableSegment,
};

use crate::{Created, ObjectInfo, Storage, Upload};

/// The records of one job in one destination. Everything read is untrusted: it is checked or refused by name.
#[derive(Debug, Clone)]
pub struct JobRecords {
    storage: Arc<dyn Storage>,
    job: JobId,
}

/// A record as it is stored, with the hash of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    pub record: T,
    pub sha256: Digest,
    /// This call wrote it; otherwise somebody was first.
    pub ours: bool,
}

/// What was asked for under an id.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RequestClaim {
    pub job: JobId,
    /// Of the request's content.
    pub identity: Digest,
}

#[derive(serde::Deserialize)]
struct LatestJob {
    job: JobId,
}

impl JobRecords {
    pub fn new(storage: Arc<dyn Storage>, job: JobId) -> Self {
        Self { storage, job }
    }

    /// Where the destination is, for people and scripts.
    pub fn location(&self) -> &str {
        self.storage.location()
    }

    pub fn job(&self) -> &JobId {
        &self.job
    }

    pub async fn job_record(&self) -> Result<Option<JobRecord>> {
        let stored = self.read(&ObjectKey::Request { job: self.job.clone() }).await?;
        Ok(stored.map(|s| s.record))
    }

    pub async fn create_job_record(&self, record: &JobRecord) -> Result<Stored<JobRecord>> {
        self.create(&ObjectKey::Request { job: self.job.clone() }, record).await
    }

    /// All epochs of the job, oldest first.
    pub async fn epochs(&self) -> Result<Vec<EpochRecord>> {
        let mut epochs = Vec::new();
        for object in self.storage.list(&ObjectKey::epochs_prefix(&self.job)).await? {
            if let Some(key @ ObjectKey::Epoch { .. }) = ObjectKey::parse(&object.key) {
                epochs.extend(self.read::<EpochRecord>(&key).await?.map(|s| s.record));
            }
        }
        epochs.sort_by_key(|e| e.epoch);
        Ok(epochs)
    }

    pub async fn create_epoch(&self, record: &EpochRecord) -> Result<Stored<EpochRecord>> {
        self.create(
            &ObjectKey::Epoch {
                job: self.job.clone(),
                epoch: record.epoch,
            },
            record,
        )
        .await
    }

    /// The plan of the table's highest generation.
    pub async fn latest_plan(&self, table: &TableSegment) -> Result<Option<Stored<TablePlan>>> {
        let heads = self
            .storage
            .list(&ObjectKey::plan_heads_prefix(&self.job, table))
            .await?;
        let newest = heads
            .iter()
            .filter_map(|object| match ObjectKey::parse(&object.key) {
                Some(ObjectKey::PlanHead { generation, .. }) => Some(generation),
                _ => None,
            })
            .max();
        match newest {
            Some(generation) => self.plan(table, generation).await,
            None => Ok(None),
        }
    }

    pub async fn plan(&self, table: &TableSegment, generation: Generation) -> Result<Option<Stored<TablePlan>>> {
        self.read(&ObjectKey::PlanHead {
            job: self.job.clone(),
            table: table.clone(),
            generation,
        })
        .await
    }

    pub async fn create_plan(&self, plan: &TablePlan) -> Result<Stored<TablePlan>> {
        let key = ObjectKey::PlanHead {
            job: self.job.clone(),
            table: plan.segment.clone(),
            generation: plan.generation,
        };
        self.create(&key, plan).await
    }

    /// Stores a page under the plan's random id, where no other planner writes.
    pub async fn create_plan_page(&self, plan: PlanId, page: u32, batches: &[Batch]) -> Result<Digest> {
        let body = json_lines(batches);
        let sha256 = Digest::of(&body);
        self.storage
            .create(
                &ObjectKey::PlanPage {
                    job: self.job.clone(),
                    plan,
                    page,
                }
                .to_string(),
                body,
            )
            .await?;
        Ok(sha256)
    }

    pub async fn plan_page(&self, plan: &TablePlan, page: u32) -> Result<Vec<Batch>> {
        let key = ObjectKey::PlanPage {
            job: self.job.clone(),
            plan: plan.plan_id,
            page,
        };
        let expected = plan
            .pages
            .get(page as usize)
            .ok_or_else(|| unreadable(&key, "the plan has no such page"))?;
        self.read_lines(&key, expected.sha256).await
    }

    /// Removes pages that no plan names: of planners that died before their plan was stored, or came second. Only for a job
    /// that nobody plans any more. Answers how many.
    pub async fn delete_stray_plan_pages(&self) -> Result<u64> {
        let listed = self.storage.list(&ObjectKey::plans_prefix(&self.job)).await?;
        let (mut pages, mut named) = (Vec::new(), HashSet::new());
        for object in listed {
            match ObjectKey::parse(&object.key) {
                Some(ObjectKey::PlanPage { plan, .. }) => pages.push((plan, object.key)),
                Some(ObjectKey::PlanHead { table, generation, .. }) => {
                    let plan = self.plan(&table, generation).await?;
                    named.extend(plan.map(|plan| plan.record.plan_id));
                }
                _ => {}
            }
        }
        pages.retain(|(plan, _)| !named.contains(plan));
        let stray: Vec<String> = pages.into_iter().map(|(_, key)| key).collect();
        if !stray.is_empty() {
            self.storage.delete(&stray).await?;
        }
        Ok(stray.len() as u64)
    }

    pub async fn commit(
        &self,
        table: &TableSegment,
        of: Generation,
        batch: BatchIndex,
    ) -> Result<Option<CommitRecord>> {
        let key = ObjectKey::Commit {
            job: self.job.clone(),
            table: table.clone(),
            generation: of,
            batch,
        };
        Ok(self.read(&key).await?.map(|s: Stored<CommitRecord>| s.record))
    }

    pub async fn create_commit(&self, table: &TableSegment, record: &CommitRecord) -> Result<Stored<CommitRecord>> {
        let key = ObjectKey::Commit {
            job: self.job.clone(),
            table: table.clone(),
            generation: record.generation,
            batch: record.batch,
        };
        self.create(&key, record).await
    }

    /// What became of a part of a batch; of the whole, where it is read in halves.
    pub async fn part(
        &self,
        (table, of, batch): (&TableSegment, Generation, BatchIndex),
        part: &PartPath,
    ) -> Result<Option<PartRecord>> {
        let key = self.part_key((table, of, batch), part);
        Ok(self.read(&key).await?.map(|stored| stored.record))
    }

    pub async fn create_part(
        &self,
        (table, of, batch): (&TableSegment, Generation, BatchIndex),
        part: &PartPath,
        record: &PartRecord,
    ) -> Result<Stored<PartRecord>> {
        self.create(&self.part_key((table, of, batch), part), record).await
    }

    fn part_key(
        &self,
        (table, generation, batch): (&TableSegment, Generation, BatchIndex),
        part: &PartPath,
    ) -> ObjectKey {
        ObjectKey::Part {
            job: self.job.clone(),
            table: table.clone(),
            generation,
            batch,
            part: part.clone(),
        }
    }

    /// The batches that have a commit record, in order.
    pub async fn committed(&self, table: &TableSegment, generation: Generation) -> Result<Vec<BatchIndex>> {
        let listed = self
            .storage
            .list(&ObjectKey::commits_prefix(&self.job, table, generation))
            .await?;
        let mut done: Vec<_> = listed
            .iter()
            .filter_map(|object| match ObjectKey::parse(&object.key) {
                Some(ObjectKey::Commit { batch, .. }) => Some(batch),
                _ => None,
            })
            .collect();
        done.sort_unstable();
        Ok(done)
    }

    pub async fn upload_chunk(&self, key: &ObjectKey) -> Result<Box<dyn Upload>> {
        self.storage.upload(&key.to_string()).await
    }

    /// Every object under the job's `data/`.
    pub async fn chunks(&self) -> Result<Vec<ObjectInfo>> {
        self.storage
            .list(&format!("{}data/", ObjectKey::job_prefix(&self.job)))
            .await
    }

    /// Removes chunks by their full names, each parsed as one of this job's.
    pub async fn delete_chunks(&self, keys: &[ObjectKey]) -> Result<()> {
        let own = |key: &&ObjectKey| matches!(key, ObjectKey::Chunk { job, .. } if *job == self.job);
        let names: Vec<String> = keys.iter().filter(own).map(ToString::to_string).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.storage.delete(&names).await
    }

    /// Ends uploads of chunks that nobody completes any more; answers how many.
    pub async fn end_uploads(&self) -> Result<u64> {
        let prefix = format!("{}data/", ObjectKey::job_prefix(&self.job));
        self.storage.end_uploads(&prefix).await
    }

    /// Whether the chunk is there, whatever a listing says. One that is shorter than its record says is an error.
    pub async fn has_chunk(&self, chunk: &ChunkRecord) -> Result<bool> {
        let end = self.read_chunk(&chunk.key, Some(chunk.bytes..chunk.bytes)).await?;
        Ok(end.is_some())
    }

    /// A chunk's bytes, or part of them, by its key relative to the job.
    pub async fn read_chunk(&self, relative: &str, range: Option<std::ops::Range<u64>>) -> Result<Option<Bytes>> {
        self.storage
            .read(&format!("{}{relative}", ObjectKey::job_prefix(&self.job)), range)
            .await
    }

    pub async fn manifest(&self) -> Result<Option<Stored<Manifest>>> {
        self.read(&ObjectKey::Manifest { job: self.job.clone() }).await
    }

    pub async fn create_manifest(&self, manifest: &Manifest) -> Result<Stored<Manifest>> {
        self.create(&ObjectKey::Manifest { job: self.job.clone() }, manifest)
            .await
    }

    /// Stores a manifest page. Its content follows from the commit records alone, so that a page left by an earlier
    /// try is the same.
    pub async fn create_manifest_page(&self, page: u32, entries: &[ManifestEntry]) -> Result<Digest> {
        let body = json_lines(entries);
        let sha256 = Digest::of(&body);
        let key = ObjectKey::ManifestPage {
            job: self.job.clone(),
            page,
        }
        .to_string();
        if self.storage.create(&key, body.clone()).await? == Created::Exists {
            // An earlier finisher may have stopped before its manifest, with fewer generations: pages count only
            // through the manifest's hashes, so the newest content is the right one.
            self.storage.replace(&key, body).await?;
        }
        Ok(sha256)
    }

    pub async fn manifest_page(&self, manifest: &Manifest, page: u32) -> Result<Vec<ManifestEntry>> {
        let key = ObjectKey::ManifestPage {
            job: self.job.clone(),
            page,
        };
        let expected = manifest.pages.iter().find(|p| p.number == page);
        let expected = expected.ok_or_else(|| unreadable(&key, "the manifest has no such page"))?;
        self.read_lines(&key, expected.sha256).await
    }

    pub async fn cancelled(&self) -> Result<bool> {
        let key = ObjectKey::Cancel { job: self.job.clone() }.to_string();
        Ok(self.storage.read(&key, None).await?.is_some())
    }

    /// Asks for the job's end; the outcome follows.
    pub async fn cancel(&self) -> Result<()> {
        let key = ObjectKey::Cancel { job: self.job.clone() }.to_string();
        self.storage.create(&key, Bytes::from_static(b"{}\n")).await.map(|_| ())
    }

    /// Stores a script and returns its key.
    pub async fn put_script(&self, platform: Platform, language: ScriptLanguage, script: &str) -> Result<String> {
        let key = ObjectKey::Script {
            job: self.job.clone(),
            platform,
            language,
        }
        .to_string();
        self.storage
            .replace(&key, Bytes::copy_from_slice(script.as_bytes()))
            .await?;
        Ok(key)
    }

    /// The scripts that are there, by platform, with their keys.
    pub async fn scripts(&self) -> Result<Vec<(Platform, String)>> {
        let listed = self
            .storage
            .list(&format!("{}ingest/", ObjectKey::job_prefix(&self.job)))
            .await?;
        let mut scripts: Vec<_> = listed
            .iter()
            .filter_map(|object| match ObjectKey::parse(&object.key) {
                Some(ObjectKey::Script { platform, .. }) => Some((platform, object.key.clone())),
                _ => None,
            })
            .collect();
        scripts.sort_unstable();
        Ok(scripts)
    }

    /// Makes this job the one that commands take when none is named.
    pub async fn set_latest(&self) -> Result<()> {
        let body = serde_json::json!({ "job": self.job }).to_string();
        self.storage
            .replace(&ObjectKey::Latest.to_string(), Bytes::from(body))
            .await
    }

    /// Says that the job is not finished in every respect, so that whoever comes later finds it.
    pub async fn mark_open(&self) -> Result<()> {
        let key = ObjectKey::OpenJob { job: self.job.clone() }.to_string();
        self.storage.create(&key, Bytes::from_static(b"{}\n")).await.map(|_| ())
    }

    pub async fn unmark_open(&self) -> Result<()> {
        let key = ObjectKey::OpenJob { job: self.job.clone() }.to_string();
        self.storage.delete(&[key]).await
    }

    /// The jobs of a destination that are marked as open.
    pub async fn open_jobs(storage: &dyn Storage) -> Result<Vec<JobId>> {
        let listed = storage.list(ObjectKey::OPEN_JOBS).await?;
        let jobs = listed.iter().filter_map(|object| match ObjectKey::parse(&object.key) {
            Some(ObjectKey::OpenJob { job }) => Some(job),
            _ => None,
        });
        Ok(jobs.collect())
    }

    /// Ties a sender's id to what was asked under it first, and answers with that.
    pub async fn claim_request(&self, sender: Digest, claim: &RequestClaim) -> Result<RequestClaim> {
        let stored = self.create(&ObjectKey::RequestId { sender }, claim).await?;
        Ok(stored.record)
    }

    /// The job that was finished last in a destination.
    pub async fn latest(storage: &dyn Storage) -> Result<Option<JobId>> {
        let Some(body) = storage.read(&ObjectKey::Latest.to_string(), None).await? else {
            return Ok(None);
        };
        let pointer: LatestJob = serde_json::from_slice(&body).map_err(|e| unreadable(&ObjectKey::Latest, e))?;
        Ok(Some(pointer.job))
    }

    async fn read<T: DeserializeOwned>(&self, key: &ObjectKey) -> Result<Option<Stored<T>>> {
        let Some(body) = self.storage.read(&key.to_string(), None).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&body).map_err(|e| unreadable(key, e))?;
        Ok(Some(Stored {
            record,
            sha256: Digest::of(&body),
            ours: false,
        }))
    }

    /// Writes the record if nobody has, and answers with what is stored then.
    async fn create<T: Serialize + DeserializeOwned + Clone>(&self, key: &ObjectKey, record: &T) -> Result<Stored<T>> {
        let mut body = serde_json::to_vec(record).map_err(|e| Failure::new(Code::Defect, format!("{key}: {e}")))?;
        body.push(b'\n');
        let body = Bytes::from(body);
        if self.storage.create(&key.to_string(), body.clone()).await? == Created::New {
            return Ok(Stored {
                record: record.clone(),
                sha256: Digest::of(&body),
                ours: true,
            });
        }
        let mut stored: Stored<T> = self
            .read(key)
            .await?
            .ok_or_else(|| Failure::new(Code::StorageMissing, format!("{key} was there and is gone")))?;
        // Our own answer may have been lost: equal bytes are our own.
        stored.ours = stored.sha256 == Digest::of(&body);
        Ok(stored)
    }

    async fn read_lines<T: DeserializeOwned>(&self, key: &ObjectKey, expected: Digest) -> Result<Vec<T>> {
        let body = self.storage.read(&key.to_string(), None).await?;
        let body = body.ok_or_else(|| Failure::new(Code::StorageMissing, format!("{key} is missing")))?;
        if Digest::of(&body) != expected {
            return Err(unreadable(key, "its content is not what the record that names it says"));
        }
        let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).map_err(|e| unreadable(key, e)))
            .collect()
    }

    /// The next epoch after those that are stored.
    pub fn next_epoch(epochs: &[EpochRecord]) -> Epoch {
        epochs.last().map_or(Epoch::FIRST, |e| e.epoch.next())
    }
}

fn json_lines<T: Serialize>(records: &[T]) -> Bytes {
    let mut body = Vec::new();
    for record in records {
        serde_json::to_writer(&mut body, record).expect("records have string keys and a vector takes every write");
        body.push(b'\n');
    }
    Bytes::from(body)
}

fn unreadable(key: &ObjectKey, cause: impl std::fmt::Display) -> Failure {
    Failure::new(Code::ManifestUnreadable, format!("{key} cannot be read")).because(cause)
}
