//! What all adapters demand of keys before anything touches the store.

use sqlextract_model::{Code, Failure, Result};

/// The first segment that belongs to the adapters themselves: temporary files, locks, probes.
pub(crate) const OWN_SEGMENT: &str = ".sqlextract";

const LONGEST_KEY_BYTES: usize = 1024;

/// Accepts a relative, `/`-separated key that stays below the destination's root.
pub fn check_key(key: &str) -> Result<()> {
    match key_problem(key) {
        None => Ok(()),
        Some(problem) => Err(refusal("object key", key, problem)),
    }
}

/// Accepts the beginning of such a key; the last segment may be cut anywhere, or be empty.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let (folders, begun) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let problem = match (prefix.contains('/'), begun) {
        (true, _) => key_problem(folders).or_else(|| text_problem(begun)),
        (false, _) => text_problem(begun),
    };
    problem.map_or(Ok(()), |p| Err(refusal("object prefix", prefix, p)))
}

fn refusal(what: &str, text: &str, problem: &str) -> Failure {
    // Debug form: a control character must not reach a terminal.
    Failure::new(Code::StorageRejected, format!("{what} {text:?} is refused: {problem}"))
}

fn key_problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > LONGEST_KEY_BYTES {
        return Some("it is longer than 1024 bytes");
    }
    if key.starts_with('/') {
        return Some("it is absolute");
    }
    let segments = || key.split('/');
    if segments().any(str::is_empty) {
        return Some("it has an empty segment");
    }
    if segments().any(|s| s == "." || s == "..") {
        return Some("it has a segment `.` or `..`");
    }
    if segments().next() == Some(OWN_SEGMENT) {
        return Some("`.sqlextract` belongs to sqlextract itself");
    }
    text_problem(key)
}

fn text_problem(text: &str) -> Option<&'static str> {
    if text.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    text.contains('\\').then_some("it has a backslash")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_the_root_or_hide_are_refused() {
        let long = "a".repeat(1025);
        let refused = [
            "",
            "/abs",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\\b",
            ".sqlextract/tmp/x",
            &long,
        ];
        for key in refused {
            let failure = check_key(key).unwrap_err();
            assert_eq!(failure.code, Code::StorageRejected, "{key:?}");
            assert!(!failure.message.contains(char::is_control), "{key:?}");
        }
        for key in [
            "a",
            "job-1/data/we%20ird.%2E%2E~0a/x.parquet",
            "..a/b..",
            "a/.sqlextract/b",
            "é/…",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
    }

    #[test]
    fn prefixes_may_end_anywhere_but_stay_below_the_root() {
        for prefix in ["", "job-1", "job-1/", "job-1/data/batch-0"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix:?}");
        }
        for prefix in ["/", "/abs", "../", "a//", "a/../b", "a\n"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
