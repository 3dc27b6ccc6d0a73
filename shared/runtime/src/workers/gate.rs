//! The gate: so many at once, and the number can change while it is in use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Decision;

/// Lets so many in at once, in the order of asking. Clones are handles of the same gate.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    width: u16,
    /// Permits that are to vanish when they come back, since the gate was narrowed while they were out.
    owed: u16,
    course: Course,
}

/// How the number of workers went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    pub start: u16,
    pub now: u16,
    pub lowest: u16,
    pub highest: u16,
    /// Decisions that changed the number.
    pub changes: u32,
    /// Why the last of them did.
    pub reason: Option<String>,
}

impl Gate {
    pub fn new(width: u16) -> Self {
        let inner = Inner {
            free: Arc::new(Semaphore::new(usize::from(width))),
            state: Mutex::new(State {
                width,
                owed: 0,
                course: Course {
                    start: width,
                    now: width,
                    lowest: width,
                    highest: width,
                    changes: 0,
                    reason: None,
                },
            }),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for room. Whoever is in when the gate is narrowed stays in until done.
    pub async fn enter(&self) -> GatePermit {
        let permit = Arc::clone(&self.inner.free).acquire_owned().await;
        GatePermit {
            inner: Arc::clone(&self.inner),
            permit: Some(permit.expect("the gate never closes its semaphore")),
        }
    }

    /// How many may be in at once.
    pub fn width(&self) -> u16 {
        self.inner.state().width
    }

    pub fn resize(&self, width: u16) {
        let mut state = self.inner.state();
        let (before, after) = (state.width, width);
        state.width = width;
        state.course.now = width;
        state.course.lowest = state.course.lowest.min(width);
        state.course.highest = state.course.highest.max(width);
        if after >= before {
            let forgiven = state.owed.min(after - before);
            state.owed -= forgiven;
            self.inner.free.add_permits(usize::from(after - before - forgiven));
        } else {
            let gone = self.inner.free.forget_permits(usize::from(before - after)) as u16;
            state.owed += before - after - gone;
        }
    }

    /// Does what was decided, and tells why.
    pub fn apply(&self, decision: &Decision) {
        let (to, reason) = match decision {
            Decision::Hold { .. } => return,
            Decision::Raise { to, reason } | Decision::Lower { to, reason } => (*to, reason),
        };
        tracing::info!(
            workers.from = self.width(),
            workers.to = to,
            "workers from {} to {to}: {reason}",
            self.width()
        );
        self.resize(to);
        let mut state = self.inner.state();
        state.course.changes += 1;
        state.course.reason = Some(reason.clone());
    }

    pub fn course(&self) -> Course {
        self.inner.state().course.clone()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("width", &self.width())
            .finish_non_exhaustive()
    }
}

/// The right to be in, until it is dropped.
pub struct GatePermit {
    inner: Arc<Inner>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for GatePermit {
    fn drop(&mut self) {
        // Locked until the permit is back, so that a resize sees it either out or free.
        let mut state = self.inner.state();
        let permit = self.permit.take();
        if state.owed > 0 {
            state.owed -= 1;
            permit.into_iter().for_each(OwnedSemaphorePermit::forget);
        }
    }
}

impl fmt::Debug for GatePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatePermit").finish_non_exhaustive()
    }
}
