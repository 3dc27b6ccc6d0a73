//! BigQuery: `LOAD DATA` of explicit URIs into a staging table with declared columns, and one transaction that publishes it.
//!
//! BigQuery's own script statements guard every step by the ledger, so that a second run loads nothing at all, and each
//! guarded step stands on its own where a script is too long for one message.

mod columns;
mod statements;

use sqlextract_model::{Compression, FileFormat, Format, Platform};

use crate::finding::Finding;
use crate::groups::StatementLimits;
use crate::plan::{Asked, Dialect, Plan, Remarks};
use crate::quote::bigquery::{column_problem, dataset_problem, table_problem};
use crate::script::Parts;

pub(crate) struct Bigquery;

/// Most bytes of a gzip CSV file.
const GZIP_BYTES: u64 = 4_000_000_000;

impl Dialect for Bigquery {
    fn platform(&self) -> Platform {
        Platform::Bigquery
    }

    fn title(&self) -> &'static str {
        "BigQuery"
    }

    fn default_schema(&self) -> &'static str {
        "sqlextract"
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn most_columns(&self) -> usize {
        10_000
    }

    /// 10,000 URIs a job; the text of a statement stays far below a message's million bytes.
    fn limits(&self) -> StatementLimits {
        StatementLimits {
            files: 10_000,
            name_bytes: 300_000,
        }
    }

    fn script_bytes(&self) -> Option<usize> {
        Some(900_000)
    }

    fn longest_table_name(&self) -> usize {
        1000
    }

    fn schema_problem(&self, name: &str) -> Option<&'static str> {
        dataset_problem(name)
    }

    fn table_problem(&self, name: &str) -> Option<&'static str> {
        table_problem(name)
    }

    fn column_problem(&self, name: &str) -> Option<&'static str> {
        column_problem(name)
    }

    fn column_type(&self, asked: &Asked<'_>) -> Result<String, Finding> {
        columns::column_type(asked)
    }

    fn format_problem(&self, format: FileFormat) -> Option<Finding> {
        let unread = format.format == Format::Csv && format.compression == Compression::Zstd;
        unread.then(|| {
            Finding::value(
                "BigQuery does not read CSV with zstd",
                "Extract with `--compression gzip` or `none`, or as Parquet.",
            )
        })
    }

    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String> {
        vec![
            "Run it in the console, or with the command line:".to_owned(),
            String::new(),
            "  bq query --use_legacy_sql=false < FILE".to_owned(),
            String::new(),
            "The datasets must exist, in the location of the bucket. Each table is loaded beside its target, counted, and"
                .to_owned(),
            format!(
                "published in one transaction. A second run finds the job in {} and changes nothing.",
                crate::names::LEDGER
            ),
        ]
        .into_iter()
        .chain(plan.load.local_folder.iter().filter(|_| plan.options.url.is_none()).flat_map(|folder| {
            [
                String::new(),
                "The files are on this machine; BigQuery reads buckets. Copy them first:".to_owned(),
                String::new(),
                format!(
                    "  gcloud storage cp --recursive {} gs://<BUCKET>/<PREFIX>/",
                    crate::quote::comment_text(folder)
                ),
            ]
        }))
        .collect()
    }

    fn remarks(&self, plan: &Plan<'_>) -> Remarks {
        let mut remarks = Remarks::default();
        let root = statements::root(plan);
        if root.starts_with("gs://<") {
            remarks.fill_in.push((
                "gs://<BUCKET>/<PREFIX>".to_owned(),
                format!("where the folder {} is copied to (`url`)", plan.job()),
            ));
        }
        if !root.starts_with("gs://") {
            if plan.options.connection.is_none() {
                remarks.fill_in.push((
                    "<PROJECT.REGION.CONNECTION>".to_owned(),
                    "a BigQuery connection that may read the bucket (`connection`)".to_owned(),
                ));
            }
            remarks.notes.push(format!(
                "{} is read across clouds, where BigQuery Omni has its region; elsewhere copy the files to gs:// and set `url`.",
                root.split_once("://").map_or(root.as_str(), |(scheme, _)| scheme)
            ));
        }
        let no_schema = plan.load.manifest.source.dialect == sqlextract_model::Dialect::Sqlite;
        if plan.options.schema.is_none() && no_schema {
            remarks
                .notes
                .push("The source has no schemas: the dataset is `sqlextract` unless `schema` names one.".to_owned());
        }
        let format = plan.format();
        if (format.format, format.compression) == (Format::Csv, Compression::Gzip) {
            let chunks = plan.tables.iter().flat_map(|t| t.chunks);
            let large = chunks.filter(|c| c.record.bytes > GZIP_BYTES).count();
            if large > 0 {
                remarks.notes.push(format!(
                    "{large} files are over 4 GB, the most that BigQuery reads of a gzip file: extract with a smaller `--chunk-size`."
                ));
            }
        }
        remarks
    }

    fn parts(&self, plan: &Plan<'_>) -> Parts {
        Parts {
            opening: String::new(),
            tables: plan
                .tables
                .iter()
                .map(|table| statements::table_parts(plan, table))
                .collect(),
            closing: String::new(),
        }
    }
}
