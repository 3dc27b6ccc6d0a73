//! Points at which a debug build ends or freezes itself, so that a test sees what a process leaves behind between two of
//! its steps, or what it does when it wakes up there too late.

use std::fmt::Display;
use std::process::Command;

/// Aborts the process where the variable `SQLEXTRACT_CRASH_AT` names this point, and freezes it where
/// `SQLEXTRACT_FREEZE_AT` does, until it is sent SIGCONT. A release build has no such points.
pub fn crash_point(name: impl Display) {
    if !cfg!(debug_assertions) {
        return;
    }
    let is_named = |variable: &str| std::env::var_os(variable).is_some_and(|wanted| *wanted == *name.to_string());
    if is_named("SQLEXTRACT_CRASH_AT") {
        tracing::error!("the process ends at {name}, as it was asked to");
        std::process::abort();
    }
    if is_named("SQLEXTRACT_FREEZE_AT") {
        tracing::error!("the process stands still at {name}, as it was asked to");
        // Without the program the test that waits for this finds out.
        let _ = Command::new("kill")
            .args(["-STOP", &std::process::id().to_string()])
            .status();
    }
}
