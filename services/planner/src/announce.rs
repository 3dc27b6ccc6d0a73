//! Events, built from what is stored.

use sqlextract_model::{Event, EventData, EventKind, Failure, JobId, Manifest, ObjectKey, Outcome, Result};
use sqlextract_queue::Message;
use sqlextract_runtime::utc_now;
use sqlextract_storage::Stored;

use crate::Planner;

impl Planner {
    pub(crate) async fn announce(&self, kind: EventKind, about: &str, source: &str, data: EventData) -> Result<()> {
        let event = Event::new(kind, about, utc_now(), data);
        let routing_key = format!(
            "{}.{}.{}",
            kind.noun_and_verb(),
            word(source),
            word(event.data.job.as_str())
        );
        let body = serde_json::to_vec(&event).expect("events have string keys and serialise without failing");
        let message = Message::new(event.id, body).job(&event.data.job);
        self.ports.queue.announce(&routing_key, message).await
    }

    pub(crate) async fn reject(&self, job: &JobId, failure: Failure) -> Result<()> {
        self.deactivate(job);
        let mut data = EventData::of(job.clone());
        let about = failure.code.as_str();
        data.failures.push(failure);
        self.announce(EventKind::Rejected, about, "request", data).await
    }

    /// Tells the outcome that is stored, whoever wrote it.
    pub(crate) async fn announce_outcome(&self, stored: &Stored<Manifest>) -> Result<()> {
        let manifest = &stored.record;
        let kind = match manifest.outcome {
            Outcome::Completed => EventKind::Completed,
            Outcome::Failed => EventKind::Failed,
            Outcome::Cancelled => EventKind::Cancelled,
        };
        let mut data = EventData::of(manifest.job.clone());
        data.outcome = Some(manifest.outcome);
        data.manifest = Some(
            ObjectKey::Manifest {
                job: manifest.job.clone(),
            }
            .to_string(),
        );
        data.manifest_sha256 = Some(stored.sha256);
        data.totals = Some(manifest.totals);
        data.failures.clone_from(&manifest.failures);
        self.announce(kind, "", manifest.source.dialect.as_str(), data).await
    }
}

/// A word of a routing key: what separates words or matches as a pattern is taken out.
fn word(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.chars().filter(kept).take(80).collect()
}
