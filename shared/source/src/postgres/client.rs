//! What a session asks of its connection, whichever client has it.

use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::address::Address;
use super::describe::{self, Described};
use super::errors::{self, DatabaseError, Phase};
use super::session::Idle;
use super::{sql, wire};
use crate::resting::Resting;

type Answer<T> = std::result::Result<T, DatabaseError>;

/// A connection to the database.
pub(crate) trait Client: Sized + Send {
    /// The connections of this kind among those at rest.
    fn at_rest(idle: &mut Idle) -> &mut Resting<Self>;

    fn connect(address: &Address) -> impl Future<Output = Answer<Self>> + Send;

    /// Runs statements without parameters.
    fn run(&mut self, statements: &str) -> impl Future<Output = Answer<()>> + Send;

    /// The rows of one statement without parameters, each value as the server writes it.
    fn texts(&mut self, statement: &str) -> impl Future<Output = Answer<Vec<Vec<Option<String>>>>> + Send;

    /// What a SELECT would answer with; that it is a single statement is proven by that. The relations that it reads stay
    /// locked against changes until the transaction ends.
    fn describe(&mut self, select: &str) -> impl Future<Output = Answer<Vec<Described>>> + Send;

    /// Says goodbye to the server, which frees the connection's slot at once.
    fn goodbye(self) -> impl Future<Output = Answer<()>> + Send;
}

/// A new connection, as the settings of its user make it.
pub(crate) async fn connect<C: Client>(address: &Address, limit: Duration) -> Result<C> {
    let doing = || format!("cannot connect to PostgreSQL at {}", address.location);
    match tokio::time::timeout(limit, C::connect(address)).await {
        Ok(connection) => connection.map_err(|error| errors::failure(error, Phase::Connecting, doing())),
        Err(_) => {
            let late = format!("no answer within {} s", limit.as_secs_f32());
            Err(Failure::new(Code::SourceUnreachable, doing()).because(late))
        }
    }
}

pub(crate) async fn close<C: Client>(connection: C, limit: Duration) {
    // A server that does not take the goodbye notices the closed socket.
    let _ = tokio::time::timeout(limit, connection.goodbye()).await;
}

impl Client for PgConnection {
    fn at_rest(idle: &mut Idle) -> &mut Resting<Self> {
        &mut idle.drivers
    }

    async fn connect(address: &Address) -> Answer<Self> {
        Ok(<Self as Connection>::connect_with(&address.options).await?)
    }

    async fn run(&mut self, statements: &str) -> Answer<()> {
        sql::statements(statements.to_owned()).execute(self).await?;
        Ok(())
    }

    async fn texts(&mut self, statement: &str) -> Answer<Vec<Vec<Option<String>>>> {
        let rows = sql::statements(statement.to_owned()).fetch_all(self).await?;
        rows.iter().map(describe::texts_of).collect()
    }

    async fn describe(&mut self, select: &str) -> Answer<Vec<Described>> {
        Ok(describe::describe(self, select).await?)
    }

    async fn goodbye(self) -> Answer<()> {
        Ok(Connection::close(self).await?)
    }
}

impl Client for wire::Connection {
    fn at_rest(idle: &mut Idle) -> &mut Resting<Self> {
        &mut idle.own
    }

    async fn connect(address: &Address) -> Answer<Self> {
        Self::open(&address.endpoint).await
    }

    async fn run(&mut self, statements: &str) -> Answer<()> {
        self.texts(statements).await.map(drop)
    }

    async fn texts(&mut self, statement: &str) -> Answer<Vec<Vec<Option<String>>>> {
        self.texts(statement).await
    }

    async fn describe(&mut self, select: &str) -> Answer<Vec<Described>> {
        self.describe(select).await
    }

    async fn goodbye(self) -> Answer<()> {
        self.close().await
    }
}
