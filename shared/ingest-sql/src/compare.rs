//! An existing table against the columns that are to be loaded: one query over the platform's catalogue that gives a line
//! per difference, and none where the table fits.

use std::fmt::Write as _;

use crate::plan::{TablePlan, TargetColumn};

/// Where and how a platform tells its columns, by the names of the standard's `information_schema.columns`.
pub(crate) struct Catalogue<'a> {
    pub(crate) relation: &'a str,
    /// Which rows of the relation are the table's.
    pub(crate) filter: &'a str,
    /// `||` or `+`.
    pub(crate) concat: &'a str,
    /// The name of the type that is told.
    pub(crate) type_column: &'a str,
    /// Names are compared in lower case.
    pub(crate) folds_case: bool,
    pub(crate) literal: fn(&str) -> String,
}

/// The query, two blanks in; its one column is `difference`. `fits` is a condition on the catalogue's columns that holds
/// for a type that can take the column's values.
pub(crate) fn differences(
    catalogue: &Catalogue<'_>,
    table: &TablePlan<'_>,
    fits: impl Fn(&TargetColumn<'_>) -> String,
) -> String {
    let Catalogue {
        relation,
        filter,
        concat,
        type_column,
        literal,
        ..
    } = catalogue;
    let name = |text: &str| {
        let text = if catalogue.folds_case {
            text.to_lowercase()
        } else {
            text.to_owned()
        };
        literal(&text)
    };
    let told = if catalogue.folds_case {
        "lower(column_name)"
    } else {
        "column_name"
    };
    let mut out = format!("  SELECT column_name {concat} CASE {told}\n");
    for column in &table.columns {
        let narrow = literal(&format!(", which cannot hold {}", column.kind));
        let is = literal(" is ");
        let _ = write!(
            out,
            "    WHEN {} THEN CASE WHEN NOT ({}) THEN {is} {concat} {type_column} {concat} {narrow}",
            name(&column.name),
            fits(column)
        );
        if column.facts.has_null() {
            let nulls = literal(" is NOT NULL, and the extraction holds NULL");
            let _ = write!(out, " WHEN is_nullable = 'NO' THEN {nulls}");
        }
        out.push_str(" END\n");
    }
    let extra = literal(" is not in the extraction");
    let missing = literal(" is missing");
    let _ = write!(
        out,
        "    ELSE {extra} END AS difference\n  FROM {relation} WHERE {filter}\n  UNION ALL\n  \
         SELECT w.column_name {concat} {missing} FROM ("
    );
    for (position, column) in table.columns.iter().enumerate() {
        let text = name(&column.name);
        let _ = match position {
            0 => write!(out, "SELECT {text} AS column_name"),
            _ => write!(out, " UNION ALL SELECT {text}"),
        };
    }
    let _ = write!(
        out,
        ") AS w\n  WHERE w.column_name NOT IN (SELECT {told} FROM {relation} WHERE {filter})"
    );
    out
}
