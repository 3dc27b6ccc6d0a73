//! Points at which a debug build ends itself, so that a test sees what a process leaves behind between two of its steps.

use std::fmt::Display;

/// Aborts the process where the variable `SQLEXTRACT_CRASH_AT` names this point. A release build has no such points.
pub fn crash_point(name: impl Display) {
    if cfg!(debug_assertions)
        && let Some(wanted) = std::env::var_os("SQLEXTRACT_CRASH_AT")
        && *wanted == *name.to_string()
    {
        tracing::error!("the process ends at {name}, as it was asked to");
        std::process::abort();
    }
}
