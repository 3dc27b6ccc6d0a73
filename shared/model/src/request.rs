//! A request, and the job that it becomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Condition, Digest, Epoch, FileFormat, JobId, JobLimits, Platform, Sender, SnapshotEvidence, SourceCounters,
    SourceIdentity, TableName, TableSegment,
};

/// An extraction as it was asked for.
///
/// The job's identity is made of source, destination, tables, format and consistency; how fast it runs and which
/// scripts are wanted is not part of it, so that a resume may change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionRequest {
    pub version: u32,
    /// The source's name in the settings, or its address without credentials; never a URL with a password.
    pub source: String,
    /// The destination's name in the settings, or its location.
    pub destination: String,
    pub tables: Vec<RequestedTable>,
    pub format: FileFormat,
    /// `None` takes the best level that the source offers.
    pub consistency: Option<Consistency>,
    pub on_lossy: OnLossy,
    /// Target size of a chunk as stored.
    pub chunk_bytes: u64,
    pub on_snapshot_lost: OnSnapshotLost,
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Rows of a batch; `None` lets planning choose.
    #[serde(default)]
    pub batch_rows: Option<u64>,
    /// A name given by the user, instead of the derived one.
    #[serde(default)]
    pub name: Option<JobId>,
    /// 1, and one more for every restart.
    #[serde(default = "first_run")]
    pub run: u32,
    /// Who sent it as a message; `None` for a command of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What a request that came as a message brings along. Each sender's id is a job of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub sender: Sender,
    #[serde(default)]
    pub limits: JobLimits,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn first_run() -> u32 {
    1
}

/// A selection of tables with what is wanted of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedTable {
    pub selection: Selection,
    /// `None` takes all columns.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    #[serde(default)]
    pub exclude_columns: Vec<String>,
    /// A condition in the source's SQL.
    #[serde(default)]
    pub filter: Option<String>,
    /// The same as a typed tree: the only form that messages can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    #[serde(default)]
    pub overrides: Vec<ColumnOverride>,
}

/// What to look up in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// A table, in the default schema where none is given.
    Table { schema: Option<String>, name: String },
    /// Every table of a schema (`None`: of the default one).
    Schema(Option<String>),
    /// A query under a name of its own, with a unique column to split it by.
    Query {
        name: String,
        sql: String,
        key: Option<String>,
    },
}

impl ExtractionRequest {
    /// The hash that tells whether two requests ask for the same rows in the same form.
    pub fn identity(&self) -> Digest {
        crate::canonical_hash(&(
            &self.source,
            &self.destination,
            &self.tables,
            self.format,
            self.consistency,
            self.on_lossy,
        ))
    }

    /// The identity, and for a message who asked under which id: asking anew under another id is another job.
    fn digest(&self) -> Digest {
        match &self.origin {
            Some(origin) => crate::canonical_hash(&(self.identity(), &origin.sender)),
            None => self.identity(),
        }
    }

    /// The given name, or a slug of the first table and the identity's first digits; `-r2` and on after a restart.
    pub fn job_id(&self) -> JobId {
        let base = match &self.name {
            Some(name) => name.to_string(),
            None => format!("{}-{}", self.slug(), &self.digest().to_string()[..8]),
        };
        let text = if self.run > 1 {
            format!("{base}-r{}", self.run)
        } else {
            base
        };
        JobId::new(text).expect("a slug and digits are a valid id, and given names leave room for the run")
    }

    fn slug(&self) -> String {
        let name = match self.tables.first().map(|t| &t.selection) {
            Some(Selection::Table { name, .. } | Selection::Query { name, .. }) => name.as_str(),
            Some(Selection::Schema(Some(schema))) => schema.as_str(),
            _ => "all",
        };
        let mut slug: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(40)
            .collect::<String>()
            .to_lowercase();
        if slug.is_empty() {
            slug.push_str("job");
        }
        match self.tables.len() {
            0 | 1 => slug,
            n => format!("{slug}-and-{}", n - 1),
        }
    }
}

/// A job as it was accepted: the request with its tables looked up. Stored create-only before anything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    pub version: u32,
    pub job: JobId,
    pub request: ExtractionRequest,
    pub source: SourceIdentity,
    pub tables: Vec<JobTable>,
    /// RFC 3339, UTC.
    pub accepted_at: String,
}

/// A table, view or query of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTable {
    pub name: TableName,
    pub segment: TableSegment,
    pub relation: Relation,
    /// The position in the request's `tables` of the selection that found it.
    pub selected_by: usize,
}

/// The snapshot that an epoch of a job reads from. Create-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    pub epoch: Epoch,
    pub evidence: Option<SnapshotEvidence>,
    /// RFC 3339, UTC.
    pub opened_at: String,
    /// What the source's server had counted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<SourceCounters>,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Table(TableName),
    /// Free SQL, wrapped as a derived table, never rewritten.
    Query(String),
}

/// `--column-type T.C=TYPE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnOverride {
    pub column: String,
    pub target: OverrideType,
}

/// A type that a column can be given by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideType {
    Text,
    Boolean,
    Int16,
    Int32,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Time,
    Timestamp,
    TimestampUtc,
    Binary,
    Json,
    /// The type by the table, with NULL for values that have no counterpart.
    NullUnrepresentable,
}

/// Whether the rows of a job are of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    Snapshot,
    Batch,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnLossy {
    #[default]
    Fail,
    Text,
    Round,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnSnapshotLost {
    /// Go on where the database proves that nothing was changed, else plan the unfinished tables again.
    #[default]
    Auto,
    Replan,
    Continue,
    Fail,
}

/// A script that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    pub platform: Platform,
    /// The name of the target's table, where it is not the source's.
    #[serde(default)]
    pub table: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, Format, ParquetVersion};

    fn request() -> ExtractionRequest {
        ExtractionRequest {
            version: 1,
            source: "postgres://db:5432/shop".to_owned(),
            destination: "/tmp/out".to_owned(),
            tables: vec![RequestedTable {
                selection: Selection::Table {
                    schema: None,
                    name: "Users".to_owned(),
                },
                columns: None,
                exclude_columns: Vec::new(),
                filter: None,
                condition: None,
                overrides: Vec::new(),
            }],
            format: FileFormat {
                format: Format::Parquet,
                compression: Compression::Zstd,
                level: None,
                parquet_version: ParquetVersion::default(),
            },
            consistency: None,
            on_lossy: OnLossy::Fail,
            chunk_bytes: 128_000_000,
            on_snapshot_lost: OnSnapshotLost::Auto,
            targets: Vec::new(),
            batch_rows: None,
            name: None,
            run: 1,
            origin: None,
        }
    }

    #[test]
    fn another_id_of_the_same_sender_is_another_job() {
        let sent = |id: &str| {
            let sender = Sender {
                id: id.to_owned(),
                source: "/billing".to_owned(),
            };
            let origin = Origin {
                sender,
                limits: JobLimits::default(),
                labels: BTreeMap::new(),
            };
            ExtractionRequest {
                origin: Some(origin),
                ..request()
            }
        };
        assert_eq!(sent("1").job_id(), sent("1").job_id());
        assert_ne!(sent("1").job_id(), sent("2").job_id());
        assert_eq!(sent("1").identity(), sent("2").identity());
        assert_ne!(sent("1").job_id(), request().job_id());
    }

    #[test]
    fn pace_is_not_part_of_a_jobs_identity() {
        let mut faster = request();
        faster.batch_rows = Some(1000);
        faster.chunk_bytes = 1;
        assert_eq!(faster.job_id(), request().job_id());
        assert!(request().job_id().as_str().starts_with("users-"));
    }

    #[test]
    fn a_filter_or_a_restart_makes_another_job() {
        let mut filtered = request();
        filtered.tables[0].filter = Some("id > 1".to_owned());
        assert_ne!(filtered.job_id(), request().job_id());
        let restarted = ExtractionRequest { run: 2, ..request() };
        assert_eq!(restarted.job_id().as_str(), format!("{}-r2", request().job_id()));
    }

    #[test]
    fn separators_inside_values_never_make_two_requests_one() {
        let selecting = |columns: &[&str], filter: Option<&str>, tables: &[(Option<&str>, &str)]| {
            let owned = |text: &&str| (*text).to_owned();
            let one = request().tables.remove(0);
            let table = |(schema, name): &(Option<&str>, &str)| RequestedTable {
                selection: Selection::Table {
                    schema: schema.as_ref().map(owned),
                    name: (*name).to_owned(),
                },
                columns: Some(columns.iter().map(owned).collect()),
                filter: filter.as_ref().map(owned),
                ..one.clone()
            };
            ExtractionRequest {
                tables: tables.iter().map(table).collect(),
                ..request()
            }
            .identity()
        };
        let identities = [
            selecting(&["a", "b"], None, &[(None, "t")]),
            selecting(&["a,b"], None, &[(None, "t")]),
            selecting(&["a\",\"b"], None, &[(None, "t")]),
            selecting(&["a"], Some("b"), &[(None, "t")]),
            selecting(&["a"], Some("b"), &[(Some("s"), "t")]),
            selecting(&["a"], Some("b"), &[(None, "s.t")]),
            selecting(&["a"], Some("b"), &[(None, "s"), (None, "t")]),
            selecting(&["a"], Some("b\nt"), &[(None, "s")]),
            selecting(&["a", ""], Some("b"), &[(None, "t")]),
            selecting(&["", "a"], Some("b"), &[(None, "t")]),
        ];
        let distinct: std::collections::HashSet<_> = identities.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), identities.len());
    }
}
