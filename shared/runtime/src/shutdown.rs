//! Leaving in order: stop taking work, finish what is held within the grace period, then give it back.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why the process leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The work is done, or a tracked task has failed.
    Requested,
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl StopCause {
    /// The failure that ends a run by a signal; `None` for a stop of our own.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Requested => None,
            Self::Interrupt => Some(Failure::new(Code::Interrupted, "the run was interrupted")),
            Self::Terminate => Some(Failure::new(Code::Terminated, "the run was terminated")),
        }
    }
}

/// The shutdown of a process, handed to everything that runs long. Clones are handles of the same shutdown.
///
/// It has two stages. *Draining*: nothing new is taken, and what is held may finish. *Leaving at once*: what is held is
/// dropped at the next await; it begins when the grace period is over or with a second signal.
///
/// A task that is spawned here is tracked under its name. If one fails or panics, draining begins, and [`finish`]
/// (Self::finish) answers with the first such failure.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

struct Inner {
    stage: Stage,
    grace: Duration,
    tasks: Mutex<Tasks>,
    /// Ends the task that listens for signals together with the last handle.
    listener: Option<AbortHandle>,
}

#[derive(Clone)]
struct Stage {
    draining: CancellationToken,
    at_once: CancellationToken,
    begun: Arc<Mutex<Option<(StopCause, Instant)>>>,
}

#[derive(Default)]
struct Tasks {
    running: JoinSet<Result<()>>,
    names: Vec<(Id, String)>,
}

impl Shutdown {
    /// A shutdown that only the program itself begins.
    pub fn new(grace: Duration) -> Self {
        Self::with(Stage::new(), grace, None)
    }

    /// A shutdown that SIGINT or SIGTERM begin; a second signal leaves at once. Needs a Tokio runtime.
    pub fn on_signals(grace: Duration) -> Result<Self> {
        let stage = Stage::new();
        let mut signals = Signals::listen().map_err(|error| {
            Failure::new(
                Code::PreflightFailed,
                "signals of the operating system cannot be received",
            )
            .because(error)
        })?;
        let told = stage.clone();
        let listener = tokio::spawn(async move {
            loop {
                let cause = signals.next().await;
                if told.draining.is_cancelled() {
                    tracing::warn!("second signal: leaving at once");
                    told.at_once.cancel();
                } else {
                    tracing::info!(signal = ?cause, "signal: finishing what is held; a second one leaves at once");
                    told.begin(cause);
                }
            }
        });
        Ok(Self::with(stage, grace, Some(listener.abort_handle())))
    }

    fn with(stage: Stage, grace: Duration, listener: Option<AbortHandle>) -> Self {
        let inner = Inner {
            stage,
            grace,
            tasks: Mutex::default(),
            listener,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Begins draining. The first cause stays.
    pub fn begin(&self, cause: StopCause) {
        self.inner.stage.begin(cause);
    }

    /// Skips what is left of the grace period.
    pub fn leave_at_once(&self) {
        self.inner.stage.begin(StopCause::Requested);
        self.at_once().cancel();
    }

    /// Cancelled when nothing new may be taken.
    pub fn draining(&self) -> &CancellationToken {
        &self.inner.stage.draining
    }

    /// Cancelled when what is held must be dropped: to be handed to every long read.
    pub fn at_once(&self) -> &CancellationToken {
        &self.inner.stage.at_once
    }

    /// Why draining began, once it has.
    pub fn cause(&self) -> Option<StopCause> {
        self.inner.stage.begun().map(|(cause, _)| cause)
    }

    /// Returns when draining has begun and the grace period is over (or was cut short); the second stage has begun then.
    pub async fn grace_over(&self) {
        self.draining().cancelled().await;
        let begun = self.inner.stage.begun().map_or_else(Instant::now, |(_, begun)| begun);
        tokio::select! {
            () = self.at_once().cancelled() => {}
            () = tokio::time::sleep_until(begun + self.inner.grace) => self.at_once().cancel(),
        }
    }

    /// Runs a task under a name.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = Result<()>> + Send + 'static) {
        let name = name.into();
        let failed = BeginsDraining {
            stage: self.inner.stage.clone(),
            task: name.clone(),
            armed: true,
        };
        let mut tasks = self.tasks();
        let handle = tasks.running.spawn(async move {
            let mut failed = failed;
            let outcome = task.await;
            failed.armed = outcome.is_err();
            outcome
        });
        tasks.names.push((handle.id(), name));
    }

    /// Waits until draining has begun and every tracked task has ended; those that outlast the grace period are
    /// aborted. Answers with the first failure.
    pub async fn finish(&self) -> Result<()> {
        self.draining().cancelled().await;
        let Tasks { mut running, names } = std::mem::take(&mut *self.tasks());
        let mut first = Ok(());
        let mut aborted = false;
        while !running.is_empty() {
            tokio::select! {
                Some(ended) = running.join_next_with_id() => first = first.and(outcome_of(ended, &names)),
                () = self.grace_over(), if !aborted => {
                    aborted = true;
                    running.abort_all();
                }
            }
        }
        first
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("grace", &self.inner.grace)
            .field("cause", &self.cause())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            draining: CancellationToken::new(),
            at_once: CancellationToken::new(),
            begun: Arc::default(),
        }
    }

    fn begin(&self, cause: StopCause) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.get_or_insert_with(|| (cause, Instant::now()));
        drop(begun);
        self.draining.cancel();
    }

    fn begun(&self) -> Option<(StopCause, Instant)> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins draining when a task fails or panics; an aborted one does no harm, since draining came first.
struct BeginsDraining {
    stage: Stage,
    task: String,
    armed: bool,
}

impl Drop for BeginsDraining {
    fn drop(&mut self) {
        if self.armed && !self.stage.draining.is_cancelled() {
            tracing::error!(task.name = %self.task, "task {} failed: shutting down", self.task);
            self.stage.begin(StopCause::Requested);
        }
    }
}

fn outcome_of(
    ended: std::result::Result<(Id, Result<()>), tokio::task::JoinError>,
    names: &[(Id, String)],
) -> Result<()> {
    let error = match ended {
        Ok((_, outcome)) => return outcome,
        Err(error) => error,
    };
    let name = names
        .iter()
        .find(|(id, _)| *id == error.id())
        .map_or("", |(_, name)| name.as_str());
    if error.is_cancelled() {
        tracing::warn!(
            task.name = name,
            "task {name} outlasted the grace period and was dropped"
        );
        return Ok(());
    }
    Err(Failure::new(Code::Defect, format!("task {name} panicked")))
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> StopCause {
        tokio::select! {
            _ = self.interrupt.recv() => StopCause::Interrupt,
            _ = self.terminate.recv() => StopCause::Terminate,
        }
    }
}

/// Elsewhere the console's interrupt is all there is.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> StopCause {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        StopCause::Interrupt
    }
}

#[cfg(test)]
mod tests;
