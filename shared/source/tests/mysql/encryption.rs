//! TLS as `ssl-mode` says, on the driver's connections and on those that read.
//!
//! Between us and the scratch server, which has no TLS, stands a server of our own that has: it announces TLS in the
//! greeting, and passes on what it deciphers.

use sqlextract_model::Code;
use sqlextract_source::MysqlSource;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certified;
use crate::support::{Reading, Scratch, facts};

/// In the second byte of the capabilities.
const TLS: u8 = 0b1000;

/// Opens a way to the server that has TLS, and answers with its port.
async fn encrypted(server: String, acceptor: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let passing = pass_on(client, acceptor.clone(), server.clone());
            // Whoever does not ask for TLS, or breaks it off, is let go.
            tokio::spawn(async move { passing.await.ok() });
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, acceptor: TlsAcceptor, server: String) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let mut greeting = packet(&mut server).await?;
    let version = greeting[5..].iter().position(|byte| *byte == 0).unwrap();
    // Behind the version: the connection's number, eight bytes of the nonce, a zero, the lower capabilities.
    greeting[5 + version + 1 + 4 + 8 + 1 + 1] |= TLS;
    client.write_all(&greeting).await?;
    let request = packet(&mut client).await?;
    if request.len() != 4 + 32 || request[4 + 1] & TLS == 0 {
        return Ok(());
    }
    let mut client = acceptor.accept(client).await?;
    // The server knows nothing of the request for TLS, which was a packet as well.
    let mut answer = packet(&mut client).await?;
    answer[4 + 1] &= !TLS;
    loop {
        answer[3] -= 1;
        server.write_all(&answer).await?;
        let mut word = packet(&mut server).await?;
        word[3] += 1;
        client.write_all(&word).await?;
        if matches!(word[4], 0x00 | 0xff) {
            break;
        }
        answer = packet(&mut client).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The next packet with its head.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await?;
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
    packet.resize(4 + length, 0);
    stream.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

#[tokio::test]
async fn a_certificate_is_looked_at_as_far_as_the_url_says() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY, body TEXT)").await;
    scratch
        .run("INSERT INTO t VALUES (1, 'one'), (2, NULL), (3, REPEAT('x', 70000))")
        .await;
    let plain = scratch.open().await;
    let expected = Reading::of(&facts(&plain, "t").await).rows(&plain).await.unwrap();
    let certified = Certified::new();
    let port = encrypted(scratch.server(), certified.acceptor.clone()).await;
    let cases = [
        ("localhost", "ssl-mode=VERIFY_IDENTITY&ssl-ca=AUTHORITY", true),
        // The certificate is not for this name.
        ("127.0.0.1", "ssl-mode=VERIFY_IDENTITY&ssl-ca=AUTHORITY", false),
        // Nobody knows the authority.
        ("localhost", "ssl-mode=VERIFY_IDENTITY", false),
        ("127.0.0.1", "ssl-mode=VERIFY_CA&ssl-ca=AUTHORITY", true),
        ("127.0.0.1", "ssl-mode=VERIFY_CA", false),
        ("127.0.0.1", "ssl-mode=REQUIRED", true),
        ("127.0.0.1", "", true),
    ];
    for (host, parameters, accepted) in cases {
        let parameters = parameters.replace("AUTHORITY", &certified.authority());
        let url = scratch.url_by_port(port).replace("127.0.0.1", host);
        let settings = scratch.settings_of(&format!("{url}?{parameters}"));
        match MysqlSource::open(settings).await {
            Ok(source) => {
                assert!(accepted, "{host} {parameters}");
                let rows = Reading::of(&facts(&source, "t").await).rows(&source).await.unwrap();
                assert!(rows == expected, "{host} {parameters}: the rows differ");
            }
            Err(failure) => {
                assert!(!accepted, "{host} {parameters}: {failure:?}");
                assert_eq!(failure.code, Code::PreflightFailed, "{host} {parameters}: {failure:?}");
            }
        }
    }
    scratch.drop().await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let scratch = Scratch::new().await;
    let url = format!("{}?ssl-mode=REQUIRED", scratch.settings().url);
    let failure = MysqlSource::open(scratch.settings_of(&url)).await.unwrap_err();
    assert_eq!(failure.code, Code::PreflightFailed, "{failure:?}");
    scratch.drop().await;
}
