//! SQL Server: BULK INSERT of one CSV file a statement, or OPENROWSET over a data source, into a staging table; then one
//! transaction that publishes it.
//!
//! Batches end with GO, each guarded by the ledger, so that a second run loads nothing. With sessions, every file has a row
//! in a ledger of chunks that commits with its rows.

mod columns;
mod statements;

use sqlextract_model::{ChunkType, Compression, FileFormat, Format, Platform};

use crate::finding::Finding;
use crate::groups::StatementLimits;
use crate::plan::{Asked, Dialect, Plan, Remarks};
use crate::quote::comment_text;
use crate::quote::mssql::{identifier, name_problem};
use crate::script::Parts;

pub(crate) struct Mssql;

/// Longest address of a file in S3 that PolyBase takes.
const S3_URL_CHARACTERS: usize = 259;

/// How SQL Server reaches the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// BULK INSERT from a folder that the server sees.
    Folder,
    /// BULK INSERT from Azure through a data source of type BLOB_STORAGE.
    Blob,
    /// OPENROWSET through a data source of PolyBase.
    Polybase,
}

fn reading(plan: &Plan<'_>) -> Reading {
    let root = plan.root();
    match plan.format().format {
        Format::Csv if !root.contains("://") => Reading::Folder,
        Format::Csv if root.starts_with("https://") => Reading::Blob,
        _ => Reading::Polybase,
    }
}

impl Dialect for Mssql {
    fn platform(&self) -> Platform {
        Platform::Mssql
    }

    fn title(&self) -> &'static str {
        "SQL Server"
    }

    fn default_schema(&self) -> &'static str {
        "dbo"
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn most_columns(&self) -> usize {
        1024
    }

    /// One file a statement: BULK INSERT takes no more, and so every file's rows are counted.
    fn limits(&self) -> StatementLimits {
        crate::plan::ONE_FILE
    }

    fn longest_table_name(&self) -> usize {
        128
    }

    fn schema_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
    }

    fn table_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
    }

    fn column_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
    }

    fn column_type(&self, asked: &Asked<'_>) -> Result<String, Finding> {
        columns::column_type(asked)
    }

    fn has_sessions(&self) -> bool {
        true
    }

    fn format_problem(&self, format: FileFormat) -> Option<Finding> {
        let (what, remedy) = match (format.format, format.compression) {
            (Format::Csv, Compression::None) => return None,
            (Format::Csv, _) => (
                "SQL Server reads no compressed CSV",
                "Extract with `--compression none`, or as Parquet.",
            ),
            (Format::Parquet, Compression::Lz4) => (
                "SQL Server is not known to read Parquet with lz4",
                "Extract with `--compression snappy`.",
            ),
            (Format::Parquet, _) => return None,
        };
        Some(Finding::value(what, remedy))
    }

    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String> {
        let mut lines = if plan.sessions > 1 {
            vec![
                "Run it with bash, where sqlcmd is; sqlcmd's own variables say which server:".to_owned(),
                String::new(),
                "  SQLCMDSERVER=… SQLCMDUSER=… SQLCMDPASSWORD=… bash FILE".to_owned(),
                String::new(),
                "Sessions load chunk by chunk and try again what may pass; only then one transaction publishes. A second run"
                    .to_owned(),
                "loads only what is missing, or says that there is nothing to do.".to_owned(),
            ]
        } else {
            vec![
                "Run it so that it stops at the first error and replaces nothing:".to_owned(),
                String::new(),
                "  sqlcmd -b -x -i FILE".to_owned(),
                String::new(),
                "Each table is loaded beside its target, counted, and published in one transaction. A second run changes"
                    .to_owned(),
                "nothing.".to_owned(),
            ]
        };
        if reading(plan) == Reading::Polybase {
            lines.push(
                "It needs SQL Server 2022 or newer with PolyBase installed and enabled, or Azure SQL Managed Instance."
                    .to_owned(),
            );
        }
        lines
    }

    fn remarks(&self, plan: &Plan<'_>) -> Remarks {
        let mut remarks = Remarks::default();
        let reading = reading(plan);
        if reading != Reading::Folder && plan.options.data_source.is_none() {
            let kind = match reading {
                Reading::Blob => "an external data source of type BLOB_STORAGE",
                _ => "an external data source",
            };
            let place = match plan.root().contains("://") {
                true => plan.root().to_owned(),
                false => format!("a bucket or container to which the folder {} is copied", plan.job()),
            };
            remarks.fill_in.push((
                "<DATA_SOURCE>".to_owned(),
                format!("{kind} whose location is {place} (`data_source`)"),
            ));
        }
        if plan.options.database.is_none() {
            remarks
                .notes
                .push("No `database` is set: it loads into the session's.".to_owned());
        }
        if reading == Reading::Folder {
            remarks.notes.push(format!(
                "The server itself reads {}: the folder must be one that it sees. On Linux servers replace CODEPAGE = '65001' by 'RAW'.",
                comment_text(plan.root())
            ));
        }
        if plan.format().format == Format::Csv && has_empty_texts(plan) {
            remarks.notes.push(
                "How SQL Server reads a quoted empty text (\"\") is not documented: where NULL and the empty text must differ, extract as Parquet.".to_owned(),
            );
        }
        if plan.format().compression == Compression::Zstd {
            remarks
                .notes
                .push("That SQL Server reads zstd in Parquet is not documented: snappy is.".to_owned());
        }
        if plan.skips_bad_rows() && reading == Reading::Polybase {
            remarks
                .notes
                .push("OPENROWSET skips no rows: one that cannot be read stops the load.".to_owned());
        }
        let too_long =
            |path: &str| plan.root().starts_with("s3://") && plan.root().len() + path.len() > S3_URL_CHARACTERS;
        if plan
            .tables
            .iter()
            .flat_map(|t| t.chunks)
            .any(|c| too_long(&plan.path(c)))
        {
            remarks.notes.push(format!(
                "Some addresses are longer than the {S3_URL_CHARACTERS} characters that SQL Server takes: extract to a shorter prefix."
            ));
        }
        remarks
    }

    fn parts(&self, plan: &Plan<'_>) -> Parts {
        let mut opening = String::from("SET NOCOUNT ON;\nSET XACT_ABORT ON;\nSET QUOTED_IDENTIFIER ON;\nGO\n");
        if let Some(database) = &plan.options.database {
            opening.push_str(&format!("USE {};\nGO\n", identifier(database)));
        }
        Parts {
            opening,
            tables: plan
                .tables
                .iter()
                .map(|table| statements::table_parts(plan, table))
                .collect(),
            closing: String::new(),
        }
    }
}

/// Whether a text can be NULL, so that it could be taken for an empty one.
fn has_empty_texts(plan: &Plan<'_>) -> bool {
    let columns = plan.tables.iter().flat_map(|t| &t.columns);
    let mut texts = columns.filter(|c| matches!(c.chunk(), ChunkType::Text));
    texts.any(|c| !c.facts.has_no_value())
}
