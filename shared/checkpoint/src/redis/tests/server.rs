//! Private Redis servers, which a test may kill, freeze and flush; and a way to them that can lose answers.

use std::net::TcpListener as StdListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::RedisSettings;

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A server without persistence: what it held is gone when it ends.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) folder: TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further options of the command line.
    pub(super) async fn with(options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self {
            port: free_port(),
            folder,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            child: None,
        };
        server.go().await;
        server
    }

    /// Starts the server again on its port, empty.
    pub(super) async fn go(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
        let begun = Instant::now();
        while !self.answers().await {
            assert!(begun.elapsed() < DEADLINE, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whatever it says, a refusal too.
    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        stream.write_all(b"PING\r\n").await.is_ok() && stream.read(&mut [0; 16]).await.is_ok_and(|read| read > 0)
    }

    /// As a power cut would.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends `STOP` or `CONT`.
    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("the server runs").id().to_string();
        let ended = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(ended.success());
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn settings(&self) -> RedisSettings {
        RedisSettings::new(self.url())
    }

    /// Runs a command on a connection of its own.
    pub(super) async fn run(&self, words: &[&str]) -> Value {
        let answer = run_at(&self.url(), words).await;
        answer.unwrap_or_else(|| panic!("{words:?} works"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One command by the client itself, past the adapter.
pub(super) async fn run_at(url: &str, words: &[&str]) -> Option<Value> {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.query_async(&mut connection).await.ok()
}

pub(super) fn free_port() -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A way to a server. When `cut` is set, the next answer is lost and its connection with it.
pub(super) struct Way {
    pub(super) port: u16,
    pub(super) cut: Arc<AtomicBool>,
}

impl Way {
    pub(super) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let (flag, target) = (Arc::clone(&cut), server.port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, Arc::clone(&flag)));
            }
        });
        Self { port, cut }
    }
}

async fn carry(client: TcpStream, target: u16, cut: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forth = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
        if cut.swap(false, Ordering::SeqCst) || to_client.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    forth.abort();
}
