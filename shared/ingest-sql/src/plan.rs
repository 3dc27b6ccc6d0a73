//! What a script does, decided: which table goes where, as which columns, in how many statements, and what stands in the
//! way. Platforms differ in their [`Dialect`]; everything here holds for all of them.

use std::collections::HashSet;

use sqlextract_model::{
    ChunkType, ColumnMapping, Dialect as Source, Digest, FileFormat, ManifestTable, Platform, Result,
};

use crate::advice;
use crate::facts::Facts;
use crate::finding::{Finding, refusal};
use crate::groups::{StatementLimits, groups};
use crate::load::{ChunkLoad, Load, TableLoad};
use crate::names::{self, Place};
use crate::options::{Case, Mode, OnError, TargetOptions};
use crate::script::Parts;

/// What a platform is, and how it says things.
pub(crate) trait Dialect {
    fn platform(&self) -> Platform;
    /// For people.
    fn title(&self) -> &'static str;
    /// Schema of a table whose source has none.
    fn default_schema(&self) -> &'static str;
    fn default_case(&self) -> Case {
        Case::Keep
    }
    /// Names that differ in case only are one name.
    fn folds_case(&self) -> bool;
    fn most_columns(&self) -> usize;
    fn limits(&self) -> StatementLimits;
    /// Of the whole text, where the platform takes it as one message.
    fn script_bytes(&self) -> Option<usize> {
        None
    }
    fn longest_table_name(&self) -> usize;
    fn schema_problem(&self, name: &str) -> Option<&'static str>;
    fn table_problem(&self, name: &str) -> Option<&'static str>;
    fn column_problem(&self, name: &str) -> Option<&'static str>;
    /// The type of a column, or why there is none.
    fn column_type(&self, asked: &Asked<'_>) -> std::result::Result<String, Finding>;
    /// What the platform cannot read of these files, and what it may stumble over.
    fn format_problem(&self, format: FileFormat) -> Option<Finding>;
    fn how_to_run(&self, plan: &Plan<'_>) -> Vec<String>;
    /// Placeholders that the settings do not fill, and what is worth knowing before the run.
    fn remarks(&self, plan: &Plan<'_>) -> Remarks;
    fn parts(&self, plan: &Plan<'_>) -> Parts;
    /// Whether `--parallel` gives sessions; else the platform parallelises by itself.
    fn has_sessions(&self) -> bool {
        false
    }
}

/// A column whose type is asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) source: Source,
    pub(crate) column: &'a ColumnMapping,
    pub(crate) format: FileFormat,
    pub(crate) facts: Facts<'a>,
}

/// What a script says at its top, and the command too.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// A placeholder and what to put there.
    pub(crate) fill_in: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
}

/// A column of the target.
#[derive(Debug)]
pub(crate) struct TargetColumn<'m> {
    pub(crate) mapping: &'m ColumnMapping,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) facts: Facts<'m>,
}

impl TargetColumn<'_> {
    pub(crate) fn chunk(&self) -> &ChunkType {
        &self.mapping.chunk
    }

    pub(crate) fn not_null(&self) -> &'static str {
        if self.mapping.nullable { "" } else { " NOT NULL" }
    }
}

/// A table of the script.
#[derive(Debug)]
pub(crate) struct TablePlan<'m> {
    pub(crate) table: &'m ManifestTable,
    pub(crate) place: Place,
    /// The name of the table that is loaded first, beside the target.
    pub(crate) staging: String,
    pub(crate) columns: Vec<TargetColumn<'m>>,
    pub(crate) chunks: &'m [ChunkLoad<'m>],
    pub(crate) groups: Vec<Vec<&'m ChunkLoad<'m>>>,
    /// Positions of the merge key's columns.
    pub(crate) key: Vec<usize>,
}

impl TablePlan<'_> {
    pub(crate) fn rows(&self) -> u64 {
        self.table.totals.rows
    }

    /// The columns' names, quoted, with commas.
    pub(crate) fn names(&self, quoted: impl Fn(&str) -> String) -> String {
        let names: Vec<_> = self.columns.iter().map(|c| quoted(&c.name)).collect();
        names.join(", ")
    }

    pub(crate) fn key_names(&self) -> Vec<&str> {
        self.key
            .iter()
            .filter_map(|i| self.columns.get(*i).map(|c| c.name.as_str()))
            .collect()
    }

    /// The columns beside the merge key.
    pub(crate) fn other_names(&self) -> Vec<&str> {
        let others = self.columns.iter().enumerate().filter(|(i, _)| !self.key.contains(i));
        others.map(|(_, c)| c.name.as_str()).collect()
    }
}

/// The whole script, decided.
pub(crate) struct Plan<'m> {
    pub(crate) load: &'m Load<'m>,
    pub(crate) options: &'m TargetOptions,
    pub(crate) tables: Vec<TablePlan<'m>>,
    /// Sessions that load at once; 1 is one script without a driver.
    pub(crate) sessions: u16,
}

impl Plan<'_> {
    pub(crate) fn mode(&self) -> Mode {
        self.options.mode
    }

    pub(crate) fn skips_bad_rows(&self) -> bool {
        self.options.on_error == OnError::Skip
    }

    pub(crate) fn format(&self) -> FileFormat {
        self.load.manifest.format
    }

    pub(crate) fn job(&self) -> &str {
        self.load.manifest.job.as_str()
    }

    /// Where the platform finds the destination of the job, without a slash at its end.
    pub(crate) fn root(&self) -> &str {
        self.options
            .url
            .as_deref()
            .unwrap_or(&self.load.root)
            .trim_end_matches('/')
    }

    /// A chunk's path below [`root`](Self::root).
    pub(crate) fn path(&self, chunk: &ChunkLoad<'_>) -> String {
        format!("{}/{}", self.job(), chunk.record.key)
    }
}

/// Decides, or says everything that stands in the way.
pub(crate) fn decide<'m>(load: &'m Load<'m>, options: &'m TargetOptions, dialect: &dyn Dialect) -> Result<Plan<'m>> {
    options.check(dialect.platform())?;
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(dialect.format_problem(load.manifest.format));
    if options.on_error == OnError::Skip && load.manifest.format.format == sqlextract_model::Format::Parquet {
        findings.push(Finding::value(
            "rows of Parquet files cannot be skipped one by one",
            "Leave `on_error = \"skip\"` out, or extract as CSV.",
        ));
    }
    let mut tables = Vec::with_capacity(load.tables.len());
    let mut seen = HashSet::new();
    for table in &load.tables {
        let place = names::place(load, table, options, dialect, &mut findings)?;
        let folded = if dialect.folds_case() {
            place.shown().to_lowercase()
        } else {
            place.shown()
        };
        if !seen.insert(folded) {
            findings.push(Finding::name(format!("two tables would both be {}", place.shown())));
        }
        tables.push(table_plan(load, table, place, options, dialect, &mut findings));
    }
    if !findings.is_empty() {
        return Err(refusal(load.manifest.job.as_str(), dialect.title(), findings));
    }
    let sessions = options.parallel.filter(|_| dialect.has_sessions()).unwrap_or(1);
    Ok(Plan {
        load,
        options,
        tables,
        sessions,
    })
}

fn table_plan<'m>(
    load: &'m Load<'m>,
    table: &'m TableLoad<'m>,
    place: Place,
    options: &TargetOptions,
    dialect: &dyn Dialect,
    findings: &mut Vec<Finding>,
) -> TablePlan<'m> {
    let shown = place.shown();
    let columns = columns(load, table, options, dialect, &shown, findings);
    let key = names::key(table.table, &columns, options, &shown, findings);
    let hash = Digest::of(format!("{}\u{0}{}", load.manifest.job, table.table.table).as_bytes()).to_string();
    let suffix = names::cased(&format!("__sqlextract_{}", &hash[..8]), options, dialect);
    let room = dialect.longest_table_name().saturating_sub(suffix.len());
    TablePlan {
        table: table.table,
        staging: format!("{}{suffix}", names::shortened(&place.name, room)),
        place,
        columns,
        chunks: &table.chunks,
        groups: groups(&table.chunks, dialect.limits(), options.statement_bytes()),
        key,
    }
}

fn columns<'m>(
    load: &'m Load<'m>,
    table: &'m TableLoad<'m>,
    options: &TargetOptions,
    dialect: &dyn Dialect,
    shown: &str,
    findings: &mut Vec<Finding>,
) -> Vec<TargetColumn<'m>> {
    let count = table.table.columns.len();
    if count > dialect.most_columns() {
        let most = dialect.most_columns();
        findings.push(Finding::name(format!("it has {count} columns, over {most}")).about(&format!("{shown}:")));
    }
    let mut seen = HashSet::new();
    let mut made = Vec::with_capacity(count);
    for mapping in &table.table.columns {
        let about = format!("{shown}: column {:?}", mapping.name);
        let name = names::cased(&mapping.name, options, dialect);
        findings.extend(
            dialect
                .column_problem(&name)
                .map(|what| Finding::name(what).about(&about)),
        );
        let folded = if dialect.folds_case() {
            name.to_lowercase()
        } else {
            name.clone()
        };
        if !seen.insert(folded) {
            findings.push(Finding::name("occurs twice").about(&about));
        }
        let asked = Asked {
            source: load.manifest.source.dialect,
            column: mapping,
            format: load.manifest.format,
            facts: Facts::of(table.table.totals.rows, mapping, &table.table.aggregates),
        };
        match dialect.column_type(&asked) {
            Ok(kind) => made.push(TargetColumn {
                mapping,
                name,
                kind,
                facts: asked.facts,
            }),
            Err(finding) => findings.push(finding.about(&about)),
        }
    }
    made
}

/// Everything that is said at the top: the dialect's remarks, and advice on the chunks.
pub(crate) fn remarks(plan: &Plan<'_>, dialect: &dyn Dialect) -> Remarks {
    let mut remarks = dialect.remarks(plan);
    remarks.notes.extend(advice::on_chunks(plan, dialect));
    remarks
}

/// The limits of a platform that takes one file a statement.
pub(crate) const ONE_FILE: StatementLimits = StatementLimits {
    files: 1,
    name_bytes: usize::MAX,
};
