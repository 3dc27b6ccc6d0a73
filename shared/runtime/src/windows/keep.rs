//! Puts the limits of the hour in force, while jobs run.

use std::time::Duration;

use chrono::Utc;
use sqlextract_model::Result;

use super::{InForce, Schedule};
use crate::{RateLimiter, Shutdown};

/// The clock is looked at again at least this often: it may be set.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Holds a source's limiter to its schedule.
#[derive(Debug)]
pub struct WindowKeeper {
    source: String,
    schedule: Schedule,
    limiter: RateLimiter,
}

impl WindowKeeper {
    /// Puts in force what the hour says, at once.
    pub fn new(source: impl Into<String>, schedule: Schedule, limiter: RateLimiter) -> Self {
        let keeper = Self {
            source: source.into(),
            schedule,
            limiter,
        };
        let now = keeper.schedule.at(Utc::now().timestamp());
        keeper.put(&now);
        keeper
    }

    /// Follows the clock until the shutdown.
    pub async fn run(self, shutdown: Shutdown) -> Result<()> {
        let mut window = self.schedule.at(Utc::now().timestamp()).window;
        loop {
            let now = self.schedule.at(Utc::now().timestamp());
            if now.window != window {
                window = now.window;
                self.put(&now);
            }
            // The second itself has to be over; a clock that is set is seen at the next look.
            let left = now.until.map(|until| until - Utc::now().timestamp());
            let left = left.map_or(LONGEST_LOOK, |left| Duration::from_secs(left.max(0) as u64));
            let look = left.clamp(Duration::from_millis(100), LONGEST_LOOK);
            tokio::select! {
                () = shutdown.draining().cancelled() => return Ok(()),
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    fn put(&self, now: &InForce<'_>) {
        self.limiter.set(now.limits);
        tracing::info!(source = %self.source, window = now.window.map(|window| window.name.as_str()), "limits in force: {now}");
    }
}
