//! A broker of a test's own, which it may stop, kill and choke.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Of the user in the definitions that the node loads.
const PASSWORD: &str = include_str!("../../../../tests/password").trim_ascii();

/// A busy machine takes long to start an Erlang node.
const START: Duration = Duration::from_secs(120);

pub(crate) struct Broker {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    node_port: u16,
    names_port: u16,
    names: Child,
    server: Option<Child>,
}

impl Broker {
    /// Starts a node with the scratch broker's user. It has no plugins.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, node_port, names_port] = free_ports();
        let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/rabbitmq/definitions.json");
        let lines = [
            format!("listeners.tcp.1 = 127.0.0.1:{port}"),
            format!("load_definitions = {definitions}"),
            "disk_free_limit.absolute = 50MB".to_owned(),
        ];
        std::fs::write(folder.path().join("rabbitmq.conf"), lines.join("\n") + "\n").unwrap();
        std::fs::write(folder.path().join("enabled_plugins"), "[].\n").unwrap();
        std::fs::write(folder.path().join("environment.conf"), "").unwrap();
        // A name service of its own, so that the node meets no other node of this machine.
        let names = Command::new(names_program())
            .args(["-port", &names_port.to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Erlang's name service starts");
        let mut broker = Self {
            folder,
            programs: programs(),
            port,
            node_port,
            names_port,
            names,
            server: None,
        };
        broker.start_server().await;
        broker
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://scratch:{PASSWORD}@127.0.0.1:{}/%2f", self.port)
    }

    pub(crate) async fn start_server(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("server.log")).unwrap();
        let server = self
            .command("rabbitmq-server")
            // The start script then becomes the server instead of staying as its parent.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the broker starts");
        self.server = Some(server);
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            assert!(begun.elapsed() < START, "the broker did not start: {}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Ends the server as an operator would.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        self.signal("TERM", server.id());
        server.wait().unwrap();
    }

    /// Stops the server's clock, so to speak: connections stay open and nothing moves.
    pub(crate) fn freeze(&self) {
        self.signal("STOP", self.server.as_ref().expect("the server runs").id());
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT", self.server.as_ref().expect("the server runs").id());
    }

    fn signal(&self, signal: &str, process: u32) {
        let sent = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Runs `rabbitmqctl`, which must succeed.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command("rabbitmqctl").args(arguments).output().unwrap();
        assert!(
            status.success(),
            "rabbitmqctl {arguments:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(self.programs.join(program));
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("sqlextract-{}@localhost", self.port))
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.node_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("environment.conf"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-");
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for child in self.server.iter_mut().chain([&mut self.names]) {
            // It may have ended already.
            let _: std::io::Result<()> = child.kill();
            let _: std::io::Result<std::process::ExitStatus> = child.wait();
        }
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [0; 3].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Debian's programs in PATH insist on the broker's user; these do not.
fn programs() -> PathBuf {
    let debian = Path::new("/usr/lib/rabbitmq/bin");
    if debian.join("rabbitmq-server").exists() {
        return debian.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("rabbitmq-server").exists());
    found.expect("RabbitMQ is installed: rabbitmq-server is in PATH")
}

fn names_program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .map(|folder| folder.join("epmd"))
        .find(|program| program.exists());
    in_path.expect("Erlang is installed: epmd is in PATH")
}
