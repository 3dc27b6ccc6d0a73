//! The commands of the distributed system: services, and what operators do with their jobs.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sqlextract_model::{ByteSize, Compression, Consistency, Format, ParquetVersion};

use crate::args::{ProgressStyle, parse_consistency};

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Run a role as a service on the broker, checkpoint store and destinations of the settings.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Ask the services for an extraction; the same id again is the same job.
    #[command(
        after_help = "Example:\n  sqlextract --config distributed.toml submit --source shop --destination lake --table public.orders --wait"
    )]
    Submit(Box<SubmitArgs>),
    /// Show jobs of the services: state, progress, extractors, limits in force, what is parked and why.
    Status(StatusArgs),
    /// Follow the events of the services, or the progress of one job until its outcome.
    Watch(WatchArgs),
    /// Publish no more batches of a job; those that are published are finished.
    Pause(OrderArgs),
    /// Let a paused job go on, and try its parked batches again.
    Resume(OrderArgs),
    /// Messages and batches that are not tried again by themselves.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Exchanges and queues of the broker.
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// Check broker, checkpoint store, destinations and sources, and say what to do.
    Doctor(DoctorArgs),
    /// Remove chunks of finished jobs that no manifest names.
    Gc(GcArgs),
}

const SERVE_HELP: &str = "\
SIGTERM finishes what is held, or hands it back after the grace period, and leaves with 0; a second signal leaves at once.
A planner leads alone and others stand by; extractors and scripters share the work.

Example:
  sqlextract --config config/distributed.toml --log-format json serve extractor";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Planner,
    Extractor,
    Scripter,
    All,
}

impl Role {
    pub(crate) fn plans(self) -> bool {
        matches!(self, Self::Planner | Self::All)
    }

    pub(crate) fn extracts(self) -> bool {
        matches!(self, Self::Extractor | Self::All)
    }

    pub(crate) fn scripts(self) -> bool {
        matches!(self, Self::Scripter | Self::All)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Planner => "planner",
            Self::Extractor => "extractor",
            Self::Scripter => "scripter",
            Self::All => "all",
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What this process does.
    #[arg(value_enum)]
    pub(crate) role: Role,

    /// Where /healthz, /readyz and /metrics are served; port 0 takes a free one. [telemetry.listen]
    #[arg(long, env = "SQLEXTRACT_LISTEN", value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Request data as JSON, `-` for standard input; instead of the flags below.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "destination", "table"])]
    pub(crate) file: Option<PathBuf>,

    /// Source by its name in the services' settings.
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub(crate) source: Option<String>,

    /// Destination by its name in the services' settings.
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub(crate) destination: Option<String>,

    /// Table as `schema.table`, or `schema.*`. Repeatable.
    #[arg(long, value_name = "TABLE", required_unless_present = "file")]
    pub(crate) table: Vec<String>,

    /// File format of the chunks. [parquet]
    #[arg(long, value_name = "parquet|csv")]
    pub(crate) format: Option<Format>,

    /// Compression: zstd, snappy, lz4, gzip, none.
    #[arg(long, value_name = "NAME")]
    pub(crate) compression: Option<Compression>,

    /// Encodings of Parquet: v1 for those that every reader has, v2 for smaller integers too. [v1]
    #[arg(long, value_name = "v1|v2")]
    pub(crate) parquet_version: Option<ParquetVersion>,

    /// Rows of a batch. [planning chooses]
    #[arg(long, value_name = "ROWS")]
    pub(crate) batch_size: Option<u64>,

    /// Target size of a chunk as stored.
    #[arg(long, value_name = "SIZE")]
    pub(crate) chunk_size: Option<ByteSize>,

    /// One instant for the whole job, or one per batch.
    #[arg(long, value_name = "snapshot|batch", value_parser = parse_consistency)]
    pub(crate) consistency: Option<Consistency>,

    /// Also write these scripts; NAME=TABLE names the target's table.
    #[arg(long, value_name = "T[,T…]", value_delimiter = ',')]
    pub(crate) target: Vec<String>,

    /// Id of the request: the same id again is the same job. [drawn by lot]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// Wait for the outcome and its scripts, and end with the outcome's exit code.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Write JSON: one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this job. [every job that is not finished]
    pub(crate) job: Option<String>,

    /// Only this destination, by its name.
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,

    /// Write one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only this job, until its outcome. [every job, until interrupted]
    pub(crate) job: Option<String>,

    /// Write the events as they come, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,

    /// How the progress of a job is shown, as by `extract`. [auto]
    #[arg(long, value_enum)]
    pub(crate) progress: Option<ProgressStyle>,
}

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    pub(crate) job: String,

    /// The job's destination by its name. [every destination is looked at]
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedCommand {
    /// Show parked messages and why they are parked.
    List {
        /// Write JSON: one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send parked messages back to where they came from.
    Replay(ParkedArgs),
    /// Remove parked messages; with `--job` the job is ended as failed.
    Drop(ParkedArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ParkedArgs {
    /// Only messages of this job. [all]
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// Declare what is missing, and say what was found.
    Apply,
    /// Write the broker's policies as a definitions file.
    Policies,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Write one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Destination by its name.
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: String,

    /// The finished job.
    #[arg(long, value_name = "NAME")]
    pub(crate) job: String,

    /// Remove; without it the chunks are only named.
    #[arg(long)]
    pub(crate) remove: bool,
}
