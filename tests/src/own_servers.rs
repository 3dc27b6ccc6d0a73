//! A broker and a Redis server of a test's own, which it may kill, freeze and start again.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::process::{eventually, signal};

/// A RabbitMQ node with the scratch broker's user and without plugins. What it has confirmed outlives a kill.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    port: u16,
    node_port: u16,
    names_port: u16,
    names: Child,
    server: Option<Child>,
}

impl Broker {
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let [port, node_port, names_port] = free_ports();
        let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/rabbitmq/definitions.json");
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nload_definitions = {definitions}\ndisk_free_limit.absolute = 50MB\n"
        );
        for (name, text) in [
            ("rabbitmq.conf", settings.as_str()),
            ("enabled_plugins", "[].\n"),
            ("environment.conf", ""),
        ] {
            std::fs::write(folder.path().join(name), text).expect("the temporary folder takes files");
        }
        // A name service of its own, so that the node meets no other node of this machine.
        let names = Command::new("epmd")
            .args(["-port", &names_port.to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Erlang's name service is in the PATH");
        let mut broker = Self {
            folder,
            port,
            node_port,
            names_port,
            names,
            server: None,
        };
        broker.go();
        broker
    }

    pub fn url(&self) -> String {
        format!("amqp://scratch:scratch@127.0.0.1:{}/%2f", self.port)
    }

    /// Starts the node, again with what it held.
    pub fn go(&mut self) {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("server.log")).expect("the temporary folder takes files");
        let errors = log.try_clone().expect("a file can be shared");
        let mut command = Command::new(broker_program());
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // The start script then becomes the server instead of staying as its parent.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env("RABBITMQ_NODENAME", format!("sqlextract-{}@localhost", self.port))
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.node_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("environment.conf"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .stdout(log)
            .stderr(errors);
        self.server = Some(command.spawn().expect("the broker's program starts"));
        eventually("the start of RabbitMQ", || answers(self.port));
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        end(&mut self.server);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

/// A Redis server without persistence: what it held is gone when it ends.
#[derive(Debug)]
pub struct Store {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Store {
    pub fn start() -> Self {
        let [port, ..] = free_ports();
        let mut store = Self {
            folder: TempDir::new().expect("a temporary folder can be made"),
            port,
            server: None,
        };
        store.go();
        store
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts the server, empty.
    pub fn go(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is in the PATH");
        self.server = Some(child);
        eventually("the start of Redis", || answers(self.port));
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        end(&mut self.server);
    }

    /// As somebody who clears the wrong server would.
    pub fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    pub fn configure(&self, key: &str, value: &str) {
        self.command(&["CONFIG", "SET", key, value]);
    }

    fn command(&self, words: &[&str]) {
        let ran = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .stdout(Stdio::null())
            .status();
        assert!(ran.expect("redis-cli is in the PATH").success());
    }

    /// Sends `-STOP` or `-CONT`.
    pub fn signal(&self, name: &str) {
        signal(self.server.as_ref().expect("the server runs"), name);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(server: &mut Option<Child>) {
    if let Some(mut child) = server.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn free_ports() -> [u16; 3] {
    let listeners = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it listens").port())
}

/// Debian's program in the PATH insists on the broker's user; this one does not.
fn broker_program() -> PathBuf {
    let debian = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    match debian.exists() {
        true => debian.to_owned(),
        false => PathBuf::from("rabbitmq-server"),
    }
}
