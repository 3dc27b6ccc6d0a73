//! The switches from outside the process: plain HTTP, without credentials.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use sqlextract_s3_server::{Dose, Faults, S3Server, ServerSettings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask(server: &S3Server, method: &str, path: &str, body: &str) -> String {
    let url = server.url();
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn faults_are_set_and_read_over_http() {
    let folder = TempDir::new().unwrap();
    let server = S3Server::start(ServerSettings {
        root: folder.path(),
        address: "127.0.0.1:0",
        access_key: "key",
        secret_key: "secret",
        buckets: &["lake"],
    });
    let server = server.await.unwrap();

    let wanted = r#"{"seed": 3, "slow_down": {"percent": 100, "times": 1}, "listing_lag_ms": 5}"#;
    assert!(
        ask(&server, "PUT", "/_faults", wanted)
            .await
            .starts_with("HTTP/1.1 204")
    );
    let expected = Faults {
        seed: 3,
        slow_down: Dose::next(1),
        listing_lag_ms: 5,
        ..Faults::default()
    };
    assert_eq!(server.faults(), expected);

    let misspelt = ask(&server, "PUT", "/_faults", r#"{"slowdown": {}}"#).await;
    assert!(
        misspelt.starts_with("HTTP/1.1 400") && misspelt.contains("slowdown"),
        "{misspelt}"
    );
    assert_eq!(server.faults(), expected, "a refused switch changes nothing");

    let slowed = ask(&server, "GET", "/lake/key", "").await;
    assert!(
        slowed.starts_with("HTTP/1.1 503") && slowed.contains("SlowDown"),
        "{slowed}"
    );
    let denied = ask(&server, "GET", "/lake/key", "").await;
    assert!(denied.starts_with("HTTP/1.1 403"), "requests are signed: {denied}");
    assert!(ask(&server, "GET", "/_faults", "").await.contains(r#""times":0"#));
}
