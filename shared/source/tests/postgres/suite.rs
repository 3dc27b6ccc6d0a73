//! The suite of every source.

use async_trait::async_trait;
use sqlextract_model::{Dialect, TableName};
use sqlextract_source::suite::{self, Fixture, Writer};
use sqlextract_source::{PostgresSource, Source, SourceSettings};
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;

use crate::fixture::{Scratch, execute, settings};

struct Admin(Mutex<PgConnection>);

#[async_trait]
impl Writer for Admin {
    async fn execute(&self, sql: &str) {
        execute(&mut *self.0.lock().await, sql).await;
    }
}

async fn prepared() -> (Scratch, Fixture, PostgresSource) {
    let mut scratch = Scratch::new().await;
    let fixture = Fixture::new(Dialect::Postgres, TableName::new("public", "fixture"));
    for statement in fixture.statements() {
        scratch.execute(&statement).await;
    }
    let settings = SourceSettings {
        max_connections: suite::CONNECTIONS,
        ..settings(scratch.url())
    };
    let source = PostgresSource::open(settings).await.unwrap();
    assert_eq!(source.dialect(), Dialect::Postgres);
    (scratch, fixture, source)
}

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (scratch, fixture, source) = prepared().await;
                suite::$case(&source, &fixture).await;
                scratch.remove().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_sees_one_state() {
    let (mut scratch, fixture, source) = prepared().await;
    let url = scratch.url();
    let other = <PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    let admin = Admin(Mutex::new(std::mem::replace(&mut scratch.admin, other)));
    suite::snapshot_sees_one_state(&source, &fixture, &admin).await;
    scratch.remove().await;
}
