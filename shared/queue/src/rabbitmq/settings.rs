//! What the adapter is told, and the address that comes of it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use sqlextract_model::{Code, Failure, Result};

/// RabbitMQ calls 5 to 20 seconds the good range; a connection that is silent for two intervals is given up.
const HEARTBEAT_SECONDS: u16 = 15;
/// A queue's name, prefix included, has at most 255 bytes.
const LONGEST_NAME: usize = 100;

/// How to reach the broker, and how long to wait for it.
#[derive(Clone)]
pub struct RabbitmqSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`. Never printed.
    pub url: String,
    /// Plain text to a host that is not loopback is allowed by name.
    pub allow_plaintext: bool,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The head of every name at the broker.
    pub prefix: String,
    /// The sources that have a queue of batches.
    pub sources: Vec<String>,
    /// What the broker's lists show for our connections.
    pub client_name: String,
    pub connect_timeout: Duration,
    /// One confirm, one declaration, one acknowledgement.
    pub request_timeout: Duration,
    /// How long a message is published again through outages, before that is an error.
    pub publish_patience: Duration,
    /// How long publishing waits while the queue is full, before that is an error.
    pub full_patience: Duration,
}

impl RabbitmqSettings {
    /// The defaults: prefix `sqlextract`, no sources, 10 s to connect, 15 s for an answer, 60 s through outages, 5 minutes
    /// before a full queue.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            allow_plaintext: false,
            ca_file: None,
            prefix: "sqlextract".to_owned(),
            sources: Vec::new(),
            client_name: "sqlextract".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            publish_patience: Duration::from_secs(60),
            full_patience: Duration::from_secs(300),
        }
    }

    /// Reads and judges the URL. The failure never holds any of it but host and port.
    pub(super) fn address(&self) -> Result<Address> {
        let refused = |text: &str| {
            Failure::new(Code::ConfigInvalid, format!("the broker's URL {text}")).remedy(
                "A broker's URL is amqp://user:password@host:port/vhost, or amqps:// for TLS; `/` in a vhost is %2f.",
            )
        };
        // The parser's own words may quote the URL, and with it the password.
        let mut uri: AMQPUri = self.url.parse().map_err(|_| refused("cannot be read"))?;
        if let Some(host) = bracketed_host(&self.url) {
            // The parser takes an IPv6 address for no host at all.
            host.parse::<IpAddr>()
                .map_err(|_| refused("has a bad address in brackets"))?;
            uri.authority.host = host.to_owned();
        }
        let heartbeat = uri.query.heartbeat.filter(|seconds| *seconds > 0);
        uri.query.heartbeat = Some(heartbeat.unwrap_or(HEARTBEAT_SECONDS));
        let place = format!("{}:{}", uri.authority.host, uri.authority.port);
        if uri.scheme == AMQPScheme::AMQP && !self.allow_plaintext && !is_loopback(&uri.authority.host) {
            let text = format!("the connection to the broker at {place} would not be encrypted");
            return Err(Failure::new(Code::PlaintextRefused, text)
                .remedy("Use amqps://, or allow plain text to the broker by name in the settings."));
        }
        Ok(Address {
            uri,
            place,
            tls: self.tls()?,
        })
    }

    fn tls(&self) -> Result<OwnedTLSConfig> {
        let Some(path) = &self.ca_file else {
            return Ok(OwnedTLSConfig::default());
        };
        let pem = std::fs::read_to_string(path).map_err(|e| {
            let text = format!("the broker's certificates {} cannot be read", path.display());
            Failure::new(Code::ConfigInvalid, text).because(e)
        })?;
        Ok(OwnedTLSConfig {
            identity: None,
            cert_chain: Some(pem),
        })
    }

    /// Names become parts of names at the broker, and of patterns in its policies.
    pub(super) fn check_names(&self) -> Result<()> {
        check_name("prefix", &self.prefix)?;
        self.sources.iter().try_for_each(|source| check_name("source", source))
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(allowed) {
        return Ok(());
    }
    let text = format!(
        "the {what} `{}` cannot be part of a queue's name",
        name.escape_default()
    );
    Err(Failure::new(Code::ConfigInvalid, text).remedy("Use letters, digits, `-`, `_` and `.`, at most 100 of them."))
}

impl fmt::Debug for RabbitmqSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitmqSettings")
            .field("prefix", &self.prefix)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

/// Where to connect. It has no `Debug`: the URI's prints the password.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    /// Host and port, for messages.
    pub(super) place: String,
    pub(super) tls: OwnedTLSConfig,
}

fn bracketed_host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    place.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address> {
        RabbitmqSettings::new(url).address()
    }

    #[test]
    fn plain_text_goes_to_loopback_alone_unless_asked_for() {
        for url in [
            "amqp://localhost",
            "amqp://u:p@127.0.0.1:1/v",
            "amqp://[::1]:5672",
            "amqps://broker.example",
        ] {
            assert!(address(url).is_ok(), "{url}");
        }
        for url in [
            "amqp://broker.example",
            "amqp://u:p@10.0.0.1/%2f",
            "amqp://[2001:db8::1]:5672/",
        ] {
            assert_eq!(
                address(url).err().map(|f| f.code),
                Some(Code::PlaintextRefused),
                "{url}"
            );
            let mut settings = RabbitmqSettings::new(url);
            settings.allow_plaintext = true;
            assert!(settings.address().is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_in_brackets_is_where_we_connect() {
        let place = |url| address(url).map(|a| a.place).unwrap();
        assert_eq!(place("amqp://u:p@[::1]:7000/v"), "::1:7000");
        assert_eq!(place("amqps://broker.example"), "broker.example:5671");
    }

    #[test]
    fn no_failure_and_no_debug_form_holds_the_password() {
        let urls = [
            "amqp:hunter2@nowhere",
            "http://u:hunter2@h",
            "amqp://u:hunter2@h:port/",
            "amqp://u:hunter2@[zz]/",
            "amqp://u:hunter2@elsewhere.example/",
            "hunter2",
        ];
        for url in urls {
            let failure = address(url).err().unwrap();
            assert!(!format!("{failure:?}").contains("hunter2"), "{url}");
            assert!(!format!("{:?}", RabbitmqSettings::new(url)).contains("hunter2"));
        }
    }

    #[test]
    fn the_heartbeat_is_fifteen_seconds_unless_the_url_gives_one() {
        let heartbeat = |url| address(url).map(|a| a.uri.query.heartbeat).unwrap();
        assert_eq!(heartbeat("amqp://localhost"), Some(15));
        assert_eq!(heartbeat("amqp://localhost?heartbeat=0"), Some(15));
        assert_eq!(heartbeat("amqp://localhost?heartbeat=5"), Some(5));
    }

    #[test]
    fn names_that_a_queue_cannot_bear_are_refused() {
        let check = |prefix: &str, source: &str| {
            let mut settings = RabbitmqSettings::new("amqp://localhost");
            (settings.prefix, settings.sources) = (prefix.to_owned(), vec![source.to_owned()]);
            settings.check_names().is_ok()
        };
        assert!(check("sqlextract", "shop-eu.1"));
        for bad in ["", "a b", "a*", "ü", &"x".repeat(101)] {
            assert!(!check(bad, "shop") && !check("sqlextract", bad), "{bad}");
        }
    }
}
