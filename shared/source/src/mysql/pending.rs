//! What a read holds and what it says, between the task that reads and the one that feeds the sink.

use arrow::record_batch::RecordBatch;
use sqlextract_model::Result;
use tokio::sync::mpsc;

use super::decode::ColumnDecoder;
use super::read::stopped;

/// What the task sends. It waits for a word after each but the first.
pub(super) enum Sent {
    /// So many more bytes have come off the wire.
    Received(u64),
    Rows(RecordBatch),
    /// A record batch of so many bytes comes next, which is a large row.
    Large(usize),
}

/// Rows that are not yet pushed.
pub(super) struct Pending {
    pub(super) decoders: Vec<ColumnDecoder>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// Off the wire, and not told yet.
    pub(super) received: u64,
    /// Of every row.
    pub(super) fixed_bytes: usize,
    /// Positions of the columns whose values add their own bytes.
    pub(super) variable: Vec<usize>,
}

impl Pending {
    /// Tells what has come off the wire.
    pub(super) async fn tell(&mut self, batches: &mpsc::Sender<Sent>) -> Result<()> {
        let received = std::mem::take(&mut self.received);
        batches.send(Sent::Received(received)).await.map_err(|_| stopped())
    }
}
