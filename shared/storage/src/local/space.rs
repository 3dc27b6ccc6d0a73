//! Room on the disk: read, decide, refuse before it is full.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlextract_model::{ByteSize, Code, Failure, Result};

/// Part of the disk that stays free, for records, the checkpoint, and others; within bounds.
const KEPT_PART: u64 = 32;
const KEPT_BYTES: (u64, u64) = (64 << 10, 64 << 20);

/// What a file system says about itself, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) size: u64,
    /// For users that are not root.
    pub(super) free: u64,
}

/// Reads the room below a folder. `None` where the file system does not tell, as some over networks.
fn read(folder: &Path) -> Option<Room> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let room = Room {
        size: told.f_blocks.saturating_mul(told.f_frsize),
        free: told.f_bavail.saturating_mul(told.f_frsize),
    };
    (room.size > 0).then_some(room)
}

/// Bytes that are missing a place: what is needed, `wanted` now and `due` by uploads under way, where there is less.
fn short_of(room: Room, due: u64, wanted: u64) -> Option<u64> {
    let (least, most) = KEPT_BYTES;
    let kept = (room.size / KEPT_PART).clamp(least, most);
    let needed = due.saturating_add(wanted).saturating_add(kept);
    (room.free < needed).then_some(needed)
}

/// How the room below a folder is read.
type Reading = Box<dyn Fn(&Path) -> Option<Room> + Send + Sync>;

/// The room below a folder, and what is promised of it.
pub(super) struct Space {
    folder: PathBuf,
    read: Reading,
    /// Bytes that uploads under way are still expected to write.
    due: AtomicU64,
    /// The largest upload that was finished: the next ones are expected to be as large.
    largest: AtomicU64,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Space").field(&self.folder).finish()
    }
}

impl Space {
    pub(super) fn of(folder: &Path) -> Arc<Self> {
        Self::read_by(folder, read)
    }

    fn read_by(folder: &Path, read: impl Fn(&Path) -> Option<Room> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            folder: folder.to_owned(),
            read: Box::new(read),
            due: AtomicU64::new(0),
            largest: AtomicU64::new(0),
        })
    }

    /// Sets the room aside that an upload is expected to need. `storage_full` where there is not that much.
    pub(super) fn claim(self: &Arc<Self>, target: &Path) -> Result<Claim> {
        let expected = self.largest.load(Ordering::Relaxed);
        self.check(target, self.due.load(Ordering::Relaxed), expected)?;
        self.due.fetch_add(expected, Ordering::Relaxed);
        Ok(Claim {
            space: Arc::clone(self),
            left: expected,
            written: 0,
        })
    }

    fn check(&self, target: &Path, due: u64, wanted: u64) -> Result<()> {
        let Some(room) = (self.read)(&self.folder) else {
            return Ok(());
        };
        let Some(needed) = short_of(room, due, wanted) else {
            return Ok(());
        };
        let text = format!(
            "{} has {} ({} bytes) free, and {} ({needed} bytes) are needed to write {} beside what is under way",
            self.folder.display(),
            ByteSize(room.free),
            room.free,
            ByteSize(needed),
            target.display()
        );
        let remedy = "Free some space, or choose another `--output`; the same command resumes where it stopped. Fewer \
            `--workers` and a smaller `--chunk-size` need less at once.";
        Err(Failure::new(Code::StorageFull, text).remedy(remedy))
    }
}

/// What one upload may still need.
#[derive(Debug)]
pub(super) struct Claim {
    space: Arc<Space>,
    left: u64,
    written: u64,
}

impl Claim {
    /// Looks before so many bytes are written: beyond what was expected, or because others write too.
    pub(super) fn write(&mut self, target: &Path, bytes: u64) -> Result<()> {
        // What others have claimed is theirs to look for: an upload that has begun goes on as long as there is room.
        self.space.check(target, 0, bytes)?;
        self.give_back(bytes.min(self.left));
        self.written += bytes;
        Ok(())
    }

    /// The upload is whole.
    pub(super) fn finish(self) {
        self.space.largest.fetch_max(self.written, Ordering::Relaxed);
    }

    fn give_back(&mut self, bytes: u64) {
        self.left -= bytes;
        self.space.due.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.give_back(self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const TARGET: &str = "/out/chunk.parquet";

    /// A disk of 320 MiB, of which 10 MiB are kept, with so much free.
    fn disk(free: u64) -> (Arc<Space>, Arc<AtomicU64>) {
        let left = Arc::new(AtomicU64::new(free));
        let of = Arc::clone(&left);
        let read = move |_: &Path| {
            Some(Room {
                size: 320 * MIB,
                free: of.load(Ordering::Relaxed),
            })
        };
        (Space::read_by(Path::new("/out"), read), left)
    }

    fn write(claim: &mut Claim, left: &AtomicU64, bytes: u64) -> Result<()> {
        claim.write(Path::new(TARGET), bytes)?;
        left.fetch_sub(bytes, Ordering::Relaxed);
        Ok(())
    }

    #[test]
    fn a_chunk_that_would_not_fit_is_not_begun_and_both_numbers_are_named() {
        let (space, left) = disk(100 * MIB);
        let mut first = space.claim(Path::new(TARGET)).unwrap();
        write(&mut first, &left, 40 * MIB).unwrap();
        first.finish();
        // 60 MiB are left: one more of 40 MiB beside the 10 MiB that are kept, and not two.
        let second = space.claim(Path::new(TARGET)).unwrap();
        let refused = space.claim(Path::new(TARGET)).unwrap_err();
        assert_eq!((refused.code, refused.code.exit_code()), (Code::StorageFull, 5));
        for told in ["/out has", &(60 * MIB).to_string(), &(90 * MIB).to_string(), TARGET] {
            assert!(refused.message.contains(told), "{told}: {}", refused.message);
        }
        drop(second);
        assert!(
            space.claim(Path::new(TARGET)).is_ok(),
            "what is not needed is given back"
        );
    }

    #[test]
    fn writing_stops_while_something_is_left() {
        let (space, left) = disk(30 * MIB);
        let mut claim = space.claim(Path::new(TARGET)).unwrap();
        let written = (0..30).take_while(|_| write(&mut claim, &left, MIB).is_ok()).count();
        assert_eq!((written as u64, left.load(Ordering::Relaxed)), (20, 10 * MIB));
    }

    #[test]
    fn a_disk_that_tells_nothing_is_written_until_it_refuses() {
        let space = Space::read_by(Path::new("/out"), |_| None);
        let mut claim = space.claim(Path::new(TARGET)).unwrap();
        claim.write(Path::new(TARGET), u64::MAX).unwrap();
    }

    #[test]
    fn the_system_tells_the_room_of_a_real_folder() {
        let folder = tempfile::TempDir::new().unwrap();
        let room = read(folder.path()).unwrap();
        assert!(room.free <= room.size && room.size > MIB, "{room:?}");
        assert_eq!(read(&folder.path().join("missing")), None);
    }
}
