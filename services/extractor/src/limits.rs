//! Limits that a request brought along: one limiter per job in this process.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

use sqlextract_model::{BatchMessage, JobId};
use sqlextract_runtime::{RateLimit, RateLimiter};

/// Jobs remembered at once; a limiter that is forgotten starts anew with a full burst of a tenth of a second.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct JobLimiters {
    by_job: Mutex<HashMap<JobId, RateLimiter>>,
}

impl JobLimiters {
    /// The limiter that all batches of the message's job share, where its request brought limits.
    pub(crate) fn of(&self, message: &BatchMessage) -> Option<RateLimiter> {
        let limits = message.limits?;
        let limit = RateLimit {
            rows: limits.rows_per_second.and_then(NonZeroU64::new),
            bytes: limits.bytes_per_second.and_then(NonZeroU64::new),
            queries: None,
        };
        if limit == RateLimit::default() {
            return None;
        }
        let mut by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        if by_job.len() >= REMEMBERED && !by_job.contains_key(&message.job) {
            by_job.clear();
        }
        let limiter = by_job
            .entry(message.job.clone())
            .or_insert_with(|| RateLimiter::new(limit));
        Some(limiter.clone())
    }
}
