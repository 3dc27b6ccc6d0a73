//! Scripts that load a finished extraction, one module of this crate per platform.
//!
//! [`render`] checks the manifest (`load`), decides what goes where (`plan`), and puts the text together (`script`).
//! A platform is one module with an implementation of `plan::Dialect`, listed in `dialect`, and one in `quote`.
//!
//! Names of the source are untrusted: they reach a script only through `quote`, and comments only through its escapes.
//! No value of the data and no credential ever reaches a script.

mod advice;
mod bigquery;
mod compare;
mod databricks;
mod driver;
mod facts;
mod finding;
mod groups;
mod load;
mod mssql;
mod names;
mod options;
mod plan;
mod postgres;
mod quote;
mod script;
mod snowflake;

use sqlextract_model::{
    ColumnMapping, Dialect as Source, Digest, FileFormat, Manifest, ManifestEntry, Platform, Result, Target,
};

pub use options::{Case, Mode, OnError, ScriptOptions, TargetOptions};
pub use script::Script;

use facts::Facts;
use plan::{Asked, Dialect};

/// Renders the script that loads a finished extraction into `target`. Equal arguments give equal bytes.
///
/// `sha256` is of the manifest's head as stored; `entries` are the lines of all its pages, in any order.
///
/// Fails with `manifest_unreadable` where manifest and entries do not fit together, with `usage_invalid` or
/// `type_unsupported` for a job that was not completed and for names, types and values that the platform cannot have,
/// and with `config_invalid` for settings that mean nothing.
pub fn render<'m>(
    manifest: &'m Manifest,
    sha256: &Digest,
    entries: impl IntoIterator<Item = &'m ManifestEntry>,
    target: &Target,
    options: &ScriptOptions,
) -> Result<Script> {
    let load = load::check(manifest, sha256, entries, target, options)?;
    let dialect = dialect(target.platform);
    let plan = plan::decide(&load, &options.target, dialect)?;
    Ok(script::write(&plan, dialect))
}

/// Whether the platform reads files of this format; the failure says which it reads. For use before an extraction.
pub fn check_format(platform: Platform, format: FileFormat) -> Result<()> {
    match dialect(platform).format_problem(format) {
        None => Ok(()),
        Some(finding) => Err(finding.about(&format!("`--target {platform}`:")).failure()),
    }
}

/// The type that a column of `source` will have in the platform's table, as far as its own type decides it: years and
/// lengths that the platform lacks show when the values are known. For use before an extraction.
pub fn column_type(platform: Platform, source: Source, format: FileFormat, column: &ColumnMapping) -> Result<String> {
    let unknown = Facts::new(1, None);
    let asked = Asked {
        source,
        column,
        format,
        facts: unknown,
    };
    let about = format!("column {:?}", column.name);
    let kind = dialect(platform).column_type(&asked);
    kind.map_err(|finding| finding.about(&about).failure())
}

fn dialect(platform: Platform) -> &'static dyn Dialect {
    match platform {
        Platform::Snowflake => &snowflake::Snowflake,
        Platform::Bigquery => &bigquery::Bigquery,
        Platform::Databricks => &databricks::Databricks,
        Platform::Postgres => &postgres::Postgres,
        Platform::Mssql => &mssql::Mssql,
    }
}
