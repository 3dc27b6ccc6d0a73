//! MySQL and MariaDB, read through the binary protocol.

/// A MySQL or MariaDB database.
#[derive(Debug)]
pub struct MysqlSource;
