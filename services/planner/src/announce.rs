//! Events, built from what is stored.

use sqlextract_model::{
    Digest, Event, EventData, EventKind, ExtractionRequest, Failure, JobId, JobRecord, Manifest, ObjectKey, Outcome,
    Result,
};
use sqlextract_queue::Message;
use sqlextract_storage::{JobRecords, Stored};

use crate::Planner;

/// Texts of a failure are cut in events: they may quote what somebody sent.
const LONGEST_TEXT: usize = 1000;
const MOST_CAUSES: usize = 8;
/// Failures that an event carries; the manifest has all of them.
const MOST_FAILURES: usize = 16;

/// What an event is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    job: JobId,
    request: Option<String>,
    destination: Option<String>,
    source: String,
}

impl About {
    pub(crate) fn request(request: &ExtractionRequest) -> Self {
        Self {
            job: request.job_id(),
            request: request.origin.as_ref().map(|origin| origin.sender.id.clone()),
            destination: Some(request.destination.clone()),
            source: request.source.clone(),
        }
    }

    pub(crate) fn record(record: &JobRecord) -> Self {
        Self {
            job: record.job.clone(),
            ..Self::request(&record.request)
        }
    }

    pub(crate) fn job(job: JobId, destination: &str) -> Self {
        Self {
            job,
            request: None,
            destination: Some(destination.to_owned()),
            source: "unknown".to_owned(),
        }
    }

    /// A request that became no job: its events carry a name made from its id.
    pub(crate) fn request_id(id: &str) -> Self {
        let name = format!("request-{}", &Digest::of(id.as_bytes()).to_string()[..16]);
        Self {
            job: JobId::new(name).expect("a word and hexadecimal digits are a valid id"),
            request: Some(id.to_owned()),
            destination: None,
            source: "unknown".to_owned(),
        }
    }

    pub(crate) fn data(&self) -> EventData {
        let mut data = EventData::of(self.job.clone());
        data.request.clone_from(&self.request);
        data.destination.clone_from(&self.destination);
        data
    }
}

impl Planner {
    /// `what` tells events of one kind about one job apart.
    pub(crate) async fn announce(&self, kind: EventKind, about: &About, what: &str, data: EventData) -> Result<()> {
        let event = Event::new(kind, what, self.ports.surroundings.utc_now(), data);
        let last = match &event.data.table {
            Some(table) => word(&table.to_string()),
            None => word(event.data.job.as_str()),
        };
        let routing_key = format!("{}.{}.{last}", kind.noun_and_verb(), word(&about.source));
        let body = serde_json::to_vec(&event).expect("events have string keys and serialise without failing");
        let message = Message::new(event.id, body).job(&event.data.job);
        self.ports.queue.announce(&routing_key, message).await
    }

    pub(crate) async fn reject(&self, about: &About, failure: Failure) -> Result<()> {
        self.deactivate(&about.job);
        let what = format!("{}/{}", failure.code, about.request.as_deref().unwrap_or_default());
        let mut data = about.data();
        data.failures.push(cut(failure));
        self.announce(EventKind::Rejected, about, &what, data).await
    }

    /// Tells the outcome that is stored, whoever wrote it.
    pub(crate) async fn announce_outcome(&self, records: &JobRecords, stored: &Stored<Manifest>) -> Result<()> {
        let about = match records.job_record().await? {
            Some(record) => About::record(&record),
            None => About::job(stored.record.job.clone(), ""),
        };
        self.tell_outcome(&about, stored).await
    }

    pub(crate) async fn tell_outcome(&self, about: &About, stored: &Stored<Manifest>) -> Result<()> {
        let manifest = &stored.record;
        let kind = match manifest.outcome {
            Outcome::Completed => EventKind::Completed,
            Outcome::Failed => EventKind::Failed,
            Outcome::Cancelled => EventKind::Cancelled,
        };
        let key = ObjectKey::Manifest {
            job: manifest.job.clone(),
        };
        let mut data = about.data();
        data.outcome = Some(manifest.outcome);
        data.manifest = Some(key.to_string());
        data.manifest_sha256 = Some(stored.sha256);
        if manifest.outcome == Outcome::Completed {
            for table in &manifest.tables {
                let mut data = data.clone();
                data.table = Some(table.table.clone());
                data.totals = Some(table.totals);
                self.announce(EventKind::TableCompleted, about, table.segment.as_str(), data)
                    .await?;
            }
        }
        data.totals = Some(manifest.totals);
        let failures = manifest.failures.iter().take(MOST_FAILURES);
        data.failures = failures.cloned().map(cut).collect();
        self.announce(kind, about, "", data).await
    }
}

fn cut(mut failure: Failure) -> Failure {
    let shorten = |text: &mut String| {
        if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
            text.truncate(end);
            text.push('…');
        }
    };
    failure.causes.truncate(MOST_CAUSES);
    shorten(&mut failure.message);
    failure.causes.iter_mut().for_each(shorten);
    [
        &mut failure.table,
        &mut failure.column,
        &mut failure.row,
        &mut failure.remedy,
    ]
    .into_iter()
    .flatten()
    .for_each(shorten);
    failure
}

/// A word of a routing key: what separates words or matches as a pattern is taken out.
fn word(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let word: String = text.chars().filter(kept).take(80).collect();
    if word.is_empty() { "unnamed".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::Code;

    #[test]
    fn what_somebody_sent_is_cut_before_it_travels() {
        let failure = Failure::new(Code::RequestRefused, "é".repeat(5000)).because("x".repeat(1 << 20));
        let cut = cut(failure);
        assert!(cut.message.chars().count() <= LONGEST_TEXT + 1 && cut.causes[0].len() < 2 * LONGEST_TEXT);
    }

    #[test]
    fn words_of_a_routing_key_match_nothing_else() {
        assert_eq!(word("public.a#*b c"), "publicabc");
        assert_eq!(word("#.*"), "unnamed");
    }
}
