//! A broker and a Redis server of a test's own, which it may kill, freeze and start again.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::process::{eventually, signal};
use crate::secrets::PASSWORD;

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
        format!("amqp://scratch:{PASSWORD}@127.0.0.1:{}/%2f", self.port)
    }

    /// Starts the node, again with what it held.
    pub fn go(&mut self) {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("server.log")).expect("the temporary folder takes files");
        let errors = log.try_clone().expect("a file can be shared");
        let mut command = Command::new(broker_program("rabbitmq-server"));
        self.as_node(&mut command)
            // The start script then becomes the server instead of staying as its parent.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.node_port.to_string())
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

    /// Takes its disk away. It must not run.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.folder.path().join("mnesia")).expect("the node had a folder");
    }

    /// Sends `-STOP` or `-CONT`.
    pub fn signal(&self, name: &str) {
        signal(self.server.as_ref().expect("the server runs"), name);
    }

    /// Runs `rabbitmqctl`, which must succeed.
    #[track_caller]
    pub fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(broker_program("rabbitmqctl"));
        let ran = self.as_node(&mut command).args(arguments).output();
        let ran = ran.expect("rabbitmqctl is beside the broker's program");
        assert!(
            ran.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    fn as_node<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let folder = self.folder.path();
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("sqlextract-{}@localhost", self.port))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("environment.conf"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

/// A Redis server: what it held is gone when it ends, unless it is durable.
#[derive(Debug)]
pub struct Store {
    folder: TempDir,
    port: u16,
    durable: bool,
    server: Option<Child>,
}

impl Store {
    pub fn start() -> Self {
        Self::with(false)
    }

    /// Writes what it holds to a file once a second.
    pub fn durable() -> Self {
        Self::with(true)
    }

    fn with(durable: bool) -> Self {
        let [port, ..] = free_ports();
        let mut store = Self {
            folder: TempDir::new().expect("a temporary folder can be made"),
            port,
            durable,
            server: None,
        };
        store.go();
        store
    }

    pub fn url(&self) -> String {
        format!("redis://default:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// Starts the server, empty or with what its file holds.
    pub fn go(&mut self) {
        let durable = if self.durable { "yes" } else { "no" };
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--requirepass",
                PASSWORD,
            ])
            .args(["--save", "", "--appendonly", durable, "--loglevel", "warning", "--dir"])
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

    /// Loses the second half of what its file holds. It must not run.
    pub fn forget_half(&self) {
        let files = std::fs::read_dir(self.folder.path().join("appendonlydir")).expect("the server is durable");
        let mut files = files.flatten().map(|entry| entry.path());
        let written = files.find(|path| path.to_string_lossy().ends_with(".incr.aof"));
        let path = written.expect("the server writes what it holds");
        let file = std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("the file can be opened");
        let bytes = file.metadata().expect("the file has a size").len();
        file.set_len(bytes / 2).expect("the file can be cut");
    }

    /// As one that was restarted in between: scripts are no longer known.
    pub fn forget_scripts(&self) {
        self.command(&["SCRIPT", "FLUSH"]);
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
            .env("REDISCLI_AUTH", PASSWORD)
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

/// Debian's programs in the PATH insist on the broker's user; these do not.
fn broker_program(name: &str) -> PathBuf {
    let debian = Path::new("/usr/lib/rabbitmq/bin").join(name);
    match debian.exists() {
        true => debian,
        false => PathBuf::from(name),
    }
}
