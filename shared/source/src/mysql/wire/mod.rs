//! Our own connection to MySQL, for reading rows.
//!
//! The driver reads 8 KiB at a time, and makes of each row a buffer, a list of its cells and two messages between its own
//! streams. Here the cells are looked up where they lie in the buffer of the socket. A connection that has seen an error
//! other than a refused statement is not used again.

mod answers;
#[cfg(test)]
mod logins;
mod packets;
mod row;
mod start;

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

pub(super) use answers::{Announced, Kind, Refusal};
pub(super) use row::{Strip, WireRow};
pub(super) use start::Endpoint;

use self::answers::{Front, PreparedHead, ends_rows, refusal};
use self::packets::{Packets, malformed};
use self::row::Layout;
use super::catalogue::CatalogueRow;
use super::errors::DatabaseError;
use super::sql::Parameter;
use crate::tls::Stream;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PING: u8 = 0x0e;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const CLOSE_STATEMENT: u8 = 0x19;
/// In the place of a text's length.
const NULL_TEXT: u8 = 0xfb;

type Answer<T> = Result<T, DatabaseError>;

/// A session of the server.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    packets: Packets,
    /// What is to be sent.
    out: Vec<u8>,
    /// The announcement of columns has no packet at its end.
    ends_plainly: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A statement that the server has parsed.
#[derive(Debug)]
pub(super) struct Prepared {
    id: u32,
    pub(super) parameters: usize,
    pub(super) columns: Vec<Announced>,
}

/// The answer to a statement that is under way. Unless it is read to its end, the connection must not be used again.
pub(super) struct Rows<'c> {
    connection: &'c mut Connection,
    layout: Layout,
    /// A packet was received that is not used yet.
    at_hand: bool,
    /// As they are announced now: the definition may have changed since the statement was prepared.
    pub(super) columns: Vec<Announced>,
}

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint) -> Answer<Self> {
        start::open(endpoint).await
    }

    /// Says goodbye. The server does not answer that.
    pub(super) async fn close(mut self) -> Answer<()> {
        self.put(&[QUIT], true);
        self.send().await?;
        Ok(self.stream.shutdown().await?)
    }

    pub(super) async fn ping(&mut self) -> Answer<()> {
        self.put(&[PING], true);
        self.send().await?;
        self.receive_answer().await
    }

    /// Runs one statement as it is written: its rows, each value as text.
    pub(super) async fn texts(&mut self, statement: &str) -> Answer<Vec<CatalogueRow>> {
        self.put(&[&[QUERY], statement.as_bytes()].concat(), true);
        self.send().await?;
        self.receive_answer().await?;
        if self.packets.body()[0] == 0 {
            return Ok(Vec::new());
        }
        let columns = self.announced_count()?;
        let columns = self.announced(columns).await?;
        let names: Arc<[String]> = columns.into_iter().map(|column| column.name).collect();
        let mut rows = Vec::new();
        loop {
            self.receive_answer().await?;
            let body = self.packets.body();
            if ends_rows(body) {
                return Ok(rows);
            }
            let mut front = Front(body);
            let mut cell = || match front.0.first() {
                Some(&NULL_TEXT) => front.u8().map(|_| None),
                _ => front.counted().map(|bytes| Some(bytes.to_vec())),
            };
            let cells = names.iter().map(|_| cell()).collect::<io::Result<_>>()?;
            rows.push(CatalogueRow::new(names.clone(), cells));
        }
    }

    /// Lets the server parse a statement. What it keeps of it stays until [`Connection::forget`].
    pub(super) async fn prepare(&mut self, statement: &str) -> Answer<Prepared> {
        self.put(&[&[PREPARE], statement.as_bytes()].concat(), true);
        self.send().await?;
        self.receive_answer().await?;
        let head = PreparedHead::read(self.packets.body())?;
        if head.parameters > 0 {
            self.announced(head.parameters.into()).await?;
        }
        let columns = match head.columns {
            0 => Vec::new(),
            columns => self.announced(columns.into()).await?,
        };
        Ok(Prepared {
            id: head.id,
            parameters: head.parameters.into(),
            columns,
        })
    }

    /// Runs a prepared statement that answers with rows.
    pub(super) async fn execute(&mut self, statement: &Prepared, parameters: &[Parameter]) -> Answer<Rows<'_>> {
        self.put(&execution(statement.id, parameters), true);
        self.send().await?;
        self.receive_answer().await?;
        let columns = self.announced_count()?;
        let columns = self.announced(columns).await?;
        Ok(Rows {
            connection: self,
            layout: Layout::new(&columns),
            at_hand: false,
            columns,
        })
    }

    /// Lets go of a prepared statement. The server does not answer that.
    pub(super) async fn forget(&mut self, statement: Prepared) -> Answer<()> {
        let [a, b, c, d] = statement.id.to_le_bytes();
        self.put(&[CLOSE_STATEMENT, a, b, c, d], true);
        self.send().await
    }

    /// How many columns the packet at hand says that rows have.
    fn announced_count(&self) -> Answer<usize> {
        let mut front = Front(self.packets.body());
        match (front.length()?, front.0) {
            (count @ 1.., []) => Ok(count),
            _ => Err(malformed("an answer without rows where rows were asked for").into()),
        }
    }

    async fn announced(&mut self, count: usize) -> Answer<Vec<Announced>> {
        let mut columns = Vec::new();
        for _ in 0..count {
            self.receive_answer().await?;
            columns.push(Announced::read(self.packets.body())?);
        }
        if !self.ends_plainly {
            self.receive_answer().await?;
            if !ends_rows(self.packets.body()) {
                return Err(malformed("the columns go on behind the last one").into());
            }
        }
        Ok(columns)
    }

    fn put(&mut self, body: &[u8], begins: bool) {
        self.packets.wrap(body, begins, &mut self.out);
    }

    async fn send(&mut self) -> Answer<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(self.stream.flush().await?)
    }

    async fn receive_answer(&mut self) -> Answer<()> {
        receive(&mut self.stream, &mut self.packets).await
    }
}

/// Goes on to the next packet; one that says that the server refuses is the error.
async fn receive(stream: &mut (impl AsyncRead + Unpin), packets: &mut Packets) -> Answer<()> {
    while !packets.next()? {
        let count = stream.read(packets.room()).await?;
        if count == 0 {
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
            return Err(closed.into());
        }
        packets.received(count);
    }
    match refusal(packets.body()) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

impl Rows<'_> {
    /// The next rows, as far as they are here: at least one, at most so many, and none more once they have so many bytes.
    /// None is the end of the answer.
    pub(super) async fn next(&mut self, most_rows: usize, most_bytes: usize) -> Answer<Strip<'_>> {
        self.layout.clear();
        if !self.at_hand {
            self.connection.receive_answer().await?;
            self.at_hand = true;
        }
        let packets = &mut self.connection.packets;
        while self.at_hand && self.layout.has_room(most_rows, most_bytes) && packets.body()[0] == 0 {
            self.layout.push(packets.bytes(), packets.place())?;
            self.at_hand = packets.next()?;
        }
        // What is no row stays at hand until it comes alone.
        if self.layout.rows() == 0 && !ends_rows(packets.body()) {
            return Err(refusal(packets.body()).map_or_else(
                || malformed("a packet in the place of a row is none").into(),
                DatabaseError::from,
            ));
        }
        Ok(self.layout.strip(packets.bytes()))
    }
}

/// The command that runs a prepared statement once, without a cursor.
fn execution(statement: u32, parameters: &[Parameter]) -> Vec<u8> {
    let mut command = vec![EXECUTE];
    command.extend_from_slice(&statement.to_le_bytes());
    command.push(0);
    command.extend_from_slice(&1_u32.to_le_bytes());
    if parameters.is_empty() {
        return command;
    }
    // None is NULL; their types follow.
    command.resize(command.len() + parameters.len().div_ceil(8), 0);
    command.push(1);
    for parameter in parameters {
        command.extend_from_slice(match parameter {
            Parameter::Signed(_) => &[0x08, 0],
            Parameter::Unsigned(_) => &[0x08, 0x80],
            Parameter::Text(_) => &[0xfd, 0],
            Parameter::Bytes(_) => &[0xfc, 0],
        });
    }
    for parameter in parameters {
        match parameter {
            Parameter::Signed(value) => command.extend_from_slice(&value.to_le_bytes()),
            Parameter::Unsigned(value) => command.extend_from_slice(&value.to_le_bytes()),
            Parameter::Text(value) => counted(value.as_bytes(), &mut command),
            Parameter::Bytes(value) => counted(value, &mut command),
        }
    }
    command
}

/// Bytes behind their length.
fn counted(bytes: &[u8], command: &mut Vec<u8>) {
    match bytes.len() {
        short @ 0..=250 => command.push(short as u8),
        long => {
            command.push(0xfe);
            command.extend_from_slice(&(long as u64).to_le_bytes());
        }
    }
    command.extend_from_slice(bytes);
}
