//! A source's budget in Redis: slices of rows, bytes and queries per second, and connections held by lease.

mod connections;
mod share;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, ScriptInvocation, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::connections::Held;
use self::share::{Fleet, LocalShare, SLICE};
use super::{RedisCheckpoint, random_name};
use crate::{BudgetState, ConnectionPermit, Grant, SourceBudget, SourceLimits, Unit};

/// How long a member and its connections stay when nothing is heard of it.
const MEMBER_LASTS: Duration = Duration::from_secs(15);
/// How often a member tells that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How long connections are not given out after the server has lost them, so that holders write theirs down again.
const SETTLE: Duration = Duration::from_millis(2500);
/// The keys of a source that nobody uses any more go after this.
const KEYS_LAST: Duration = Duration::from_secs(3600);
/// Reading stands still while the server is asked: it is not waited for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the server is left alone after it did not answer.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// The budget of one source, shared through Redis. Clones are handles of the same member.
#[derive(Clone)]
pub struct RedisBudget {
    inner: Arc<Inner>,
}

struct Inner {
    checkpoint: RedisCheckpoint,
    source: String,
    member: String,
    /// Budget, members and connections.
    keys: [String; 3],
    slots: AtomicU64,
    state: Mutex<State>,
    /// A connection was given back.
    given_back: Arc<Notify>,
    /// A connection was given back to the server, so that others may ask.
    freed: Notify,
}

struct State {
    limits: SourceLimits,
    fleet: Fleet,
    local: LocalShare,
    held: Held,
    /// The server did not answer, and is left alone until then.
    away: Option<Instant>,
}

impl RedisBudget {
    pub(super) fn new(checkpoint: RedisCheckpoint, source: &str, limits: SourceLimits) -> Self {
        let inner = Arc::new(Inner {
            keys: checkpoint.inner.keys.source(source),
            checkpoint,
            source: source.to_owned(),
            member: random_name(),
            slots: AtomicU64::new(0),
            state: Mutex::new(State {
                limits,
                fleet: Fleet::new(),
                local: LocalShare::default(),
                held: Held::default(),
                away: None,
            }),
            given_back: Arc::default(),
            freed: Notify::new(),
        });
        tokio::spawn(connections::keep(Arc::downgrade(&inner)));
        Self { inner }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server once, or not at all while it is left alone.
    async fn ask(&self, script: &ScriptInvocation<'_>) -> Option<Value> {
        if self.state().away.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match self.checkpoint.inner.link.once_within(script, PATIENCE).await {
            Ok(value) => {
                if self.state().away.take().is_some() {
                    tracing::info!(source = %self.source, "the budget is shared again");
                }
                Some(value)
            }
            Err(error) => {
                let mut state = self.state();
                if state.away.is_none() {
                    tracing::warn!(source = %self.source, fleet = state.fleet.size(), %error,
                        "the budget cannot be shared; this process holds itself to its share of the limit");
                }
                state.away = Some(Instant::now() + LEFT_ALONE);
                None
            }
        }
    }

    /// Whether this member has seen the fleet: then a server without it has lost it.
    fn known(&self) -> u8 {
        u8::from(self.state().fleet.known())
    }

    fn take_script(&self, unit: Unit, rate: u64) -> ScriptInvocation<'_> {
        let mut call = self.checkpoint.inner.scripts.take.prepare_invoke();
        call.key(&self.keys[..2]);
        call.arg(unit.as_str())
            .arg(rate)
            .arg(micros(SLICE))
            .arg(&self.member)
            .arg(micros(MEMBER_LASTS));
        call.arg(self.known()).arg(millis(KEYS_LAST)).arg(micros(SETTLE));
        call
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

impl fmt::Debug for RedisBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBudget")
            .field("source", &self.inner.source)
            .field("member", &self.inner.member)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SourceBudget for RedisBudget {
    async fn take(&self, unit: Unit) -> Option<Grant> {
        let inner = &self.inner;
        let rate = inner.state().limits.per_second(unit)?;
        let answer = inner.ask(&inner.take_script(unit, rate.get())).await;
        let granted = answer.and_then(|value| <(u64, u64, u32)>::from_redis_value(value).ok());
        let now = Instant::now();
        let mut state = inner.state();
        Some(match granted {
            Some((units, wait, fleet)) => {
                state.fleet.saw(fleet, now);
                let grant = Grant {
                    units: units.max(1),
                    wait: Duration::from_micros(wait),
                };
                let fleet = state.fleet.size();
                state.local.note(unit, grant, (rate, fleet), now);
                grant
            }
            None => {
                let fleet = state.fleet.size();
                state.local.grant(unit, rate, fleet, now)
            }
        })
    }

    async fn connection(&self) -> Option<ConnectionPermit> {
        connections::connection(&self.inner).await
    }

    fn set_limits(&self, limits: SourceLimits) {
        self.inner.state().limits = limits;
        // Those who wait for a connection look again.
        self.inner.freed.notify_waiters();
    }

    fn state(&self) -> BudgetState {
        let state = self.inner.state();
        BudgetState {
            fleet: state.fleet.size(),
            shared: state.fleet.known() && state.away.is_none(),
            connections: state.held.count(),
        }
    }
}

/// The number of a connection of this member, new with each.
fn next_slot(inner: &Inner) -> String {
    format!("{}/{}", inner.member, inner.slots.fetch_add(1, Ordering::Relaxed))
}
