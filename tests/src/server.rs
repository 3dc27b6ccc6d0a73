//! A PostgreSQL server that nobody else uses.
//!
//! Whether a source is unchanged shows in the server's transaction counter, which every database of it moves. A
//! scenario about an unchanged source cannot share its server with tests that run beside it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::process::eventually;

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: String,
    _folder: TempDir,
}

/// Where PostgreSQL's own programs are: Debian's newest, else by the PATH.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|v| v.path().join("bin").join(name))
        .filter(|p| p.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn number(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().expect("id is in the PATH");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("`id {arguments:?}` gives no number: {text:?}"))
}

/// A program of PostgreSQL in this folder, as a user that it accepts: it refuses root.
fn as_postgres(name: &str, folder: &Path, root: bool) -> Command {
    let mut command = Command::new(program(name));
    command.current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if root {
        command
            .uid(number(&["-u", "postgres"]))
            .gid(number(&["-g", "postgres"]));
    }
    command
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let root = number(&["-u"]) == 0;
        if root {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status();
            assert!(owned.expect("chown is in the PATH").success());
        }
        let made = as_postgres("initdb", folder.path(), root)
            .args(["-U", "postgres", "--auth=trust", "--no-sync"])
            .args(["-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .status();
        let made = made.unwrap_or_else(|e| panic!("initdb of PostgreSQL does not start: {e}"));
        assert!(made.success(), "initdb failed");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port().to_string();
        let child = as_postgres("postgres", folder.path(), root)
            .args(["-p", &port, "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "fsync=off", "-c", "autovacuum=off", "-D"])
            .arg(&data)
            .spawn()
            .expect("initdb is there, so is postgres");
        let server = Self {
            child,
            port,
            _folder: folder,
        };
        eventually("the start of PostgreSQL", || server.answers());
        server
    }

    fn answers(&self) -> bool {
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port,
            "-U",
            "postgres",
            "-c",
            "SELECT 1",
        ]);
        let status = psql.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Immediate shutdown: its children end with it.
        let _ = Command::new("kill")
            .args(["-QUIT", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}
