//! PostgreSQL, through psql: one transaction with one `\copy` per chunk, or several sessions under a shell driver.
//!
//! Rows come through `sqlextract cat --as pg-text`: COPY's text format has no quoted line breaks, so that a line `\.`
//! within a value, which psql before 18 takes for the end of its input, cannot occur. A CSV chunk on a local disk is
//! given to `\copy` as it is where nothing in it needs that.
//!
//! psql puts no variables into `\copy` lines, and a failing program is noticed only after its rows were sent: hence
//! literal names, the transaction, `ON_ERROR_STOP`, and the count of every chunk's rows.

mod columns;
mod names;
mod sessions;
mod single;

use sqlextract_model::{FileFormat, Platform};

use crate::finding::Finding;
use crate::groups::StatementLimits;
use crate::plan::{Asked, Dialect, ONE_FILE, Plan, Remarks};
use crate::quote::postgres::{IDENTIFIER_BYTES, name_problem};
use crate::script::Parts;

/// One script at a time defines tables, so that two cannot create the same ledger at once. Any number that others do
/// not use.
const LOCK: i64 = 0x73_71_6c_65_78_74_72;

pub(crate) struct Postgres;

impl Dialect for Postgres {
    fn platform(&self) -> Platform {
        Platform::Postgres
    }

    fn title(&self) -> &'static str {
        "PostgreSQL"
    }

    fn default_schema(&self) -> &'static str {
        "public"
    }

    fn folds_case(&self) -> bool {
        false
    }

    fn most_columns(&self) -> usize {
        1600
    }

    fn limits(&self) -> StatementLimits {
        ONE_FILE
    }

    fn longest_table_name(&self) -> usize {
        IDENTIFIER_BYTES
    }

    fn schema_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name)
    }

    fn table_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name).or((name == names::CHUNKS).then_some("is the name of the ledger of chunks"))
    }

    fn column_problem(&self, name: &str) -> Option<&'static str> {
        name_problem(name).or(columns::is_system(name).then_some("has the name of a system column"))
    }

    fn column_type(&self, asked: &Asked<'_>) -> Result<String, Finding> {
        columns::column_type(asked.source, asked.column)
    }

    /// `sqlextract cat` reads every format.
    fn format_problem(&self, _: FileFormat) -> Option<Finding> {
        None
    }

    fn has_sessions(&self) -> bool {
        true
    }

    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String> {
        let lines: &[&str] = if plan.sessions > 1 {
            &[
                "Run it with bash, with psql 11 or newer and sqlextract in the PATH; psql's own variables say where to:",
                "",
                "  PGHOST=… PGDATABASE=… bash FILE",
                "",
                "Sessions load chunk by chunk beside the target and try again what may pass; only then one transaction",
                "publishes: all of it or nothing. A second run loads only what is missing, or says that nothing is to do.",
            ]
        } else {
            &[
                "Run it with psql 11 or newer, with sqlextract in the PATH:",
                "",
                "  psql -X -v ON_ERROR_STOP=1 -f FILE",
                "",
                "It is one transaction: all of it or nothing. A second run changes nothing and says so.",
            ]
        };
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    fn remarks(&self, plan: &Plan<'_>) -> Remarks {
        let mut remarks = Remarks::default();
        if plan.skips_bad_rows() {
            remarks
                .notes
                .push("Leaving out rows that cannot be converted needs PostgreSQL 17 or newer.".to_owned());
        }
        remarks
    }

    fn parts(&self, plan: &Plan<'_>) -> Parts {
        let opening =
            format!("{SETTINGS}BEGIN;\nSELECT pg_advisory_xact_lock({LOCK}) IS NULL AS sqlextract_alone \\gset\n");
        let sessions = plan.sessions > 1;
        Parts {
            opening,
            tables: plan
                .tables
                .iter()
                .map(|table| {
                    let names = names::Names::new(plan, table);
                    if sessions {
                        sessions::table_parts(&names)
                    } else {
                        single::table_parts(&names)
                    }
                })
                .collect(),
            closing: "COMMIT;\n".to_owned(),
        }
    }
}

/// Of every session; psql's own settings of the user are not read.
const SETTINGS: &str = "\\set ON_ERROR_STOP on\n\
    \\set ON_ERROR_ROLLBACK off\n\
    SET client_encoding = 'UTF8';\n\
    SET standard_conforming_strings = on;\n\
    SET client_min_messages = warning;\n\
    SET datestyle = 'ISO, YMD';\n";
