//! Where a database is: from a URL to a file that exists.

use std::path::{Path, PathBuf};

use sqlextract_model::{Code, Failure, Result};

/// The file that `sqlite://PATH` or `sqlite:PATH` names: everything behind the scheme is the path, letter by letter, so
/// that a name with `%` or `?` needs no escape. The path comes back absolute and without links, since SQLite would take
/// a relative one that begins with `file:` for a URI, and since the journals lie beside the real file.
pub(super) fn locate(url: &str) -> Result<PathBuf> {
    let path = path_of(url)?;
    let missing = |cause: String| {
        let failure = Failure::new(Code::SourceObjectMissing, format!("there is no database file {path:?}"));
        let failure = if path.contains('?') {
            failure.remedy("Give the path alone: a SQLite URL takes no parameters here.")
        } else {
            failure.remedy("Check the path; a relative one is relative to the working directory.")
        };
        failure.because(cause)
    };
    let found = Path::new(path).canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::new(
            Code::SourcePermission,
            format!("the folder of {path:?} may not be searched"),
        )
        .because(error),
        _ => missing(error.to_string()),
    })?;
    if !found.is_file() {
        return Err(missing("it is not a regular file".to_owned()));
    }
    Ok(found)
}

fn path_of(url: &str) -> Result<&str> {
    let path = url
        .strip_prefix("sqlite:")
        .map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some(":memory:" | "") => Err(Failure::new(
            Code::ConfigInvalid,
            "a SQLite source needs the path of a file: a database in memory holds nothing to extract",
        )),
        Some(path) => Ok(path),
        None => Err(Failure::new(
            Code::ConfigInvalid,
            "a SQLite source is written `sqlite://PATH`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_behind_the_scheme_is_the_path() {
        let cases = [
            ("sqlite://a.db", "a.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite:///abs/a.db", "/abs/a.db"),
            ("sqlite:/abs/a.db", "/abs/a.db"),
            ("sqlite://dir/50%25 a?b.db", "dir/50%25 a?b.db"),
        ];
        for (url, path) in cases {
            assert_eq!(path_of(url).unwrap(), path, "{url}");
        }
        for url in ["sqlite://", "sqlite::memory:", "postgres://x/y"] {
            assert_eq!(path_of(url).unwrap_err().code, Code::ConfigInvalid, "{url}");
        }
    }

    #[test]
    fn what_is_not_a_file_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", "/none.db", "/a.db?mode=ro"] {
            let failure = locate(&format!("sqlite://{}{path}", folder.path().display())).unwrap_err();
            assert_eq!(failure.code, Code::SourceObjectMissing, "{failure:?}");
        }
    }
}
