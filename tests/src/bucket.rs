//! A bucket on an S3 server of its own, which can be told to misbehave.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlextract_s3_server::{S3Server, ServerSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use sqlextract_s3_server::{Dose, Faults, Hold};

use crate::chunks::Job;
use crate::process::Run;
use crate::secrets;

const BUCKET: &str = "lake";
const ACCESS_KEY: &str = "AKIASCENARIO";

/// A running server with one bucket; it ends with this value.
#[derive(Debug)]
pub struct Bucket {
    server: S3Server,
    runtime: Runtime,
    folder: TempDir,
}

fn start(runtime: &Runtime, root: &Path) -> S3Server {
    let server = runtime.block_on(S3Server::start(ServerSettings {
        root,
        address: "127.0.0.1:0",
        access_key: ACCESS_KEY,
        secret_key: Bucket::SECRET,
        buckets: &[BUCKET],
    }));
    server.expect("a port of this host is free")
}

impl Drop for Bucket {
    fn drop(&mut self) {
        secrets::look_below(self.folder.path());
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new()
    }
}

impl Bucket {
    /// The secret key that the server accepts; no output may show it.
    pub const SECRET: &'static str = secrets::SECRET_KEY;

    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be started");
        Self {
            server: start(&runtime, folder.path()),
            runtime,
            folder,
        }
    }

    /// As `--output` takes it.
    pub fn output(&self) -> String {
        format!("s3://{BUCKET}/shop")
    }

    /// Gives a command this server and its credentials.
    pub fn reached_by(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", Self::SECRET)
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// A new server over the same objects, at another port. It knows their checksums from the files alone.
    pub fn restart(&mut self) {
        self.server = start(&self.runtime, self.folder.path());
    }

    pub fn set_faults(&self, faults: Faults) {
        self.server.set_faults(faults);
    }

    /// The switches as they are now, counted down.
    pub fn faults(&self) -> Faults {
        self.server.faults()
    }

    /// Multipart uploads that are neither complete nor aborted.
    pub fn open_uploads(&self) -> usize {
        let _entered = self.runtime.enter();
        self.server.open_uploads(BUCKET)
    }

    /// Where the server keeps an object, by its address.
    pub fn file(&self, address: &str) -> PathBuf {
        let key = address
            .strip_prefix("s3://")
            .unwrap_or_else(|| panic!("{address} is no S3 address"));
        self.folder.path().join(key)
    }

    /// What lies under the output, without asking the program.
    pub fn folder(&self) -> PathBuf {
        self.file(&self.output())
    }

    /// The job of a run, read from the server's own files.
    pub fn job(&self, run: &Run) -> Job {
        let manifest = run.json["manifest"].as_str();
        let manifest = manifest.unwrap_or_else(|| panic!("no manifest: {}\n{}", run.stdout, run.stderr));
        let file = self.file(manifest);
        Job::at(file.parent().unwrap_or(Path::new("/")))
    }
}
