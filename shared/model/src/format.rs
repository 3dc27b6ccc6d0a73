//! File formats, compressions, source dialects and target platforms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $text:literal)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $(#[serde(rename = $text)] $variant,)* }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{text}` is none of {}", names.join(", "))
                })
            }
        }
    };
}

named! {
    /// How a chunk's rows are written.
    Format { Parquet "parquet" Csv "csv" }
}

named! {
    /// Pages of a Parquet chunk, or the whole of a CSV chunk.
    Compression { Zstd "zstd" Snappy "snappy" Lz4 "lz4" Gzip "gzip" None "none" }
}

named! {
    /// Which encodings the pages of a Parquet chunk may have: `v1` those that every reader has, `v2` also the differences
    /// of neighbouring integers (`DELTA_BINARY_PACKED`).
    ParquetVersion { V1 "v1" V2 "v2" }
}

impl ParquetVersion {
    /// What all platforms that shall load the chunks are known to read; the first version where none is told.
    pub fn read_by(platforms: impl IntoIterator<Item = Platform>) -> Self {
        let known = |platform| match platform {
            Platform::Databricks | Platform::Postgres => Self::V2,
            // Snowflake reads the second version with its vectorised scanner only, which the scripts do without; the other
            // two tell nowhere which encodings they read.
            Platform::Snowflake | Platform::Bigquery | Platform::Mssql => Self::V1,
        };
        platforms.into_iter().map(known).min().unwrap_or_default()
    }

    fn is_v1(&self) -> bool {
        *self == Self::V1
    }
}

#[expect(clippy::derivable_impls, reason = "the macro has no place for a default variant")]
impl Default for ParquetVersion {
    fn default() -> Self {
        Self::V1
    }
}

named! {
    /// The database that a source is.
    Dialect { Postgres "postgres" Mysql "mysql" Sqlite "sqlite" }
}

named! {
    /// The platform that will load the chunks.
    Platform {
        Snowflake "snowflake" Bigquery "bigquery" Databricks "databricks" Postgres "postgres" Mssql "mssql"
    }
}

named! {
    /// What runs a script, and the ending of its name.
    ScriptLanguage { Sql "sql" Shell "sh" }
}

/// How a job's chunks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileFormat {
    pub format: Format,
    pub compression: Compression,
    /// Within the range of the compression; `None` takes the project's default.
    pub level: Option<i32>,
    #[serde(default, skip_serializing_if = "ParquetVersion::is_v1")]
    pub parquet_version: ParquetVersion,
}

impl FileFormat {
    /// Of a chunk's name: `parquet`, `csv`, `csv.gz`, `csv.zst`.
    pub fn extension(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Parquet, _) => "parquet",
            (Format::Csv, Compression::Gzip) => "csv.gz",
            (Format::Csv, Compression::Zstd) => "csv.zst",
            (Format::Csv, _) => "csv",
        }
    }
}
