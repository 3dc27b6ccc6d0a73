//! The command line. The texts here are the manual: what a flag does, its unit and its default.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sqlextract_model::{ByteSize, Compression, Format, OnLossy, OnSnapshotLost, ParquetVersion, Platform};

use crate::resource_args::{Auto, ResourceArgs, parse_auto};
use crate::service_args::ServiceCommand;

const AFTER_HELP: &str = "\
Four steps from a database to a loaded table:
  sqlextract inspect --source postgres://me@db/shop                  what is there, and how it would be read
  sqlextract extract --source postgres://me@db/shop --table orders   chunks in ./sqlextract-out; again: resumes
  sqlextract verify --depth source                                   chunks, manifest and database agree
  sqlextract generate-ingest --target postgres -o load.sql           the script that loads them

Try it without a database: sqlextract demo";

/// SQL tables out of databases, in parallel and resumably, as Parquet or CSV chunks with proof.
#[derive(Debug, Parser)]
#[command(name = "sqlextract", version, after_help = AFTER_HELP, max_term_width = 110, disable_help_subcommand = false)]
pub(crate) struct Cli {
    /// Settings file (TOML); every key has its flag or variable too.
    #[arg(long, global = true, env = "SQLEXTRACT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Log lines on standard error: `text` or `json`. What is logged is chosen by RUST_LOG.
    #[arg(
        long,
        global = true,
        env = "SQLEXTRACT_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogStyle,

    /// Tell on standard error what is chosen and changed while running, and why; twice: every detail.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogStyle {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Extract tables, views or queries into chunks, and wait; the same command again resumes.
    #[command(after_help = EXTRACT_EXAMPLES)]
    Extract(Box<ExtractArgs>),
    /// Show the tables of a source, the plan that each would get, and columns that would be refused.
    #[command(after_help = "Example:\n  sqlextract inspect --source sqlite://shop.db")]
    Inspect(InspectArgs),
    /// Write the SQL that loads a finished extraction into a target.
    #[command(
        after_help = "Example:\n  sqlextract generate-ingest --target postgres --job orders-1a2b3c4d -o load.sql"
    )]
    GenerateIngest(GenerateArgs),
    /// Compare an extraction with its files, byte for byte, or with its database.
    #[command(after_help = "Example:\n  sqlextract verify --depth source --source postgres://me@db/shop")]
    Verify(VerifyArgs),
    /// Write a chunk or a whole extraction to standard output.
    #[command(after_help = "Example:\n  sqlextract cat --job orders-1a2b3c4d --as jsonl | head")]
    Cat(CatArgs),
    /// Ask for the end of a job; what is committed stays, and its outcome is `cancelled`.
    #[command(
        after_help = "Without --output, and with settings that have a broker, the services are asked.\n\nExamples:\n  sqlextract cancel --job orders-1a2b3c4d --output s3://lake/shop\n  sqlextract --config distributed.toml cancel orders-1a2b3c4d"
    )]
    Cancel(CancelArgs),
    /// Make a sample SQLite database, extract it, render the scripts of all targets, and show the commands.
    Demo(DemoArgs),
    #[command(flatten)]
    Service(ServiceCommand),
    /// Show settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write shell completions to standard output.
    Completions { shell: clap_complete::Shell },
}

const EXTRACT_EXAMPLES: &str = "\
Examples:
  sqlextract extract --source postgres://me@db/shop --table orders,customers
  sqlextract extract --source mysql://me@db/shop --table orders --format csv --where \"placed_on >= '2026-01-01'\"
  sqlextract extract --source sqlite://shop.db --table 'main.*' --output s3://lake/shop --target postgres
  sqlextract extract --table users --workers 8 --batch-size 10000 --buffer-size 1GB --parallel-write

Exit codes: 0 success, 2 usage, 3 configuration, 4 source, 5 storage, 6 checkpoint, 7 refused, 8 mismatch,
9 parked batches, 10 snapshot lost, 11 busy, 12 cancelled, 130 interrupted, 143 terminated.";

/// Which tables of which source, and in which form.
#[derive(Debug, Args, Default)]
pub(crate) struct SelectionArgs {
    /// Database: postgres://USER:PASSWORD@HOST/DB, mysql://…, sqlite://PATH, or a name from the settings. [DATABASE_URL]
    #[arg(long, env = "SQLEXTRACT_SOURCE", hide_env_values = true, value_name = "NAME|URL")]
    pub(crate) source: Option<String>,

    /// Table as `table` or `schema.table`, quoted where needed; `schema.*` takes all. Repeatable or comma-separated.
    #[arg(long, env = "SQLEXTRACT_TABLE", value_name = "TABLE")]
    pub(crate) table: Vec<String>,

    /// Free query as NAME=SQL or NAME=@FILE; it is wrapped, never rewritten. Repeatable.
    #[arg(long, env = "SQLEXTRACT_QUERY", value_name = "NAME=SQL|@FILE")]
    pub(crate) query: Vec<String>,

    /// Unique column of the query, to split it by; without it a query is one batch.
    #[arg(long, env = "SQLEXTRACT_KEY", value_name = "COLUMN")]
    pub(crate) key: Option<String>,

    /// Columns to take, comma-separated; all by default.
    #[arg(long, env = "SQLEXTRACT_COLUMNS", value_name = "C[,C…]", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// Columns to leave out, comma-separated.
    #[arg(
        long,
        env = "SQLEXTRACT_EXCLUDE_COLUMNS",
        value_name = "C[,C…]",
        value_delimiter = ',',
        conflicts_with = "columns"
    )]
    pub(crate) exclude_columns: Vec<String>,

    /// Row filter in the source's SQL, for every table of the command.
    #[arg(long = "where", env = "SQLEXTRACT_WHERE", value_name = "CONDITION")]
    pub(crate) filter: Option<String>,

    /// Type of a column in the chunk, as TABLE.COLUMN=TYPE: text, bool, int4, int8, decimal(38,10), timestamp, null, …
    #[arg(long, env = "SQLEXTRACT_COLUMN_TYPE", value_name = "T.C=TYPE")]
    pub(crate) column_type: Vec<String>,

    /// What happens to values that a column's native form cannot hold exactly. [fail]
    #[arg(long, env = "SQLEXTRACT_ON_LOSSY", value_name = "fail|text|round", value_parser = parse_on_lossy)]
    pub(crate) on_lossy: Option<OnLossy>,
}

/// Where an extraction is.
#[derive(Debug, Args, Default)]
pub(crate) struct PlaceArgs {
    /// Folder, s3://BUCKET/PREFIX, or a name from the settings; {date}, {hour} and {run} are filled in. [./sqlextract-out]
    #[arg(long, env = "SQLEXTRACT_OUTPUT", value_name = "DIR|s3://…")]
    pub(crate) output: Option<String>,

    /// Accept a store that ignores create-only writes, promising that no other process writes this job.
    #[arg(long, env = "SQLEXTRACT_SINGLE_WRITER")]
    pub(crate) single_writer: bool,

    /// Allow connections without TLS to hosts that are not this one.
    #[arg(long, env = "SQLEXTRACT_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,
}

#[derive(Debug, Args, Default)]
pub(crate) struct ExtractArgs {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Show the type of every column in source, chunk and each `--target`, with remedies, and stop.
    #[arg(long)]
    pub(crate) check: bool,

    /// Show the plan with its reasons, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// File format of the chunks. [parquet]
    #[arg(long, env = "SQLEXTRACT_FORMAT", value_name = "parquet|csv")]
    pub(crate) format: Option<Format>,

    /// Compression: zstd, snappy, lz4, gzip, none. [zstd for Parquet, none for CSV]
    #[arg(long, env = "SQLEXTRACT_COMPRESSION", value_name = "NAME")]
    pub(crate) compression: Option<Compression>,

    /// Level of zstd or gzip.
    #[arg(long, env = "SQLEXTRACT_COMPRESSION_LEVEL", value_name = "N")]
    pub(crate) compression_level: Option<i32>,

    /// Encodings of Parquet: v1 for those that every reader has, v2 for smaller integers too. [v1]
    #[arg(long, env = "SQLEXTRACT_PARQUET_VERSION", value_name = "v1|v2")]
    pub(crate) parquet_version: Option<ParquetVersion>,

    /// Rows of a batch. [auto: from statistics, aimed at seconds per batch]
    #[arg(long, env = "SQLEXTRACT_BATCH_SIZE", value_name = "ROWS|auto", value_parser = parse_auto::<u64>)]
    pub(crate) batch_size: Option<Auto<u64>>,

    /// Target size of a chunk as stored. [128MB]
    #[arg(long, env = "SQLEXTRACT_CHUNK_SIZE", value_name = "SIZE")]
    pub(crate) chunk_size: Option<ByteSize>,

    #[command(flatten)]
    pub(crate) resources: ResourceArgs,

    /// One instant for the whole job (snapshot), or one per batch. [snapshot where the source can]
    #[arg(long, env = "SQLEXTRACT_CONSISTENCY", value_name = "snapshot|batch", value_parser = parse_consistency)]
    pub(crate) consistency: Option<sqlextract_model::Consistency>,

    /// When the shared snapshot is gone: auto goes on only where the database proves that nothing changed, else replans. [auto]
    #[arg(long, env = "SQLEXTRACT_ON_SNAPSHOT_LOST", value_name = "auto|replan|continue|fail", value_parser = parse_snapshot_lost)]
    pub(crate) on_snapshot_lost: Option<OnSnapshotLost>,

    /// Also write these scripts: snowflake, bigquery, databricks, postgres, mssql; NAME=TABLE names the target's table.
    #[arg(long, env = "SQLEXTRACT_TARGET", value_name = "T[,T…]", value_delimiter = ',')]
    pub(crate) target: Vec<String>,

    /// Name of the job; {date}, {hour} and {run} are filled in. [derived from source, tables, format and output]
    #[arg(long, env = "SQLEXTRACT_JOB", value_name = "NAME")]
    pub(crate) job: Option<String>,

    /// Start a new job although one with this name exists.
    #[arg(long)]
    pub(crate) restart: bool,

    /// When another process works on the job: wait for it and go on, attach (show it and end as it ends), or fail. [fail]
    #[arg(long, env = "SQLEXTRACT_IF_RUNNING", value_name = "wait|attach|fail")]
    pub(crate) if_running: Option<IfRunning>,

    /// Progress on standard error. [auto: bars on a terminal, else plain lines]
    #[arg(long, env = "SQLEXTRACT_PROGRESS", value_name = "auto|plain|json|none")]
    pub(crate) progress: Option<ProgressStyle>,

    /// Write the summary as one JSON object to standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfRunning {
    Wait,
    Attach,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressStyle {
    Auto,
    Plain,
    Json,
    None,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// Allow connections without TLS to hosts that are not this one.
    #[arg(long, env = "SQLEXTRACT_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,

    /// Write one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which finished extraction.
#[derive(Debug, Args, Default)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// The job. [the latest of the output]
    #[arg(long, env = "SQLEXTRACT_JOB", value_name = "NAME", conflicts_with = "manifest")]
    pub(crate) job: Option<String>,

    /// The job's manifest, as a path or s3:// address of manifest.json.
    #[arg(long, value_name = "PATH|s3://…", conflicts_with = "output")]
    pub(crate) manifest: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// The platform that will load the chunks: snowflake, bigquery, databricks, postgres, mssql; NAME=TABLE names its table.
    #[arg(long, value_name = "NAME[=TABLE]")]
    pub(crate) target: String,

    /// A key of the target's settings, as in `[scripter.targets.NAME]`: --set stage=RAW.LANDING --set mode=replace. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// The chunks' format, checked against the extraction.
    #[arg(long, value_name = "parquet|csv")]
    pub(crate) format: Option<Format>,

    /// Load in parallel as the platform does it: with 4 sessions where it loads by sessions.
    #[arg(long)]
    pub(crate) parallel_load: bool,

    /// Sessions that load at once, where the platform loads by sessions.
    #[arg(long, value_name = "N")]
    pub(crate) parallel: Option<u16>,

    /// Bytes of chunks that one statement loads.
    #[arg(long, value_name = "SIZE")]
    pub(crate) chunk_size: Option<ByteSize>,

    /// File to write instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Depth {
    /// The manifest against the listing: presence and size of every chunk, foreign objects.
    Listing,
    /// Every byte: digests, row counts and column aggregates of every chunk.
    Full,
    /// Counts and column aggregates against the database.
    Source,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// How deep to look.
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) depth: Depth,

    /// Database for `--depth source`. [the extraction's, from SQLEXTRACT_SOURCE or DATABASE_URL]
    #[arg(long, env = "SQLEXTRACT_SOURCE", hide_env_values = true, value_name = "NAME|URL")]
    pub(crate) source: Option<String>,

    /// Write the verdict as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextStyle {
    Csv,
    Jsonl,
    PgText,
}

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Text form: the neutral CSV dialect, one JSON object a line, or what PostgreSQL's COPY reads.
    #[arg(long = "as", value_enum, default_value = "csv")]
    pub(crate) style: TextStyle,

    /// Only this chunk, by its key in the manifest. Repeatable.
    #[arg(long, value_name = "KEY")]
    pub(crate) chunk: Vec<String>,

    /// Only this table.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// The job, by the name that its `extract` command or `submit` shows.
    #[arg(value_name = "JOB", required_unless_present = "named")]
    pub(crate) job: Option<String>,

    /// The same.
    #[arg(long = "job", env = "SQLEXTRACT_JOB", value_name = "NAME")]
    pub(crate) named: Option<String>,

    /// Write one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

impl CancelArgs {
    pub(crate) fn job(&self) -> &str {
        self.job.as_deref().or(self.named.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the sample database and the chunks.
    #[arg(long, default_value = "sqlextract-demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Rows of the largest sample table.
    #[arg(long, default_value_t = 300_000, value_name = "N")]
    pub(crate) rows: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting with its value, and with `--origin` where it comes from.
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Write the page of error codes.
    Errors,
}

pub(crate) fn parse_on_lossy(text: &str) -> Result<OnLossy, String> {
    match text {
        "fail" => Ok(OnLossy::Fail),
        "text" => Ok(OnLossy::Text),
        "round" => Ok(OnLossy::Round),
        _ => Err("expected fail, text or round".to_owned()),
    }
}

pub(crate) fn parse_consistency(text: &str) -> Result<sqlextract_model::Consistency, String> {
    match text {
        "snapshot" => Ok(sqlextract_model::Consistency::Snapshot),
        "batch" => Ok(sqlextract_model::Consistency::Batch),
        _ => Err("expected snapshot or batch".to_owned()),
    }
}

pub(crate) fn parse_snapshot_lost(text: &str) -> Result<OnSnapshotLost, String> {
    match text {
        "auto" => Ok(OnSnapshotLost::Auto),
        "replan" => Ok(OnSnapshotLost::Replan),
        "continue" => Ok(OnSnapshotLost::Continue),
        "fail" => Ok(OnSnapshotLost::Fail),
        _ => Err("expected auto, replan, continue or fail".to_owned()),
    }
}

/// `snowflake` or `snowflake=RAW.ORDERS`.
pub(crate) fn parse_target(text: &str) -> Result<sqlextract_model::Target, String> {
    let (platform, table) = text
        .split_once('=')
        .map_or((text, None), |(p, t)| (p, Some(t.to_owned())));
    Ok(sqlextract_model::Target {
        platform: platform.parse::<Platform>()?,
        table,
    })
}
