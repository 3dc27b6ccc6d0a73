//! The URL of a MySQL or MariaDB server, taken apart and checked here, because the driver ignores what it does not know.

use std::fmt;
use std::net::IpAddr;

use sqlextract_model::{Code, Failure, Result};
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::wire::Endpoint;
use crate::tls::{Encryption, Files, Trust};

/// Where to connect. Its `Debug` shows the location only.
#[derive(Clone)]
pub(super) struct Address {
    /// For the driver.
    pub(super) options: MySqlConnectOptions,
    /// For our own connections.
    pub(super) endpoint: Endpoint,
    /// `host:port/database` or the socket's path; no user, no password.
    pub(super) location: String,
    pub(super) database: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

impl Address {
    /// Reads `mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=…`, each part percent-encoded where needed.
    ///
    /// Without `ssl-mode`, a host that is not this machine is verified by name. `ssl-mode=DISABLED` and `PREFERRED`, which
    /// may end in plain text, are refused for such a host unless plain text is allowed by name.
    pub(super) fn parse(url: &str, allow_plaintext: bool) -> Result<Self> {
        let parts = Parts::of(url)?;
        let mut mode = None;
        let mut socket = None;
        let mut files = Files::default();
        for (name, value) in parts.parameters {
            match name.as_str() {
                "ssl-mode" | "sslmode" => mode = Some(value.parse().map_err(|_| invalid_value(&name))?),
                "ssl-ca" | "sslca" => files.root_certificate = Some(value),
                "ssl-cert" | "sslcert" => files.certificate = Some(value),
                "ssl-key" | "sslkey" => files.key = Some(value),
                "socket" => socket = Some(value),
                _ => return Err(unknown_parameter(&name)),
            }
        }
        let local = socket.is_some() || is_loopback(&parts.host);
        let mode = mode.unwrap_or(if local {
            MySqlSslMode::Preferred
        } else {
            MySqlSslMode::VerifyIdentity
        });
        let may_be_plain = matches!(mode, MySqlSslMode::Disabled | MySqlSslMode::Preferred);
        if may_be_plain && !local && !allow_plaintext {
            return Err(plaintext_refused(&parts.host));
        }
        let mut location = match &socket {
            Some(path) => path.clone(),
            None => format!("{}:{}", parts.host, parts.port),
        };
        if let Some(database) = &parts.database {
            location = format!("{location}/{database}");
        }
        let database = parts.database.clone();
        let endpoint = Endpoint {
            host: parts.host,
            port: parts.port,
            socket,
            user: parts.user,
            password: parts.password,
            database: parts.database,
            encryption: encryption(mode),
            files,
        };
        Ok(Self {
            options: options(&endpoint, mode),
            endpoint,
            location,
            database,
        })
    }
}

/// What the driver needs of an endpoint.
fn options(endpoint: &Endpoint, mode: MySqlSslMode) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(&endpoint.host)
        .port(endpoint.port)
        .username(&endpoint.user)
        .ssl_mode(mode)
        // The session is pinned by ourselves, in one statement, whatever the server's defaults are.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        // The looks at a table's keys. To close a statement costs more than to keep it: the server does not answer
        // that, and what is sent next waits until it acknowledges, 40 ms.
        .statement_cache_capacity(32)
        // Statements hold values of the user's filters.
        .disable_statement_logging();
    if let Some(password) = &endpoint.password {
        options = options.password(password);
    }
    if let Some(database) = &endpoint.database {
        options = options.database(database);
    }
    if let Some(path) = &endpoint.socket {
        options = options.socket(path);
    }
    let files = &endpoint.files;
    if let Some(file) = &files.root_certificate {
        options = options.ssl_ca(file);
    }
    if let Some(file) = &files.certificate {
        options = options.ssl_client_cert(file);
    }
    if let Some(file) = &files.key {
        options = options.ssl_client_key(file);
    }
    options
}

fn encryption(mode: MySqlSslMode) -> Encryption {
    match mode {
        MySqlSslMode::Disabled => Encryption::Never,
        MySqlSslMode::Preferred => Encryption::WherePossible,
        MySqlSslMode::Required => Encryption::Always(Trust::Anyone),
        MySqlSslMode::VerifyCa => Encryption::Always(Trust::Chain),
        MySqlSslMode::VerifyIdentity => Encryption::Always(Trust::ChainAndName),
    }
}

struct Parts {
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Parts {
    fn of(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("mysql://").or_else(|| url.strip_prefix("mariadb://"));
        let rest = rest.ok_or_else(|| invalid("the URL must begin with `mysql://` or `mariadb://`"))?;
        if rest.contains('#') {
            return Err(invalid("the URL holds a `#`; write it as `%23`"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, server) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match account.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (account, None),
        };
        let (host, port) = host_and_port(server)?;
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?.to_ascii_lowercase(), decoded(value)?))
        });
        let database = decoded(path.trim_end_matches('/'))?;
        Ok(Self {
            user: decoded(user)?,
            password,
            host,
            port,
            database: (!database.is_empty()).then_some(database),
            parameters: parameters.collect::<Result<_>>()?,
        })
    }
}

fn host_and_port(server: &str) -> Result<(String, u16)> {
    let (host, port) = match server.strip_prefix('[').and_then(|s| s.split_once(']')) {
        Some((address, port)) => (address.to_owned(), port.strip_prefix(':').unwrap_or(port)),
        None => {
            let (host, port) = server.split_once(':').unwrap_or((server, ""));
            (decoded(host)?, port)
        }
    };
    let port = match port {
        "" => 3306,
        text => text
            .parse()
            .map_err(|_| invalid("the URL's port is no number from 1 to 65535"))?,
    };
    let host = if host.is_empty() { "localhost".to_owned() } else { host };
    Ok((host, port))
}

/// Undoes percent-encoding. What follows `%` must be two hexadecimal digits, and the whole must be UTF-8.
fn decoded(text: &str) -> Result<String> {
    let refused = || invalid("the URL holds a `%` without two hexadecimal digits, or bytes that are no UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |i: usize| after.get(i).and_then(|b| char::from(*b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(refused());
        };
        bytes.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn invalid(message: &str) -> Failure {
    Failure::new(Code::ConfigInvalid, message).remedy("Write `mysql://USER:PASSWORD@HOST:PORT/DATABASE`.")
}

fn invalid_value(name: &str) -> Failure {
    invalid(&format!("the URL's parameter `{name}` has a value that is not known"))
        .remedy("Write DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY.")
}

fn unknown_parameter(name: &str) -> Failure {
    // The value stays out: a misspelt `password=` must not be printed.
    invalid(&format!("the URL's parameter `{name}` is not known"))
        .remedy("Known are ssl-mode, ssl-ca, ssl-cert, ssl-key and socket.")
}

fn plaintext_refused(host: &str) -> Failure {
    Failure::new(
        Code::PlaintextRefused,
        format!("the connection to `{host}` could be unencrypted, as its `ssl-mode` allows that"),
    )
    .remedy("Use `ssl-mode=VERIFY_IDENTITY` (or REQUIRED), or allow plain text by name with `--allow-plaintext`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url, false).unwrap()
    }

    fn refused(url: &str) -> Failure {
        Address::parse(url, false).unwrap_err()
    }

    #[test]
    fn parts_are_decoded() {
        let address = parsed("mysql://us%40er:p%3Aa%2Fss@db.example:3307/sh%20op?ssl-mode=required");
        assert_eq!(address.location, "db.example:3307/sh op");
        assert_eq!(address.database.as_deref(), Some("sh op"));
        assert_eq!(address.options.get_username(), "us@er");
        assert!(matches!(address.options.get_ssl_mode(), MySqlSslMode::Required));
    }

    #[test]
    fn a_remote_host_is_verified_and_this_machine_is_not() {
        assert!(matches!(
            parsed("mysql://u@db/x").options.get_ssl_mode(),
            MySqlSslMode::VerifyIdentity
        ));
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", ""] {
            let address = parsed(&format!("mysql://u@{host}/x"));
            assert!(
                matches!(address.options.get_ssl_mode(), MySqlSslMode::Preferred),
                "{host}"
            );
        }
    }

    #[test]
    fn plain_text_to_another_host_needs_its_name() {
        for mode in ["DISABLED", "preferred"] {
            let url = format!("mysql://u:secret@db/x?ssl-mode={mode}");
            assert_eq!(refused(&url).code, Code::PlaintextRefused);
            assert!(Address::parse(&url, true).is_ok());
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_without_its_value() {
        let cases = [
            "postgres://u:secret@db/x",
            "mysql://u:secret@db:port/x",
            "mysql://u:sec%ret@db/x",
            "mysql://u@db/x?pasword=secret",
            "mysql://u@db/x?ssl-mode=secret",
            "mysql://u:secret@db/x#secret",
        ];
        for url in cases {
            let failure = refused(url);
            assert_eq!(failure.code, Code::ConfigInvalid, "{url}");
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
        assert!(!format!("{:?}", parsed("mysql://u:secret@db/x")).contains("secret"));
    }
}
