//! Snowflake: a stage, a COPY of explicit files into a staging table, and one transaction that publishes it.
//!
//! Statements are plain SQL, so that every client runs them and every parser reads them. A check fails by turning a
//! sentence into a number, and the publication depends on the check by itself: a client that goes on after an error
//! publishes nothing. The ledger's row is written by MERGE, which locks, so that two runs at once load once.

mod columns;
mod statements;

use std::fmt::Write as _;

use sqlextract_model::{Compression, FileFormat, Format, Platform};

use crate::finding::Finding;
use crate::groups::StatementLimits;
use crate::names::{LEDGER, cased};
use crate::options::Case;
use crate::plan::{Asked, Dialect, Plan, Remarks};
use crate::quote::snowflake::{identifier, name_problem};
use crate::script::Parts;

pub(crate) struct Snowflake;

impl Dialect for Snowflake {
    fn platform(&self) -> Platform {
        Platform::Snowflake
    }

    fn title(&self) -> &'static str {
        "Snowflake"
    }

    fn default_schema(&self) -> &'static str {
        "PUBLIC"
    }

    /// What is not quoted is upper case: so tables can be asked for without quotes.
    fn default_case(&self) -> Case {
        Case::Upper
    }

    fn folds_case(&self) -> bool {
        false
    }

    fn most_columns(&self) -> usize {
        2000
    }

    fn limits(&self) -> StatementLimits {
        StatementLimits {
            files: 1000,
            name_bytes: 400_000,
        }
    }

    fn longest_table_name(&self) -> usize {
        255
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

    fn format_problem(&self, format: FileFormat) -> Option<Finding> {
        let unread = format.format == Format::Parquet && format.compression == Compression::Lz4;
        unread.then(|| {
            Finding::value(
                "Snowflake is not known to read Parquet with lz4",
                "Extract with `--compression snappy` or `zstd`.",
            )
        })
    }

    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String> {
        let mut lines = vec![
            "Run it with a client that stops at the first error:".to_owned(),
            String::new(),
            "  snow sql -f FILE        or  snowsql -o exit_on_error=true -f FILE".to_owned(),
            String::new(),
            "Each table is loaded beside its target, counted, and published in one transaction. A second run loads the"
                .to_owned(),
            format!(
                "staging table again, finds the job in {}, and changes nothing.",
                ledger_name(plan)
            ),
        ];
        if plan.load.local_folder.is_some() && plan.options.url.is_none() && plan.options.stage.is_none() {
            lines.push(
                "PUT sends the files from this machine: it is a command of the clients, not of worksheets.".into(),
            );
        }
        lines
    }

    fn remarks(&self, plan: &Plan<'_>) -> Remarks {
        let mut remarks = Remarks::default();
        let root = plan.root();
        if plan.options.stage.is_none() && is_bucket(root) && plan.options.storage_integration.is_none() {
            remarks.fill_in.push((
                "<STORAGE_INTEGRATION>".to_owned(),
                format!(
                    "the name of a storage integration that may read {root}/ (`storage_integration`), or set `stage`"
                ),
            ));
        }
        if plan.options.database.is_none() {
            remarks
                .notes
                .push("No `database` is set: it loads into the session's.".to_owned());
        }
        let files: usize = plan.tables.iter().map(|t| t.chunks.len()).sum();
        if files > 8 {
            remarks.notes.push(format!(
                "Snowflake loads files side by side, about 8 at once on an X-SMALL warehouse and twice as many per size: {files} files keep {} busy.",
                warehouse(files)
            ));
        }
        remarks
    }

    fn parts(&self, plan: &Plan<'_>) -> Parts {
        Parts {
            opening: opening(plan),
            tables: plan
                .tables
                .iter()
                .map(|table| statements::table_parts(plan, table))
                .collect(),
            closing: String::new(),
        }
    }
}

/// The largest warehouse that so many files keep busy.
fn warehouse(files: usize) -> &'static str {
    match files {
        ..=15 => "an X-SMALL",
        16..=31 => "a SMALL",
        32..=63 => "a MEDIUM",
        64..=127 => "a LARGE",
        _ => "an X-LARGE",
    }
}

fn is_bucket(root: &str) -> bool {
    root.contains("://")
}

fn qualified(plan: &Plan<'_>, schema: &str, name: &str) -> String {
    let database = plan.options.database.as_deref().map(identifier);
    let parts = database.into_iter().chain([identifier(schema), identifier(name)]);
    parts.collect::<Vec<_>>().join(".")
}

fn ledger_name(plan: &Plan<'_>) -> String {
    cased(LEDGER, plan.options, &Snowflake)
}

fn opening(plan: &Plan<'_>) -> String {
    let mut out = String::new();
    if let Some(warehouse) = &plan.options.warehouse {
        let _ = writeln!(out, "USE WAREHOUSE {};", identifier(warehouse));
    }
    if let Some(database) = &plan.options.database {
        let _ = writeln!(out, "USE DATABASE {};", identifier(database));
    }
    out.push_str("ALTER SESSION SET TIMEZONE = 'UTC';\nALTER SESSION SET TRANSACTION_ABORT_ON_ERROR = TRUE;\n");
    out
}
