//! What people ask the server for: a job's tables, and who works at a source. Nothing that is decided hangs on it.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use sqlextract_model::{Generation, JobId, Result, TableSegment};

use super::{RedisCheckpoint, milliseconds};

/// How long a process counts as there when nothing is heard of it.
const HEARD_OF: Duration = Duration::from_secs(10);
/// What nobody tells of any more goes after this.
const KEY_LASTS: Duration = Duration::from_secs(3600);

/// What is known of a table of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSums {
    pub table: TableSegment,
    pub generation: Generation,
    pub batches: u64,
    pub done: u64,
    /// Recorded since the generation was begun.
    pub rows: u64,
    /// Likewise, of chunks.
    pub bytes: u64,
}

/// A process that works at a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub name: String,
    /// In its own words.
    pub text: String,
}

impl RedisCheckpoint {
    /// The job's tables, by name; none where the job is not known.
    pub async fn tables(&self, job: &JobId) -> Result<Vec<TableSums>> {
        let [meta, ..] = self.inner.keys.job(job.as_str());
        let mut call = self.inner.scripts.tables.prepare_invoke();
        call.key(meta);
        let answer: Vec<String> = self.read(self.call(&call).await?)?;
        let tables = answer.chunks_exact(6).map(table);
        let tables = tables.collect::<Option<_>>();
        tables.ok_or_else(|| self.misread("sums of a table that are no numbers"))
    }

    /// Tells what this process does at the source, for some seconds.
    pub async fn report(&self, source: &str, replica: &Replica) -> Result<()> {
        self.reports(source, &replica.name, &replica.text).await.map(drop)
    }

    /// The processes that told lately what they do at the source, by name.
    pub async fn replicas(&self, source: &str) -> Result<Vec<Replica>> {
        self.reports(source, "", "").await
    }

    async fn reports(&self, source: &str, name: &str, text: &str) -> Result<Vec<Replica>> {
        let mut call = self.inner.scripts.report.prepare_invoke();
        call.key(self.inner.keys.replicas(source)).arg(name).arg(text);
        let lasts = u64::try_from(HEARD_OF.as_micros()).unwrap_or(u64::MAX);
        call.arg(lasts).arg(milliseconds(KEY_LASTS));
        let answer: Vec<String> = self.read(self.call(&call).await?)?;
        let replica = |pair: &[String]| Replica {
            name: pair[0].clone(),
            text: pair[1].clone(),
        };
        let mut replicas: Vec<Replica> = answer.chunks_exact(2).map(replica).collect();
        replicas.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(replicas)
    }

    fn read<T: FromRedisValue>(&self, value: Value) -> Result<T> {
        T::from_redis_value(value).map_err(|error| self.misread(error))
    }
}

fn table(parts: &[String]) -> Option<TableSums> {
    let number = |index: usize| parts[index].parse::<u64>().ok();
    Some(TableSums {
        table: TableSegment::parse(&parts[0])?,
        generation: Generation(parts[1].parse().ok()?),
        batches: number(2)?,
        done: number(3)?,
        rows: number(4)?,
        bytes: number(5)?,
    })
}
