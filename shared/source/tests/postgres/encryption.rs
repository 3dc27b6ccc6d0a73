//! TLS as `sslmode` says, on the driver's connections and on those that read, and ways to ask for a password.
//!
//! Between us and the scratch server, which has no TLS, stands a server of our own that has: it answers the request for
//! TLS, and passes on what it deciphers.

use sqlextract_model::Code;
use sqlextract_source::PostgresSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certified;
use crate::fixture::{Reading, Scratch, inspect, settings};

/// A server that has TLS.
struct Encrypted {
    port: u16,
    certified: Certified,
}

impl Encrypted {
    async fn before(scratch: &Scratch) -> Self {
        let address = scratch.server.rsplit_once('@').unwrap().1.to_owned();
        let certified = Certified::new();
        let acceptor = certified.acceptor.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, acceptor.clone(), address.clone()));
            }
        });
        Self { port, certified }
    }

    fn url(&self, scratch: &Scratch, host: &str, parameters: &str) -> String {
        let (_, rest) = scratch.server.split_once("://").unwrap();
        let (credentials, _) = rest.rsplit_once('@').unwrap();
        let parameters = parameters.replace("AUTHORITY", &self.certified.authority());
        format!(
            "postgres://{credentials}@{host}:{}/{}?{parameters}",
            self.port, scratch.name
        )
    }
}

/// Whoever does not ask for TLS, or breaks it off, is let go.
async fn pass_on(mut client: TcpStream, acceptor: TlsAcceptor, address: String) {
    let mut request = [0; 8];
    if client.read_exact(&mut request).await.is_err() || request[4..] != 80_877_103_u32.to_be_bytes() {
        return;
    }
    client.write_all(b"S").await.unwrap();
    if let Ok(mut client) = acceptor.accept(client).await {
        let mut server = TcpStream::connect(address).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, body text); \
    INSERT INTO t SELECT i, repeat('x', i) FROM generate_series(1, 1000) i";

#[tokio::test]
async fn a_certificate_is_looked_at_as_far_as_the_url_says() {
    let mut scratch = Scratch::new().await;
    scratch.execute(TABLE).await;
    let expected = {
        let plain = scratch.open().await;
        Reading::all(&inspect(&plain, "t").await).rows(&plain).await
    };
    let server = Encrypted::before(&scratch).await;
    let cases = [
        ("localhost", "sslmode=verify-full&sslrootcert=AUTHORITY", true),
        // The certificate is not for this name.
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=AUTHORITY", false),
        // Nobody knows the authority.
        ("localhost", "sslmode=verify-full", false),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=AUTHORITY", true),
        ("127.0.0.1", "sslmode=verify-ca", false),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "", true),
    ];
    for (host, parameters, accepted) in cases {
        match PostgresSource::open(settings(server.url(&scratch, host, parameters))).await {
            Ok(source) => {
                assert!(accepted, "{host} {parameters}");
                let rows = Reading::all(&inspect(&source, "t").await).rows(&source).await;
                assert!(rows == expected, "{host} {parameters}: the rows differ");
            }
            Err(failure) => {
                assert!(!accepted, "{host} {parameters}: {failure:?}");
                assert_eq!(failure.code, Code::PreflightFailed, "{host} {parameters}: {failure:?}");
            }
        }
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let scratch = Scratch::new().await;
    let url = format!("{}/{}?sslmode=require", scratch.server, scratch.name);
    let failure = PostgresSource::open(settings(url)).await.unwrap_err();
    assert_eq!(failure.code, Code::PreflightFailed, "{failure:?}");
    scratch.remove().await;
}
