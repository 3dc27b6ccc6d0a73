//! MySQL and MariaDB: questions go through the driver, rows come through the binary protocol over our own connections.

mod address;
mod aggregate;
mod catalogue;
mod cell;
mod client;
mod columns;
mod connection;
mod decode;
mod decode_all;
mod errors;
mod inspect;
mod keys;
mod pending;
mod probe;
mod read;
mod reader;
mod schema;
mod select;
mod selected;
mod session;
mod sizes;
mod sql;
mod strain;
mod temporal;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_model::{
    ColumnAggregate, ColumnMapping, Dialect, Relation, Result, Selection, SnapshotToken, SourceCounters, SourceFacts,
    Strain,
};
use sqlx::MySqlConnection;

use self::address::Address;
use self::connection::Connections;
use crate::{Probe, ProbeAnswer, ReadRequest, ReadSummary, RowSink, Snapshot, Source, SourceSettings};

/// A MySQL or MariaDB database.
///
/// It has no snapshot that several connections could share, so rows are of one instant per read: one statement each.
#[derive(Debug)]
pub struct MysqlSource {
    connections: Arc<Connections>,
    refused: strain::Refused,
}

impl MysqlSource {
    /// Checks the URL and opens the first connection.
    ///
    /// # Errors
    ///
    /// `config_invalid` and `plaintext_refused` for the URL; what connecting can meet; `source_pooler` where the
    /// session's settings do not hold.
    pub async fn open(settings: SourceSettings) -> Result<Self> {
        let address = Address::parse(&settings.url, settings.allow_plaintext)?;
        let connections = Arc::new(Connections::new(address, settings));
        connections.lease::<MySqlConnection>().await?.release();
        Ok(Self {
            connections,
            refused: strain::Refused::default(),
        })
    }
}

#[async_trait]
impl Source for MysqlSource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        inspect::inspect(&self.connections, selections).await
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        _snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        probe::probe(&self.connections, relation, filter, probes).await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        Ok(None)
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        read::read(&self.connections, request, sink).await
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        aggregate::aggregate(&self.connections, relation, filter, columns).await
    }

    async fn strain(&self) -> Result<Option<Strain>> {
        strain::strain(&self.connections, &self.refused).await
    }

    /// The server counts pages of all tables together, which says nothing about some of them.
    async fn counters(&self, _relations: &[Relation]) -> Result<SourceCounters> {
        Ok(SourceCounters::default())
    }

    fn before_reads(&self) {
        tokio::spawn(self.connections.clone().open_ahead::<wire::Connection>());
    }

    async fn leave(&self) {
        self.connections.leave().await;
    }

    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }
}
