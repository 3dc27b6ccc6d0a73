//! How a service stands: what `/readyz` and `/metrics` tell beside the counted ports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sqlextract_planner::Planner;
use sqlextract_queue::RabbitmqQueue;
use sqlextract_runtime::{Health, MemoryBudget, Metric, Metrics, Shutdown};

#[derive(Debug)]
pub(crate) struct Standing {
    shutdown: Shutdown,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    broker: Option<RabbitmqQueue>,
    planner: Weak<Planner>,
    memory: Option<MemoryBudget>,
}

impl Standing {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            parts: Mutex::default(),
        }
    }

    pub(crate) fn opened(&self, broker: RabbitmqQueue) {
        self.parts().broker = Some(broker);
    }

    pub(crate) fn plans(&self, planner: &Arc<Planner>) {
        self.parts().planner = Arc::downgrade(planner);
    }

    pub(crate) fn holds(&self, memory: MemoryBudget) {
        self.parts().memory = Some(memory);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health for Standing {
    fn unready(&self) -> Option<String> {
        if self.shutdown.draining().is_cancelled() {
            return Some("draining".to_owned());
        }
        let parts = self.parts();
        let Some(broker) = &parts.broker else {
            return Some("starting".to_owned());
        };
        let health = broker.health();
        let problem = match (health.publishing_connected, health.consuming_connected, health.blocked) {
            (false, _, _) => "the broker takes no messages",
            (_, false, _) => "the broker gives no messages",
            (_, _, true) => "the broker blocks publishers",
            _ if health.receivers_down > 0 => "a queue is not received from",
            _ => return None,
        };
        Some(problem.to_owned())
    }

    fn refresh(&self, metrics: &Metrics) {
        let draining = self.shutdown.draining().is_cancelled();
        metrics.set(Metric::Draining, &[], f64::from(u8::from(draining)));
        let parts = self.parts();
        if let Some(broker) = &parts.broker {
            let health = broker.health();
            metrics.set(Metric::AmqpReconnectsTotal, &[], health.reconnects as f64);
            metrics.set(Metric::AmqpBlocked, &[], f64::from(u8::from(health.blocked)));
        }
        if let Some(planner) = parts.planner.upgrade() {
            metrics.set(Metric::JobsActive, &[], planner.jobs() as f64);
            let age = planner.oldest_snapshot().unwrap_or_default();
            metrics.set(Metric::SnapshotAge, &[], age.as_secs_f64());
        }
        if let Some(memory) = &parts.memory {
            metrics.set(Metric::MemoryUsed, &[], memory.used() as f64);
            metrics.set(Metric::MemoryLimit, &[], memory.limit() as f64);
        }
    }
}
