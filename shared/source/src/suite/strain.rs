//! What others feel, and nothing of our own.

use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{Range, Relation, Result};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::fixture::Fixture;
use super::{CONNECTIONS, DEADLINE, within};
use crate::{ReadRequest, RowSink, Source};

/// Says that it was reached, and takes nothing.
struct Stuck<'a>(&'a Semaphore);

#[async_trait]
impl RowSink for Stuck<'_> {
    async fn push(&mut self, _: RecordBatch) -> Result<()> {
        self.0.add_permits(1);
        std::future::pending().await
    }
}

/// Reads that keep the server busy on every other connection are no strain. Others may use the same server meanwhile:
/// the case waits for a moment in which they rest, and which a count of our own reads would never find.
pub async fn own_reads_are_no_strain(source: &dyn Source, fixture: &Fixture) {
    let name = fixture.quoted_table();
    // A million rows: more than lies in the buffers between server and reader.
    let many = Relation::Query(format!(
        "SELECT a.id, a.label, a.weight FROM {name} AS a CROSS JOIN {name} AS b"
    ));
    let (cancel, range, reached) = (CancellationToken::new(), Range::All, Semaphore::new(0));
    let reads = (1..CONNECTIONS).map(|_| async {
        let request = ReadRequest {
            relation: &many,
            ..fixture.request(&range, &cancel)
        };
        source.read(request, &mut Stuck(&reached)).await
    });
    let told = Mutex::new(None);
    let asking = async {
        within(reached.acquire_many(CONNECTIONS - 1))
            .await
            .expect("the semaphore stays open")
            .forget();
        loop {
            let strain = source.strain().await.expect("strain is told while all others read");
            if strain.is_none_or(|strain| strain.level == 0.0) {
                return;
            }
            *told.lock().await = strain;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let rested = async {
        if tokio::time::timeout(DEADLINE, asking).await.is_err() {
            panic!("others never rested: {:?}", told.lock().await);
        }
    };
    tokio::select! {
        ended = futures_util::future::join_all(reads) => panic!("no read can end: {ended:?}"),
        () = rested => {}
    }
    cancel.cancel();
}
