//! The real SQLite source, asked while the world stands still; and one that is late, fails and breaks off.
//!
//! Reading SQLite takes threads. The simulation's only thread waits for theirs, so that whatever they do takes no time
//! in its world and happens in no other order.

use std::sync::{Arc, mpsc as standing};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlextract_model::{
    Code, ColumnAggregate, ColumnMapping, Dialect, Failure, KeyColumn, Range, Relation, Result, Selection,
    SnapshotEvidence, SnapshotToken, SourceCounters, SourceFacts, Strain, TableName,
};
use sqlextract_source::{
    Probe, ProbeAnswer, ReadLimits, ReadRequest, ReadSummary, RowSink, Snapshot, Source, SourceSettings, SqliteSource,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Wire;
use crate::process::SHORT_DEADLINE;

/// Questions that may wait for the thread.
const QUESTIONS: usize = 1024;

fn gone() -> Failure {
    Failure::new(Code::Defect, "the source's thread has ended")
}

/// The thread that has a runtime of its own. Clones are handles of the same.
#[derive(Debug, Clone)]
struct Aside {
    questions: mpsc::Sender<BoxFuture<'static, ()>>,
}

impl Aside {
    fn begin() -> Result<Self> {
        let (questions, mut asked) = mpsc::channel::<BoxFuture<'static, ()>>(QUESTIONS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::new(Code::Defect, "a runtime does not start").because(e))?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                while let Some(question) = asked.recv().await {
                    tokio::spawn(question);
                }
            });
        });
        Ok(Self { questions })
    }

    fn send(&self, question: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        self.questions.try_send(Box::pin(question)).map_err(|_| gone())
    }

    /// The world stands still until the answer is there.
    fn ask<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (answer, answered) = standing::sync_channel(1);
        self.send(async move {
            // Whoever asked may be gone.
            let _ = answer.send(question.await);
        })?;
        answered.recv().map_err(|_| gone())
    }
}

#[derive(Debug)]
pub struct StillSource {
    real: Arc<SqliteSource>,
    aside: Aside,
}

impl StillSource {
    /// `settings` allow as many connections as reads may be under way, or the world stands still for ever.
    pub fn open(settings: SourceSettings) -> Result<Self> {
        let aside = Aside::begin()?;
        let real = Arc::new(aside.ask(SqliteSource::open(settings))??);
        Ok(Self { real, aside })
    }
}

/// What the thread says during a read.
enum Said {
    Received(u64),
    Admit(usize),
    Rows(RecordBatch),
    End(Result<ReadSummary>),
}

/// The real source's sink: passes on, and waits until it was taken.
struct Relay {
    said: standing::SyncSender<Said>,
    taken: mpsc::Receiver<()>,
}

impl Relay {
    async fn say(&mut self, said: Said) -> Result<()> {
        let sent = self.said.send(said).is_ok();
        match self.taken.recv().await {
            Some(()) if sent => Ok(()),
            _ => Err(Failure::new(Code::Interrupted, "nobody listens any more")),
        }
    }
}

#[async_trait]
impl RowSink for Relay {
    async fn received(&mut self, bytes: u64) -> Result<()> {
        self.say(Said::Received(bytes)).await
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.say(Said::Rows(batch)).await
    }

    async fn admit(&mut self, bytes: usize) -> Result<()> {
        self.say(Said::Admit(bytes)).await
    }
}

/// A request that outlives its asker.
struct Owned {
    table: TableName,
    relation: Relation,
    filter: Option<String>,
    columns: Vec<ColumnMapping>,
    row_key: Vec<KeyColumn>,
    range: Range,
    snapshot: Option<SnapshotToken>,
    limits: ReadLimits,
}

impl Owned {
    fn of(request: &ReadRequest<'_>) -> Self {
        Self {
            table: request.table.clone(),
            relation: request.relation.clone(),
            filter: request.filter.map(str::to_owned),
            columns: request.columns.to_vec(),
            row_key: request.row_key.to_vec(),
            range: request.range.clone(),
            snapshot: request.snapshot.cloned(),
            limits: request.limits,
        }
    }

    fn request<'a>(&'a self, cancel: &'a CancellationToken) -> ReadRequest<'a> {
        ReadRequest {
            table: &self.table,
            relation: &self.relation,
            filter: self.filter.as_deref(),
            columns: &self.columns,
            row_key: &self.row_key,
            range: &self.range,
            snapshot: self.snapshot.as_ref(),
            limits: self.limits,
            cancel,
        }
    }
}

#[async_trait]
impl Source for StillSource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        let (real, selections) = (Arc::clone(&self.real), selections.to_vec());
        self.aside.ask(async move { real.inspect(&selections).await })?
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        let (real, relation, filter) = (Arc::clone(&self.real), relation.clone(), filter.map(str::to_owned));
        let (probes, snapshot) = (probes.to_vec(), snapshot.cloned());
        let probing = async move {
            real.probe(&relation, filter.as_deref(), &probes, snapshot.as_ref())
                .await
        };
        self.aside.ask(probing)?
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let real = Arc::clone(&self.real);
        let snapshot = self.aside.ask(async move { real.snapshot().await })??;
        Ok(snapshot.map(|snapshot| -> Box<dyn Snapshot> {
            Box::new(StillSnapshot {
                token: snapshot.token().clone(),
                evidence: snapshot.evidence().clone(),
                real: Some(Arc::from(snapshot)),
                aside: self.aside.clone(),
            })
        }))
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let (said, heard) = standing::sync_channel(1);
        let (take, taken) = mpsc::channel(1);
        let (real, owned, cancel) = (Arc::clone(&self.real), Owned::of(&request), CancellationToken::new());
        // Dropped in the middle, the read ends over there too.
        let _ends = cancel.clone().drop_guard();
        self.aside.send(async move {
            let mut relay = Relay {
                said: said.clone(),
                taken,
            };
            let outcome = real.read(owned.request(&cancel), &mut relay).await;
            // Whoever asked may be gone.
            let _ = said.send(Said::End(outcome));
        })?;
        loop {
            let said = heard.recv().map_err(|_| gone())?;
            let passing = async {
                match said {
                    Said::End(outcome) => return outcome.map(Some),
                    Said::Received(bytes) => sink.received(bytes).await?,
                    Said::Rows(rows) => sink.push(rows).await?,
                    Said::Admit(bytes) => sink.admit(bytes).await?,
                }
                Ok(None)
            };
            let ended = tokio::select! {
                biased;
                () = request.cancel.cancelled() => Err(Failure::new(Code::Interrupted, "the read was cancelled")),
                ended = passing => ended,
            };
            if let Some(mut summary) = ended? {
                // By the clock of the thread aside, which is not the world's.
                (summary.load.statement_ms, summary.load.transaction_ms) = (0, 0);
                return Ok(summary);
            }
            take.try_send(()).map_err(|_| gone())?;
        }
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        let (real, relation, filter) = (Arc::clone(&self.real), relation.clone(), filter.map(str::to_owned));
        let columns = columns.to_vec();
        let aggregating = async move { real.aggregate(&relation, filter.as_deref(), &columns).await };
        self.aside.ask(aggregating)?
    }

    async fn strain(&self) -> Result<Option<Strain>> {
        let real = Arc::clone(&self.real);
        self.aside.ask(async move { real.strain().await })?
    }

    async fn counters(&self, relations: &[Relation]) -> Result<SourceCounters> {
        let (real, relations) = (Arc::clone(&self.real), relations.to_vec());
        self.aside.ask(async move { real.counters(&relations).await })?
    }

    fn dialect(&self) -> Dialect {
        self.real.dialect()
    }
}

#[derive(Debug)]
struct StillSnapshot {
    token: SnapshotToken,
    evidence: SnapshotEvidence,
    /// `None` once it is being dropped.
    real: Option<Arc<dyn Snapshot>>,
    aside: Aside,
}

#[async_trait]
impl Snapshot for StillSnapshot {
    fn token(&self) -> &SnapshotToken {
        &self.token
    }

    fn evidence(&self) -> &SnapshotEvidence {
        &self.evidence
    }

    async fn check(&self) -> Result<()> {
        let real = self.real.clone().ok_or_else(gone)?;
        self.aside.ask(async move { real.check().await })?
    }

    async fn end(&self) {
        if let Some(real) = self.real.clone() {
            // With its thread the snapshot has ended too.
            let _ = self.aside.ask(async move { real.end().await });
        }
    }
}

impl Drop for StillSnapshot {
    fn drop(&mut self) {
        let real = self.real.take();
        // With its thread the snapshot has ended too.
        let _ = self.aside.ask(async move { drop(real) });
    }
}

/// What a process sees of the source.
#[derive(Debug)]
pub struct FaultySource {
    pub inner: Arc<dyn Source>,
    pub wire: Wire,
}

#[async_trait]
impl Source for FaultySource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        let inspecting = self.inner.inspect(selections);
        let what = format!("inspect {selections:?}");
        self.wire.call(what, Code::SourceUnreachable, inspecting).await
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        let probing = self.inner.probe(relation, filter, probes, snapshot);
        let what = format!("probe {probes:?}");
        self.wire.call(what, Code::SourceUnreachable, probing).await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let opening = self.inner.snapshot();
        self.wire
            .call("snapshot".to_owned(), Code::SourceUnreachable, opening)
            .await
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let what = format!("read {:?}", request.range);
        let wire = &self.wire;
        let mut sink = FaultySink { inner: sink, wire };
        let reading = self.inner.read(request, &mut sink);
        self.wire.call(what, Code::SourceUnreachable, reading).await
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        let aggregating = self.inner.aggregate(relation, filter, columns);
        self.wire
            .call("aggregate".to_owned(), Code::SourceUnreachable, aggregating)
            .await
    }

    async fn strain(&self) -> Result<Option<Strain>> {
        let asking = self.inner.strain();
        self.wire
            .call("strain".to_owned(), Code::SourceUnreachable, asking)
            .await
    }

    async fn counters(&self, relations: &[Relation]) -> Result<SourceCounters> {
        let asking = self.inner.counters(relations);
        self.wire
            .call("counters".to_owned(), Code::SourceUnreachable, asking)
            .await
    }

    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }
}

/// Breaks off between two record batches.
struct FaultySink<'a> {
    inner: &'a mut dyn RowSink,
    wire: &'a Wire,
}

#[async_trait]
impl RowSink for FaultySink<'_> {
    async fn received(&mut self, bytes: u64) -> Result<()> {
        self.inner.received(bytes).await
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.wire.life.pass().await;
        self.wire.delay().await;
        if self.wire.chance.strikes(self.wire.faults.failing) {
            return Err(Failure::new(Code::SourceUnreachable, "simulated: the connection broke"));
        }
        self.inner.push(batch).await?;
        if self.wire.chance.strikes(self.wire.faults.slow) {
            self.wire.trace.note(format_args!("the read stands still"));
            tokio::time::sleep(2 * SHORT_DEADLINE).await;
        }
        Ok(())
    }

    async fn admit(&mut self, bytes: usize) -> Result<()> {
        self.inner.admit(bytes).await
    }
}
