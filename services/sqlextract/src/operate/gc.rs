//! `gc`: chunks of a finished job that its manifest does not name.

use std::collections::HashSet;
use std::fmt::Write as _;

use sqlextract_model::{Code, Failure, ObjectKey, Result};
use sqlextract_storage::JobRecords;

use super::job_id;
use crate::ports::{self, UploadMemory};
use crate::service_args::GcArgs;
use crate::settings::{SettingsFile, choose_destination};

pub(super) async fn run(args: &GcArgs, file: &SettingsFile) -> Result<String> {
    let job = job_id(&args.job)?;
    let destination = choose_destination(file, Some(&args.destination), false, false)?;
    let storage = ports::open_storage(&destination, UploadMemory::SMALL).await?;
    let records = JobRecords::new(storage, job.clone());
    let Some(manifest) = records.manifest().await?.map(|stored| stored.record) else {
        let text = format!("job {job} has no outcome: its chunks may still be wanted");
        return Err(Failure::new(Code::UsageInvalid, text).remedy("Wait for its outcome, or cancel it."));
    };
    let mut named = HashSet::new();
    for page in &manifest.pages {
        let entries = records.manifest_page(&manifest, page.number).await?;
        named.extend(
            entries
                .into_iter()
                .flat_map(|entry| entry.chunks)
                .map(|chunk| chunk.key),
        );
    }
    let mut text = String::new();
    let mut orphans = Vec::new();
    for object in records.chunks().await? {
        // What is no chunk of ours is nobody's to remove here.
        let Some(key @ ObjectKey::Chunk { .. }) = ObjectKey::parse(&object.key) else {
            let _ = writeln!(text, "foreign: {}", object.key);
            continue;
        };
        if !named.contains(&key.relative()) {
            let _ = writeln!(
                text,
                "{}: {}",
                if args.remove { "removed" } else { "unnamed" },
                object.key
            );
            orphans.push(key);
        }
    }
    if args.remove {
        records.delete_chunks(&orphans).await?;
    }
    let _ = writeln!(text, "{} chunks of job {job} are named by no manifest", orphans.len());
    Ok(text)
}
