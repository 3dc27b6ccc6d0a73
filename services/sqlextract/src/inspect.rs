//! `inspect`, `extract --dry-run` and `extract --check`: what would be done, and why.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sqlextract_model::{
    ByteSize, ColumnMapping, Compression, Dialect, ExtractionRequest, Failure, FileFormat, Format, OnLossy,
    ParquetVersion, Platform, RequestedTable, Result, Selection, SourceFacts, TableFacts,
};
use sqlextract_planner::{PlannedTable, plan_table};
use sqlextract_source::Source;

use crate::args::{ExtractArgs, InspectArgs};
use crate::ports;
use crate::request::{self, Placeholders};
use crate::settings::{SettingsFile, choose_destination, choose_source};

/// A table with the plan that it would get, or why it would get none.
#[derive(Debug)]
pub(crate) struct Inspected {
    facts: TableFacts,
    /// The flags that select this table or query alone.
    selected_by: String,
    plan: std::result::Result<PlannedTable, Failure>,
}

/// What a source offers.
#[derive(Debug)]
pub(crate) struct Inspection {
    source: String,
    dialect: Dialect,
    shared_snapshot: bool,
    format: FileFormat,
    /// Whose column types are shown too.
    targets: Vec<Platform>,
    pub(crate) tables: Vec<Inspected>,
}

pub(crate) async fn inspect(args: &InspectArgs, file: &SettingsFile) -> Result<Inspection> {
    let variable = |key: &str| std::env::var(key).ok();
    let choice = choose_source(file, args.selection.source.as_deref(), args.allow_plaintext, variable)?;
    let selects_nothing = args.selection.table.is_empty() && args.selection.query.is_empty();
    let tables = match selects_nothing {
        true => vec![everything()],
        false => request::tables(&args.selection)?,
    };
    let request = ExtractionRequest {
        version: 1,
        source: choice.name.clone(),
        destination: String::new(),
        tables,
        format: FileFormat {
            format: Format::Parquet,
            compression: Compression::Zstd,
            level: None,
            parquet_version: ParquetVersion::default(),
        },
        consistency: None,
        on_lossy: args.selection.on_lossy.unwrap_or(OnLossy::Fail),
        chunk_bytes: 128_000_000,
        on_snapshot_lost: sqlextract_model::OnSnapshotLost::Auto,
        targets: Vec::new(),
        batch_rows: None,
        name: None,
        run: 1,
        origin: None,
    };
    let source = ports::open_source(&choice, 4).await?;
    plan_all(source.as_ref(), &request).await
}

/// The plan of an `extract` command.
pub(crate) async fn dry_run(args: &ExtractArgs, file: &SettingsFile) -> Result<Inspection> {
    let variable = |key: &str| std::env::var(key).ok();
    let choice = choose_source(
        file,
        args.selection.source.as_deref(),
        args.place.allow_plaintext,
        variable,
    )?;
    let output = args.place.output.as_deref();
    let destination = choose_destination(file, output, args.place.allow_plaintext, args.place.single_writer)?;
    let placeholders = Placeholders::at(chrono::Utc::now());
    let request = request::build(
        args,
        &file.extract,
        choice.name.clone(),
        destination.name,
        &placeholders,
    )?;
    let source = ports::open_source(&choice, 4).await?;
    plan_all(source.as_ref(), &request).await
}

fn everything() -> RequestedTable {
    RequestedTable {
        selection: Selection::Schema(None),
        columns: None,
        exclude_columns: Vec::new(),
        filter: None,
        condition: None,
        overrides: Vec::new(),
    }
}

async fn plan_all(source: &dyn Source, request: &ExtractionRequest) -> Result<Inspection> {
    let snapshot = match request.consistency {
        Some(sqlextract_model::Consistency::Batch) => None,
        _ => source.snapshot().await?,
    };
    let token = snapshot.as_ref().map(|s| s.token());
    let mut tables = Vec::new();
    for asked in &request.tables {
        let found = source.inspect(std::slice::from_ref(&asked.selection)).await?;
        for facts in found.tables {
            let one = SourceFacts {
                tables: vec![facts.clone()],
                identity: found.identity.clone(),
                free_connections: found.free_connections,
                pooler: found.pooler.clone(),
            };
            let plan = plan_table(source, one, request, asked, (token, false)).await;
            tables.push(Inspected {
                selected_by: flags(&asked.selection, &facts),
                facts,
                plan,
            });
        }
    }
    Ok(Inspection {
        source: request.source.clone(),
        dialect: source.dialect(),
        shared_snapshot: snapshot.is_some(),
        format: request.format,
        targets: request.targets.iter().map(|target| target.platform).collect(),
        tables,
    })
}

fn flags(selection: &Selection, facts: &TableFacts) -> String {
    match selection {
        Selection::Table { .. } | Selection::Schema(_) => {
            format!("--table {}", shell_quoted(&facts.name.to_string()))
        }
        Selection::Query { name, sql, key } => {
            let query = format!("--query {}", shell_quoted(&format!("{name}={sql}")));
            match key {
                Some(key) => format!("{query} --key {}", shell_quoted(key)),
                None => query,
            }
        }
    }
}

/// One word of a command line, for a shell.
fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Inspection {
    /// The first refusal, which `--dry-run` and `--check` end with.
    pub(crate) fn refusals(&self) -> Vec<Failure> {
        self.tables
            .iter()
            .filter_map(|t| t.plan.as_ref().err().cloned())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("source {}\n", self.source);
        let level = if self.shared_snapshot {
            "one snapshot for all readers"
        } else {
            "one instant per batch"
        };
        let _ = writeln!(text, "consistency: {level}");
        for table in &self.tables {
            let facts = &table.facts;
            let _ = writeln!(
                text,
                "\n{}: about {} rows, {}, {} columns",
                facts.name,
                facts.estimated_rows,
                ByteSize(facts.estimated_bytes),
                facts.columns.len()
            );
            match &table.plan {
                Ok(plan) => {
                    let _ = writeln!(text, "  plan: {} batches; {}", plan.split.batches, plan.split.reason);
                    for warning in &plan.split.warnings {
                        let _ = writeln!(text, "  warning: {warning}");
                    }
                    let _ = writeln!(
                        text,
                        "  sqlextract extract --source {} {}",
                        shell_quoted(&self.source),
                        table.selected_by
                    );
                }
                Err(refused) => {
                    let _ = writeln!(text, "  refused: {refused} [{}]", refused.code);
                    for cause in &refused.causes {
                        let _ = writeln!(text, "    {cause}");
                    }
                    let _ = writeln!(text, "    hint: {}", refused.action());
                }
            }
        }
        text
    }

    /// The type of every column in source, chunk and each target.
    pub(crate) fn check_text(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let _ = writeln!(text, "{}", table.facts.name);
            match &table.plan {
                Ok(plan) => plan.columns.iter().for_each(|column| {
                    let _ = writeln!(text, "  {}", column_line(column));
                    for platform in &self.targets {
                        let _ = writeln!(text, "    {platform}: {}", self.in_target(*platform, column));
                    }
                }),
                Err(refused) => {
                    let _ = writeln!(text, "  refused: {refused}");
                    refused.causes.iter().for_each(|cause| {
                        let _ = writeln!(text, "    {cause}");
                    });
                    let _ = writeln!(text, "    hint: {}", refused.action());
                }
            }
        }
        text
    }

    /// The column's type in a target's table, or why it has none and what helps.
    fn in_target(&self, platform: Platform, column: &ColumnMapping) -> String {
        match sqlextract_ingest_sql::column_type(platform, self.dialect, self.format, column) {
            Ok(kind) => kind,
            Err(refused) => format!("refused: {refused}; {}", refused.action()),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let tables: Vec<Value> = self.tables.iter().map(|table| self.table_json(table)).collect();
        json!({"source": self.source, "shared_snapshot": self.shared_snapshot, "tables": tables})
    }

    fn table_json(&self, table: &Inspected) -> Value {
        let mut value = inspected_json(table);
        if let Ok(plan) = &table.plan {
            for platform in &self.targets {
                let kind = |column| (column, self.in_target(*platform, column));
                let kinds = plan.columns.iter().map(kind);
                let kinds: serde_json::Map<_, _> = kinds.map(|(c, kind)| (c.name.clone(), json!(kind))).collect();
                value["targets"][platform.as_str()] = Value::Object(kinds);
            }
        }
        value
    }
}

fn inspected_json(table: &Inspected) -> Value {
    let facts = &table.facts;
    let mut value = json!({
        "table": facts.name.to_string(), "kind": facts.kind,
        "estimated_rows": facts.estimated_rows, "estimated_bytes": facts.estimated_bytes,
    });
    match &table.plan {
        Ok(plan) => {
            value["plan"] = json!({
                "rung": plan.split.rung, "reason": plan.split.reason, "batches": plan.split.batches,
                "warnings": plan.split.warnings,
            });
            value["columns"] = json!(plan.columns);
        }
        Err(refused) => value["refused"] = json!(refused),
    }
    value
}

fn column_line(column: &ColumnMapping) -> String {
    let lossy = match column.lossy {
        Some(lossy) => format!("  ({lossy:?} by choice)"),
        None => String::new(),
    };
    let null = if column.nullable { "" } else { " not null" };
    format!(
        "{}: {}{null} -> {}{lossy}",
        column.name,
        column.declared,
        column.chunk.arrow()
    )
}
