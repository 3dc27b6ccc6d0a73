//! A socket that is looked at now and then while a long answer comes.
//!
//! Servers send rows in small pieces, and each piece that arrives at a socket somebody waits for wakes that somebody. The
//! waking is done by the server's own process, and costs the two of them more than the bytes do: on a machine that both
//! share, a sixth of the whole. So a socket whose answer has become long is taken away from the reactor, and looked at
//! once a millisecond, when there is much to find. That is for TCP: what a Unix socket holds is sooner full.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;
use tokio::time::{Sleep, sleep};

/// An answer of so many bytes is long. Shorter ones come as fast as they can.
const LONG: usize = 1 << 20;
/// What a millisecond brings fits the buffers on the way: it keeps no server waiting.
const REST: Duration = Duration::from_millis(1);
/// After so many looks that found nothing, the server is slow, and the reactor is to say when there is more.
const LOOKS_IN_VAIN: u32 = 16;

/// A stream of bytes over a socket.
pub(crate) struct Paced {
    way: Way,
    /// Bytes of the answer so far, or since the server was slow.
    received: usize,
}

enum Way {
    /// By the reactor.
    Watched(TcpStream),
    Looked(Looked),
    /// An error ended the stream.
    Lost,
}

struct Looked {
    /// It never blocks.
    socket: std::net::TcpStream,
    /// Until then there is no look.
    rest: Option<Pin<Box<Sleep>>>,
    in_vain: u32,
}

impl Paced {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            way: Way::Watched(socket),
            received: 0,
        }
    }

    fn unwatch(&mut self) -> io::Result<()> {
        self.way = match std::mem::replace(&mut self.way, Way::Lost) {
            Way::Watched(socket) => Way::Looked(Looked {
                socket: socket.into_std()?,
                rest: None,
                in_vain: 0,
            }),
            way => way,
        };
        Ok(())
    }

    /// The socket as the reactor watches it, where the answer counts anew.
    fn watched(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.received = 0;
        if matches!(self.way, Way::Looked(_))
            && let Way::Looked(looked) = std::mem::replace(&mut self.way, Way::Lost)
        {
            self.way = Way::Watched(TcpStream::from_std(looked.socket)?);
        }
        match &mut self.way {
            Way::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(lost()),
        }
    }
}

impl Looked {
    /// `None` after too many looks in vain.
    fn poll_look(&mut self, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<Option<io::Result<usize>>> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(context));
                self.rest = None;
            }
            // As the reactor's sockets do: a reader that always finds something lets others in now and then.
            let turn = ready!(poll_proceed(context));
            let free = room.initialize_unfilled();
            let free_bytes = free.len();
            match self.socket.read(free) {
                Ok(count) => {
                    turn.made_progress();
                    room.advance(count);
                    self.in_vain = 0;
                    if count < free_bytes {
                        self.rest();
                    }
                    return Poll::Ready(Some(Ok(count)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.in_vain += 1;
                    if self.in_vain == LOOKS_IN_VAIN {
                        return Poll::Ready(None);
                    }
                    self.rest();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn rest(&mut self) {
        self.rest = Some(Box::pin(sleep(REST)));
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.way {
                Way::Watched(socket) => {
                    let before = room.filled().len();
                    ready!(Pin::new(socket).poll_read(context, room))?;
                    self.received += room.filled().len() - before;
                    if self.received >= LONG {
                        self.unwatch()?;
                    }
                    return Poll::Ready(Ok(()));
                }
                Way::Looked(looked) => match ready!(looked.poll_look(context, room)) {
                    Some(read) => return Poll::Ready(read.map(drop)),
                    None => {
                        self.watched()?;
                    }
                },
                Way::Lost => return Poll::Ready(Err(lost())),
            }
        }
    }
}

/// What is sent asks for the next answer.
impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Watched(socket) => Pin::new(socket).poll_flush(context),
            // Nothing was sent since.
            Way::Looked(_) => Poll::Ready(Ok(())),
            Way::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(context)
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection was lost before")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn looked_at(socket: &Paced) -> bool {
        matches!(socket.way, Way::Looked(_))
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i / 7) as u8).collect()
    }

    /// Answers each byte with as many bytes as its turn says; in the middle of each answer it waits.
    async fn serve(mut socket: TcpStream, answers: &[usize], wait: Duration) {
        for length in answers {
            socket.read_u8().await.unwrap();
            let answer = content(*length);
            let (first, second) = answer.split_at(length / 2);
            socket.write_all(first).await.unwrap();
            sleep(wait).await;
            socket.write_all(second).await.unwrap();
        }
    }

    async fn ask(socket: &mut Paced, length: usize) -> bool {
        socket.write_all(b"?").await.unwrap();
        assert!(!looked_at(socket), "a request is sent through the reactor");
        let mut answer = vec![0; length];
        socket.read_exact(&mut answer).await.unwrap();
        assert!(answer == content(length), "the answer's bytes are others");
        looked_at(socket)
    }

    async fn server_and_client() -> (TcpStream, Paced) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, Paced::new(client))
    }

    #[tokio::test]
    async fn long_and_short_answers_come_whole() {
        const ANSWERS: [usize; 5] = [10, 5 * LONG, LONG / 2, 3 * LONG + 1, 1];
        // Longer than all looks in vain take.
        let wait = REST * (LOOKS_IN_VAIN * 4);
        let (server, mut client) = server_and_client().await;
        let served = tokio::spawn(async move { serve(server, &ANSWERS, wait).await });
        let mut looked = Vec::new();
        for length in ANSWERS {
            looked.push(ask(&mut client, length).await);
        }
        assert_eq!(looked, [false, true, false, true, false]);
        served.await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the end is an end");
    }

    #[tokio::test]
    async fn a_connection_that_ends_after_a_long_answer_has_ended() {
        let (server, mut client) = server_and_client().await;
        let served = tokio::spawn(async move { serve(server, &[2 * LONG], Duration::ZERO).await });
        assert!(ask(&mut client, 2 * LONG).await);
        served.await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        // The other end answers the first request with the word that nobody is there.
        let refused = async { while client.write_all(b"?").await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    }
}
