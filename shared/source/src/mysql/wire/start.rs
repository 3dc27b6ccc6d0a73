//! From an address to a connection that takes commands: socket, TLS, greeting, authentication.

use std::io;

use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::answers::Front;
use super::packets::{Packets, malformed};
use super::{Connection, receive};
use crate::mysql::errors::DatabaseError;
use crate::paced::Paced;
use crate::tls::{self, Encryption, Files, Stream, Trust};

/// What the connection can do and wants to, by the protocol's bits: the classic client's flag, a database at the start,
/// the protocol since 4.1, transactions, passwords that are not told, authentication by name with long answers.
const WANTED: u32 = 1 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19 | 1 << 21;
const WITH_DATABASE: u32 = 1 << 3;
const WITH_TLS: u32 = 1 << 11;
/// Rows end with one kind of packet, not with two.
const ENDS_PLAINLY: u32 = 1 << 24;
/// `utf8mb4_general_ci`.
const CHARACTER_SET: u8 = 45;
const LARGEST_PACKET: u32 = 1 << 30;
const NATIVE: &str = "mysql_native_password";

/// Where the server is and who asks. It has no `Debug`, since it holds the password.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path of a Unix socket, in the place of host and port.
    pub(crate) socket: Option<String>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) encryption: Encryption,
    pub(crate) files: Files,
}

/// What the server says first.
struct Greeting {
    capabilities: u32,
    plugin: String,
    nonce: Vec<u8>,
}

/// Who may hear what goes through a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Anybody,
    /// Those on this machine who may open the socket.
    Nobody,
    /// Nobody, since it is encrypted, as our answer has to say again.
    NobodyByTls,
}

impl Hearing {
    fn capabilities(self) -> u32 {
        match self {
            Self::NobodyByTls => WITH_TLS,
            Self::Anybody | Self::Nobody => 0,
        }
    }
}

pub(super) async fn open(endpoint: &Endpoint) -> Result<Connection, DatabaseError> {
    let mut packets = Packets::new();
    if let Some(path) = &endpoint.socket {
        let mut stream = UnixStream::connect(path).await?;
        let greeting = greeting(&mut stream, &mut packets).await?;
        return log_in(endpoint, (Box::new(stream), Hearing::Nobody), packets, greeting).await;
    }
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, endpoint.port)).await?;
    stream.set_nodelay(true)?;
    let mut stream = Paced::new(stream);
    let greeting = greeting(&mut stream, &mut packets).await?;
    let offered = greeting.capabilities & WITH_TLS != 0;
    let trust = match endpoint.encryption {
        Encryption::Always(_) if !offered => {
            return Err(DatabaseError::Tls("the server does not support TLS".to_owned()));
        }
        Encryption::Always(trust) => Some(trust),
        Encryption::WherePossible => offered.then_some(Trust::Anyone),
        Encryption::Never => None,
    };
    let Some(trust) = trust else {
        return log_in(endpoint, (Box::new(stream), Hearing::Anybody), packets, greeting).await;
    };
    let mut out = Vec::new();
    packets.wrap(&head(endpoint, &greeting, Hearing::NobodyByTls), false, &mut out);
    stream.write_all(&out).await?;
    // What came before encryption began could be anybody's.
    if !packets.is_empty() {
        return Err(malformed("the server speaks before it is asked").into());
    }
    let encrypted = tls::encrypt(stream, host, trust, &endpoint.files).await;
    let encrypted = encrypted.map_err(DatabaseError::Tls)?;
    log_in(endpoint, (encrypted, Hearing::NobodyByTls), packets, greeting).await
}

async fn greeting(stream: &mut (impl AsyncRead + Unpin), packets: &mut Packets) -> Result<Greeting, DatabaseError> {
    receive(stream, packets).await?;
    Ok(Greeting::read(packets.body())?)
}

impl Greeting {
    fn read(body: &[u8]) -> io::Result<Self> {
        let mut front = Front(body);
        if front.u8()? != 10 {
            return Err(malformed("the server greets with a protocol other than 10"));
        }
        // Its version and the connection's number.
        front.until_zero();
        front.u32()?;
        let mut nonce = front.bytes(8)?.to_vec();
        front.u8()?;
        let low = front.u16()?;
        // Character set and status.
        front.bytes(3)?;
        let high = front.u16()?;
        let length = usize::from(front.u8()?);
        front.bytes(10)?;
        // Its last byte is a zero that belongs to no nonce.
        let rest = front.bytes(length.saturating_sub(8).max(13))?;
        nonce.extend_from_slice(&rest[..rest.len() - 1]);
        let plugin = String::from_utf8_lossy(front.until_zero()).into_owned();
        Ok(Self {
            capabilities: u32::from(low) | u32::from(high) << 16,
            plugin,
            nonce,
        })
    }
}

/// The beginning of our answer, which alone asks for TLS.
fn head(endpoint: &Endpoint, greeting: &Greeting, hearing: Hearing) -> Vec<u8> {
    let mut capabilities = (WANTED | ENDS_PLAINLY) & greeting.capabilities | hearing.capabilities();
    if endpoint.database.is_none() {
        capabilities &= !WITH_DATABASE;
    }
    let mut head = Vec::new();
    head.extend_from_slice(&capabilities.to_le_bytes());
    head.extend_from_slice(&LARGEST_PACKET.to_le_bytes());
    head.push(CHARACTER_SET);
    head.extend_from_slice(&[0; 23]);
    head
}

async fn log_in(
    endpoint: &Endpoint,
    (stream, hearing): (Box<dyn Stream>, Hearing),
    packets: Packets,
    greeting: Greeting,
) -> Result<Connection, DatabaseError> {
    let mut connection = Connection {
        stream,
        packets,
        out: Vec::new(),
        ends_plainly: greeting.capabilities & ENDS_PLAINLY != 0,
    };
    let password = endpoint.password.as_deref().unwrap_or_default();
    // The server may greet with a kind of authentication that is not its user's; it then asks for another.
    let (mut plugin, proof) = match answer(&greeting.plugin, password, &greeting.nonce, hearing) {
        Ok(proof) => (greeting.plugin.clone(), proof),
        Err(_) => (NATIVE.to_owned(), answer(NATIVE, password, &greeting.nonce, hearing)?),
    };
    let mut response = head(endpoint, &greeting, hearing);
    response.extend_from_slice(endpoint.user.as_bytes());
    response.extend_from_slice(&[0, proof.len() as u8]);
    response.extend_from_slice(&proof);
    if let Some(database) = &endpoint.database {
        response.extend_from_slice(database.as_bytes());
        response.push(0);
    }
    response.extend_from_slice(plugin.as_bytes());
    response.push(0);
    connection.put(&response, false);
    loop {
        connection.send().await?;
        connection.receive_answer().await?;
        let body = connection.packets.body();
        let reply = match body {
            [0, ..] => return Ok(connection),
            [0xfe, rest @ ..] if !rest.is_empty() => {
                let mut front = Front(rest);
                plugin = String::from_utf8_lossy(front.until_zero()).into_owned();
                answer(&plugin, password, front.until_zero(), hearing)?
            }
            // The proof was enough; the last word is to come.
            [1, 3] => continue,
            [1, 4] => told(password, hearing)?,
            _ => return Err(malformed("an answer that the protocol does not know during authentication").into()),
        };
        connection.put(&reply, false);
    }
}

/// How the password is proven by a kind of authentication, or told.
fn answer(plugin: &str, password: &str, nonce: &[u8], hearing: Hearing) -> Result<Vec<u8>, DatabaseError> {
    match plugin {
        NATIVE | "" | "caching_sha2_password" if password.is_empty() => Ok(Vec::new()),
        NATIVE | "" => {
            let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password.as_bytes()]);
            let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[once.as_ref()]);
            let mask = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[nonce, twice.as_ref()]);
            Ok(masked(once, mask))
        }
        "caching_sha2_password" => {
            let once = hash(&SHA256, &[password.as_bytes()]);
            let twice = hash(&SHA256, &[once.as_ref()]);
            let mask = hash(&SHA256, &[twice.as_ref(), nonce]);
            Ok(masked(once, mask))
        }
        "sha256_password" => told(password, hearing),
        other => Err(unsupported(&format!(
            "the server asks for authentication by `{other}`, which is not supported"
        ))),
    }
}

/// The password itself.
fn told(password: &str, hearing: Hearing) -> Result<Vec<u8>, DatabaseError> {
    if hearing == Hearing::Anybody && !password.is_empty() {
        let words = "the server asks for the password itself, which is told over TLS or a socket only";
        return Err(unsupported(words));
    }
    Ok([password.as_bytes(), &[0]].concat())
}

fn hash(algorithm: &'static aws_lc_rs::digest::Algorithm, parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(algorithm);
    parts.iter().for_each(|part| context.update(part));
    context.finish()
}

fn masked(value: Digest, mask: Digest) -> Vec<u8> {
    let pairs = value.as_ref().iter().zip(mask.as_ref());
    pairs.map(|(value, mask)| value ^ mask).collect()
}

/// As the server says it of a client that cannot do what it asks for.
fn unsupported(words: &str) -> DatabaseError {
    DatabaseError::Server {
        number: 1251,
        state: Some("08004".to_owned()),
        message: words.to_owned(),
    }
}
