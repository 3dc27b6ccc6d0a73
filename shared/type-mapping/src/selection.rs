//! Which columns of a table are wanted.

use std::collections::HashSet;

use sqlextract_model::{Code, Failure, SourceColumn, TableName};

use crate::MappingOptions;

/// The wanted columns in their order, and what is wrong with the wish.
pub(crate) fn select<'c>(
    table: &TableName,
    columns: &'c [SourceColumn],
    options: &MappingOptions<'_>,
) -> (Vec<&'c SourceColumn>, Vec<Failure>) {
    let overridden: Vec<&str> = options.overrides.iter().map(|o| o.column.as_str()).collect();
    let excluded: Vec<&str> = options.exclude.iter().map(String::as_str).collect();
    let selected: Option<Vec<&str>> = options.columns.map(|names| names.iter().map(String::as_str).collect());

    let mut failures = Vec::new();
    let mut named: HashSet<&str> = HashSet::new();
    for name in selected.iter().flatten().chain(&excluded).chain(&overridden) {
        if named.insert(name) && !columns.iter().any(|c| c.name == *name) {
            failures.push(missing(table, columns, name));
        }
    }
    failures.extend(doubled(selected.as_deref().unwrap_or_default()).map(|n| twice(table, n, "selected")));
    failures.extend(doubled(&overridden).map(|n| twice(table, n, "given a type")));

    let wanted: Vec<&SourceColumn> = match &selected {
        Some(names) => names
            .iter()
            .filter_map(|name| columns.iter().find(|c| c.name == *name))
            .collect(),
        None => columns.iter().collect(),
    };
    (
        wanted
            .into_iter()
            .filter(|c| !excluded.contains(&c.name.as_str()))
            .collect(),
        failures,
    )
}

fn missing(table: &TableName, columns: &[SourceColumn], name: &str) -> Failure {
    let failure = Failure::new(Code::SourceObjectMissing, format!("{table} has no column {name}"))
        .table(table)
        .column(name);
    match columns.iter().find(|c| c.name.to_lowercase() == name.to_lowercase()) {
        Some(close) => failure.remedy(format!("Names are taken as written; there is a column {}.", close.name)),
        None => failure.remedy(format!("`sqlextract inspect --table {table}` lists its columns.")),
    }
}

fn doubled<'n>(names: &[&'n str]) -> impl Iterator<Item = &'n str> {
    let mut seen = HashSet::new();
    names
        .iter()
        .copied()
        .filter(move |name| !seen.insert(*name))
        .collect::<Vec<_>>()
        .into_iter()
}

fn twice(table: &TableName, name: &str, what: &str) -> Failure {
    Failure::new(Code::UsageInvalid, format!("column {name} of {table} is {what} twice"))
        .table(table)
        .column(name)
        .remedy("Name the column once.")
}
