//! How a session begins, against servers that say what the real ones of this machine do not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::packets::Packets;
use super::start::Endpoint;
use super::*;
use crate::tls::{Encryption, Files, Trust};

const PASSWORD: &str = "pass word";
const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";

/// A server that takes one client.
struct Server {
    stream: TcpStream,
    packets: Packets,
}

impl Server {
    async fn say(&mut self, body: &[u8]) {
        let mut out = Vec::new();
        self.packets.wrap(body, false, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        while !self.packets.next().unwrap() {
            let count = self.stream.read(self.packets.room()).await.unwrap();
            assert!(count > 0, "the client left");
            self.packets.received(count);
        }
        self.packets.body().to_vec()
    }

    /// Greets with a kind of authentication, and answers with the client's kind and proof.
    async fn greet(&mut self, plugin: &str) -> (String, Vec<u8>) {
        let capabilities: u32 = !(1 << 11);
        let [a, b, c, d] = capabilities.to_le_bytes();
        let head = [
            b"\x0a8.0.36\0\x07\0\0\0".as_slice(),
            &NONCE[..8],
            &[0, a, b, 45, 2, 0, c, d, 21],
            &[0; 10],
        ];
        self.say(&[head.concat().as_slice(), &NONCE[8..], &[0], plugin.as_bytes(), &[0]].concat())
            .await;
        let answer = self.hear().await;
        let mut front = Front(&answer[32..]);
        assert_eq!(front.until_zero(), b"somebody");
        let proof = front.counted().unwrap().to_vec();
        assert_eq!(front.until_zero(), b"shop");
        (String::from_utf8(front.until_zero().to_vec()).unwrap(), proof)
    }
}

/// Opens a connection to a server that does as it is told.
async fn opened<F: Future<Output = ()> + Send + 'static>(
    encryption: Encryption,
    server: impl FnOnce(Server) -> F,
) -> Answer<Connection> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        socket: None,
        user: "somebody".to_owned(),
        password: Some(PASSWORD.to_owned()),
        database: Some("shop".to_owned()),
        encryption,
        files: Files::default(),
    };
    let connecting = tokio::spawn(async move { Connection::open(&endpoint).await });
    let (stream, _) = listener.accept().await.unwrap();
    let served = tokio::spawn(server(Server {
        stream,
        packets: Packets::new(),
    }));
    let opened = connecting.await.unwrap();
    served.await.unwrap();
    opened
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

/// As the server proves it, which knows the password's hash of the hash alone.
fn proves_the_password(proof: &[u8], nonce: &[u8]) -> bool {
    let stored = sha256(&[&sha256(&[PASSWORD.as_bytes()])]);
    let mask = sha256(&[&stored, nonce]);
    let once: Vec<u8> = proof.iter().zip(mask).map(|(proof, mask)| proof ^ mask).collect();
    sha256(&[&once]) == stored
}

#[tokio::test]
async fn a_password_that_the_server_remembers_is_proven_and_not_told() {
    let opened = opened(Encryption::WherePossible, |mut server| async move {
        let (plugin, proof) = server.greet("caching_sha2_password").await;
        assert_eq!(plugin, "caching_sha2_password");
        assert!(proves_the_password(&proof, NONCE));
        server.say(&[1, 3]).await;
        server.say(&[0, 0, 0, 2, 0, 0, 0]).await;
    });
    assert!(opened.await.is_ok());
}

#[tokio::test]
async fn a_password_is_never_told_in_the_open() {
    for (greeted, asked) in [
        ("caching_sha2_password", None),
        ("mysql_native_password", Some("sha256_password")),
    ] {
        let opened = opened(Encryption::WherePossible, move |mut server| async move {
            server.greet(greeted).await;
            match asked {
                Some(plugin) => {
                    let switch = [&[0xfe], plugin.as_bytes(), &[0], NONCE, &[0]].concat();
                    server.say(&switch).await;
                }
                None => server.say(&[1, 4]).await,
            }
            let mut rest = Vec::new();
            server.stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"", "after {greeted}");
        });
        match opened.await {
            Err(DatabaseError::Server {
                number: 1251, message, ..
            }) => assert!(message.contains("TLS"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_server_may_ask_for_another_kind_of_authentication() {
    let other = b"ABCDEFGHIJKLMNOPQRST";
    let opened = opened(Encryption::Never, move |mut server| async move {
        let (plugin, _) = server.greet("a_plugin_of_tomorrow").await;
        assert_eq!(plugin, "mysql_native_password");
        let switch = [b"\xfecaching_sha2_password\0".as_slice(), other, &[0]].concat();
        server.say(&switch).await;
        assert!(proves_the_password(&server.hear().await, other));
        server.say(&[0, 0, 0, 2, 0, 0, 0]).await;
    });
    assert!(opened.await.is_ok());
}

#[tokio::test]
async fn a_kind_that_nobody_knows_is_named() {
    let opened = opened(Encryption::Never, |mut server| async move {
        server.greet("mysql_native_password").await;
        server.say(b"\xfea_plugin_of_tomorrow\0abc\0").await;
    });
    match opened.await {
        Err(DatabaseError::Server {
            number: 1251, message, ..
        }) => assert!(message.contains("a_plugin_of_tomorrow")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_takes_nobody_says_so_at_once() {
    let opened = opened(Encryption::Never, |mut server| async move {
        server.say(b"\xff\x10\x04Too many connections").await;
    });
    assert!(matches!(opened.await, Err(DatabaseError::Server { number: 1040, .. })));
}

#[tokio::test]
async fn tls_that_the_server_has_not_is_an_error_where_it_is_required() {
    let opened = opened(Encryption::Always(Trust::Anyone), |mut server| async move {
        let greeting = [
            b"\x0a5.5\0\0\0\0\0abcdefgh\0\xff\xf7\x21\0\0\0\0\0".as_slice(),
            &[0; 10],
            &[1; 13],
        ]
        .concat();
        server.say(&greeting).await;
    });
    assert!(matches!(opened.await, Err(DatabaseError::Tls(_))));
}
