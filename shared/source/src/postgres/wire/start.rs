//! From an address to a connection that takes statements: socket, TLS, start-up, authentication.

use std::io;
use std::path::PathBuf;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{Connection, unexpected};
use crate::paced::Paced;
use crate::postgres::errors::DatabaseError;
use crate::tls::{self, Encryption, Files, Stream, Trust};

/// Where the server is and who asks. It has no `Debug`, since it holds the password.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// A name or an address, or the folder of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) application_name: String,
    /// `-c name=value …`, for the server's start.
    pub(crate) options: Option<String>,
    pub(crate) encryption: Encryption,
    pub(crate) files: Files,
}

pub(super) async fn open(endpoint: &Endpoint) -> Result<Connection, DatabaseError> {
    let mut connection = Connection::over(stream(endpoint).await?);
    let mut parameters = vec![
        ("user", endpoint.user.as_str()),
        ("database", endpoint.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", endpoint.application_name.as_str()),
    ];
    parameters.extend(endpoint.options.as_deref().map(|options| ("options", options)));
    frontend::startup_message(parameters, &mut connection.out)?;
    connection.send().await?;
    authenticate(&mut connection, endpoint).await?;
    loop {
        match connection.message().await? {
            Message::BackendKeyData(_) => {}
            Message::ReadyForQuery(_) => return Ok(connection),
            _ => return Err(unexpected("while the session begins")),
        }
    }
}

async fn stream(endpoint: &Endpoint) -> Result<Box<dyn Stream>, DatabaseError> {
    if endpoint.host.starts_with('/') {
        let path = PathBuf::from(&endpoint.host).join(format!(".s.PGSQL.{}", endpoint.port));
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, endpoint.port)).await?;
    stream.set_nodelay(true)?;
    let mut stream = Paced::new(stream);
    let (trust, required) = match endpoint.encryption {
        Encryption::Never => return Ok(Box::new(stream)),
        Encryption::WherePossible => (Trust::Anyone, false),
        Encryption::Always(trust) => (trust, true),
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => {}
        b'N' if !required => return Ok(Box::new(stream)),
        b'N' => return Err(DatabaseError::Tls("the server does not support TLS".to_owned())),
        _ => return Err(unexpected("to the request for TLS")),
    }
    let encrypted = tls::encrypt(stream, host, trust, &endpoint.files).await;
    encrypted.map_err(DatabaseError::Tls)
}

async fn authenticate(connection: &mut Connection, endpoint: &Endpoint) -> Result<(), DatabaseError> {
    let password = || {
        let none = "the server asks for a password, and the source's URL has none";
        endpoint
            .password
            .as_deref()
            .ok_or_else(|| DatabaseError::refused("28P01", none))
    };
    loop {
        match connection.message().await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password()?.as_bytes(), &mut connection.out)?;
                connection.send().await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(endpoint.user.as_bytes(), password()?.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut connection.out)?;
                connection.send().await?;
            }
            Message::AuthenticationSasl(body) => {
                let offered: Vec<String> = body.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
                if !offered.iter().any(|name| name == SCRAM_SHA_256) {
                    let text = format!("the server offers only {}", offered.join(", "));
                    return Err(DatabaseError::refused("28000", text));
                }
                scram(connection, password()?.as_bytes()).await?;
            }
            _ => {
                let text = "the server asks for a kind of authentication that is not supported";
                return Err(DatabaseError::refused("28000", text));
            }
        }
    }
}

/// Both sides prove that they know the password, without telling it.
async fn scram(connection: &mut Connection, password: &[u8]) -> Result<(), DatabaseError> {
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut connection.out)?;
    connection.send().await?;
    let Message::AuthenticationSaslContinue(body) = connection.message().await? else {
        return Err(unexpected("to the beginning of SCRAM"));
    };
    scram.update(body.data())?;
    frontend::sasl_response(scram.message(), &mut connection.out)?;
    connection.send().await?;
    let Message::AuthenticationSaslFinal(body) = connection.message().await? else {
        return Err(unexpected("to the end of SCRAM"));
    };
    let proof =
        |error: io::Error| DatabaseError::refused("28000", format!("the server does not know the password: {error}"));
    scram.finish(body.data()).map_err(proof)
}
