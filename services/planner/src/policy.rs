//! Who may ask for what: requests from outside are checked against the settings before anything is looked up.

use std::collections::{BTreeMap, BTreeSet};

use sqlextract_model::{
    AskedFormat, Code, ExtractionRequest, Failure, FileFormat, Origin, Platform, RequestData, RequestedTable, Result,
    Selection, Sender, TableName, TableRequest, Target,
};

const MOST_TABLES: usize = 1000;
const MOST_COLUMNS: usize = 5000;
const MOST_LABELS: usize = 32;
const LONGEST_NAME_BYTES: usize = 256;
const LONGEST_LABEL_BYTES: usize = 1024;
const LEAST_CHUNK_BYTES: u64 = 1000;
const MOST_CHUNK_BYTES: u64 = 16 << 30;

/// Where requests come from.
#[derive(Debug, Clone)]
pub enum RequestPolicy {
    /// From this process itself, in full and already checked: free SQL and any source are the user's own.
    Own,
    /// From whoever may publish to the queue: names are looked up in these rules, and SQL text is never taken.
    Outside(AllowedRequests),
}

/// What requests from outside may name.
#[derive(Debug, Clone, Default)]
pub struct AllowedRequests {
    pub sources: BTreeMap<String, SourceRules>,
    pub destinations: BTreeSet<String>,
    /// Platforms that scripts can be written for.
    pub platforms: BTreeSet<Platform>,
    pub chunk_bytes: u64,
}

/// What requests may take from a source.
#[derive(Debug, Clone, Default)]
pub struct SourceRules {
    pub tables: Vec<TablePattern>,
    /// The CloudEvents `source` of those who may ask; empty for everybody who may publish.
    pub senders: BTreeSet<String>,
}

/// `schema.table`, `schema.*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    schema: Option<String>,
    name: Option<String>,
}

impl TablePattern {
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self {
                schema: None,
                name: None,
            });
        }
        if let Some(schema) = text.strip_suffix(".*") {
            let (outer, schema) = TableName::parse(schema)?;
            return outer.is_none().then_some(Self {
                schema: Some(schema),
                name: None,
            });
        }
        let (schema, name) = TableName::parse(text)?;
        Some(Self {
            schema: Some(schema?),
            name: Some(name),
        })
    }

    /// What it selects of a source.
    pub fn selection(&self) -> Selection {
        match (&self.schema, &self.name) {
            (schema, Some(name)) => Selection::Table {
                schema: schema.clone(),
                name: name.clone(),
            },
            (schema, None) => Selection::Schema(schema.clone()),
        }
    }

    /// A missing schema or name of the question is one that is not known yet.
    fn may_allow(&self, schema: Option<&str>, name: Option<&str>) -> bool {
        let fits = |mine: &Option<String>, asked: Option<&str>| match (mine, asked) {
            (Some(mine), Some(asked)) => mine == asked,
            (None, _) | (_, None) => true,
        };
        fits(&self.schema, schema) && fits(&self.name, name)
    }
}

impl AllowedRequests {
    /// The request in full, or why it is refused. The tables are checked again once they are looked up.
    pub(crate) fn request(&self, sender: Sender, data: RequestData) -> Result<ExtractionRequest> {
        let Some(rules) = self.sources.get(&data.source) else {
            return Err(refused(format!("there is no source {}", shown(&data.source))));
        };
        if !rules.senders.is_empty() && !rules.senders.contains(&sender.source) {
            return Err(refused(format!(
                "sender {} may not ask for source `{}`",
                shown(&sender.source),
                data.source
            )));
        }
        if !self.destinations.contains(&data.destination) {
            return Err(refused(format!("there is no destination {}", shown(&data.destination))));
        }
        if data.tables.is_empty() || data.tables.len() > MOST_TABLES {
            return Err(refused(format!(
                "{} tables are asked for; 1 to {MOST_TABLES} can be",
                data.tables.len()
            )));
        }
        let tables = data.tables.iter().map(|table| rules.table(table));
        let tables = tables.collect::<Result<Vec<_>>>()?;
        self.check_targets(&data.targets)?;
        let chunk_bytes = data.chunk_bytes.unwrap_or(self.chunk_bytes);
        if !(LEAST_CHUNK_BYTES..=MOST_CHUNK_BYTES).contains(&chunk_bytes) {
            return Err(refused(format!(
                "chunk_bytes is {chunk_bytes}; {LEAST_CHUNK_BYTES} to {MOST_CHUNK_BYTES} can be"
            )));
        }
        let zero = [
            data.batch_rows,
            data.limits.rows_per_second,
            data.limits.bytes_per_second,
        ];
        if zero.contains(&Some(0)) {
            return Err(refused(
                "batch_rows and limits are at least 1 where they are given".to_owned(),
            ));
        }
        let long = |text: &String| text.len() > LONGEST_LABEL_BYTES;
        if data.labels.len() > MOST_LABELS || data.labels.iter().any(|(key, value)| long(key) || long(value)) {
            return Err(refused(format!(
                "there may be {MOST_LABELS} labels of {LONGEST_LABEL_BYTES} bytes each"
            )));
        }
        Ok(ExtractionRequest {
            version: 1,
            tables,
            format: file_format(&data)?,
            consistency: data.consistency,
            on_lossy: data.on_lossy,
            chunk_bytes,
            on_snapshot_lost: data.on_snapshot_lost,
            targets: data.targets,
            batch_rows: data.batch_rows,
            name: None,
            run: 1,
            origin: Some(Origin {
                sender,
                limits: data.limits,
                labels: data.labels,
            }),
            source: data.source,
            destination: data.destination,
        })
    }

    fn check_targets(&self, targets: &[Target]) -> Result<()> {
        for target in targets {
            if !self.platforms.contains(&target.platform) {
                return Err(refused(format!("no script can be written for {}", target.platform)));
            }
            if let Some(table) = &target.table {
                name(table, "the table of a target")?;
            }
        }
        Ok(())
    }
}

impl SourceRules {
    fn table(&self, asked: &TableRequest) -> Result<RequestedTable> {
        name(&asked.name, "a table's name")?;
        let no_name = || refused(format!("{} is no table name", shown(&asked.name)));
        let schema = match asked.name.as_str() {
            "*" => Some(None),
            text => text.strip_suffix(".*").map(|schema| {
                TableName::parse(schema)
                    .filter(|(outer, _)| outer.is_none())
                    .map(|(_, schema)| schema)
            }),
        };
        let selection = match schema {
            Some(None) if asked.name != "*" => return Err(no_name()),
            Some(schema) => Selection::Schema(schema),
            None => {
                let (schema, name) = TableName::parse(&asked.name).ok_or_else(no_name)?;
                Selection::Table { schema, name }
            }
        };
        let (schema, table) = match &selection {
            Selection::Table { schema, name } => (schema.as_deref(), Some(name.as_str())),
            Selection::Schema(schema) => (schema.as_deref(), None),
            Selection::Query { .. } => (None, None),
        };
        if !self.tables.iter().any(|pattern| pattern.may_allow(schema, table)) {
            return Err(refused(format!("table {} is not allowed", shown(&asked.name))));
        }
        let columns = asked.columns.iter().flatten().chain(&asked.exclude_columns);
        if columns.clone().count() > MOST_COLUMNS || asked.columns.as_ref().is_some_and(Vec::is_empty) {
            return Err(refused(format!("there are 1 to {MOST_COLUMNS} columns of a table")));
        }
        columns.clone().try_for_each(|column| name(column, "a column's name"))?;
        if let Some(problem) = asked.filter.as_ref().and_then(|filter| filter.problem()) {
            return Err(refused(format!(
                "the filter of {} cannot be used: {problem}",
                shown(&asked.name)
            )));
        }
        Ok(RequestedTable {
            selection,
            columns: asked.columns.clone(),
            exclude_columns: asked.exclude_columns.clone(),
            filter: None,
            condition: asked.filter.clone(),
            overrides: Vec::new(),
        })
    }

    /// Whether a table that was looked up is among those that may be asked for.
    pub(crate) fn check_found(&self, table: &TableName) -> Result<()> {
        let (schema, name) = (Some(table.schema.as_str()), Some(table.name.as_str()));
        if self.tables.iter().any(|pattern| pattern.may_allow(schema, name)) {
            return Ok(());
        }
        Err(refused(format!("table {} is not allowed", shown(&table.to_string()))))
    }
}

fn file_format(data: &RequestData) -> Result<FileFormat> {
    let asked = AskedFormat {
        format: data.format,
        compression: data.compression,
        level: data.compression_level,
        parquet_version: data.parquet_version,
    };
    asked.file_format().map_err(|failure| refused(failure.message))
}

fn name(text: &str, what: &str) -> Result<()> {
    if text.is_empty() || text.len() > LONGEST_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(refused(format!(
            "{what} is 1 to {LONGEST_NAME_BYTES} bytes without control characters: {}",
            shown(text)
        )));
    }
    Ok(())
}

/// Debug form and cut, since it comes from outside. An address in place of a name may hold a password.
fn shown(text: &str) -> String {
    if text.contains("://") {
        return "by an address, which is not shown".to_owned();
    }
    let cut: String = text.chars().take(100).collect();
    format!("{cut:?}")
}

pub(crate) fn refused(text: String) -> Failure {
    Failure::new(Code::RequestRefused, text)
}

#[cfg(test)]
mod tests;
