//! A way to a server that can be slow, silent, or lose answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::process::pause;

/// Listens on a port of its own and carries what comes there to the server and back. Its threads end with the test.
#[derive(Debug)]
pub struct Way {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: AtomicU32,
    /// Connections before these no longer bring answers; nor requests.
    unanswered: AtomicU32,
    silent: AtomicU32,
    /// Answers that are still to be lost, each with its connection.
    lost: AtomicU32,
    delay_ms: AtomicU64,
    /// Most bytes of an answer that are sent at once; 0 is no limit.
    piece: AtomicUsize,
}

impl Way {
    /// To the server of a URL, which stays as it is otherwise.
    pub fn to(url: &str) -> (Self, String) {
        let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
        let place = place.rsplit_once("//").map_or(place, |(_, place)| place);
        let place = place.split('/').next().unwrap_or(place).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let way = Self {
            port,
            state: Arc::default(),
        };
        let there = url.replacen(&place, &format!("127.0.0.1:{}", way.port), 1);
        let state = Arc::clone(&way.state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = state.connections.fetch_add(1, SeqCst);
                if let Ok(server) = TcpStream::connect(&place) {
                    carry(client, server, number, &state);
                }
            }
        });
        (way, there)
    }

    /// Connections that are open now bring no more answers, and stay open. New ones do.
    pub fn hold_answers(&self) {
        self.state.unanswered.store(self.state.connections.load(SeqCst), SeqCst);
    }

    /// Connections that are open now carry nothing in either direction, and stay open. New ones do.
    pub fn fall_silent(&self) {
        self.hold_answers();
        self.state.silent.store(self.state.connections.load(SeqCst), SeqCst);
    }

    /// The next answers are lost, each with its connection.
    pub fn lose_answers(&self, number: u32) {
        self.state.lost.store(number, SeqCst);
    }

    /// Answers that were to be lost and were not yet.
    pub fn still_to_lose(&self) -> u32 {
        self.state.lost.load(SeqCst)
    }

    /// Answers come in pieces of so many bytes.
    pub fn split_answers(&self, bytes: usize) {
        self.state.piece.store(bytes, SeqCst);
    }

    /// Every answer comes so much later.
    pub fn delay_answers(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).expect("a test waits no ages");
        self.state.delay_ms.store(delay, SeqCst);
    }
}

fn carry(client: TcpStream, server: TcpStream, number: u32, state: &Arc<State>) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let (from_client, to_server) = (clone(&client), clone(&server));
    let there = Arc::clone(state);
    std::thread::spawn(move || {
        pump(from_client, to_server, 0, || {
            wait_while(|| number < there.silent.load(SeqCst));
            true
        });
    });
    let back = Arc::clone(state);
    std::thread::spawn(move || {
        let piece = back.piece.load(SeqCst);
        let sent_at_once = client.set_nodelay(piece > 0);
        sent_at_once.expect("a socket can be told to send at once");
        pump(server, client, piece, || {
            wait_while(|| number < back.unanswered.load(SeqCst));
            pause(Duration::from_millis(back.delay_ms.load(SeqCst)));
            let lost = back.lost.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            lost.is_err()
        });
    });
}

/// Carries until an end closes, or a piece is not to pass; no more than so many bytes at once, where it is not 0.
fn pump(mut from: TcpStream, mut to: TcpStream, piece: usize, passes: impl Fn() -> bool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let most = if piece == 0 { read } else { piece };
        if !passes() || bytes[..read].chunks(most).any(|piece| to.write_all(piece).is_err()) {
            break;
        }
    }
    // The other direction's thread ends with its socket.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn wait_while(holds: impl Fn() -> bool) {
    while holds() {
        pause(Duration::from_millis(10));
    }
}
