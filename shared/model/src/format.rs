//! File formats, compressions, source dialects and target platforms.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Code, Failure};

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

impl Compression {
    /// The levels that it has.
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::Zstd => Some(1..=22),
            Self::Gzip => Some(0..=9),
            Self::Snappy | Self::Lz4 | Self::None => None,
        }
    }
}

named! {
    /// Which encodings the pages of a Parquet chunk may have: `v1` those that every reader has, `v2` also the differences
    /// of neighbouring integers (`DELTA_BINARY_PACKED`).
    ParquetVersion { V1 "v1" V2 "v2" }
}

impl ParquetVersion {
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

/// What a request or a command says about its chunks; what is left out has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedFormat {
    pub format: Option<Format>,
    pub compression: Option<Compression>,
    pub level: Option<i32>,
    pub parquet_version: Option<ParquetVersion>,
}

impl AskedFormat {
    /// # Errors
    ///
    /// `usage_invalid` where these do not go together.
    pub fn file_format(self) -> crate::Result<FileFormat> {
        let format = self.format.unwrap_or(Format::Parquet);
        let compression = self.compression.unwrap_or(match format {
            Format::Parquet => Compression::Zstd,
            Format::Csv => Compression::None,
        });
        let invalid = |message: String| Failure::new(Code::UsageInvalid, message);
        if format == Format::Csv && matches!(compression, Compression::Snappy | Compression::Lz4) {
            let failure = invalid(format!("CSV chunks cannot be compressed with {compression}"));
            return Err(failure.remedy("Use gzip, zstd or none."));
        }
        if format == Format::Csv && self.parquet_version.is_some() {
            let failure = invalid("CSV chunks have no version of Parquet".to_owned());
            return Err(failure.remedy("Leave `--parquet-version` out."));
        }
        match (self.level, compression.levels()) {
            (Some(_), None) => return Err(invalid(format!("{compression} has no levels"))),
            (Some(level), Some(levels)) if !levels.contains(&level) => {
                let (least, most) = levels.into_inner();
                let message = format!("level {level} of {compression} is not between {least} and {most}");
                return Err(invalid(message));
            }
            _ => {}
        }
        Ok(FileFormat {
            format,
            compression,
            level: self.level,
            parquet_version: self.parquet_version.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: AskedFormat = AskedFormat {
        format: None,
        compression: None,
        level: None,
        parquet_version: None,
    };

    #[test]
    fn what_is_left_out_has_its_default() {
        let made = NOTHING.file_format().unwrap();
        let expected = (Format::Parquet, Compression::Zstd, None, ParquetVersion::V1);
        assert_eq!(
            (made.format, made.compression, made.level, made.parquet_version),
            expected
        );
        let csv = AskedFormat {
            format: Some(Format::Csv),
            ..NOTHING
        };
        assert_eq!(csv.file_format().unwrap().compression, Compression::None);
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_its_reason() {
        let csv = AskedFormat {
            format: Some(Format::Csv),
            ..NOTHING
        };
        let with = |compression, level| AskedFormat {
            compression: Some(compression),
            level: Some(level),
            ..NOTHING
        };
        let cases = [
            (
                AskedFormat {
                    compression: Some(Compression::Lz4),
                    ..csv
                },
                "cannot be compressed with lz4",
            ),
            (
                AskedFormat {
                    parquet_version: Some(ParquetVersion::V1),
                    ..csv
                },
                "no version of Parquet",
            ),
            (with(Compression::Zstd, 23), "level 23 of zstd is not between 1 and 22"),
            (with(Compression::Gzip, -1), "level -1 of gzip is not between 0 and 9"),
            (with(Compression::Snappy, 1), "snappy has no levels"),
        ];
        for (asked, reason) in cases {
            let failure = asked.file_format().unwrap_err();
            assert_eq!(failure.code, Code::UsageInvalid);
            assert!(failure.message.contains(reason), "{}", failure.message);
        }
    }

    #[test]
    fn the_first_version_is_what_formats_without_one_have() {
        let text = r#"{"format":"parquet","compression":"zstd","level":null}"#;
        let read: FileFormat = serde_json::from_str(text).unwrap();
        assert_eq!(read.parquet_version, ParquetVersion::V1);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
