//! A source that is opened when it is first asked: one database that is away holds up no other.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_model::{
    ColumnAggregate, ColumnMapping, Dialect, Relation, Result, Selection, SnapshotToken, SourceCounters, SourceFacts,
    Strain,
};
use sqlextract_source::{Probe, ProbeAnswer, ReadRequest, ReadSummary, RowSink, Snapshot, Source};
use tokio::sync::OnceCell;

use crate::ports;
use crate::settings::SourceChoice;

pub(crate) struct LazySource {
    choice: SourceChoice,
    max_connections: u32,
    dialect: Dialect,
    opened: OnceCell<Arc<dyn Source>>,
}

impl LazySource {
    /// Fails where the URL is of no kind of source.
    pub(crate) fn new(choice: SourceChoice, max_connections: u32) -> Result<Self> {
        Ok(Self {
            dialect: ports::dialect_of(&choice)?,
            choice,
            max_connections,
            opened: OnceCell::new(),
        })
    }

    /// A failure is told, and the next call tries again.
    async fn source(&self) -> Result<&Arc<dyn Source>> {
        let open = || ports::open_source(&self.choice, self.max_connections);
        self.opened.get_or_try_init(open).await
    }
}

impl fmt::Debug for LazySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazySource")
            .field("name", &self.choice.name)
            .field("opened", &self.opened.initialized())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for LazySource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        self.source().await?.inspect(selections).await
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        self.source().await?.probe(relation, filter, probes, snapshot).await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        // One of SQLite lives in the process that took it, and others extract.
        match self.dialect {
            Dialect::Sqlite => Ok(None),
            Dialect::Postgres | Dialect::Mysql => self.source().await?.snapshot().await,
        }
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        self.source().await?.read(request, sink).await
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        self.source().await?.aggregate(relation, filter, columns).await
    }

    async fn strain(&self) -> Result<Option<Strain>> {
        self.source().await?.strain().await
    }

    async fn counters(&self, relations: &[Relation]) -> Result<SourceCounters> {
        self.source().await?.counters(relations).await
    }

    fn before_reads(&self) {
        if let Some(source) = self.opened.get() {
            source.before_reads();
        }
    }

    async fn leave(&self) {
        if let Some(source) = self.opened.get() {
            source.leave().await;
        }
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}
