//! What a script depends on beside the manifest: where the chunks are, and what the target's settings and the flags of
//! `generate-ingest` say. Names of objects that hold credentials, never credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlextract_model::{Code, Failure, Platform, Result};

/// What a script depends on beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Where the job's destination is, as people and scripts reach it: an absolute folder or `s3://BUCKET/PREFIX`.
    /// Never a credential.
    pub location: String,
    pub target: TargetOptions,
}

impl ScriptOptions {
    pub fn new(location: impl Into<String>) -> Self {
        Self::of(location, TargetOptions::default())
    }

    pub fn of(location: impl Into<String>, target: TargetOptions) -> Self {
        Self {
            location: location.into(),
            target,
        }
    }
}

/// `[scripter.targets.NAME]`: one target's settings. Each has a default, or a placeholder that the script names at its top.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetOptions {
    /// Where the platform finds the job's destination, if not where it was written: `gs://BUCKET/PREFIX`,
    /// `azure://…`, `abfss://…`, `/Volumes/…`, a folder of the server.
    pub url: Option<String>,
    /// Snowflake and SQL Server: database; Databricks: catalog; BigQuery: project. Else the session's.
    pub database: Option<String>,
    /// Schema (BigQuery: dataset) of every table; else the source's.
    pub schema: Option<String>,
    /// Source table to target table, both as `table` or `schema.table`.
    pub tables: BTreeMap<String, String>,
    /// Upper or lower case of the names that come from the source.
    pub case: Option<Case>,
    pub mode: Mode,
    /// Columns that identify a row, for `mode = "merge"`; per table in `keys`.
    pub key: Vec<String>,
    pub keys: BTreeMap<String, Vec<String>>,
    pub on_error: OnError,
    /// Add columns that an existing table does not have, instead of stopping.
    pub add_columns: bool,
    /// Snowflake: warehouse that loads.
    pub warehouse: Option<String>,
    /// Snowflake: an existing stage whose URL is the job's destination.
    pub stage: Option<String>,
    /// Snowflake: storage integration of the stage that the script creates.
    pub storage_integration: Option<String>,
    /// BigQuery: connection to S3 or Azure, as `PROJECT.REGION.NAME`.
    pub connection: Option<String>,
    /// Databricks: storage credential, where no external location grants access.
    pub credential: Option<String>,
    /// SQL Server: external data source whose location is the job's destination.
    pub data_source: Option<String>,
    /// Sessions that load at once, where the platform loads by sessions.
    pub parallel: Option<u16>,
    /// Most bytes of chunks that one statement loads, as `200MB`.
    pub chunk_size: Option<String>,
}

/// How the names of the source are written in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    Keep,
    Upper,
    Lower,
}

/// What happens with the rows that the table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They stay, and the extraction's rows come beside them.
    #[default]
    Append,
    /// The extraction's rows take their place.
    Replace,
    /// Rows with the same key take the extraction's values, the others come beside them.
    Merge,
}

/// What happens with rows that the platform cannot read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The load fails.
    #[default]
    Stop,
    /// They are left out, and the script says how many.
    Skip,
}

impl TargetOptions {
    /// Fails with `config_invalid` where a value cannot be what its key means: the caller names the platform.
    pub fn check(&self, platform: Platform) -> Result<()> {
        let invalid = |key: &str, what: &str| {
            let text = format!("scripter.targets.{platform}.{key}: {what}");
            Err(Failure::new(Code::ConfigInvalid, text))
        };
        if let Some(url) = &self.url
            && !is_place(url)
        {
            return invalid(
                "url",
                "expected SCHEME://PLACE/PREFIX or a folder, without a user, a query or a pattern",
            );
        }
        if self.parallel == Some(0) {
            return invalid("parallel", "at least one session");
        }
        if let Some(size) = &self.chunk_size
            && size.parse::<sqlextract_model::ByteSize>().is_err()
        {
            return invalid("chunk_size", "expected a size like 200MB");
        }
        let keyed = !self.key.is_empty() || !self.keys.is_empty();
        match (self.mode, keyed) {
            (Mode::Merge, false) => invalid("key", "`mode = \"merge\"` needs the columns that identify a row"),
            (Mode::Append | Mode::Replace, true) => invalid("key", "only `mode = \"merge\"` takes a key"),
            _ => Ok(()),
        }
    }

    /// Most bytes of chunks that one statement loads.
    pub(crate) fn statement_bytes(&self) -> Option<u64> {
        let size = self.chunk_size.as_ref()?;
        size.parse::<sqlextract_model::ByteSize>().ok().map(|size| size.0)
    }
}

/// A place without credentials: a token in a query, a user before `@` and a pattern are none.
pub(crate) fn is_place(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ' | '\'' | '+' | '=' | ',');
    let at = |rest: &str| {
        // `abfss://container@account…` is the one address that has an `@`.
        let (container, account) = rest.split_once('@').unwrap_or(("", rest));
        container.chars().all(plain) && account.chars().all(plain)
    };
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let port_free = rest.replacen(':', "", 1);
            let known = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            known
                && !rest.is_empty()
                && if scheme == "abfss" {
                    at(rest)
                } else {
                    port_free.chars().all(plain)
                }
        }
        None => {
            let drive = text.as_bytes().get(1) == Some(&b':');
            let folder = text.starts_with('/') || text.starts_with("\\\\") || drive;
            folder && text.chars().all(|c| plain(c) || matches!(c, '\\' | ':'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_holds_no_credential_and_no_pattern() {
        let good = [
            "gs://lake/a b/c",
            "s3://lake",
            "abfss://c@acct.dfs.core.windows.net/p",
            "/Volumes/main/raw/v",
            "C:\\import",
            "\\\\host\\share",
            "s3://host:9000/lake/",
        ];
        for place in good {
            assert!(is_place(place), "{place}");
        }
        let bad = [
            "lake",
            "s3://",
            "https://acct/c?sv=1&sig=x",
            "s3://user:pass@lake/x",
            "gs://lake/*.parquet",
            "s3://a/\n",
            "/a/\"b",
        ];
        for place in bad {
            assert!(!is_place(place), "{place}");
        }
    }

    #[test]
    fn a_merge_has_a_key_and_nothing_else_has() {
        let merge = TargetOptions {
            mode: Mode::Merge,
            ..TargetOptions::default()
        };
        assert!(merge.check(Platform::Snowflake).is_err());
        let keyed = TargetOptions {
            key: vec!["id".to_owned()],
            ..TargetOptions::default()
        };
        assert!(keyed.check(Platform::Snowflake).is_err());
        let both = TargetOptions {
            mode: Mode::Merge,
            ..keyed
        };
        assert!(both.check(Platform::Snowflake).is_ok());
    }
}
