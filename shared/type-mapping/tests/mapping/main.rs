//! The decisions about columns, as tables.

mod by_name;
mod by_table;
mod columns;
mod parse;
mod properties;
mod refusals;
