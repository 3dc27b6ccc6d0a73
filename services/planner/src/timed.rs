//! A timed probe: what a source gives per second of one table, read for a moment before its plan is made.

use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{ColumnMapping, Range, Relation, Result, SnapshotToken, TableFacts, TableKind};
use sqlextract_source::{ReadLimits, ReadRequest, RowSink, Source};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A smaller table is a few batches of a second each at any pace that is worth a thought, and not worth a probe.
const LEAST_TABLE_BYTES: u64 = 256 << 20;
/// The probe ends with the first of these.
const MOST_BYTES: u64 = 4 << 20;
const LONGEST: Duration = Duration::from_millis(1500);
/// Less than this tells of the way to the first row and not of those that follow.
const LEAST_BYTES: u64 = 256 << 10;

/// Whether a table is worth a probe: a large one that is read as it lies. A view or a query may work for long before its
/// first row.
pub(crate) fn is_worth_it(table: &TableFacts, batch_rows: Option<u64>, filter: Option<&str>) -> bool {
    let lies = matches!(table.kind, TableKind::Table | TableKind::Partitioned);
    lies && batch_rows.is_none() && filter.is_none() && table.estimated_bytes >= LEAST_TABLE_BYTES
}

/// Bytes per second of one reader, or `None` where too little came to tell. What fails here is left to those who read in
/// earnest: the plan is then made as without a probe.
pub(crate) async fn bytes_per_second(
    source: &dyn Source,
    table: &TableFacts,
    relation: &Relation,
    columns: &[ColumnMapping],
    snapshot: Option<&SnapshotToken>,
) -> Option<u64> {
    let cancel = CancellationToken::new();
    let mut pulse = Pulse {
        began: None,
        last: Instant::now(),
        bytes: 0,
        cancel: cancel.clone(),
    };
    let request = ReadRequest {
        table: &table.name,
        relation,
        filter: None,
        columns,
        row_key: &[],
        range: &Range::All,
        snapshot,
        limits: ReadLimits {
            record_batch_bytes: 1 << 20,
            record_batch_rows: 64 << 10,
            alone_bytes: 1 << 20,
            row_bytes: MOST_BYTES as usize,
        },
        cancel: &cancel,
    };
    let watch = async {
        tokio::time::sleep(LONGEST).await;
        cancel.cancel();
        // The read ends within a moment, and closes its connection.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = source.read(request, &mut pulse) => {}
        () = watch => {}
    }
    let rate = pulse.rate();
    if let Some(rate) = rate {
        tracing::info!(
            "{}: a probe read {} bytes, {rate} bytes per second of one reader",
            table.name,
            pulse.bytes
        );
    }
    rate
}

/// Counts what comes, and ends the read when it knows enough.
struct Pulse {
    /// When the first bytes were there: the way to them is not the pace.
    began: Option<(Instant, u64)>,
    last: Instant,
    bytes: u64,
    cancel: CancellationToken,
}

impl Pulse {
    fn rate(&self) -> Option<u64> {
        let (began, before) = self.began?;
        let (bytes, time) = (self.bytes - before, self.last - began);
        let enough = bytes >= LEAST_BYTES && !time.is_zero();
        enough.then(|| ((bytes as f64 / time.as_secs_f64()) as u64).max(1))
    }
}

#[async_trait]
impl RowSink for Pulse {
    async fn received(&mut self, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        self.last = Instant::now();
        if self.began.is_none() {
            self.began = Some((self.last, self.bytes));
        }
        if self.bytes >= MOST_BYTES {
            self.cancel.cancel();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn push(&mut self, _: RecordBatch) -> Result<()> {
        Ok(())
    }
}
