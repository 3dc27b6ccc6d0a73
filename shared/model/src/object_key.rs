//! Object keys: spelled here and nowhere else.

use std::fmt;

use crate::{
    AttemptId, BatchIndex, Digest, Epoch, Generation, JobId, PartPath, PlanId, Platform, ScriptLanguage, TableSegment,
};

/// An object of a job, relative to the destination's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// The pointer to the job that was finished last, at the destination's root.
    Latest,
    /// The marker of a job that is not finished and told of in every respect.
    OpenJob {
        job: JobId,
    },
    /// The record of a request's id, by the hash of sender and id.
    RequestId {
        sender: Digest,
    },
    Request {
        job: JobId,
    },
    Epoch {
        job: JobId,
        epoch: Epoch,
    },
    PlanHead {
        job: JobId,
        table: TableSegment,
        generation: Generation,
    },
    PlanPage {
        job: JobId,
        plan: PlanId,
        page: u32,
    },
    Chunk {
        job: JobId,
        table: TableSegment,
        generation: Generation,
        batch: BatchIndex,
        attempt: AttemptId,
        part: u32,
        extension: &'static str,
    },
    Commit {
        job: JobId,
        table: TableSegment,
        generation: Generation,
        batch: BatchIndex,
    },
    /// What became of a part of a batch that was too long.
    Part {
        job: JobId,
        table: TableSegment,
        generation: Generation,
        batch: BatchIndex,
        part: PartPath,
    },
    Manifest {
        job: JobId,
    },
    ManifestPage {
        job: JobId,
        page: u32,
    },
    Cancel {
        job: JobId,
    },
    Script {
        job: JobId,
        platform: Platform,
        language: ScriptLanguage,
    },
}

const EXTENSIONS: [&str; 4] = ["parquet", "csv", "csv.gz", "csv.zst"];

/// Below this is what belongs to no single job. It begins as no derived job name does.
const OWN_PREFIX: &str = "_sqlextract/";

impl ObjectKey {
    /// The markers of all jobs that are not finished.
    pub const OPEN_JOBS: &str = "_sqlextract/open/";

    /// Everything of a job: `<job>/`.
    pub fn job_prefix(job: &JobId) -> String {
        format!("{job}/")
    }

    /// `<job>/data/<table>/g0001/`.
    pub fn data_prefix(job: &JobId, table: &TableSegment, generation: Generation) -> String {
        format!("{job}/data/{table}/{generation}/")
    }

    /// `<job>/commits/<table>/g0001/`.
    pub fn commits_prefix(job: &JobId, table: &TableSegment, generation: Generation) -> String {
        format!("{job}/commits/{table}/{generation}/")
    }

    /// `<job>/epochs/`.
    pub fn epochs_prefix(job: &JobId) -> String {
        format!("{job}/epochs/")
    }

    /// `<job>/plan/`: heads and pages of every plan.
    pub fn plans_prefix(job: &JobId) -> String {
        format!("{job}/plan/")
    }

    /// `<job>/plan/<table>/`: the heads of all generations.
    pub fn plan_heads_prefix(job: &JobId, table: &TableSegment) -> String {
        format!("{job}/plan/{table}/")
    }

    /// The key below its job's prefix, as manifests write it.
    pub fn relative(&self) -> String {
        let full = self.to_string();
        full.split_once('/').map(|(_, rest)| rest.to_owned()).unwrap_or(full)
    }

    /// Reads a key back; `None` for anything that this project does not write.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "latest.json" {
            return Some(Self::Latest);
        }
        if let Some(own) = text.strip_prefix(OWN_PREFIX) {
            return parse_own(own);
        }
        let (job, rest) = text.split_once('/')?;
        let job = JobId::new(job)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let key = match parts.as_slice() {
            ["request.json"] => Self::Request { job },
            ["manifest.json"] => Self::Manifest { job },
            ["cancel.json"] => Self::Cancel { job },
            ["epochs", epoch] => Self::Epoch {
                job,
                epoch: Epoch(numbered(epoch, "e", ".json")?),
            },
            ["manifest", page] => Self::ManifestPage {
                job,
                page: numbered(page, "page-", ".jsonl")?,
            },
            ["ingest", script] => {
                let (platform, language) = script.split_once('.')?;
                Self::Script {
                    job,
                    platform: platform.parse().ok()?,
                    language: language.parse().ok()?,
                }
            }
            ["plan", table, head] if head.ends_with(".json") => Self::PlanHead {
                job,
                table: TableSegment::parse(table)?,
                generation: generation(head.strip_suffix(".json")?)?,
            },
            ["plan", plan, page] => Self::PlanPage {
                job,
                plan: PlanId::parse(plan)?,
                page: numbered(page, "page-", ".jsonl")?,
            },
            ["commits", table, of, batch] => Self::Commit {
                job,
                table: TableSegment::parse(table)?,
                generation: generation(of)?,
                batch: BatchIndex(numbered(batch, "batch-", ".json")?),
            },
            ["parts", table, of, batch, part] => Self::Part {
                job,
                table: TableSegment::parse(table)?,
                generation: generation(of)?,
                batch: BatchIndex(numbered(batch, "batch-", "")?),
                part: PartPath::parse(part.strip_suffix(".json")?)?,
            },
            ["data", table, of, chunk] => parse_chunk(job, table, of, chunk)?,
            _ => return None,
        };
        // What does not read back as itself (`batch-+1`, leading zeros dropped) was not written by us.
        (key.to_string() == text).then_some(key)
    }
}

fn parse_own(text: &str) -> Option<ObjectKey> {
    let (kind, name) = text.strip_suffix(".json")?.split_once('/')?;
    match kind {
        "open" => JobId::new(name).map(|job| ObjectKey::OpenJob { job }),
        "requests" => {
            let sender = Digest::parse(name).filter(|digest| digest.to_string() == name)?;
            Some(ObjectKey::RequestId { sender })
        }
        _ => None,
    }
}

fn parse_chunk(job: JobId, table: &str, of: &str, chunk: &str) -> Option<ObjectKey> {
    let (stem, extension) = chunk.split_once('.')?;
    let extension = EXTENSIONS.into_iter().find(|e| *e == extension)?;
    let mut parts = stem.strip_prefix("batch-")?.split('-');
    let (batch, attempt, part) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(ObjectKey::Chunk {
        job,
        table: TableSegment::parse(table)?,
        generation: generation(of)?,
        batch: BatchIndex(batch.parse().ok()?),
        attempt: AttemptId::parse(attempt)?,
        part: part.parse().ok()?,
        extension,
    })
}

fn generation(text: &str) -> Option<Generation> {
    text.strip_prefix('g')?.parse().ok().map(Generation)
}

fn numbered<N: std::str::FromStr>(text: &str, prefix: &str, suffix: &str) -> Option<N> {
    text.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok()
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest.json"),
            Self::OpenJob { job } => write!(f, "{OWN_PREFIX}open/{job}.json"),
            Self::RequestId { sender } => write!(f, "{OWN_PREFIX}requests/{sender}.json"),
            Self::Request { job } => write!(f, "{job}/request.json"),
            Self::Epoch { job, epoch } => write!(f, "{job}/epochs/e{:04}.json", epoch.0),
            Self::PlanHead { job, table, generation } => write!(f, "{job}/plan/{table}/{generation}.json"),
            Self::PlanPage { job, plan, page } => write!(f, "{job}/plan/{plan}/page-{page:05}.jsonl"),
            Self::Chunk {
                job,
                table,
                generation,
                batch,
                attempt,
                part,
                extension,
            } => {
                write!(
                    f,
                    "{job}/data/{table}/{generation}/batch-{batch}-{attempt}-{part:02}.{extension}"
                )
            }
            Self::Commit {
                job,
                table,
                generation,
                batch,
            } => {
                write!(f, "{job}/commits/{table}/{generation}/batch-{batch}.json")
            }
            Self::Part {
                job,
                table,
                generation,
                batch,
                part,
            } => {
                write!(f, "{job}/parts/{table}/{generation}/batch-{batch}/{part}.json")
            }
            Self::Manifest { job } => write!(f, "{job}/manifest.json"),
            Self::ManifestPage { job, page } => write!(f, "{job}/manifest/page-{page:05}.jsonl"),
            Self::Cancel { job } => write!(f, "{job}/cancel.json"),
            Self::Script {
                job,
                platform,
                language,
            } => write!(f, "{job}/ingest/{platform}.{language}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableName, segments};

    fn keys() -> Vec<ObjectKey> {
        let job = JobId::new("users-0123abcd-r2").unwrap();
        let table = segments(&[TableName::new("public", "We ird/..")]).remove(0);
        let generation = Generation(12);
        let batch = BatchIndex(123_456_789);
        let attempt = AttemptId(0xfeed);
        vec![
            ObjectKey::Latest,
            ObjectKey::OpenJob { job: job.clone() },
            ObjectKey::RequestId {
                sender: Digest::of(b"x"),
            },
            ObjectKey::Request { job: job.clone() },
            ObjectKey::Epoch {
                job: job.clone(),
                epoch: Epoch(3),
            },
            ObjectKey::PlanHead {
                job: job.clone(),
                table: table.clone(),
                generation,
            },
            ObjectKey::PlanPage {
                job: job.clone(),
                plan: PlanId(7),
                page: 3,
            },
            ObjectKey::Chunk {
                job: job.clone(),
                table: table.clone(),
                generation,
                batch,
                attempt,
                part: 101,
                extension: "csv.gz",
            },
            ObjectKey::Commit {
                job: job.clone(),
                table: table.clone(),
                generation,
                batch,
            },
            ObjectKey::Part {
                job: job.clone(),
                table: table.clone(),
                generation,
                batch,
                part: PartPath::whole(),
            },
            ObjectKey::Part {
                job: job.clone(),
                table,
                generation,
                batch,
                part: PartPath::parse("011").unwrap(),
            },
            ObjectKey::Manifest { job: job.clone() },
            ObjectKey::ManifestPage {
                job: job.clone(),
                page: 0,
            },
            ObjectKey::Cancel { job: job.clone() },
            ObjectKey::Script {
                job,
                platform: Platform::Snowflake,
                language: ScriptLanguage::Sql,
            },
        ]
    }

    #[test]
    fn keys_read_back_as_themselves() {
        for key in keys() {
            assert_eq!(ObjectKey::parse(&key.to_string()).as_ref(), Some(&key), "{key}");
        }
    }

    #[test]
    fn foreign_names_are_no_keys() {
        let foreign = [
            "",
            "a",
            "j/data/t/g0001/x.parquet",
            "j/../manifest.json",
            "j/data/t/g1/batch-1-0-0.csv",
            "j/manifest.json/x",
        ];
        for text in foreign {
            assert_eq!(ObjectKey::parse(text), None, "{text}");
        }
    }
}
