//! Reads that end as they should, in whatever way they end.

use std::future::Future;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{Code, Failure, Range, Result};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, Taken};
use super::{CONNECTIONS, LIMITS, failed, within};
use crate::{ReadLimits, ReadRequest, ReadSummary, RowSink, Source};

/// Does something at its first push.
struct AtFirstPush<F>(usize, F);

#[async_trait]
impl<F, A> RowSink for AtFirstPush<F>
where
    F: FnMut() -> A + Send,
    A: Future<Output = Result<()>> + Send,
{
    async fn push(&mut self, _: RecordBatch) -> Result<()> {
        self.0 += 1;
        if self.0 == 1 { (self.1)().await } else { Ok(()) }
    }
}

/// A gap is read as no rows, in a snapshot as well as without.
pub async fn zero_rows_are_proven(source: &dyn Source, fixture: &Fixture) {
    let gap = fixture.range(Some(6_943_008), Some(i128::from(i64::MAX)));
    let taken = fixture.read(source, &gap, None).await;
    assert_eq!((taken.count, taken.pushes), (0, 0));
    if let Some(snapshot) = within(source.snapshot()).await.expect("the source answers") {
        let reads = (0..2 * CONNECTIONS).map(|_| fixture.read(source, &gap, Some(snapshot.token())));
        let all = futures_util::future::join_all(reads).await;
        assert!(all.iter().all(|taken| taken.count == 0));
    }
}

/// More reads than connections take turns.
pub async fn reads_wait_for_a_connection(source: &dyn Source, fixture: &Fixture) {
    let range = Range::All;
    let all = futures_util::future::join_all((0..4 * CONNECTIONS).map(|_| fixture.read(source, &range, None))).await;
    assert!(all.iter().all(|taken| taken.rows == fixture.rows()));
}

/// A read whose cancellation is set ends as interrupted, even while its sink waits.
pub async fn cancel_stops_a_read(source: &dyn Source, fixture: &Fixture) {
    let cancel = CancellationToken::new();
    let mut sink = AtFirstPush(0, || {
        cancel.cancel();
        std::future::pending()
    });
    let failure = failed(source.read(fixture.request(&Range::All, &cancel), &mut sink)).await;
    assert!(
        matches!(failure.code, Code::Interrupted | Code::JobCancelled),
        "{failure:?}"
    );
    assert_eq!(fixture.read(source, &Range::All, None).await.rows, fixture.rows());
}

/// A read that is dropped in its middle leaves nothing to those that follow.
pub async fn a_dropped_read_leaves_the_next_one_whole(source: &dyn Source, fixture: &Fixture) {
    for _ in 0..2 * CONNECTIONS {
        let cancel = CancellationToken::new();
        let reached = tokio::sync::Notify::new();
        let mut sink = AtFirstPush(0, || {
            reached.notify_one();
            std::future::pending()
        });
        tokio::select! {
            ended = source.read(fixture.request(&Range::All, &cancel), &mut sink) => panic!("it cannot end: {ended:?}"),
            () = within(reached.notified()) => {}
        }
    }
    let expected = fixture.rows();
    for _ in 0..2 * CONNECTIONS {
        assert_eq!(fixture.read(source, &Range::All, None).await.rows, expected);
    }
}

/// What the sink refuses ends the read as it is.
pub async fn a_failing_sink_ends_the_read(source: &dyn Source, fixture: &Fixture) {
    let cancel = CancellationToken::new();
    let mut sink = AtFirstPush(0, || {
        std::future::ready(Err(Failure::new(Code::StorageFull, "no space")))
    });
    let failure = failed(source.read(fixture.request(&Range::All, &cancel), &mut sink)).await;
    assert_eq!((failure.code, sink.0), (Code::StorageFull, 1));
    assert_eq!(fixture.read(source, &Range::All, None).await.rows, fixture.rows());
}

/// A row beyond the limit is refused by table, column and row, never buffered.
pub async fn a_row_beyond_its_limit_is_refused(source: &dyn Source, fixture: &Fixture) {
    let cancel = CancellationToken::new();
    let limits = ReadLimits {
        row_bytes: 20,
        ..LIMITS
    };
    let request = ReadRequest {
        limits,
        ..fixture.request(&Range::All, &cancel)
    };
    let failure = failed(source.read(request, &mut Taken::default())).await;
    assert_eq!(failure.code, Code::ValueTooLarge, "{failure:?}");
    assert_eq!(failure.table.as_deref(), Some(fixture.table.to_string().as_str()));
    assert_eq!(fixture.read(source, &Range::All, None).await.rows, fixture.rows());
}

/// Keeps the summary's type in the suite's contract: rows pushed, bytes off the wire, of which the sink hears in time.
pub async fn a_summary_counts_rows_and_bytes(source: &dyn Source, fixture: &Fixture) {
    let cancel = CancellationToken::new();
    let mut taken = Taken::default();
    let summary: ReadSummary = within(source.read(fixture.request(&Range::All, &cancel), &mut taken))
        .await
        .expect("rows are read");
    assert_eq!(summary.rows, fixture.rows().len() as u64);
    assert!(summary.load.wire_bytes > 8 * summary.rows, "{summary:?}");
    assert_eq!(taken.received, summary.load.wire_bytes);
    let load = summary.load;
    assert!(load.statement_ms <= load.transaction_ms, "{load:?}");
    assert!(
        load.connections.is_none_or(|open| (1..=CONNECTIONS).contains(&open)),
        "{load:?}"
    );
}
