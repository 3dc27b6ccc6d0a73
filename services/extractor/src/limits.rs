//! Limits that a request brought along: one limiter per job in this process.

use std::num::NonZeroU64;

use sqlextract_model::{BatchMessage, JobId};
use sqlextract_runtime::{RateLimit, RateLimiter};

use crate::remembered::Remembered;

/// Jobs remembered at once; a limiter that is forgotten starts anew with a full burst of a tenth of a second.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct JobLimiters {
    by_job: Remembered<JobId, RateLimiter, REMEMBERED>,
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
        let limiter = || RateLimiter::new(limit);
        Some(self.by_job.get_or_insert_with(message.job.clone(), limiter))
    }
}
