//! The checkpoint in Redis, for processes on several machines.
//!
//! Redis may lose the last second, a job, or everything: a job that has vanished answers `Unknown` and is rebuilt from
//! storage. Nothing is ever counted from zero.

mod address;
mod budget;
mod errors;
mod examine;
mod jobs;
mod link;
mod overview;
mod scripts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, ScriptInvocation, Value};
use sqlextract_model::{Failure, JobId, Result};

pub use self::budget::RedisBudget;
pub use self::examine::RedisFacts;
use self::jobs::{Answer, Jobs};
use self::link::Link;
pub use self::overview::{Replica, TableSums};
use self::scripts::{Keys, Scripts};
use crate::{BatchId, Checkpoint, Completion, Lease, Progress, SourceLimits, TableState};

/// A lease that somebody would hold for longer is held for ten years.
const LONGEST_LEASE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// How to reach a Redis server, and how long to wait for it. Printing it shows no secret.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` for TLS, or `redis+unix:///PATH`.
    pub url: String,
    /// A PEM file with the authority that signed the server's certificate; `None` trusts what the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Allows plain text to a host that is not loopback.
    pub allow_plaintext: bool,
    /// Accepts a server that evicts keys when it is full: jobs are then rebuilt from storage now and then.
    pub allow_eviction: bool,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// How long a job's keys live after its last transition.
    pub retention: Duration,
    pub connect_timeout: Duration,
    /// For one answer.
    pub call_timeout: Duration,
    /// How long a call is repeated, over as many connections as it takes.
    pub retry_for: Duration,
}

impl RedisSettings {
    /// The settings that fit a server nearby.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            allow_plaintext: false,
            allow_eviction: false,
            prefix: "sqlextract".to_owned(),
            retention: Duration::from_secs(7 * 24 * 3600),
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(15),
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("prefix", &self.prefix)
            .field("retention", &self.retention)
            .field("call_timeout", &self.call_timeout)
            .field("retry_for", &self.retry_for)
            .finish_non_exhaustive()
    }
}

/// A checkpoint in Redis. Clones share one connection.
///
/// All keys of a job share a hash tag and have a time to live that every transition renews. A transition is one script
/// that may run twice; a call whose answer was lost is repeated.
#[derive(Clone)]
pub struct RedisCheckpoint {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    scripts: Scripts,
    keys: Keys,
    /// Milliseconds.
    retention: u64,
}

/// The answer to [`RedisCheckpoint::fenced_lease`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FencedLease {
    /// Ours. Whoever takes the lease after us gets a greater token.
    Held { token: u64 },
    /// Somebody else's.
    Busy { holder: String },
}

impl RedisCheckpoint {
    /// Connects, and looks whether the server will do. Tries once: whoever starts together with the server asks again.
    ///
    /// - `config_invalid`, `plaintext_refused`: the settings;
    /// - `preflight_failed`: the server evicts keys, takes no writes or is too old;
    /// - `checkpoint_refused`: user, password or permissions;
    /// - `checkpoint_unavailable`: nobody answers.
    pub async fn open(settings: RedisSettings) -> Result<Self> {
        let link = Link::new(&settings)?;
        let facts = examine::examine(&link).await?;
        if let Some(refusal) = examine::refusal(&facts, settings.allow_eviction) {
            return Err(refusal);
        }
        let inner = Inner {
            link,
            scripts: Scripts::new(),
            keys: Keys {
                prefix: settings.prefix,
            },
            retention: milliseconds(settings.retention),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks the server what it says of itself, without repeating: for readiness and diagnosis.
    pub async fn examine(&self) -> Result<RedisFacts> {
        examine::examine(&self.inner.link).await
    }

    /// The budget of a source, shared by all that open it under the same name.
    ///
    /// To be called on a runtime: a task keeps the budget's connections as long as it lives.
    pub fn source_budget(&self, source: &str, limits: SourceLimits) -> RedisBudget {
        RedisBudget::new(self.clone(), source, limits)
    }

    /// As [`Checkpoint::lease`], with a token that grows from holder to holder. The token of a lease that is renewed
    /// stays. It is made from the server's clock, so that it grows even over the loss of all keys.
    pub async fn fenced_lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<FencedLease> {
        let mut call = self.inner.scripts.lease.prepare_invoke();
        let time_to_live = if time_to_live.is_zero() {
            0
        } else {
            milliseconds(time_to_live.min(LONGEST_LEASE))
        };
        call.key(self.inner.keys.lease(name)).arg(holder).arg(time_to_live);
        let value = self.inner.link.call(&call).await?;
        let (held, token, holder) = <(u8, u64, String)>::from_redis_value(value).map_err(|e| self.misread(e))?;
        Ok(if held == 1 {
            FencedLease::Held { token }
        } else {
            FencedLease::Busy { holder }
        })
    }

    fn jobs(&self) -> Jobs<'_> {
        Jobs {
            scripts: &self.inner.scripts,
            keys: &self.inner.keys,
            retention: self.inner.retention,
        }
    }

    async fn call(&self, call: &ScriptInvocation<'_>) -> Result<Value> {
        self.inner.link.call(call).await
    }

    fn misread(&self, cause: impl fmt::Display) -> Failure {
        errors::corrupt(self.inner.link.location()).because(cause)
    }
}

/// At least one: nothing may live for no time, or for ever.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX as u64 / 4)
}

/// 64 random bits as text, for names that nobody had before.
fn random_name() -> String {
    let bits = getrandom::u64().expect("the operating system gives random numbers");
    format!("{bits:016x}")
}

impl fmt::Debug for RedisCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCheckpoint")
            .field("location", &self.inner.link.location())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Checkpoint for RedisCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        let call = self.jobs().begin(job, tables)?;
        self.call(&call).await.map(|_| ())
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let value = self.call(&self.jobs().complete(job, batch, rows, bytes)).await?;
        match jobs::completion(value).map_err(|words| self.misread(words))? {
            Answer::Completion(completion) => Ok(completion),
            Answer::Outside(batches) => Err(jobs::outside(&batch.table, batch.batch, &batches)),
        }
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        let value = self.call(&self.jobs().attempt(job, batch, &random_name())).await?;
        u32::from_redis_value(value).map_err(|error| self.misread(error))
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        self.call(&self.jobs().park(job, batch, failure)).await.map(|_| ())
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        let value = self.call(&self.jobs().pause(job, paused)).await?;
        bool::from_redis_value(value).map_err(|error| self.misread(error))
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        let value = self.call(&self.jobs().progress(job)).await?;
        jobs::progress(value).map_err(|words| self.misread(words))
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        Ok(match self.fenced_lease(name, holder, time_to_live).await? {
            FencedLease::Held { .. } => Lease::Held,
            FencedLease::Busy { holder } => Lease::Busy { holder },
        })
    }
}
