//! Databricks: COPY INTO of explicit files into a staging table, a count per file, and one Delta commit that publishes it.
//!
//! There is no transaction over two tables. So each mode is idempotent by what Delta gives a single table: replacing and
//! merging give the same table again, and appending is a second COPY INTO, which takes every file once.

mod columns;
mod statements;

use sqlextract_model::{Compression, FileFormat, Format, Platform};

use crate::finding::Finding;
use crate::groups::StatementLimits;
use crate::options::Mode;
use crate::plan::{Asked, Dialect, Plan, Remarks};
use crate::quote::comment_text;
use crate::quote::databricks::{column_problem, identifier, name_problem};
use crate::script::Parts;

pub(crate) struct Databricks;

impl Dialect for Databricks {
    fn platform(&self) -> Platform {
        Platform::Databricks
    }

    fn title(&self) -> &'static str {
        "Databricks"
    }

    fn default_schema(&self) -> &'static str {
        "default"
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn most_columns(&self) -> usize {
        5000
    }

    fn limits(&self) -> StatementLimits {
        StatementLimits {
            files: 1000,
            name_bytes: 400_000,
        }
    }

    fn longest_table_name(&self) -> usize {
        200
    }

    fn schema_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
    }

    fn table_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
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
                "Databricks is not known to read CSV with zstd",
                "Extract with `--compression gzip` or `none`, or as Parquet.",
            )
        })
    }

    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String> {
        let mut lines = vec![
            format!(
                "Run it in the SQL editor, a notebook or a SQL task of a job, in Unity Catalog (runtime {} or newer). It stops at",
                if plan.options.add_columns { "15.2" } else { "13.3" }
            ),
            "the first statement that fails.".to_owned(),
            String::new(),
            "Each table is loaded beside its target, counted, and published in one commit. A second run changes nothing:"
                .to_owned(),
            match plan.mode() {
                Mode::Append => "COPY INTO takes every file once.",
                Mode::Replace => "the same rows take the place of themselves.",
                Mode::Merge => "the same rows are merged into themselves.",
            }
            .to_owned(),
        ];
        if let Some(folder) = plan.load.local_folder.as_ref().filter(|_| plan.options.url.is_none()) {
            lines.extend([
                String::new(),
                "The files are on this machine; copy them into a volume first:".to_owned(),
                String::new(),
                format!(
                    "  databricks fs cp --recursive {} dbfs:/Volumes/<CATALOG>/<SCHEMA>/<VOLUME>/{}",
                    comment_text(folder),
                    plan.job()
                ),
            ]);
        }
        lines
    }

    fn remarks(&self, plan: &Plan<'_>) -> Remarks {
        let mut remarks = Remarks::default();
        if statements::root(plan).starts_with("/Volumes/<") {
            remarks.fill_in.push((
                "/Volumes/<CATALOG>/<SCHEMA>/<VOLUME>".to_owned(),
                format!("where the folder {} is copied to (`url`)", plan.job()),
            ));
        }
        if plan.options.database.is_none() {
            remarks
                .notes
                .push("No `database` is set: it loads into the session's catalog.".to_owned());
        }
        let groups = plan.tables.iter().map(|t| t.groups.len()).max().unwrap_or(0);
        if groups > 1 && plan.mode() == Mode::Append {
            remarks.notes.push(format!(
                "{groups} statements append one after another: where one fails, those before it stay, and a second run goes on."
            ));
        }
        let csv = plan.format().format == Format::Csv;
        for table in plan.tables.iter().filter(|t| csv && t.columns.len() == 1) {
            remarks.notes.push(format!(
                "{} has one column, and Spark skips the empty line that a NULL is in CSV: the count will stop the script if there is one.",
                comment_text(&table.place.shown())
            ));
        }
        remarks
    }

    fn parts(&self, plan: &Plan<'_>) -> Parts {
        let opening = match &plan.options.database {
            Some(catalog) => format!("USE CATALOG {};\n", identifier(catalog)),
            None => String::new(),
        };
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
