//! The suite of every source.

use sqlextract_model::Dialect;
use sqlextract_source::suite::{self, Fixture};
use sqlextract_source::{MysqlSource, Source};

use crate::support::Scratch;

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let mut scratch = Scratch::new().await;
                let fixture = Fixture::new(Dialect::Mysql, scratch.table("fixture"));
                for statement in fixture.statements() {
                    scratch.run(&statement).await;
                }
                let mut settings = scratch.settings();
                settings.max_connections = suite::CONNECTIONS;
                let source = MysqlSource::open(settings).await.unwrap();
                suite::$case(&source, &fixture).await;
                scratch.drop().await;
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

#[tokio::test]
async fn there_is_no_snapshot() {
    let scratch = Scratch::new().await;
    let source = scratch.open().await;
    assert!(source.snapshot().await.unwrap().is_none());
    assert_eq!(source.dialect(), Dialect::Mysql);
    scratch.drop().await;
}
