//! The connections of a source: never more than allowed, lent one by one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::Connection;
use sqlextract_model::{Code, Failure, Result, SnapshotEvidence, SnapshotToken};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::Opening;
use super::evidence::Evidence;
use super::snapshot::Pins;

/// Lends connections. While a snapshot lives it holds them all, and whoever asks for none in particular reads through
/// it: what it shows is an instant like any other, and nobody waits for its end.
#[derive(Debug)]
pub(super) struct Pool {
    opening: Opening,
    permits: Arc<Semaphore>,
    pub(super) max_connections: u32,
    idle: Arc<Shelf>,
    pinned: watch::Sender<Weak<Pinned>>,
}

/// Connections in transactions that all see one state.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) token: SnapshotToken,
    pub(super) evidence: SnapshotEvidence,
    /// What the evidence says, where the state is proven.
    pub(super) state: Option<Evidence>,
    shelf: Arc<Shelf>,
    free: Arc<Semaphore>,
    readers: AtomicUsize,
    _permits: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Shelf(Mutex<VecDeque<Connection>>);

impl Shelf {
    /// A panic in between leaves a queue that is whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan. Dropped without [`Lease::give_back`] it is closed; a pinned one goes back as long as its
/// transaction stands, since no other can ever take its place: SQLite has no wire on which half an answer could be
/// left, and its statement is finalised before the lease ends.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    shelf: Arc<Shelf>,
    home: Home,
    clean: bool,
    permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Home {
    Loose(Opening),
    Pinned(Arc<Pinned>),
}

impl Pool {
    pub(super) fn new(opening: Opening, max_connections: u32) -> Self {
        Self {
            opening,
            permits: Arc::new(Semaphore::new(max_connections as usize)),
            max_connections,
            idle: Arc::default(),
            pinned: watch::Sender::new(Weak::new()),
        }
    }

    pub(super) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The snapshot that lives now.
    pub(super) fn pinned(&self) -> Option<Arc<Pinned>> {
        self.pinned.borrow().upgrade()
    }

    /// Waits until every connection is back, and takes the right to all of them. Those that lie idle are closed.
    pub(super) async fn take_all(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits)
            .acquire_many_owned(self.max_connections)
            .await
            .map_err(closed)?;
        self.idle.lock().clear();
        Ok(permits)
    }

    /// Makes these connections the snapshot that `token` stands for.
    pub(super) fn pin(
        &self,
        token: SnapshotToken,
        evidence: SnapshotEvidence,
        pins: Pins,
        permits: OwnedSemaphorePermit,
    ) -> Arc<Pinned> {
        let free = Arc::new(Semaphore::new(pins.connections.len()));
        let readers = AtomicUsize::new(pins.connections.len());
        let shelf = Arc::new(Shelf(Mutex::new(pins.connections.into())));
        let state = pins.evidence;
        let pinned = Arc::new(Pinned {
            token,
            evidence,
            state,
            shelf,
            free,
            readers,
            _permits: permits,
        });
        self.pinned.send_replace(Arc::downgrade(&pinned));
        pinned
    }

    /// Waits for a free connection: of the snapshot, or any.
    pub(super) async fn lease(&self, token: Option<&SnapshotToken>) -> Result<Lease> {
        let Some(token) = token else {
            return self.lease_any().await;
        };
        match self.pinned() {
            Some(pinned) if pinned.token == *token => pinned.lease().await,
            _ => Err(Failure::new(
                Code::SnapshotLost,
                "no snapshot of this name is open in this process",
            )),
        }
    }

    async fn lease_any(&self) -> Result<Lease> {
        let mut changes = self.pinned.subscribe();
        loop {
            let pinned = changes.borrow_and_update().upgrade();
            if let Some(pinned) = pinned {
                return pinned.lease().await;
            }
            tokio::select! {
                biased;
                permit = Arc::clone(&self.permits).acquire_owned() => {
                    let connection = self.idle.lock().pop_front();
                    return Ok(Lease {
                        connection,
                        shelf: Arc::clone(&self.idle),
                        home: Home::Loose(self.opening.clone()),
                        clean: false,
                        permit: Some(permit.map_err(closed)?),
                    });
                }
                changed = changes.changed() => changed.map_err(closed)?,
            }
        }
    }
}

impl Pinned {
    async fn lease(self: Arc<Self>) -> Result<Lease> {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let permit = permit.map_err(|_| Failure::new(Code::SnapshotLost, "every reader of the snapshot has failed"))?;
        let connection = self.shelf.lock().pop_front();
        Ok(Lease {
            connection,
            shelf: Arc::clone(&self.shelf),
            home: Home::Pinned(self),
            clean: false,
            permit: Some(permit),
        })
    }

    /// Whether no reader is left.
    pub(super) fn is_lost(&self) -> bool {
        self.free.is_closed()
    }

    /// One reader fewer; after the last nobody needs to wait any more.
    fn lose(&self, permit: Option<OwnedSemaphorePermit>) {
        if let Some(permit) = permit {
            permit.forget();
        }
        if self.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.free.close();
        }
    }
}

impl Lease {
    /// Opens the connection where none was idle: call it on a thread that may block.
    pub(super) fn connection(&mut self) -> Result<&Connection> {
        if self.connection.is_none() {
            self.connection = match &self.home {
                Home::Loose(opening) => Some(opening.connect()?),
                Home::Pinned(_) => None,
            };
        }
        self.connection
            .as_ref()
            .ok_or_else(|| Failure::new(Code::SnapshotLost, "a reader of the snapshot is gone"))
    }

    /// After the clean end of its statements: whoever comes next may have it. The queue is first in, first out, so that
    /// a second look comes from a second connection wherever there is one.
    pub(super) fn give_back(mut self) {
        self.clean = true;
    }

    /// Closes the connection for good.
    pub(super) fn discard(mut self) {
        self.connection = None;
    }
}

impl Drop for Lease {
    /// The permit is released last, after the connection is on its shelf or closed.
    fn drop(&mut self) {
        let connection = self.connection.take();
        match &self.home {
            Home::Loose(_) => {
                if let Some(connection) = connection.filter(|_| self.clean) {
                    self.shelf.lock().push_back(connection);
                }
            }
            Home::Pinned(pinned) => match connection.filter(|c| !c.is_autocommit() && !c.is_busy()) {
                Some(connection) => self.shelf.lock().push_back(connection),
                None => pinned.lose(self.permit.take()),
            },
        }
    }
}

fn closed<E>(_: E) -> Failure {
    Failure::new(Code::Interrupted, "the source is being closed")
}
