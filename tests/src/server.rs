//! A PostgreSQL server that nobody else uses.
//!
//! Whether a source is unchanged shows in the server's transaction counter, which every database of it moves. A
//! scenario about an unchanged source cannot share its server with tests that run beside it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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

impl Server {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        // PostgreSQL refuses to run as root.
        let root = number(&["-u"]) == 0;
        let as_postgres = |name: &str| {
            let mut command = Command::new(program(name));
            command
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if root {
                command
                    .uid(number(&["-u", "postgres"]))
                    .gid(number(&["-g", "postgres"]));
            }
            command
        };
        if root {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status();
            assert!(owned.expect("chown is in the PATH").success());
        }
        let made = as_postgres("initdb")
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(&data)
            .status()
            .unwrap_or_else(|e| panic!("initdb of PostgreSQL does not start: {e}"));
        assert!(made.success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let port = port.port().to_string();
        let child = as_postgres("postgres")
            .args([
                "-p",
                &port,
                "-h",
                "127.0.0.1",
                "-k",
                "",
                "-c",
                "fsync=off",
                "-c",
                "autovacuum=off",
                "-D",
            ])
            .arg(&data)
            .spawn()
            .expect("initdb is there, so is postgres");
        let server = Self {
            child,
            port,
            _folder: folder,
        };
        eventually("the start of PostgreSQL", || {
            let mut psql = Command::new("psql");
            psql.args([
                "-X",
                "-h",
                "127.0.0.1",
                "-p",
                &server.port,
                "-U",
                "postgres",
                "-c",
                "SELECT 1",
            ]);
            psql.stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        });
        server
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
