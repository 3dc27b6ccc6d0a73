//! Where the server is: the URL taken apart, and refused where it would send secrets in plain text.

use std::net::IpAddr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use sqlextract_model::{Code, Failure, Result};

/// A URL that was read. Only `location` may be printed.
pub(super) struct Address {
    pub(super) info: ConnectionInfo,
    /// `host:port/database`, or the socket's path.
    pub(super) location: String,
    pub(super) tls: bool,
}

/// Reads the URL. `config_invalid` for what is no such URL, `plaintext_refused` for plain text to another host.
pub(super) fn parse(url: &str, allow_plaintext: bool) -> Result<Address> {
    check_options(url)?;
    // The client's own words may quote the URL, so they are left out.
    let info = url
        .into_connection_info()
        .map_err(|_| invalid("the checkpoint's URL cannot be read as Redis'"))?;
    let database = info.redis_settings().db();
    let (location, tls) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            if !allow_plaintext && !is_loopback(host) {
                let text = format!("the connection to the checkpoint at {host} would be plain text");
                return Err(Failure::new(Code::PlaintextRefused, text).remedy(
                    "Write `rediss://…` for TLS, or allow plain text by name with `allow_plaintext` in `[checkpoint]`.",
                ));
            }
            (format!("{host}:{port}/{database}"), false)
        }
        ConnectionAddr::TcpTls { host, port, .. } => (format!("{host}:{port}/{database}"), true),
        other => (other.to_string(), false),
    };
    Ok(Address { info, location, tls })
}

/// The client ignores options that it does not know; a misspelt one is an error here.
fn check_options(url: &str) -> Result<()> {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    if !fragment.is_empty() {
        return Err(invalid("the checkpoint's URL has a part after `#`, which is not known"));
    }
    let Some((base, options)) = url.split_once('?') else {
        return Ok(());
    };
    let known: &[&str] = if base.contains("unix://") || base.starts_with("unix:") {
        &["db", "user", "pass", "protocol"]
    } else {
        &["protocol"]
    };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let name = option.split('=').next().unwrap_or_default();
        if !known.contains(&name) {
            // The value stays out: a misspelt `pass=` must not be printed.
            return Err(invalid(&format!(
                "the checkpoint's URL has the option `{name}`, which is not known"
            )));
        }
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn invalid(message: &str) -> Failure {
    Failure::new(Code::ConfigInvalid, message)
        .remedy("Write `redis://USER:PASSWORD@HOST:PORT/DATABASE`, or `rediss://…` for TLS.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_give_a_location_without_secrets() {
        let cases = [
            ("redis://localhost", "localhost:6379/0", false),
            ("redis://user:s3cret@127.0.0.1:7000/3", "127.0.0.1:7000/3", false),
            ("redis://:s3cret@[::1]:7000", "::1:7000/0", false),
            (
                "rediss://user:s3cret@cache.example:6380/1",
                "cache.example:6380/1",
                true,
            ),
            (
                "redis+unix:///run/redis.sock?db=2&pass=s3cret",
                "/run/redis.sock",
                false,
            ),
            ("redis://127.0.0.1?protocol=resp3", "127.0.0.1:6379/0", false),
        ];
        for (url, location, tls) in cases {
            let address = parse(url, false).unwrap_or_else(|failure| panic!("{url}: {failure}"));
            assert_eq!((address.location.as_str(), address.tls), (location, tls), "{url}");
        }
    }

    #[test]
    fn plain_text_to_another_host_is_refused_unless_allowed() {
        for url in ["redis://:s3cret@cache.example", "redis://10.0.0.1:6379/0"] {
            let failure = parse(url, false).err().unwrap();
            assert_eq!(failure.code, Code::PlaintextRefused, "{url}");
            assert!(parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_without_quoting_it() {
        let cases = [
            "",
            "s3cret",
            "http://user:s3cret@host",
            "redis://user:s3cret@host:port/",
            "redis://user:s3cret@127.0.0.1/database",
            "redis://user:s3cret@127.0.0.1/?passwrod=s3cret",
            "rediss://user:s3cret@127.0.0.1/#insecure",
            "redis://user:s3cret@0.0.0.0/",
        ];
        for url in cases {
            let failure = parse(url, true).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert_eq!(failure.code, Code::ConfigInvalid, "{url}");
            assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
        }
    }
}
