//! How a run uses the machine: workers, memory and limits, from flags, settings and what the machine has.

use std::num::{NonZeroU64, NonZeroUsize};

use sqlextract_extractor::{Encoding, EncodingThreads};
use sqlextract_model::{ByteSize, Code, Failure, Result};
use sqlextract_runtime::{Machine, MachineLimits, RateLimit};

use crate::resource_args::{Auto, ResourceArgs};
use crate::settings::{ExtractEntry, Place, SourceChoice};
use crate::workers::{Workers, is_here};

const MIB: u64 = ByteSize::MIB;
/// Below this a batch cannot be read, encoded and uploaded at once.
const LEAST_BUFFER: u64 = 16 * MIB;
const MOST_DEFAULT_BUFFER: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    pub(crate) workers: Workers,
    pub(crate) buffer_bytes: u64,
    pub(crate) buffer_why: String,
    pub(crate) max_connections: u32,
    pub(crate) rate_limit: RateLimit,
    /// Each encoding thread stays on one processor.
    pub(crate) pin_encoding: bool,
    /// Bytes per second to the destination, where the command or `[extract]` limits them.
    pub(crate) upload_bandwidth: Option<NonZeroU64>,
    pub(crate) upload_part_bytes: usize,
    pub(crate) upload_threshold_bytes: usize,
}

impl Tuning {
    pub(crate) fn choose(args: &ResourceArgs, file: &ExtractEntry, source: &SourceChoice) -> Result<Self> {
        let limits = Machine::new().limits();
        let (buffer, buffer_why) = match args.buffer_size.or(file.buffer_size()?) {
            Some(size) => (size.0, "as asked for".to_owned()),
            None => default_buffer(limits),
        };
        if buffer < LEAST_BUFFER {
            return Err(Failure::new(
                Code::UsageInvalid,
                format!(
                    "a memory budget of {} is too small; at least {}",
                    ByteSize(buffer),
                    ByteSize(LEAST_BUFFER)
                ),
            ));
        }
        let asked = args.workers.map(Auto::fixed).unwrap_or(file.workers);
        let workers = match asked {
            Some(0) => return Err(Failure::new(Code::UsageInvalid, "at least one worker is needed")),
            Some(workers) => Workers::fixed(workers),
            None => Workers::automatic(limits, buffer, is_here(source.url.expose())),
        };
        // Beside the readers: the snapshot's keeper, and some for questions and second looks.
        let max_connections = args
            .max_connections
            .or(file.max_connections)
            .or(source.max_connections)
            .unwrap_or(u32::from(workers.ceiling) + 4);
        let uploads = upload_sizes(buffer, workers.parts());
        Ok(Self {
            workers,
            buffer_bytes: buffer,
            buffer_why,
            max_connections,
            rate_limit: rate_limit(args.rate_limit.as_deref().or(file.rate_limit.as_deref()))?,
            pin_encoding: args.pin_encoding || file.pin_encoding,
            upload_bandwidth: bandwidth(args.upload_bandwidth.or(file.upload_bandwidth()?))?,
            upload_part_bytes: uploads.0,
            upload_threshold_bytes: uploads.1,
        })
    }

    /// The same where so many workers of several sources share a budget of so many bytes.
    pub(crate) fn among(mut self, buffer_bytes: u64, workers: NonZeroUsize) -> Self {
        self.buffer_bytes = buffer_bytes;
        (self.upload_part_bytes, self.upload_threshold_bytes) = upload_sizes(buffer_bytes, workers);
        self
    }

    /// What one upload holds at most: what waits for a whole part or a small chunk, and two parts under way.
    /// A folder takes the bytes at once.
    pub(crate) fn upload_bytes(&self, place: &Place) -> usize {
        if matches!(place, Place::Folder(_)) {
            return 0;
        }
        self.largest_upload_bytes()
    }

    /// The same for any store.
    pub(crate) fn largest_upload_bytes(&self) -> usize {
        self.upload_threshold_bytes.max(self.upload_part_bytes) + 2 * self.upload_part_bytes
    }

    /// What was chosen beside the workers, and why: each with its name, its value and its reason.
    pub(crate) fn told(&self, upload_bandwidth: Option<NonZeroU64>) -> Vec<(&'static str, String, String)> {
        let asked = || "as asked for".to_owned();
        let per_second = |bytes: NonZeroU64| format!("{} per second", ByteSize(bytes.get()));
        let mut told = vec![(
            "memory",
            ByteSize(self.buffer_bytes).to_string(),
            self.buffer_why.clone(),
        )];
        told.extend(self.rate_limit.bytes.map(|bytes| ("read", per_second(bytes), asked())));
        told.extend(upload_bandwidth.map(|bytes| ("upload", per_second(bytes), asked())));
        if self.pin_encoding {
            told.push(("encoding", "threads pinned to processors".to_owned(), asked()));
        }
        told
    }

    pub(crate) fn rate_limited(&self) -> bool {
        self.rate_limit != RateLimit::default()
    }
}

/// Threads for encoding, pinned by choice.
pub(crate) fn encoding(pin: bool) -> Result<Encoding> {
    let threads = if pin {
        EncodingThreads::pinned()?
    } else {
        EncodingThreads::free()
    };
    Ok(Encoding::Thread(threads))
}

/// Bytes of a part of an upload, and those from which a chunk is uploaded in parts.
fn upload_sizes(buffer: u64, workers: NonZeroUsize) -> (usize, usize) {
    let share = buffer / 2 / workers.get() as u64;
    let part = (share / 8).clamp(5 * MIB, 16 * MIB);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    (bytes(part), bytes((share / 4).clamp(part, 64 * MIB)))
}

/// A quarter of the memory that the process may use, at most 1 GB.
fn default_buffer(limits: MachineLimits) -> (u64, String) {
    let Some(available) = limits.memory else {
        return (MOST_DEFAULT_BUFFER / 4, "this machine's memory is not known".to_owned());
    };
    let buffer = (available / 4).clamp(LEAST_BUFFER, MOST_DEFAULT_BUFFER);
    let why = match buffer {
        MOST_DEFAULT_BUFFER => "at most 1GB without being asked".to_owned(),
        _ => format!("a quarter of the {} that this process may use", ByteSize(available)),
    };
    (buffer, why)
}

/// Bytes per second, of which there must be some.
pub(crate) fn bandwidth(size: Option<ByteSize>) -> Result<Option<NonZeroU64>> {
    let some = |size: ByteSize| {
        NonZeroU64::new(size.0).ok_or_else(|| {
            Failure::new(Code::UsageInvalid, "an upload bandwidth of 0 would never end")
                .remedy("Leave it out for no limit.")
        })
    };
    size.map(some).transpose()
}

/// Reads `rows=N,bytes=SIZE,queries=N`, per second each.
pub(crate) fn rate_limit(text: Option<&str>) -> Result<RateLimit> {
    let mut limit = RateLimit::default();
    for part in text
        .unwrap_or_default()
        .split(',')
        .filter(|part| !part.trim().is_empty())
    {
        let bad = || {
            Failure::new(Code::UsageInvalid, format!("`{part}` is no rate limit"))
                .remedy("Write for example `rows=50000,bytes=20MB,queries=10`; each is per second.")
        };
        let (name, value) = part.split_once('=').ok_or_else(bad)?;
        let number = || {
            value
                .replace('_', "")
                .parse::<u64>()
                .ok()
                .and_then(NonZeroU64::new)
                .ok_or_else(bad)
        };
        match name.trim() {
            "rows" => limit.rows = Some(number()?),
            "bytes" => {
                limit.bytes = Some(
                    ByteSize::parse(value)
                        .and_then(|s| NonZeroU64::new(s.0))
                        .ok_or_else(bad)?,
                )
            }
            "queries" => limit.queries = Some(number()?),
            _ => return Err(bad()),
        }
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{SettingsFile, choose_source};

    #[test]
    fn limits_read_their_units() {
        let limit = rate_limit(Some("rows=50_000,bytes=20MB")).unwrap();
        assert_eq!(
            (limit.rows.map(NonZeroU64::get), limit.bytes.map(NonZeroU64::get)),
            (Some(50_000), Some(20_000_000))
        );
        for bad in ["rows", "rows=0", "rows=x", "speed=1"] {
            assert_eq!(rate_limit(Some(bad)).unwrap_err().code, Code::UsageInvalid, "{bad}");
        }
    }

    #[test]
    fn a_small_budget_gets_few_workers() {
        let args = ResourceArgs {
            buffer_size: Some(ByteSize(32 * MIB)),
            ..ResourceArgs::default()
        };
        let source = choose_source(&SettingsFile::default(), Some("sqlite://shop.db"), false, |_| None).unwrap();
        let tuning = Tuning::choose(&args, &ExtractEntry::default(), &source).unwrap();
        assert_eq!((tuning.workers.start, tuning.workers.ceiling), (1, 1));
        let bucket = Place::S3 {
            bucket: String::new(),
            prefix: String::new(),
        };
        assert!(tuning.upload_bytes(&bucket) as u64 <= 16 * MIB);
    }
}
