//! The scripter: a completed extraction becomes one script per target, stored and announced.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_ingest_sql::{Script, ScriptOptions, TargetOptions, render};
use sqlextract_model::{
    Class, Code, Digest, Event, EventData, EventKind, Failure, Manifest, ManifestEntry, Outcome, Platform, Result,
    Target,
};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::{
    Handler, Ports, ProgressSink, RetryPolicy, Shutdown, Verdict, crash_point, serve, settlement_for,
};
use sqlextract_storage::{JobRecords, Storage};

/// Scripts up to this size travel in their event, unless escaping makes them longer than the second: a message has at most
/// 64 KiB.
const INLINE_BYTES: usize = 32 << 10;
const ESCAPED_BYTES: usize = 56 << 10;

/// The scripter service.
#[derive(Debug)]
pub struct Scripter {
    ports: Arc<Ports>,
    targets: BTreeMap<Platform, TargetOptions>,
    retry: RetryPolicy,
    progress: Arc<dyn ProgressSink>,
}

impl Scripter {
    pub fn new(ports: Arc<Ports>, retry: RetryPolicy, progress: Arc<dyn ProgressSink>) -> Self {
        Self {
            ports,
            targets: BTreeMap::new(),
            retry,
            progress,
        }
    }

    /// With what the settings say about targets.
    #[must_use]
    pub fn with_targets(mut self, targets: BTreeMap<Platform, TargetOptions>) -> Self {
        self.targets = targets;
        self
    }

    /// Serves completions until the shutdown, then drains.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<()> {
        let queue = Arc::clone(&self.ports.queue);
        let retry = self.retry.clone();
        serve(queue.as_ref(), &QueueName::Scripter, 1, self, &retry, &shutdown)
            .await
            .map(|_| ())
    }

    /// Why the targets of a job that have no script have none.
    pub async fn refusals(&self, about: &EventData) -> Result<Vec<Failure>> {
        let (records, targets) = self.asked(about).await?;
        let mut refusals = Vec::new();
        for target in &targets {
            let settings = self.targets.get(&target.platform).cloned().unwrap_or_default();
            let options = ScriptOptions::of(records.location(), settings);
            refusals.extend(render_script(&records, target, &options).await.err());
        }
        Ok(refusals)
    }

    async fn asked(&self, about: &EventData) -> Result<(JobRecords, Vec<Target>)> {
        let job = &about.job;
        let records = JobRecords::new(self.destination(about)?, job.clone());
        match records.job_record().await? {
            Some(record) => Ok((records, record.request.targets)),
            None => Err(Failure::new(
                Code::StorageMissing,
                format!("job {job} has no record in its destination"),
            )),
        }
    }

    /// One target that has no script holds up no other. A failure that may pass is the one that counts: then all is tried
    /// again.
    async fn script(&self, about: &EventData) -> Result<()> {
        let (records, targets) = self.asked(about).await?;
        let mut failed: Option<Failure> = None;
        for target in &targets {
            if let Err(failure) = self.script_of(about, &records, target).await
                && failed.as_ref().is_none_or(|first| first.class() == Class::Permanent)
            {
                failed = Some(failure);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn script_of(&self, about: &EventData, records: &JobRecords, target: &Target) -> Result<()> {
        let written = write_script(records, target, &self.targets).await?;
        let job = records.job();
        self.progress.script_written(job, target.platform, &written.key);
        crash_point("before_script_is_told");
        self.announce(about, target, written.key, written.text).await?;
        crash_point("after_script_is_told");
        Ok(())
    }

    fn destination(&self, event: &EventData) -> Result<Arc<dyn Storage>> {
        let mut all = self.ports.destinations.values();
        match (&event.destination, all.next(), all.next()) {
            (Some(name), _, _) => self.ports.destination(name),
            // Events of the first version did not name it.
            (None, Some(only), None) => Ok(Arc::clone(only)),
            (None, _, _) => {
                let text = format!("the event about job {} names no destination", event.job);
                Err(Failure::new(Code::MessageUnreadable, text))
            }
        }
    }

    async fn announce(&self, about: &EventData, target: &Target, location: String, script: String) -> Result<()> {
        let job = &about.job;
        let event = announcement(
            about,
            target.platform,
            location,
            script,
            self.ports.surroundings.utc_now(),
        );
        let routing_key = format!("{}.{}.{job}", event.kind.noun_and_verb(), target.platform);
        let body = serde_json::to_vec(&event).expect("events have string keys and serialise without failing");
        let message = Message::new(event.id, body).job(job);
        self.ports.queue.announce(&routing_key, message).await
    }
}

/// What is told of a script: where it is and what its bytes are, always; itself only where the message stays small.
fn announcement(about: &EventData, platform: Platform, location: String, script: String, time: String) -> Event {
    let mut data = EventData::of(about.job.clone());
    data.request.clone_from(&about.request);
    data.destination.clone_from(&about.destination);
    data.manifest.clone_from(&about.manifest);
    data.target = Some(platform);
    data.sha256 = Some(Digest::of(script.as_bytes()));
    data.location = Some(location);
    let escaped = serde_json::to_string(&script).map_or(usize::MAX, |text| text.len());
    data.script = (script.len() <= INLINE_BYTES && escaped <= ESCAPED_BYTES).then_some(script);
    Event::new(EventKind::IngestGenerated, platform.as_str(), time, data)
}

/// A script in storage.
#[derive(Debug)]
pub struct WrittenScript {
    /// Relative to the destination.
    pub key: String,
    pub text: String,
}

/// Renders a target's script and stores it beside the job. Whoever asks, with the same settings the bytes are the same.
pub async fn write_script(
    records: &JobRecords,
    target: &Target,
    targets: &BTreeMap<Platform, TargetOptions>,
) -> Result<WrittenScript> {
    let settings = targets.get(&target.platform).cloned().unwrap_or_default();
    let script = render_script(records, target, &ScriptOptions::of(records.location(), settings)).await?;
    for what in &script.fill_in {
        tracing::warn!(job.id = %records.job(), target = %target.platform, "the script waits to be filled in: {what}");
    }
    for note in &script.notes {
        tracing::info!(job.id = %records.job(), target = %target.platform, "{note}");
    }
    let key = records
        .put_script(target.platform, script.language, &script.text)
        .await?;
    Ok(WrittenScript { key, text: script.text })
}

/// Renders the script of a finished extraction from its stored manifest alone.
pub async fn render_script(records: &JobRecords, target: &Target, options: &ScriptOptions) -> Result<Script> {
    let stored = records.manifest().await?.ok_or_else(|| {
        Failure::new(
            Code::StorageMissing,
            format!("job {} has no manifest: it is not finished", records.job()),
        )
        .remedy("Run its `extract` command again until it completes, then ask for the script.")
    })?;
    let manifest: &Manifest = &stored.record;
    if manifest.outcome != Outcome::Completed {
        return Err(Failure::new(
            Code::UsageInvalid,
            format!("job {} was not completed", manifest.job),
        ));
    }
    let mut entries: Vec<ManifestEntry> = Vec::new();
    for page in &manifest.pages {
        entries.extend(records.manifest_page(manifest, page.number).await?);
    }
    render(manifest, &stored.sha256, &entries, target, options)
}

#[async_trait]
impl Handler for Scripter {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        let event: Event = match serde_json::from_slice(&message.body) {
            Ok(event) => event,
            Err(cause) => {
                let text = format!("event {} cannot be read", message.id);
                return Verdict::Park(Failure::new(Code::MessageUnreadable, text).because(cause));
            }
        };
        match self.script(&event.data).await {
            Ok(()) => Verdict::Done,
            Err(failure) => {
                tracing::warn!(job.id = %event.data.job, error.code = %failure.code, error = %failure, "no script was written");
                settlement_for(&failure, redeliveries + 1, &self.retry)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlextract_model::JobId;

    use super::*;

    /// Most bytes of an event.
    const MESSAGE_BYTES: usize = 64 << 10;

    fn told(script: &str) -> Event {
        let job = JobId::new("orders-0123abcd").expect("a job's name");
        let (location, time) = ("orders-0123abcd/ingest/mssql.sql", "2026-01-02T03:04:05Z");
        announcement(
            &EventData::of(job),
            Platform::Mssql,
            location.to_owned(),
            script.to_owned(),
            time.to_owned(),
        )
    }

    #[test]
    fn an_event_has_location_and_hash_always_and_the_script_only_while_it_stays_small() {
        let cases = [
            ("a".repeat(INLINE_BYTES), true),
            ("a".repeat(INLINE_BYTES + 1), false),
            ("ab\"\n".repeat(INLINE_BYTES / 4), true),
            // Quotes, line ends and control characters take more in JSON than they are.
            ("\"\n".repeat(INLINE_BYTES / 2), false),
            ("\u{1}".repeat(INLINE_BYTES), false),
        ];
        for (script, inline) in cases {
            let event = told(&script);
            assert_eq!(event.data.script.is_some(), inline, "{} bytes", script.len());
            assert!(event.data.script.as_ref().is_none_or(|told| *told == script));
            assert_eq!(event.data.sha256, Some(Digest::of(script.as_bytes())));
            assert_eq!(event.data.location.as_deref(), Some("orders-0123abcd/ingest/mssql.sql"));
            assert_eq!(event.data.target, Some(Platform::Mssql));
            let bytes = serde_json::to_vec(&event).expect("events serialise").len();
            assert!(bytes <= MESSAGE_BYTES, "{bytes} bytes");
        }
    }

    #[test]
    fn the_same_script_told_twice_is_one_event() {
        assert_eq!(told("SELECT 1;").id, told("SELECT 1;").id);
    }
}
