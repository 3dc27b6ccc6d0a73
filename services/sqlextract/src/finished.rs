//! A finished extraction, found by its manifest, its name, or as the latest of its output.

use std::sync::Arc;

use sqlextract_model::{Code, Failure, JobId, Manifest, ManifestEntry, Outcome, Result};
use sqlextract_storage::{JobRecords, Storage};

use crate::args::JobArgs;
use crate::ports::{self, UploadMemory};
use crate::settings::{SettingsFile, choose_destination};

#[derive(Debug)]
pub(crate) struct FinishedJob {
    pub(crate) records: JobRecords,
    pub(crate) manifest: Manifest,
    pub(crate) location: String,
}

impl FinishedJob {
    pub(crate) async fn open(args: &JobArgs, file: &SettingsFile) -> Result<Self> {
        let (output, job) = match &args.manifest {
            Some(manifest) => split_manifest(manifest)?,
            None => (args.place.output.clone(), args.job.clone()),
        };
        let place = &args.place;
        let destination = choose_destination(file, output.as_deref(), place.allow_plaintext, true)?;
        let storage: Arc<dyn Storage> = ports::open_storage(&destination, UploadMemory::SMALL).await?;
        let job = match job {
            Some(text) => JobId::new(&*text)
                .ok_or_else(|| Failure::new(Code::UsageInvalid, format!("`{text}` is no job name")))?,
            None => JobRecords::latest(storage.as_ref())
                .await?
                .ok_or_else(|| nothing_there(storage.location()))?,
        };
        let location = storage.location().to_owned();
        let records = JobRecords::new(storage, job);
        let Some(stored) = records.manifest().await? else {
            let text = format!(
                "job {} in {location} has no manifest: it is not finished, or not there",
                records.job()
            );
            return Err(Failure::new(Code::StorageMissing, text).remedy(
                "Run its `extract` command until it completes; `--job` and `--output` say which job is meant.",
            ));
        };
        let manifest = stored.record;
        if manifest.version != 1 {
            let text = format!(
                "the manifest of {} has version {}, and this program reads 1",
                manifest.job, manifest.version
            );
            return Err(Failure::new(Code::ManifestUnreadable, text));
        }
        if manifest.outcome != Outcome::Completed {
            return Err(Failure::new(
                Code::UsageInvalid,
                format!("job {} was not completed", manifest.job),
            ));
        }
        Ok(Self {
            records,
            manifest,
            location,
        })
    }

    /// The entries of one page.
    pub(crate) async fn page(&self, number: u32) -> Result<Vec<ManifestEntry>> {
        self.records.manifest_page(&self.manifest, number).await
    }
}

fn nothing_there(location: &str) -> Failure {
    Failure::new(Code::StorageMissing, format!("no finished job is in {location}"))
        .remedy("Say where it is with `--output`, `--job` or `--manifest`.")
}

/// `…/OUTPUT/JOB/manifest.json` as output and job.
fn split_manifest(path: &str) -> Result<(Option<String>, Option<String>)> {
    let bad = || {
        Failure::new(Code::UsageInvalid, format!("`{path}` is no manifest"))
            .remedy("Give the path or s3:// address of a job's manifest.json.")
    };
    let folder = path
        .strip_suffix("manifest.json")
        .ok_or_else(bad)?
        .trim_end_matches('/');
    match folder.rsplit_once('/') {
        Some((output, job)) if !job.is_empty() => Ok((
            Some(if output.is_empty() { "/" } else { output }.to_owned()),
            Some(job.to_owned()),
        )),
        None if !folder.is_empty() => Ok((Some(".".to_owned()), Some(folder.to_owned()))),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_a_job_in_an_output() {
        let split = |path| {
            split_manifest(path)
                .map(|(o, j)| (o.unwrap_or_default(), j.unwrap_or_default()))
                .ok()
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(split("/out/j1/manifest.json"), pair("/out", "j1"));
        assert_eq!(split("s3://b/p/j1/manifest.json"), pair("s3://b/p", "j1"));
        assert_eq!(split("j1/manifest.json"), pair(".", "j1"));
        assert_eq!(split("/out/j1"), None);
    }
}
