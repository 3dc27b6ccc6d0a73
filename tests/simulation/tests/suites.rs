//! The ports of the simulation, faults switched off, pass what the real adapters pass.

mod database;

use std::sync::Arc;

use sqlextract_checkpoint::Checkpoint;
use sqlextract_queue::InProcessQueue;
use sqlextract_simulation::{
    FaultyCheckpoint, FaultyQueue, FaultySource, FaultyStorage, MemoryCheckpoint, MemoryStorage, Wire,
};
use sqlextract_storage::Storage;

mod queue {
    use super::{Arc, FaultyQueue, InProcessQueue, MemoryStorage, Wire};
    use sqlextract_queue::suite::Subject;

    async fn open(capacity: usize) -> Subject {
        let queue = FaultyQueue {
            inner: Arc::new(InProcessQueue::new(capacity)),
            wire: Wire::perfect(),
            planted: None,
            storage: Arc::new(MemoryStorage::default()),
        };
        Subject {
            queue: Arc::new(queue),
            capacity,
        }
    }

    sqlextract_queue::queue_suite!(open);
}

mod checkpoint {
    use super::{Arc, Checkpoint, FaultyCheckpoint, MemoryCheckpoint, Wire};
    use sqlextract_checkpoint::suite::Subject;

    async fn open() -> (Subject, ()) {
        let store: Arc<dyn Checkpoint> = Arc::new(MemoryCheckpoint::default());
        let handle = || -> Arc<dyn Checkpoint> {
            Arc::new(FaultyCheckpoint {
                inner: Arc::clone(&store),
                wire: Wire::perfect(),
            })
        };
        let (first, second) = (handle(), handle());
        (Subject { first, second }, ())
    }

    sqlextract_checkpoint::checkpoint_suite!(open);
}

mod storage {
    use super::{Arc, FaultyStorage, MemoryStorage, Storage, Wire};

    async fn open() -> (Arc<dyn Storage>, ()) {
        let storage = FaultyStorage {
            inner: Arc::new(MemoryStorage::default()),
            wire: Wire::perfect(),
        };
        (Arc::new(storage), ())
    }

    sqlextract_storage::storage_suite!(open);
}

mod source {
    use sqlextract_model::{Dialect, TableName};
    use sqlextract_source::suite::{self, CONNECTIONS, Fixture};

    use super::{Arc, FaultySource, Wire};
    use crate::database::Database;

    fn fixture() -> Fixture {
        Fixture::new(Dialect::Sqlite, TableName::new("main", "fixture"))
    }

    fn filled() -> (Database, FaultySource) {
        let statements = fixture().statements().join("; ");
        let database = Database::new(&format!("PRAGMA journal_mode = wal; {statements}"));
        let source = FaultySource {
            inner: Arc::new(database.still_source(CONNECTIONS)),
            wire: Wire::perfect(),
        };
        (database, source)
    }

    macro_rules! cases {
        ($($case:ident)*) => {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (_kept, source) = filled();
                    suite::$case(&source, &fixture()).await;
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
        let (database, source) = filled();
        suite::snapshot_sees_one_state(&source, &fixture(), &database).await;
    }
}
