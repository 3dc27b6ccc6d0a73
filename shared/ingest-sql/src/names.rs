//! From the names of the source to those of the target.

use sqlextract_model::{Code, Dialect as Source, Failure, ManifestTable, Result, TableName};

use crate::finding::Finding;
use crate::load::{Load, TableLoad};
use crate::options::{Case, Mode, TargetOptions};
use crate::plan::{Dialect, TargetColumn};

/// Where a table goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Place {
    /// For people.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// The name of the table that remembers which jobs were loaded, before its case.
pub(crate) const LEDGER: &str = "sqlextract_loads";

/// A name of ours or of the source, in the target's case.
pub(crate) fn cased(name: &str, options: &TargetOptions, dialect: &dyn Dialect) -> String {
    match options.case.unwrap_or(dialect.default_case()) {
        Case::Keep => name.to_owned(),
        Case::Upper => name.to_uppercase(),
        Case::Lower => name.to_lowercase(),
    }
}

/// The longest beginning of so many bytes.
pub(crate) fn shortened(name: &str, bytes: usize) -> &str {
    let mut end = name.len().min(bytes);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The name asked for, else the source's.
pub(crate) fn place(
    load: &Load<'_>,
    table: &TableLoad<'_>,
    options: &TargetOptions,
    dialect: &dyn Dialect,
    findings: &mut Vec<Finding>,
) -> Result<Place> {
    let source = &table.table.table;
    let has_schema = table.table.query.is_none() && load.manifest.source.dialect != Source::Sqlite;
    let schema = match &options.schema {
        Some(schema) => schema.clone(),
        None if has_schema => cased(&source.schema, options, dialect),
        None => dialect.default_schema().to_owned(),
    };
    let place = match asked_for(table, options)? {
        Some((asked, name)) => Place {
            schema: asked.unwrap_or(schema),
            name,
        },
        None => Place {
            schema,
            name: cased(&source.name, options, dialect),
        },
    };
    let problems = [
        ("schema", &place.schema, dialect.schema_problem(&place.schema)),
        ("table", &place.name, dialect.table_problem(&place.name)),
    ];
    for (part, name, problem) in problems {
        findings.extend(problem.map(|what| Finding::name(what).about(&format!("{part} {name:?}"))));
    }
    if place.name.eq_ignore_ascii_case(LEDGER) {
        findings.push(Finding::name(format!(
            "{} is the name of the ledger of loads",
            place.shown()
        )));
    }
    Ok(place)
}

fn asked_for(table: &TableLoad<'_>, options: &TargetOptions) -> Result<Option<(Option<String>, String)>> {
    if table.target.is_some() {
        return Ok(table.target.clone());
    }
    let source = &table.table.table;
    let mapped = options
        .tables
        .get(&source.to_string())
        .or_else(|| options.tables.get(&source.name));
    let Some(text) = mapped else { return Ok(None) };
    match TableName::parse(text) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(Failure::new(
            Code::ConfigInvalid,
            format!("`{text}`, to which {source} is mapped, is no table name"),
        )
        .remedy("Write TABLE or SCHEMA.TABLE, with double quotes around a part that has a dot.")),
    }
}

/// Positions of the merge key's columns.
pub(crate) fn key(
    table: &ManifestTable,
    columns: &[TargetColumn<'_>],
    options: &TargetOptions,
    shown: &str,
    findings: &mut Vec<Finding>,
) -> Vec<usize> {
    if options.mode != Mode::Merge {
        return Vec::new();
    }
    let own = options
        .keys
        .get(&table.table.to_string())
        .or_else(|| options.keys.get(&table.table.name));
    let wanted = own.unwrap_or(&options.key);
    if wanted.is_empty() {
        findings.push(Finding::value(
            format!("{shown} has no merge key"),
            "Name its columns in `keys` of the target's settings.",
        ));
    }
    let mut positions = Vec::with_capacity(wanted.len());
    for name in wanted {
        let position = columns.iter().position(|c| c.mapping.name == *name || c.name == *name);
        match position {
            None => findings.push(Finding::value(
                format!("{shown} has no column {name:?} for the merge key"),
                "Name columns of the extraction in `key` of the target's settings.",
            )),
            Some(position) if columns[position].facts.has_null() => findings.push(Finding::value(
                format!("{shown}: column {name:?} of the merge key holds NULL"),
                "Choose columns without NULL as the merge key.",
            )),
            Some(position) => positions.push(position),
        }
    }
    positions
}
