//! SQLite, read on threads of its own.

/// A SQLite database file.
#[derive(Debug)]
pub struct SqliteSource;
