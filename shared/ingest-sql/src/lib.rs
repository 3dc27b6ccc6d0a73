//! Scripts that load a finished extraction, one file of this crate per platform.
//!
//! [`render`] checks the manifest (`load`) and hands what holds on every platform to the platform's file. Names of the
//! source are untrusted: they reach a script only through `quote`, and comments only through its escapes. No value of
//! the data and no credential ever reaches a script.
//!
//! A platform is one module with a function from [`load::Load`] to text; it is listed in [`render`].

mod load;
mod postgres;
mod quote;

use sqlextract_model::{Code, Digest, Failure, Manifest, ManifestEntry, Platform, Result, Target};

/// What a script depends on beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Where the job's destination is, as people and scripts reach it: an absolute folder or `s3://BUCKET/PREFIX`.
    /// Never a credential.
    pub location: String,
}

impl ScriptOptions {
    pub fn new(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
        }
    }
}

/// Renders the script that loads a finished extraction into `target`. Equal arguments give equal bytes.
///
/// `sha256` is of the manifest's head as stored; `entries` are the lines of all its pages, in any order.
///
/// Fails with `manifest_unreadable` where manifest and entries do not fit together, and with `usage_invalid` for a job
/// that was not completed, a platform that is not available, or names that the platform cannot have.
pub fn render<'m>(
    manifest: &'m Manifest,
    sha256: &Digest,
    entries: impl IntoIterator<Item = &'m ManifestEntry>,
    target: &Target,
    options: &ScriptOptions,
) -> Result<String> {
    let platform = match target.platform {
        Platform::Postgres => postgres::script,
        Platform::Snowflake | Platform::Bigquery | Platform::Databricks | Platform::Mssql => {
            return Err(unavailable(target.platform));
        }
    };
    platform(&load::check(manifest, sha256, entries, target, options)?)
}

/// Whether this version writes scripts for the platform; the failure says what it offers instead.
pub fn supports(platform: Platform) -> Result<()> {
    match platform {
        Platform::Postgres => Ok(()),
        Platform::Snowflake | Platform::Bigquery | Platform::Databricks | Platform::Mssql => Err(unavailable(platform)),
    }
}

fn unavailable(platform: Platform) -> Failure {
    Failure::new(
        Code::UsageInvalid,
        format!("scripts for {platform} are not available in this version"),
    )
    .remedy("Use `--target postgres`.")
}
