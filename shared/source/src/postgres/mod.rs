//! PostgreSQL, read through binary COPY.

/// A PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSource;
