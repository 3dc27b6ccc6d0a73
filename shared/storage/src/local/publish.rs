//! The moment when a name appears.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sqlextract_model::{Code, Failure, Result};

use super::Place;
use super::failure::failed;
use super::session::Temporary;
use crate::Created;

/// Gives a synced temporary file its name if the name is free; the file system decides.
pub(super) fn link(place: &Place, temporary: Temporary, target: &Path) -> Result<Created> {
    match fs::hard_link(temporary.path(), target) {
        Ok(()) => {
            sync_parent(place, target)?;
            Ok(Created::New)
        }
        // A network file system may have done it and lost the answer.
        Err(e) if e.kind() == ErrorKind::AlreadyExists && same_file(temporary.path(), target) => {
            sync_parent(place, target)?;
            Ok(Created::New)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => exists(place, target),
        Err(e) => Err(failed("publish", target, &e)),
    }
}

/// Spares a write whose name is taken already. `None` promises nothing: somebody may come between.
pub(super) fn taken(place: &Place, target: &Path) -> Result<Option<Created>> {
    match fs::symlink_metadata(target) {
        Ok(_) => exists(place, target).map(Some),
        Err(_) => Ok(None),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path| fs::symlink_metadata(path).map(|m| (m.dev(), m.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Gives a synced temporary file its name, in place of whatever has it.
pub(super) fn rename(place: &Place, temporary: Temporary, target: &Path) -> Result<()> {
    // A rename would follow nothing, but a folder or a link of this name is not ours to replace.
    if fs::symlink_metadata(target).is_ok_and(|m| !m.is_file()) {
        return Err(not_an_object(target));
    }
    fs::rename(temporary.path(), target).map_err(|e| failed("publish", target, &e))?;
    sync_parent(place, target)
}

fn exists(place: &Place, target: &Path) -> Result<Created> {
    if fs::symlink_metadata(target).is_ok_and(|m| !m.is_file()) {
        return Err(not_an_object(target));
    }
    // The winner may not have synced yet; whoever builds on its object must not lose it to a power failure.
    sync_parent(place, target)?;
    Ok(Created::Exists)
}

fn not_an_object(target: &Path) -> Failure {
    let shown = target.display();
    Failure::new(
        Code::StorageForeign,
        format!("{shown} is a folder or a link where an object must be"),
    )
}

fn sync_parent(place: &Place, target: &Path) -> Result<()> {
    match target.parent() {
        Some(parent) => place.folders.sync(parent),
        None => Ok(()),
    }
}

/// Proves that names can be taken only once here. FAT and some network file systems have no hard links.
pub(super) fn probe(place: &Place) -> Result<()> {
    let shown = &place.location;
    let first = place.session.write(b"probe")?;
    let second = place.session.temporary()?;
    match fs::hard_link(first.path(), second.path()) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Ok(()) => {
            let message = format!("the file system of {shown} lets two writers take one name");
            return Err(Failure::new(Code::StoreNotCreateOnly, message));
        }
        Err(e) => return Err(no_hard_links(shown, &e)),
    }
    let free = second.path().with_extension("probe");
    fs::hard_link(first.path(), &free).map_err(|e| no_hard_links(shown, &e))?;
    fs::remove_file(&free).map_err(|e| failed("remove", &free, &e))
}

fn no_hard_links(shown: &str, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::Unsupported | ErrorKind::PermissionDenied => Failure::new(
            Code::PreflightFailed,
            format!("the file system of {shown} has no hard links, which create-only writes need"),
        )
        .because(error)
        .remedy("Choose an `--output` on another file system (ext4, XFS, Btrfs, ZFS, APFS, NTFS, NFS), or S3."),
        _ => failed("link a file in", Path::new(shown), error),
    }
}
