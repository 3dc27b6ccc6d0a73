//! The suite of every source, on both kinds of journals.

use sqlextract_model::{Dialect, TableName};
use sqlextract_source::suite::{self, Fixture};

use crate::database::Database;

fn fixture() -> Fixture {
    Fixture::new(Dialect::Sqlite, TableName::new("main", "fixture"))
}

fn database(journal: &str) -> Database {
    let database = Database::new(&format!("PRAGMA journal_mode = {journal}"));
    for statement in fixture().statements() {
        database.execute_all(&statement);
    }
    database
}

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                for journal in ["delete", "wal"] {
                    let database = database(journal);
                    suite::$case(&database.source().await, &fixture()).await;
                }
            }
        )*
    };
}

cases! {
    inspect_describes_the_table_and_names_what_is_missing
    every_row_once_by_ranges
    a_filter_narrows_its_range
    zero_rows_are_proven
    reads_wait_for_a_connection
    cancel_stops_a_read
    a_dropped_read_leaves_the_next_one_whole
    a_failing_sink_ends_the_read
    a_row_beyond_its_limit_is_refused
    aggregates_match
    a_summary_counts_rows_and_bytes
    own_reads_are_no_strain
}

/// With a rollback journal nobody can write while the snapshot lives: see `snapshots`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_sees_one_state() {
    let database = database("wal");
    suite::snapshot_sees_one_state(&database.source().await, &fixture(), &database).await;
}
