//! `doctor`: each part that the services stand on, asked and told in a sentence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use sqlextract_checkpoint::RedisCheckpoint;
use sqlextract_model::{Code, Failure, Result, Selection};
use sqlextract_queue::RabbitmqQueue;

use crate::ports::{self, UploadMemory};
use crate::report::Failures;
use crate::service_args::DoctorArgs;
use crate::settings::{SettingsFile, choose_destination, choose_source};

/// Clocks that are further apart make stores refuse signatures and people misread logs.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// What was found of each part: sentences, or why it is not well.
type Findings = BTreeMap<String, Result<Vec<String>>>;

pub(super) async fn run(args: &DoctorArgs, file: &SettingsFile) -> std::result::Result<Option<String>, Failures> {
    let mut findings = Findings::new();
    findings.insert("broker".to_owned(), broker(file).await);
    findings.insert("checkpoint store".to_owned(), checkpoint(file).await);
    for name in file.destinations.keys() {
        findings.insert(format!("destination {name}"), destination(file, name).await);
    }
    for name in file.sources.keys() {
        findings.insert(format!("source {name}"), source(file, name).await);
    }
    let text = if args.json {
        as_json(&findings)
    } else {
        as_text(&findings)
    };
    match Failures::gather(findings.into_values().filter_map(Result::err).collect()) {
        None => Ok(Some(text)),
        Some(failures) => {
            crate::print_line(text.trim_end());
            Err(failures)
        }
    }
}

async fn broker(file: &SettingsFile) -> Result<Vec<String>> {
    RabbitmqQueue::check_topology(&ports::broker_settings(file, "sqlextract doctor")?).await
}

async fn checkpoint(file: &SettingsFile) -> Result<Vec<String>> {
    let store = RedisCheckpoint::open(ports::checkpoint_settings(file)?).await?;
    let facts = store.examine().await?;
    if facts.clock_ahead_ms.abs() > CLOCK_TOLERANCE_MS {
        let text = format!(
            "the clocks of {} and of this host are {} ms apart",
            facts.location, facts.clock_ahead_ms
        );
        return Err(Failure::new(Code::PreflightFailed, text).remedy("Let both take their time from the same servers."));
    }
    Ok(vec![
        format!(
            "Redis {} at {}, answers in {:?}",
            facts.version, facts.location, facts.round_trip
        ),
        format!(
            "policy {}, {} of {} bytes used, clock {} ms ahead",
            facts.policy, facts.used_memory_bytes, facts.maxmemory_bytes, facts.clock_ahead_ms
        ),
    ])
}

/// Opening a store probes its create-only writes.
async fn destination(file: &SettingsFile, name: &str) -> Result<Vec<String>> {
    let choice = choose_destination(file, Some(name), false, false)?;
    let storage = ports::open_storage(&choice, UploadMemory::SMALL).await?;
    let open = sqlextract_storage::JobRecords::open_jobs(storage.as_ref()).await?;
    Ok(vec![format!(
        "{} takes create-only writes; {} jobs are open",
        storage.location(),
        open.len()
    )])
}

async fn source(file: &SettingsFile, name: &str) -> Result<Vec<String>> {
    let choice = choose_source(file, Some(name), false, |key| std::env::var(key).ok())?;
    let source = ports::open_source(&choice, 2).await?;
    let facts = source.inspect(&[Selection::Schema(None)]).await?;
    let mut told = vec![format!(
        "{} {}, {} tables",
        facts.identity.dialect,
        facts.identity.version,
        facts.tables.len()
    )];
    told.extend(
        facts
            .free_connections
            .map(|free| format!("{free} connections are free")),
    );
    told.extend(facts.pooler.map(|pooler| format!("{pooler} is in between")));
    if file.sources[name].tables.is_empty() {
        told.push("no table of it is allowed to requests: set `tables`".to_owned());
    }
    Ok(told)
}

fn as_text(findings: &Findings) -> String {
    let mut text = String::new();
    for (part, found) in findings {
        match found {
            Ok(sentences) => {
                let _ = writeln!(text, "ok       {part}");
                sentences.iter().for_each(|sentence| {
                    let _ = writeln!(text, "           {sentence}");
                });
            }
            Err(failure) => drop(writeln!(text, "problem  {part}: {failure} [{}]", failure.code)),
        }
    }
    text
}

fn as_json(findings: &Findings) -> String {
    let parts = findings.iter().map(|(part, found)| match found {
        Ok(sentences) => json!({"part": part, "ok": true, "found": sentences}),
        Err(failure) => json!({"part": part, "ok": false, "failure": failure}),
    });
    json!({"parts": parts.collect::<Vec<_>>()}).to_string()
}
