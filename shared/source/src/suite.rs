//! The cases that every source adapter must pass, called from the adapters' own tests.
//!
//! # What an adapter's tests provide
//!
//! A scratch database in which they have run [`Fixture::statements`] (one table of three columns and a thousand rows,
//! made and filled by standard SQL), a source that is opened on it with [`CONNECTIONS`] connections, and for the case
//! about snapshots a [`Writer`] that is not the adapter:
//!
//! ```ignore
//! let fixture = Fixture::new(Dialect::Postgres, TableName::new("public", "fixture"));
//! for statement in fixture.statements() {
//!     execute(&statement).await;
//! }
//! suite::every_row_once_by_ranges(&source, &fixture).await;
//! ```
//!
//! The table is for one case: [`snapshot_sees_one_state`] changes it. An adapter without snapshots asserts in its own
//! test that `snapshot` answers `None`, and does not call that case.

mod fixture;
mod lookups;
mod reads;
mod snapshots;
mod strain;

use std::future::Future;
use std::time::Duration;

use sqlextract_model::{Failure, Result};

use crate::ReadLimits;

pub use fixture::{Fixture, Row, Writer};
pub use lookups::{
    a_filter_narrows_its_range, aggregates_match, every_row_once_by_ranges,
    inspect_describes_the_table_and_names_what_is_missing,
};
pub use reads::{
    a_dropped_read_leaves_the_next_one_whole, a_failing_sink_ends_the_read, a_row_beyond_its_limit_is_refused,
    a_summary_counts_rows_and_bytes, cancel_stops_a_read, reads_wait_for_a_connection, zero_rows_are_proven,
};
pub use snapshots::snapshot_sees_one_state;
pub use strain::own_reads_are_no_strain;

/// Connections that a source under test is opened with.
pub const CONNECTIONS: u32 = 3;
/// Longest wait for something that must happen.
const DEADLINE: Duration = Duration::from_secs(60);
const LIMITS: ReadLimits = ReadLimits {
    record_batch_bytes: 1 << 20,
    record_batch_rows: 10,
    alone_bytes: 1 << 20,
    row_bytes: 1 << 20,
};

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .expect("it ends within the deadline")
}

async fn failed<T>(work: impl Future<Output = Result<T>>) -> Failure {
    match within(work).await {
        Ok(_) => panic!("it must fail"),
        Err(failure) => failure,
    }
}
