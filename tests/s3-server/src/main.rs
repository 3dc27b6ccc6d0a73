//! `s3-server`: the S3 server for tests as a process of its own.

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use sqlextract_s3_server::{S3Server, ServerSettings};

/// An S3 server for tests. Prints its URL once it listens; `PUT /_faults` with JSON makes it misbehave.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the objects: `<root>/<bucket>/<key>`.
    #[arg(long)]
    root: PathBuf,
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// 0 takes a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value = "test")]
    access_key: String,
    #[arg(long, default_value = "test-secret")]
    secret_key: String,
    /// A bucket to make at the start; repeatable.
    #[arg(long = "bucket")]
    buckets: Vec<String>,
    /// Print the port alone instead of the URL.
    #[arg(long)]
    print_port: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let buckets: Vec<&str> = arguments.buckets.iter().map(String::as_str).collect();
    let address = format!("{}:{}", arguments.host, arguments.port);
    let mut server = S3Server::start(ServerSettings {
        root: &arguments.root,
        address: &address,
        access_key: &arguments.access_key,
        secret_key: &arguments.secret_key,
        buckets: &buckets,
    })
    .await?;
    let url = server.url();
    let port = url.rsplit(':').next().unwrap_or_default();
    let line = if arguments.print_port { port } else { &url };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    drop(out);
    server.wait().await;
    Ok(())
}
