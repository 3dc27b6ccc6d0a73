//! `doctor`: each part that the services stand on, asked and told in a sentence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use sqlextract_checkpoint::RedisCheckpoint;
use sqlextract_model::{Code, Failure, Result, Selection};
use sqlextract_planner::TablePattern;
use sqlextract_queue::RabbitmqQueue;
use sqlextract_storage::{Expiring, Lifecycle};

use crate::allowed;
use crate::ports::{self, UploadMemory};
use crate::report::Failures;
use crate::schedule;
use crate::service_args::DoctorArgs;
use crate::settings::{SettingsFile, choose_destination, choose_source};
use crate::tuning::rate_limit;

/// Clocks that are further apart make stores refuse signatures and people misread logs.
const CLOCK_TOLERANCE_MS: i64 = 5_000;
/// Chunks that go earlier may go before they are loaded.
const SHORTEST_LIFE_DAYS: i32 = 7;

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
    let mut told = vec![format!(
        "{} takes create-only writes; {} jobs are open",
        storage.location(),
        open.len()
    )];
    if let Some(facts) = ports::examine_bucket(&choice).await? {
        told.push("uploads in parts are completed and aborted".to_owned());
        told.extend(lifecycle(&facts.lifecycle, storage.location())?);
    }
    Ok(told)
}

/// What the rules of a bucket mean for jobs: a problem where chunks go before anybody may have loaded them.
fn lifecycle(lifecycle: &Lifecycle, location: &str) -> Result<Vec<String>> {
    let (uploads, expiring) = match lifecycle {
        Lifecycle::Known {
            uploads_end_after_days,
            expiring,
        } => (uploads_end_after_days, expiring),
        Lifecycle::Unknown(why) => return Ok(vec![format!("warning: lifecycle rules are not known: {why}")]),
    };
    let mut told = vec![match uploads {
        Some(days) => format!("uploads that nobody completes are ended after {days} days"),
        None => "warning: no lifecycle rule ends uploads that nobody completes; parts of a process that died stay, \
                 and cost: add one with AbortIncompleteMultipartUpload"
            .to_owned(),
    }];
    for Expiring { rule, after_days } in expiring {
        let when = after_days.map_or_else(|| "at a date".to_owned(), |days| format!("after {days} days"));
        let text = format!("lifecycle rule `{rule}` removes objects below {location} {when}");
        if after_days.is_none_or(|days| days < SHORTEST_LIFE_DAYS) {
            return Err(Failure::new(Code::PreflightFailed, text).remedy(format!(
                "Leave the prefix out of the rule, or keep objects for {SHORTEST_LIFE_DAYS} days at the least: a job whose \
                 chunks or records go is lost."
            )));
        }
        told.push(format!("warning: {text}: load them before"));
    }
    Ok(told)
}

/// Inspecting a table finds out whether it is there and may be read. Only what requests may ask for is looked at.
async fn source(file: &SettingsFile, name: &str) -> Result<Vec<String>> {
    let choice = choose_source(file, Some(name), false, |key| std::env::var(key).ok())?;
    let entry = &file.sources[name];
    let schedule = schedule::of(name, file, rate_limit(entry.rate_limit.as_deref())?)?;
    let source = ports::open_source(&choice, 2).await?;
    let mut told = Vec::new();
    let patterns = allowed::patterns(name, &entry.tables)?;
    let all = match patterns.is_empty() {
        true => vec![Selection::Schema(None)],
        false => patterns.iter().map(TablePattern::selection).collect(),
    };
    for selection in &all {
        let facts = source.inspect(std::slice::from_ref(selection)).await?;
        if told.is_empty() {
            told.push(format!("{} {}", facts.identity.dialect, facts.identity.version));
            let free = facts.free_connections;
            told.extend(free.map(|free| format!("{free} connections are free")));
            told.extend(facts.pooler.map(|pooler| format!("{pooler} is in between")));
        }
        if !patterns.is_empty() {
            let (tables, what) = (facts.tables.len(), shown(selection));
            told.push(format!("{tables} tables of {what} may be asked for, and can be read"));
        }
    }
    if patterns.is_empty() {
        told.push("warning: no table of it is allowed to requests: set `tables`".to_owned());
    }
    told.push(format!(
        "limits in force: {}",
        schedule.at(chrono::Utc::now().timestamp())
    ));
    Ok(told)
}

fn shown(selection: &Selection) -> String {
    match selection {
        Selection::Schema(None) => "*".to_owned(),
        Selection::Schema(Some(schema)) => format!("{schema}.*"),
        Selection::Table { schema, name } => match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.clone(),
        },
        Selection::Query { name, .. } => name.clone(),
    }
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
