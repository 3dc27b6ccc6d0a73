//! One planner at a time: the others wait for its lease.
//!
//! The lease saves work and protects nothing. A planner that was paused past its lease and wakes up meets create-only
//! plans, epochs and outcomes, and steps down at its next renewal.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::{Checkpoint, Lease};
use sqlextract_model::Result;
use sqlextract_runtime::{Metric, Metrics, Shutdown, StopCause};

const NAME: &str = "planner";
/// Renewals within the lease's time to live.
const RENEWALS: u32 = 3;

pub(crate) struct Leadership {
    pub(crate) checkpoint: Arc<dyn Checkpoint>,
    pub(crate) holder: String,
    pub(crate) time_to_live: Duration,
    pub(crate) metrics: Metrics,
}

impl Leadership {
    /// Runs `role` whenever this process holds the lease, until the shutdown. The role drains when its own shutdown
    /// begins: with the process's, or when the lease has gone to somebody else.
    pub(crate) async fn lead<F>(self, shutdown: Shutdown, grace: Duration, role: impl Fn(Shutdown) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let rest = self.time_to_live / RENEWALS;
        while !shutdown.draining().is_cancelled() {
            if self.take().await {
                self.metrics.set(Metric::Leading, &[], 1.0);
                tracing::info!(holder = %self.holder, "this planner leads");
                let own = Shutdown::new(grace);
                let led = tokio::select! {
                    led = role(own.clone()) => led,
                    never = self.keep(&shutdown, &own, rest) => match never {},
                };
                self.metrics.set(Metric::Leading, &[], 0.0);
                self.give_back().await;
                led?;
            }
            tokio::select! {
                () = shutdown.draining().cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        Ok(())
    }

    /// Renews until the process drains or the lease is somebody else's; then the role drains, and ends the waiting.
    async fn keep(&self, process: &Shutdown, role: &Shutdown, rest: Duration) -> Infallible {
        loop {
            tokio::select! {
                () = process.draining().cancelled() => break,
                () = tokio::time::sleep(rest) => {}
            }
            // A store that is away takes the lease from nobody: everyone goes on as before.
            if let Ok(Lease::Busy { holder }) = self.renew().await {
                tracing::warn!(holder, "another planner leads; this one steps down");
                break;
            }
        }
        role.begin(process.cause().unwrap_or(StopCause::Requested));
        process.at_once().cancelled().await;
        role.leave_at_once();
        std::future::pending().await
    }

    async fn take(&self) -> bool {
        match self.renew().await {
            Ok(Lease::Held) => true,
            Ok(Lease::Busy { holder }) => {
                tracing::debug!(holder, "another planner leads");
                false
            }
            Err(failure) => {
                tracing::warn!(error.code = %failure.code, error = %failure, "the planner's lease cannot be had");
                false
            }
        }
    }

    async fn renew(&self) -> Result<Lease> {
        self.checkpoint.lease(NAME, &self.holder, self.time_to_live).await
    }

    async fn give_back(&self) {
        if let Err(failure) = self.checkpoint.lease(NAME, &self.holder, Duration::ZERO).await {
            tracing::warn!(error.code = %failure.code, error = %failure, "the planner's lease ends by itself");
        }
    }
}
