//! One decision per column, before the first row: how it is read, and how the chunk holds it.
//!
//! Each dialect has its table in a file of its own ([`postgres`], [`mysql`], [`sqlite`]): source type in, cast, wire
//! form and chunk type out. `overrides` says what else a column can be by name. Nothing that could lose a value is
//! ever chosen here: a type without an exact form is refused, all refusals of a table together, each with the option
//! that helps. What cannot be known from the type alone (a zero date, a text in SQLite's INTEGER column) is checked by
//! the adapter row by row and is an error there, never NULL, unless the mapping says
//! [`Lossy::NullForUnrepresentable`](sqlextract_model::Lossy).
//!
//! `TYPES.md` beside this crate is [`type_table_markdown`], written from these same functions.

mod document;
mod form;
mod mysql;
mod overrides;
mod parse;
mod postgres;
mod refusal;
mod samples;
mod selection;
mod sqlite;

use sqlextract_model::{
    ChunkType, Code, ColumnMapping, ColumnOverride, Dialect, Failure, Lossy, OnLossy, SourceColumn, TableName,
};

pub use document::type_table_markdown;
pub use parse::{NamedOverride, parse_override};
pub use samples::every_mapping;

use form::Form;

/// What a table's mapping depends on beside its columns.
#[derive(Debug, Clone, Copy)]
pub struct MappingOptions<'a> {
    pub dialect: Dialect,
    pub on_lossy: OnLossy,
    pub overrides: &'a [ColumnOverride],
    /// In this order; `None` takes all columns in the table's.
    pub columns: Option<&'a [String]>,
    pub exclude: &'a [String],
}

/// Decides every column of a table, or refuses it with one failure per reason:
///
/// - `source_object_missing`: a selected, excluded or overridden column that the table does not have;
/// - `usage_invalid`: a column selected or overridden twice, or no column left;
/// - `type_unsupported`: no form in the chunk holds every value, or none of the kind asked for;
/// - `type_lossy`: the form asked for would lose digits, and `on_lossy` is `fail`.
pub fn map_table(
    table: &TableName,
    columns: &[SourceColumn],
    options: &MappingOptions<'_>,
) -> Result<Vec<ColumnMapping>, Vec<Failure>> {
    let (selected, mut failures) = selection::select(table, columns, options);
    let mut mappings = Vec::with_capacity(selected.len());
    for column in selected {
        let target = options
            .overrides
            .iter()
            .find(|o| o.column == column.name)
            .map(|o| o.target);
        let decision = match target {
            Some(target) => overrides::form_by_name(options.dialect, column, target, options.on_lossy),
            None => form_by_table(options.dialect, column, options.on_lossy),
        };
        match decision {
            Ok((form, lossy)) => mappings.push(mapping(column, form, lossy)),
            Err(refusal) => failures.push(refusal.failure(options.dialect, table, column)),
        }
    }
    if failures.is_empty() && mappings.is_empty() {
        failures.push(
            Failure::new(Code::UsageInvalid, format!("no column of {table} is left to extract"))
                .table(table)
                .remedy("Select at least one column."),
        );
    }
    if failures.is_empty() {
        Ok(mappings)
    } else {
        Err(failures)
    }
}

/// The dialect's own table row for a column; `None` where the type has no exact form of its own.
fn table_form(dialect: Dialect, column: &SourceColumn) -> Option<Form> {
    match dialect {
        Dialect::Postgres => postgres::form(column),
        Dialect::Mysql => mysql::form(column),
        Dialect::Sqlite => Some(sqlite::form(column)),
    }
}

fn form_by_table(
    dialect: Dialect,
    column: &SourceColumn,
    on_lossy: OnLossy,
) -> Result<(Form, Option<Lossy>), refusal::Refusal> {
    match table_form(dialect, column) {
        Some(form) => Ok((form, None)),
        None if on_lossy == OnLossy::Text => {
            overrides::form_by_name(dialect, column, sqlextract_model::OverrideType::Text, on_lossy)
        }
        None => Err(refusal::Refusal::NoForm),
    }
}

fn mapping(column: &SourceColumn, form: Form, lossy: Option<Lossy>) -> ColumnMapping {
    let text_of_a_length = form.chunk == ChunkType::Text && form.is_text_as_declared();
    ColumnMapping {
        name: column.name.clone(),
        declared: column.declared.clone(),
        // A value that becomes NULL by choice must find a column that takes it, in files and in scripts.
        nullable: column.nullable || lossy == Some(Lossy::NullForUnrepresentable),
        length: column.length.filter(|_| text_of_a_length),
        cast: form.cast,
        wire: form.wire,
        chunk: form.chunk,
        lossy,
    }
}
