//! Compressions and their levels, for both formats.

use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};
use sqlextract_model::{Code, Compression, Failure, FileFormat, Format, Result};

/// At level 3, of lineitem's numbers keys are 3 % smaller and prices 7 % larger, for a third more time.
const ZSTD_LEVEL: i32 = 1;
/// For texts that are stored one after another: at level 3 lineitem's comments are 8 % smaller, for a fifth more time.
const ZSTD_LEVEL_OF_TEXTS: i32 = 3;
/// On lineitem, level 6 takes 40 % more time for files that are 2 % smaller; level 1 makes CSV half as large again.
const GZIP_LEVEL: i32 = 4;

/// The compression of a Parquet chunk's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageCompression {
    /// Of texts that are stored one after another.
    pub(crate) texts: ParquetCompression,
    pub(crate) others: ParquetCompression,
}

pub(crate) fn of_pages(format: &FileFormat) -> Result<PageCompression> {
    Ok(PageCompression {
        texts: of_pages_at(format, ZSTD_LEVEL_OF_TEXTS)?,
        others: of_pages_at(format, ZSTD_LEVEL)?,
    })
}

fn of_pages_at(format: &FileFormat, zstd_level: i32) -> Result<ParquetCompression> {
    let refused = |error: parquet::errors::ParquetError| level_refused(format).because(error);
    Ok(match format.compression {
        Compression::Zstd => ParquetCompression::ZSTD(ZstdLevel::try_new(level(format, zstd_level)?).map_err(refused)?),
        Compression::Gzip => {
            let level = level(format, GZIP_LEVEL)?;
            ParquetCompression::GZIP(GzipLevel::try_new(level.unsigned_abs()).map_err(refused)?)
        }
        Compression::Snappy => without_level(format, ParquetCompression::SNAPPY)?,
        // `LZ4` proper is the deprecated framing that readers disagree about.
        Compression::Lz4 => without_level(format, ParquetCompression::LZ4_RAW)?,
        Compression::None => without_level(format, ParquetCompression::UNCOMPRESSED)?,
    })
}

/// The compression of a CSV chunk as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamCompression {
    None,
    Gzip(u32),
    Zstd(i32),
}

pub(crate) fn of_stream(format: &FileFormat) -> Result<StreamCompression> {
    match format.compression {
        Compression::None => without_level(format, StreamCompression::None),
        Compression::Gzip => Ok(StreamCompression::Gzip(level(format, GZIP_LEVEL)?.unsigned_abs())),
        Compression::Zstd => Ok(StreamCompression::Zstd(level(format, ZSTD_LEVEL)?)),
        Compression::Snappy | Compression::Lz4 => {
            let message = format!("CSV chunks cannot be compressed with {}", format.compression);
            Err(Failure::new(Code::UsageInvalid, message).remedy("Choose gzip, zstd or none, or write Parquet."))
        }
    }
}

fn level(format: &FileFormat, default: i32) -> Result<i32> {
    match (format.level, format.compression.levels()) {
        (None, _) => Ok(default),
        (Some(level), Some(levels)) if levels.contains(&level) => Ok(level),
        (Some(_), Some(levels)) => {
            let (least, most) = levels.into_inner();
            Err(level_refused(format).remedy(format!("Choose a level from {least} to {most}.")))
        }
        (Some(_), None) => Err(level_refused(format).remedy("Leave the level out.")),
    }
}

fn without_level<T>(format: &FileFormat, compression: T) -> Result<T> {
    level(format, 0).map(|_| compression)
}

fn level_refused(format: &FileFormat) -> Failure {
    let format_name = match format.format {
        Format::Parquet => "Parquet",
        Format::Csv => "CSV",
    };
    let level = format.level.unwrap_or_default();
    let message = format!("{} has no level {level} for {format_name}", format.compression);
    Failure::new(Code::UsageInvalid, message)
}
