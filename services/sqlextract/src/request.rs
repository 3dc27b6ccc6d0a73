//! From the command line to a request.

use sqlextract_model::{
    AskedFormat, ByteSize, Code, ColumnOverride, ExtractionRequest, Failure, FileFormat, Format, JobId, OnLossy,
    RequestedTable, Result, Selection, TableName, Target,
};
use sqlextract_type_mapping::{NamedOverride, parse_override};

use crate::args::{ExtractArgs, SelectionArgs, parse_target};
use crate::resource_args::Auto;
use crate::settings::ExtractEntry;

pub(crate) const DEFAULT_CHUNK_BYTES: u64 = 128_000_000;

/// What `{date}`, `{hour}` and `{run}` stand for.
#[derive(Debug, Clone)]
pub(crate) struct Placeholders {
    pub(crate) date: String,
    pub(crate) hour: String,
    pub(crate) run: String,
}

impl Placeholders {
    pub(crate) fn at(now: chrono::DateTime<chrono::Utc>) -> Self {
        Self {
            date: now.format("%Y-%m-%d").to_string(),
            hour: now.format("%Y-%m-%dT%H").to_string(),
            run: now.format("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{date}", &self.date)
            .replace("{hour}", &self.hour)
            .replace("{run}", &self.run)
    }
}

pub(crate) fn build(
    args: &ExtractArgs,
    file: &ExtractEntry,
    source: String,
    destination: String,
    placeholders: &Placeholders,
) -> Result<ExtractionRequest> {
    Ok(ExtractionRequest {
        version: 1,
        source,
        destination,
        tables: tables(&args.selection)?,
        format: file_format(args, file)?,
        consistency: args.consistency,
        on_lossy: args.selection.on_lossy.unwrap_or(OnLossy::Fail),
        chunk_bytes: chunk_bytes(args.chunk_size.or(file.chunk_size()?))?,
        on_snapshot_lost: args.on_snapshot_lost.unwrap_or_default(),
        targets: targets(&args.target)?,
        batch_rows: batch_rows(args, file)?,
        name: job_name(args.job.as_deref(), placeholders)?,
        run: 1,
        origin: None,
    })
}

/// The tables and queries of a selection, in the order given.
pub(crate) fn tables(args: &SelectionArgs) -> Result<Vec<RequestedTable>> {
    let overrides = args
        .column_type
        .iter()
        .map(|text| parse_override(text))
        .collect::<Result<Vec<_>>>()?;
    let mut selections = Vec::new();
    for list in &args.table {
        for text in split_names(list) {
            selections.push(table_selection(&text)?);
        }
    }
    for text in &args.query {
        selections.push(query_selection(text, args.key.as_deref())?);
    }
    if selections.is_empty() {
        return Err(Failure::new(Code::UsageInvalid, "no table is given").remedy(
            "Add `--table orders`, `--table 'public.*'` or `--query NAME=SQL`; `sqlextract inspect` lists the tables.",
        ));
    }
    if args.key.is_some() && args.query.is_empty() {
        return Err(Failure::new(
            Code::UsageInvalid,
            "`--key` names a column of a `--query`, and there is none",
        ));
    }
    for name in &overrides {
        if !selections.iter().any(|s| applies(name, s)) {
            let text = format!("`--column-type` names table `{}`, which is not selected", name.table);
            return Err(Failure::new(Code::UsageInvalid, text));
        }
    }
    let requested = |selection: Selection| RequestedTable {
        columns: (!args.columns.is_empty()).then(|| args.columns.clone()),
        exclude_columns: args.exclude_columns.clone(),
        filter: args.filter.clone(),
        condition: None,
        overrides: overrides_of(&overrides, &selection),
        selection,
    };
    Ok(selections.into_iter().map(requested).collect())
}

fn overrides_of(overrides: &[NamedOverride], selection: &Selection) -> Vec<ColumnOverride> {
    overrides
        .iter()
        .filter(|o| applies(o, selection))
        .map(|o| o.column.clone())
        .collect()
}

fn applies(name: &NamedOverride, selection: &Selection) -> bool {
    match selection {
        Selection::Table { schema, name: table } => {
            name.table == *table && (name.schema.is_none() || schema.is_none() || name.schema == *schema)
        }
        Selection::Schema(schema) => name.schema.is_none() || name.schema == *schema,
        Selection::Query { name: query, .. } => name.table == *query,
    }
}

/// Splits at commas outside double quotes.
fn split_names(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    for c in list.chars() {
        quoted ^= c == '"';
        match (c, names.last_mut()) {
            (',', _) if !quoted => names.push(String::new()),
            (c, Some(name)) => name.push(c),
            (_, None) => {}
        }
    }
    names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn table_selection(text: &str) -> Result<Selection> {
    if text == "*" {
        return Ok(Selection::Schema(None));
    }
    if let Some(schema) = text.strip_suffix(".*") {
        let parsed = TableName::parse(schema).filter(|(outer, _)| outer.is_none());
        let (_, schema) = parsed.ok_or_else(|| bad_name(text))?;
        return Ok(Selection::Schema(Some(schema)));
    }
    let (schema, name) = TableName::parse(text).ok_or_else(|| bad_name(text))?;
    Ok(Selection::Table { schema, name })
}

fn bad_name(text: &str) -> Failure {
    Failure::new(Code::UsageInvalid, format!("`{text}` is no table name"))
        .remedy("Write `table`, `schema.table` or `schema.*`; a part with a dot or a quote goes in double quotes.")
}

fn query_selection(text: &str, key: Option<&str>) -> Result<Selection> {
    let Some((name, sql)) = text
        .split_once('=')
        .filter(|(name, sql)| is_plain(name) && !sql.trim().is_empty())
    else {
        return Err(Failure::new(Code::UsageInvalid, "a query is written as NAME=SQL or NAME=@FILE")
            .remedy("The name is letters, digits and `_`; for example `--query 'recent=select * from orders where id > 7'`."));
    };
    let sql = match sql.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Failure::new(Code::ConfigInvalid, format!("query file {path} cannot be read")).because(e))?,
        None => sql.to_owned(),
    };
    let sql = sql.trim().trim_end_matches(';').trim_end().to_owned();
    Ok(Selection::Query {
        name: name.to_owned(),
        sql,
        key: key.map(str::to_owned),
    })
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn file_format(args: &ExtractArgs, file: &ExtractEntry) -> Result<FileFormat> {
    let format = args.format.or(file.format()?);
    // A default for Parquet says nothing about CSV.
    let version_in_file = match format {
        Some(Format::Csv) => None,
        _ => file.parquet_version()?,
    };
    let asked = AskedFormat {
        format,
        compression: args.compression.or(file.compression()?),
        level: args.compression_level.or(file.compression_level),
        parquet_version: args.parquet_version.or(version_in_file),
    };
    asked.file_format()
}

fn chunk_bytes(size: Option<ByteSize>) -> Result<u64> {
    match size {
        Some(ByteSize(bytes)) if bytes < 1000 => Err(Failure::new(
            Code::UsageInvalid,
            format!("a chunk size of {bytes} bytes is too small; at least 1kB"),
        )),
        size => Ok(size.map_or(DEFAULT_CHUNK_BYTES, |s| s.0)),
    }
}

fn batch_rows(args: &ExtractArgs, file: &ExtractEntry) -> Result<Option<u64>> {
    match args.batch_size.map(Auto::fixed).unwrap_or(file.batch_size) {
        Some(0) => Err(Failure::new(Code::UsageInvalid, "a batch has at least one row")),
        rows => Ok(rows),
    }
}

fn targets(texts: &[String]) -> Result<Vec<Target>> {
    texts
        .iter()
        .map(|t| parse_target(t).map_err(|e| Failure::new(Code::UsageInvalid, format!("--target: {e}"))))
        .collect()
}

/// A job's name with its placeholders filled in; leaves room for `-r2` and the like.
pub(crate) fn job_name(text: Option<&str>, placeholders: &Placeholders) -> Result<Option<JobId>> {
    let Some(text) = text else { return Ok(None) };
    let name = placeholders.fill(text);
    match JobId::new(&*name).filter(|id| id.as_str().len() <= 100) {
        Some(id) => Ok(Some(id)),
        None => Err(Failure::new(Code::UsageInvalid, format!("`{name}` is no job name"))
            .remedy("Use letters, digits, `-`, `_` and `.`, at most 100 of them.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(tables: &[&str]) -> SelectionArgs {
        SelectionArgs {
            table: tables.iter().map(|t| (*t).to_owned()).collect(),
            ..SelectionArgs::default()
        }
    }

    #[test]
    fn tables_come_from_lists_and_repeats() {
        let made = tables(&selection(&["a,b.c", "\"x,y\".\"Z\"", "s.*"])).unwrap();
        let made: Vec<_> = made.into_iter().map(|t| t.selection).collect();
        let table = |schema: Option<&str>, name: &str| Selection::Table {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        };
        let schema = Selection::Schema(Some("s".to_owned()));
        assert_eq!(
            made,
            [table(None, "a"), table(Some("b"), "c"), table(Some("x,y"), "Z"), schema]
        );
    }

    #[test]
    fn a_query_keeps_its_text_but_for_the_last_semicolon() {
        let args = SelectionArgs {
            query: vec!["q=select ';' from t where a=1 ; ".to_owned()],
            ..SelectionArgs::default()
        };
        let made = tables(&args).unwrap().remove(0).selection;
        let sql = "select ';' from t where a=1".to_owned();
        assert_eq!(
            made,
            Selection::Query {
                name: "q".to_owned(),
                sql,
                key: None
            }
        );
    }

    #[test]
    fn an_override_of_a_table_that_is_not_selected_is_refused() {
        let args = SelectionArgs {
            column_type: vec!["other.c=text".to_owned()],
            ..selection(&["a"])
        };
        assert_eq!(tables(&args).unwrap_err().code, Code::UsageInvalid);
    }

    #[test]
    fn placeholders_are_filled_in() {
        let now = chrono::DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        let placeholders = Placeholders::at(now);
        assert_eq!(placeholders.fill("shop-{date}"), "shop-2026-05-28");
        assert!(job_name(Some("a/b"), &placeholders).is_err());
    }
}
