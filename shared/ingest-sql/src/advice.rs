//! What is worth knowing about the chunks before they are loaded.

use sqlextract_model::{ParquetVersion, Platform};

use crate::plan::{Dialect, Plan};

/// Files below this spend more on opening than on reading.
const SMALL_BYTES: u64 = 10_000_000;
/// Files above this leave most of a warehouse waiting for one.
const LARGE_BYTES: u64 = 5_000_000_000;

pub(crate) fn on_chunks(plan: &Plan<'_>, dialect: &dyn Dialect) -> Vec<String> {
    let chunks = plan.tables.iter().flat_map(|t| t.chunks);
    let (mut files, mut bytes, mut largest) = (0_u64, 0_u64, 0_u64);
    for chunk in chunks {
        files += 1;
        bytes += chunk.record.bytes;
        largest = largest.max(chunk.record.bytes);
    }
    let mut notes = Vec::new();
    let version = plan.format().parquet_version;
    if version == ParquetVersion::V2 && !reads_differences(dialect.platform()) {
        notes.push(format!(
            "Integers in these files may be stored by their differences, and {} is not known to read that: extract with `--parquet-version v1` if it refuses them.",
            dialect.title()
        ));
    }
    if let Some(asked) = plan.options.parallel.filter(|asked| u64::from(*asked) > files) {
        notes.push(format!(
            "{asked} loads at once were asked for, and there are {files} files: extract with a smaller `--chunk-size` or `--batch-size` for more."
        ));
    }
    if matches!(dialect.platform(), Platform::Postgres | Platform::Mssql) {
        return notes;
    }
    let title = dialect.title();
    if files > 8 && bytes / files < SMALL_BYTES {
        notes.push(format!(
            "The {files} files have {} kB on average; {title} loads files of 100 to 250 MB best. Extract with a larger `--batch-size`.",
            bytes / files / 1000
        ));
    }
    if largest > LARGE_BYTES {
        notes.push(format!(
            "The largest file has {} MB; {title} loads files of 100 to 250 MB best. Extract with `--chunk-size 200MB`.",
            largest / 1_000_000
        ));
    }
    notes
}

/// Whether a platform is known to read what the second version of Parquet stores by differences.
fn reads_differences(platform: Platform) -> bool {
    match platform {
        Platform::Databricks | Platform::Postgres => true,
        // Snowflake does with its vectorised scanner only, which the scripts do without; the other two tell nowhere which
        // encodings they read.
        Platform::Snowflake | Platform::Bigquery | Platform::Mssql => false,
    }
}
