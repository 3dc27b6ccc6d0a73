//! Flags of `extract` that say what a run may take of machine, source and network.

use clap::Args;
use sqlextract_model::ByteSize;

#[derive(Debug, Args, Default)]
pub(crate) struct ResourceArgs {
    /// Batches worked at once. [auto: from cores, memory budget and the source's free connections; fewer while others are
    /// strained]
    #[arg(long, env = "SQLEXTRACT_WORKERS", value_name = "N|auto", value_parser = parse_auto::<u16>)]
    pub(crate) workers: Option<Auto<u16>>,

    /// Hard memory budget for data in flight. [a quarter of the memory, at most 1GB]
    #[arg(long, env = "SQLEXTRACT_BUFFER_SIZE", value_name = "SIZE")]
    pub(crate) buffer_size: Option<ByteSize>,

    /// Encode and upload beside reading. [on]
    #[arg(long, env = "SQLEXTRACT_PARALLEL_WRITE", overrides_with = "no_parallel_write")]
    pub(crate) parallel_write: bool,

    /// Encode and upload after reading each record batch.
    #[arg(long)]
    pub(crate) no_parallel_write: bool,

    /// Keep each thread that encodes on one processor. [off: the system moves them]
    #[arg(long, env = "SQLEXTRACT_PIN_ENCODING")]
    pub(crate) pin_encoding: bool,

    /// Limits for the source, per second: rows=N,bytes=SIZE,queries=N; bytes as they come from the source.
    #[arg(long, env = "SQLEXTRACT_RATE_LIMIT", value_name = "LIMITS")]
    pub(crate) rate_limit: Option<String>,

    /// Bytes sent to the output per second, all uploads together: 20MB. [as fast as it goes]
    #[arg(long, env = "SQLEXTRACT_UPLOAD_BANDWIDTH", value_name = "SIZE")]
    pub(crate) upload_bandwidth: Option<ByteSize>,

    /// Connections to the source, all workers together. [from the source]
    #[arg(long, env = "SQLEXTRACT_MAX_CONNECTIONS", value_name = "N")]
    pub(crate) max_connections: Option<u32>,
}

/// A number, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auto<N> {
    Auto,
    Fixed(N),
}

impl<N> Auto<N> {
    pub(crate) fn fixed(self) -> Option<N> {
        match self {
            Self::Auto => None,
            Self::Fixed(n) => Some(n),
        }
    }
}

pub(crate) fn parse_auto<N: std::str::FromStr>(text: &str) -> Result<Auto<N>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        number => number
            .replace('_', "")
            .parse()
            .map(Auto::Fixed)
            .map_err(|_| "expected a number or `auto`".to_owned()),
    }
}
