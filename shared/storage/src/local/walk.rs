//! Listings.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use sqlextract_model::Result;

use super::failure::failed;
use super::folders::Folders;
use crate::ObjectInfo;
use crate::key::OWN_SEGMENT;

/// Every regular file whose key starts with the prefix. Only folders that can hold such keys are entered.
pub(super) fn list(folders: &Folders, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let start = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    let start_path = folders.find_folder(start)?;
    let mut open: Vec<(PathBuf, String)> = start_path.map(|path| (path, start.to_owned())).into_iter().collect();
    while let Some((path, key)) = open.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(failed("list", &path, &e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| failed("list", &path, &e))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                tracing::warn!(file = %entry.path().display(), "a file name that is not UTF-8 is no object");
                continue;
            };
            let key = if key.is_empty() { name } else { format!("{key}/{name}") };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(failed("look at", &entry.path(), &e)),
            };
            if metadata.is_dir() {
                let folder = format!("{key}/");
                let can_match = folder.starts_with(prefix) || prefix.starts_with(&folder);
                if can_match && key != OWN_SEGMENT {
                    open.push((entry.path(), key));
                }
            } else if metadata.is_file() && key.starts_with(prefix) {
                let bytes = metadata.len();
                found.push(ObjectInfo { key, bytes });
            }
        }
    }
    Ok(found)
}
