//! The source's URL, parsed and checked here: the driver would log the value of a parameter that it does not know.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use sqlextract_model::{Code, Failure, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::wire::Endpoint;
use crate::tls::{Encryption, Files, Trust};

const FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full";
const DEFAULT_PORT: u16 = 5432;

/// Where the database is and how it is reached. It has no `Debug`, since it holds the password.
pub(crate) struct Address {
    /// For the driver.
    pub(crate) options: PgConnectOptions,
    /// The same for our own connections.
    pub(crate) endpoint: Endpoint,
    /// Host, port and database, without any credential.
    pub(crate) location: String,
}

#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    ssl_mode: Option<PgSslMode>,
    ssl_files: Files,
    application_name: Option<String>,
    startup: Vec<(String, String)>,
}

/// Reads the URL. `config_invalid` for what is no such URL, `plaintext_refused` for plain text to another host.
pub(crate) fn parse(url: &str, allow_plaintext: bool) -> Result<Address> {
    let parts = split(url)?;
    let host = parts.host.unwrap_or_else(|| "localhost".to_owned());
    let port = parts.port.unwrap_or(DEFAULT_PORT);
    let user = parts.user.ok_or_else(|| invalid("the source's URL names no user"))?;
    let database = parts.database.unwrap_or_else(|| user.clone());
    let ssl_mode = ssl_mode(&host, parts.ssl_mode, allow_plaintext)?;
    let location = if host.contains(':') {
        format!("[{host}]:{port}/{database}")
    } else {
        format!("{host}:{port}/{database}")
    };
    let endpoint = Endpoint {
        host,
        port,
        user,
        password: parts.password,
        database,
        application_name: parts.application_name.unwrap_or_else(|| "sqlextract".to_owned()),
        options: (!parts.startup.is_empty()).then(|| switches(&parts.startup)),
        encryption: encryption(ssl_mode),
        files: parts.ssl_files,
    };
    Ok(Address {
        options: options(&endpoint, ssl_mode, parts.startup),
        endpoint,
        location,
    })
}

/// The driver starts from the environment; everything that it would take from there is named here.
fn options(endpoint: &Endpoint, ssl_mode: PgSslMode, startup: Vec<(String, String)>) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&endpoint.host)
        .port(endpoint.port)
        .username(&endpoint.user)
        .password(endpoint.password.as_deref().unwrap_or_default())
        .database(&endpoint.database)
        .ssl_mode(ssl_mode)
        .application_name(&endpoint.application_name)
        // Poolers refuse it at the start; it is set with the other settings.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    if !startup.is_empty() {
        options = options.options(startup);
    }
    let Files {
        root_certificate,
        certificate,
        key,
    } = &endpoint.files;
    if let Some(path) = root_certificate {
        options = options.ssl_root_cert(path);
    }
    if let Some(path) = certificate {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = key {
        options = options.ssl_client_key(path);
    }
    options
}

fn encryption(mode: PgSslMode) -> Encryption {
    match mode {
        PgSslMode::Disable | PgSslMode::Allow => Encryption::Never,
        PgSslMode::Prefer => Encryption::WherePossible,
        PgSslMode::Require => Encryption::Always(Trust::Anyone),
        PgSslMode::VerifyCa => Encryption::Always(Trust::Chain),
        PgSslMode::VerifyFull => Encryption::Always(Trust::ChainAndName),
    }
}

/// `-c name=value -c name=value`, with what separates words escaped.
fn switches(startup: &[(String, String)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(' ', "\\ ");
    let switches: Vec<_> = startup
        .iter()
        .map(|(name, value)| format!("-c {name}={}", escaped(value)))
        .collect();
    switches.join(" ")
}

fn invalid(what: impl Into<String>) -> Failure {
    Failure::new(Code::ConfigInvalid, what).remedy(format!("Write the URL as {FORM}."))
}

fn ssl_mode(host: &str, named: Option<PgSslMode>, allow_plaintext: bool) -> Result<PgSslMode> {
    let near = is_near(host);
    match named {
        Some(mode @ (PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull)) => Ok(mode),
        Some(mode) if near || allow_plaintext => Ok(mode),
        Some(_) => Err(Failure::new(
            Code::PlaintextRefused,
            format!("the connection to {host} could be plain text by its `sslmode`"),
        )),
        None if near || allow_plaintext => Ok(PgSslMode::Prefer),
        None => Ok(PgSslMode::VerifyFull),
    }
}

/// A Unix socket or this machine itself.
fn is_near(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn split(url: &str) -> Result<Parts> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| invalid("the source's URL does not begin with postgres://"))?;
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, authority),
    };
    let mut parts = Parts::default();
    if let Some(credentials) = credentials {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        parts.user = Some(decoded(user)?).filter(|user| !user.is_empty());
        parts.password = password.map(decoded).transpose()?;
    }
    split_address(address, &mut parts)?;
    parts.database = Some(decoded(path)?).filter(|name| !name.is_empty());
    for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| invalid("a parameter of the source's URL has no value"))?;
        parameter(&decoded(name)?, decoded(value)?, &mut parts)?;
    }
    Ok(parts)
}

fn split_address(address: &str, parts: &mut Parts) -> Result<()> {
    if address.contains(',') {
        return Err(invalid("the source's URL names several hosts"));
    }
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    parts.host = Some(decoded(host)?).filter(|host| !host.is_empty());
    parts.port = port.filter(|port| !port.is_empty()).map(port_number).transpose()?;
    Ok(())
}

fn port_number(text: &str) -> Result<u16> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| invalid("the port in the source's URL is no number up to 65535"))
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| invalid("the source's URL is no UTF-8 after percent-decoding"))?;
    if text.contains('\0') {
        return Err(invalid("the source's URL holds a NUL character"));
    }
    Ok(text.into_owned())
}

/// Values are never repeated in an error: a misspelt `password=` is one of them.
fn parameter(name: &str, value: String, parts: &mut Parts) -> Result<()> {
    match name {
        "sslmode" => {
            let mode = value.parse().map_err(|_| {
                invalid("the value of `sslmode` is none of disable, allow, prefer, require, verify-ca, verify-full")
            })?;
            parts.ssl_mode = Some(mode);
        }
        "sslrootcert" => parts.ssl_files.root_certificate = Some(value),
        "sslcert" => parts.ssl_files.certificate = Some(value),
        "sslkey" => parts.ssl_files.key = Some(value),
        "host" => parts.host = Some(value),
        "port" => parts.port = Some(port_number(&value)?),
        "user" => parts.user = Some(value),
        "password" => parts.password = Some(value),
        "dbname" => parts.database = Some(value),
        "application_name" => parts.application_name = Some(value),
        "options" => parts.startup = startup(&value)?,
        _ => {
            return Err(invalid(format!(
                "the source's URL has the unknown parameter `{}`",
                shown(name)
            )));
        }
    }
    Ok(())
}

/// A name that is worth showing; anything else may be a piece of a password with an unescaped `&`.
fn shown(name: &str) -> &str {
    let harmless = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
    if harmless { name } else { "…" }
}

/// `-c name=value -c name=value`.
fn startup(text: &str) -> Result<Vec<(String, String)>> {
    let malformed = || invalid("`options` in the source's URL is not of the form `-c name=value`");
    let mut words = text.split_whitespace();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("-c") {
            Some("") => words.next().ok_or_else(malformed)?,
            Some(pair) => pair,
            None => word.strip_prefix("--").ok_or_else(malformed)?,
        };
        let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(url: &str, allow_plaintext: bool) -> Option<Code> {
        parse(url, allow_plaintext).err().map(|failure| failure.code)
    }

    #[test]
    fn a_url_is_read_with_its_escapes() {
        let url = "postgresql://u%40x:p%2Fw%3A@[::1]:6000/my%20db?sslmode=disable&options=-c%20search_path%3Da";
        let address = parse(url, false).unwrap();
        assert_eq!(address.location, "[::1]:6000/my db");
        assert_eq!(address.options.get_username(), "u@x");
        assert_eq!(address.options.get_database(), Some("my db"));
        assert!(matches!(address.options.get_ssl_mode(), PgSslMode::Disable));
        let socket = parse("postgres://u@/db?host=/run/pg", false).unwrap();
        assert_eq!(socket.location, "/run/pg:5432/db");
        assert_eq!(parse("postgres://u@h", true).unwrap().location, "h:5432/u");
    }

    #[test]
    fn plain_text_to_another_host_is_refused_unless_allowed() {
        for url in [
            "postgres://u@db.example/x?sslmode=prefer",
            "postgres://u@10.0.0.1/x?sslmode=disable",
        ] {
            assert_eq!(code(url, false), Some(Code::PlaintextRefused), "{url}");
            assert_eq!(code(url, true), None, "{url}");
        }
        let far = parse("postgres://u@db.example/x", false).unwrap();
        assert!(matches!(far.options.get_ssl_mode(), PgSslMode::VerifyFull));
        let near = parse("postgres://u@127.0.0.2/x", false).unwrap();
        assert!(matches!(near.options.get_ssl_mode(), PgSslMode::Prefer));
    }

    #[test]
    fn a_bad_url_is_refused_without_its_values() {
        let urls = [
            "mysql://u:secret@h/d",
            "postgres://u:secret@h/d?pasword=secret",
            "postgres://u:x@h/d?secret&y",
            "postgres://h/d",
            "postgres://u:secret@h:99999/d",
            "postgres://u:secret@a,b/d",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://u:secret@h/d?options=secret",
            "postgres://u:%FF@h/d",
        ];
        for url in urls {
            let failure = parse(url, true).err().expect(url);
            assert_eq!(failure.code, Code::ConfigInvalid, "{url}");
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
    }
}
