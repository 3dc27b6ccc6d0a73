//! The same sums in every dialect, so that a database and DuckDB can be compared over many rows.

use sqlextract_system_tests::{Database, Dialect, Job};

/// Sums 32 bits of the MD5 of each row's text; `None` is DuckDB.
pub(crate) fn text_sum(dialect: Option<Dialect>, text: &str) -> String {
    let digits = format!("substr(md5({text}), 1, 8)");
    match dialect {
        Some(Dialect::Postgres) => format!("sum(('x' || {digits})::bit(32)::bigint)"),
        Some(Dialect::Mysql) => format!("cast(sum(cast(conv({digits}, 16, 10) AS unsigned)) AS char)"),
        Some(Dialect::Sqlite) => format!("sum(hex_value({digits}))"),
        None => format!("sum(('0x' || {digits})::BIGINT)"),
    }
}

/// A table of orders that all three databases make alike.
pub(crate) struct Orders {
    pub(crate) database: Database,
}

const ROW: &str = "concat_ws('|', id, customer, coalesce(note, '~'), cents)";

impl Orders {
    pub(crate) fn new(dialect: Dialect, rows: u64) -> Self {
        Self::within(Database::new(dialect), rows)
    }

    /// In a database that nothing else changes.
    pub(crate) fn alone(dialect: Dialect, rows: u64) -> Self {
        Self::within(Database::alone(dialect), rows)
    }

    fn within(database: Database, rows: u64) -> Self {
        let dialect = database.dialect;
        let numbers = match dialect {
            Dialect::Postgres => format!("FROM generate_series(1, {rows}) AS g(i)"),
            Dialect::Mysql => format!("FROM (SELECT seq AS i FROM seq_1_to_{rows}) AS g"),
            Dialect::Sqlite => format!(
                "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n)"
            ),
        };
        let note = match dialect {
            Dialect::Mysql => "concat('note ', i)",
            _ => "'note ' || i",
        };
        let analyze = match dialect {
            Dialect::Postgres => "ANALYZE orders;",
            Dialect::Mysql => "ANALYZE TABLE orders;",
            Dialect::Sqlite => "ANALYZE;",
        };
        database.run(&format!(
            "CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, customer integer NOT NULL, note varchar(60), cents integer NOT NULL);
             INSERT INTO orders SELECT i, i % 977, CASE WHEN i % 5 = 0 THEN NULL ELSE {note} END, (i * 37) % 100003 {numbers};
             {analyze}"
        ));
        Self { database }
    }

    /// Count and sum of the rows in the database.
    pub(crate) fn in_database(&self) -> Vec<Option<String>> {
        let sum = text_sum(Some(self.database.dialect), ROW);
        self.database
            .rows(&format!("SELECT count(*), {sum} FROM orders;"))
            .remove(0)
    }

    /// Count and sum of the rows in a job's chunks.
    pub(crate) fn in_chunks(job: &Job) -> Vec<Option<String>> {
        job.query(
            "orders",
            &format!("SELECT count(*), {} FROM chunks", text_sum(None, ROW)),
        )
        .remove(0)
    }

    /// The job holds the table as it is now, and nothing else.
    #[track_caller]
    pub(crate) fn is_in(&self, job: &Job) {
        job.is_sound();
        assert_eq!(Self::in_chunks(job), self.in_database(), "count and sum of the rows");
    }
}
