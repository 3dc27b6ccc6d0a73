//! What a session asks of its connection, whichever client has it.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::{Column, ConnectOptions, Connection, MySqlConnection, Row};

use super::address::Address;
use super::catalogue::CatalogueRow;
use super::connection::{Idle, Session};
use super::errors::DatabaseError;
use super::sql::Statement;
use super::{cell, wire};
use crate::resting::Resting;

type Answer<T> = Result<T, DatabaseError>;

/// A connection to the server.
pub(super) trait Client: Sized + Send {
    /// The connections of this kind among those at rest.
    fn at_rest(idle: &mut Idle) -> &mut Resting<Session<Self>>;

    fn connect(address: &Address) -> impl Future<Output = Answer<Self>> + Send;

    /// All rows of the answer to a statement that goes as text, its values written out.
    fn texts(&mut self, statement: &Statement) -> impl Future<Output = Answer<Vec<CatalogueRow>>> + Send;

    /// Whether the server still listens.
    fn ping(&mut self) -> impl Future<Output = Answer<()>> + Send;

    /// Says goodbye, so that the server logs no aborted connection.
    fn goodbye(self) -> impl Future<Output = Answer<()>> + Send;
}

impl Client for MySqlConnection {
    fn at_rest(idle: &mut Idle) -> &mut Resting<Session<Self>> {
        &mut idle.drivers
    }

    async fn connect(address: &Address) -> Answer<Self> {
        Ok(address.options.connect().await?)
    }

    async fn texts(&mut self, statement: &Statement) -> Answer<Vec<CatalogueRow>> {
        let rows = sqlx::raw_sql(statement.written_out()).fetch(self);
        let rows: Vec<sqlx::mysql::MySqlRow> = rows.try_collect().await?;
        let names = rows
            .first()
            .map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect());
        let names: Arc<[String]> = names.unwrap_or_default();
        let texts = |row: &sqlx::mysql::MySqlRow| {
            (0..names.len())
                .map(|i| cell::raw(row, i).map(<[u8]>::to_vec))
                .collect()
        };
        Ok(rows
            .iter()
            .map(|row| CatalogueRow::new(names.clone(), texts(row)))
            .collect())
    }

    async fn ping(&mut self) -> Answer<()> {
        Ok(Connection::ping(self).await?)
    }

    async fn goodbye(self) -> Answer<()> {
        Ok(Connection::close(self).await?)
    }
}

impl Client for wire::Connection {
    fn at_rest(idle: &mut Idle) -> &mut Resting<Session<Self>> {
        &mut idle.own
    }

    async fn connect(address: &Address) -> Answer<Self> {
        Self::open(&address.endpoint).await
    }

    async fn texts(&mut self, statement: &Statement) -> Answer<Vec<CatalogueRow>> {
        self.texts(statement.written_out().as_str()).await
    }

    async fn ping(&mut self) -> Answer<()> {
        self.ping().await
    }

    async fn goodbye(self) -> Answer<()> {
        self.close().await
    }
}
