//! One connection that is opened again when it was lost.
//!
//! The client library's own recovery stays off: it restores connections but no channels, says nothing while it is at
//! it, and declares again what it has seen. Whoever needs a channel asks here, and a lost connection is opened again by
//! the first who asks; the others wait for the same attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus};
use sqlextract_model::Result;
use tokio::time::{Instant, sleep_until, timeout};

use super::failure::{failure, timed_out};
use super::settings::{Address, RabbitmqSettings};

/// The broker sees a socket that ends as well: a farewell that it does not answer must not hold up a process that leaves.
const LONGEST_FAREWELL: Duration = Duration::from_secs(2);
const SHORTEST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(5);

pub(super) struct Link {
    address: Address,
    /// What the broker's lists show.
    name: String,
    connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    state: tokio::sync::Mutex<State>,
    /// The newest connection's, for those who only look.
    status: Mutex<Option<ConnectionStatus>>,
    reconnects: AtomicU64,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    failures: u32,
    /// No attempt before this.
    rest_until: Option<Instant>,
    connected_once: bool,
}

impl Link {
    pub(super) fn new(settings: &RabbitmqSettings, use_for: &str) -> Result<Self> {
        Ok(Self {
            address: settings.address()?,
            name: format!("{} ({use_for})", settings.client_name),
            connect_timeout: settings.connect_timeout,
            request_timeout: settings.request_timeout,
            state: tokio::sync::Mutex::default(),
            status: Mutex::default(),
            reconnects: AtomicU64::new(0),
        })
    }

    /// A new channel, on a new connection where the old one is gone. One attempt.
    pub(super) async fn channel(&self) -> Result<Channel> {
        let connection = self.connection().await?;
        let what = format!("a channel to the broker at {} cannot be opened", self.address.place);
        self.ask(&what, connection.create_channel()).await
    }

    /// Waits for the broker's answer, for the request timeout at most: in an outage some requests never end.
    pub(super) async fn ask<T>(&self, what: &str, request: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        match timeout(self.request_timeout, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failure(what, &error)),
            Err(_) => Err(timed_out(what)),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection
            && connection.status().connected()
        {
            return Ok(Arc::clone(connection));
        }
        if let Some(rest_until) = state.rest_until {
            sleep_until(rest_until).await;
        }
        state.connection = None;
        match self.connect().await {
            Ok(connection) => {
                if state.connected_once {
                    self.reconnects.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(broker.name = self.name, "connected to the broker again");
                }
                let connection = Arc::new(connection);
                *self.lock_status() = Some(connection.status().clone());
                *state = State {
                    connection: Some(Arc::clone(&connection)),
                    connected_once: true,
                    // A connection that breaks at once is not opened in a tight loop either.
                    rest_until: Some(Instant::now() + SHORTEST_REST),
                    failures: 0,
                };
                Ok(connection)
            }
            Err(failure) => {
                state.rest_until = Some(Instant::now() + rest_after(state.failures));
                state.failures = state.failures.saturating_add(1);
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let what = format!("the broker at {} cannot be used", self.address.place);
        let runtime = lapin::runtime::default_runtime().map_err(|error| failure(&what, &error))?;
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let uri = self.address.uri.clone();
        let opening = Connection::connect_uri_with_config(uri, properties, self.address.tls.clone(), runtime);
        match timeout(self.connect_timeout, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(failure(&what, &error)),
            Err(_) => Err(timed_out(&what)),
        }
    }

    pub(super) fn connected(&self) -> bool {
        self.lock_status().as_ref().is_some_and(ConnectionStatus::connected)
    }

    /// Whether the broker takes nothing from us for now: an alarm about its memory or its disk.
    pub(super) fn blocked(&self) -> bool {
        self.lock_status().as_ref().is_some_and(ConnectionStatus::blocked)
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Opens a lost connection again in the background, unless somebody is at it.
    pub(super) fn mend(self: &Arc<Self>) {
        if self.connected() || self.state.try_lock().is_err() {
            return;
        }
        let link = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(failure) = link.connection().await {
                tracing::debug!(broker.name = link.name, error = %failure, "the broker is still away");
            }
        });
    }

    /// Closes the connection; the next channel would open it again.
    pub(super) async fn close(&self) {
        let connection = self.state.lock().await.connection.take();
        let Some(connection) = connection else {
            return;
        };
        let closing = timeout(LONGEST_FAREWELL, connection.close(200, "done".into())).await;
        if !matches!(closing, Ok(Ok(()))) {
            tracing::debug!(
                broker.name = self.name,
                "the connection to the broker ended without a farewell"
            );
        }
    }

    fn lock_status(&self) -> std::sync::MutexGuard<'_, Option<ConnectionStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rest after this many failures in a row. Many processes lose a broker at the same instant, so that each rests for
/// a time of its own.
pub(super) fn rest_after(failures: u32) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let longest = SHORTEST_REST.saturating_mul(1 << failures.min(8)).min(LONGEST_REST);
    let part = (RandomState::new().hash_one(failures) % 1000) as f64 / 1000.0;
    longest.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_bound_and_differ() {
        for failures in [0, 3, 8, 500] {
            let rests: Vec<_> = (0..50).map(|_| rest_after(failures)).collect();
            assert!(
                rests
                    .iter()
                    .all(|rest| *rest <= LONGEST_REST && *rest >= SHORTEST_REST / 2)
            );
            assert!(rests.iter().any(|rest| *rest != rests[0]), "{failures}");
        }
        assert!(rest_after(0) <= SHORTEST_REST && rest_after(9) >= LONGEST_REST / 2);
    }
}
