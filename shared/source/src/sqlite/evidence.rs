//! What proves in a later process that a database file has not been changed.
//!
//! The header's change counter is not read from here: a process that opens a database file itself and closes it again
//! loses every POSIX lock that SQLite holds on that file, also those of other connections, and no SQL tells the
//! counter. Every commit of a rollback journal writes the file, so its time of modification to the nanosecond says as
//! much once the clock has moved past it ([`Evidence::unsettled`]). In WAL mode a commit adds frames or, after a
//! checkpoint, writes a log with new salts; a checkpoint writes the file. The `-wal` file itself carries no locks.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use sqlextract_model::{Code, Failure, Result, SnapshotEvidence};

use super::failure::unexpected;

/// Coarser than the tick by which kernels stamp files.
const TICK: Duration = Duration::from_millis(40);
/// File systems without fractions of a second stamp every second or two.
const COARSE_TICK: Duration = Duration::from_millis(2100);
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// The state of a database's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evidence {
    file: FileState,
    schema_version: i64,
    page_count: i64,
    log: Option<Log>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// The last commit in a write-ahead log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Log {
    salts: [u8; 8],
    pub(super) frames: u64,
    checksum: [u8; 8],
}

impl Evidence {
    /// `published` are the log's frames by the shared index, `None` outside WAL mode. An index without frames means a
    /// log that is empty or entirely taken over into the file, whatever it still holds.
    pub(super) fn read(connection: &Connection, path: &Path, published: Option<u64>) -> Result<Self> {
        let pragma = |name: &str| {
            connection
                .query_row(&format!("PRAGMA main.{name}"), [], |row| row.get::<_, i64>(0))
                .map_err(|error| unexpected(&error, &format!("tell `{name}`")))
        };
        let log = match published {
            None => None,
            Some(0) => Some(Log::default()),
            Some(_) => Some(last_commit(&log_path(path)).map_err(unreadable)?),
        };
        Ok(Self {
            file: std::fs::metadata(path).map(FileState::of).map_err(unreadable)?,
            schema_version: pragma("schema_version")?,
            page_count: pragma("page_count")?,
            log,
        })
    }

    /// Whether the files are as they were. A log that has been taken over and not yet begun anew counts as a change.
    pub(super) fn still_holds(&self, path: &Path) -> Result<bool> {
        let file = std::fs::metadata(path).map(FileState::of).map_err(unreadable)?;
        let log = self
            .log
            .as_ref()
            .map(|_| last_commit(&log_path(path)))
            .transpose()
            .map_err(unreadable)?;
        let frames_as_before = log.is_none_or(|now| self.log.as_ref().is_some_and(|then| then.same_end(&now)));
        Ok(file == self.file && frames_as_before)
    }

    /// Whether the log's file ends where its index says. It does not while a writer is in the middle of a commit.
    pub(super) fn agrees(&self, published: Option<u64>) -> bool {
        self.log.as_ref().map(|log| log.frames) == published
    }

    /// How long until a change to the file would show in its times: until the clock has left the tick of the last one.
    pub(super) fn unsettled(&self, now: SystemTime) -> Option<Duration> {
        let coarse = self.file.modified_ns % 1_000_000_000 == 0;
        let tick = if coarse { COARSE_TICK } else { TICK };
        let now_ns = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos().cast_signed());
        let age_ns = now_ns - self.file.modified_ns.max(self.file.changed_ns);
        let missing_ns = tick.as_nanos().cast_signed() - age_ns;
        (missing_ns > 0).then(|| Duration::from_nanos(u64::try_from(missing_ns).unwrap_or(u64::MAX)).min(COARSE_TICK))
    }

    pub(super) fn text(&self) -> SnapshotEvidence {
        let FileState {
            device,
            inode,
            bytes,
            modified_ns,
            changed_ns,
        } = &self.file;
        let log = match &self.log {
            None => "none".to_owned(),
            Some(log) => format!("{}/{}/{}", hex(&log.salts), log.frames, hex(&log.checksum)),
        };
        SnapshotEvidence(format!(
            "sqlite file={device}:{inode} bytes={bytes} modified={modified_ns} changed={changed_ns} schema={} pages={} log={log}",
            self.schema_version, self.page_count,
        ))
    }
}

impl Log {
    /// Without frames the salts say nothing.
    fn same_end(&self, other: &Self) -> bool {
        self == other || (self.frames == 0 && other.frames == 0)
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Code::SourceConnectionLost, "the database's files cannot be looked at").because(error)
}

/// Evidence that no other is equal to, for a state that nothing proves.
pub(super) fn unproven(now: SystemTime) -> SnapshotEvidence {
    let nanoseconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    SnapshotEvidence(format!("sqlite unproven {nanoseconds}-{}", std::process::id()))
}

impl FileState {
    fn of(metadata: Metadata) -> Self {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Walks the frames that carry the header's salts; those behind them are of an earlier round of the log.
fn last_commit(path: &Path) -> io::Result<Log> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Log::default()),
        Err(error) => return Err(error),
    };
    let mut header = [0; WAL_HEADER as usize];
    if !filled(&mut file, &mut header)? {
        return Ok(Log::default());
    }
    let page_bytes = u64::from(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
    let mut last = Log {
        salts: bytes(&header, 16),
        ..Log::default()
    };
    let mut frame = [0; FRAME_HEADER as usize];
    for number in 0.. {
        file.seek(SeekFrom::Start(WAL_HEADER + number * (FRAME_HEADER + page_bytes)))?;
        if !filled(&mut file, &mut frame)? || bytes(&frame, 8) != last.salts {
            break;
        }
        // A frame's second word is the size of the database after the commit that it ends, else zero.
        if frame[4..8] != [0; 4] {
            last = Log {
                frames: number + 1,
                checksum: bytes(&frame, 16),
                ..last
            };
        }
    }
    Ok(last)
}

fn bytes(from: &[u8], at: usize) -> [u8; 8] {
    let mut taken = [0; 8];
    taken.copy_from_slice(&from[at..at + 8]);
    taken
}

fn filled(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
