//! Work on threads that may block.

use sqlextract_model::{Code, Failure, Result};

/// Runs `work` on a blocking thread. A panic there is a defect of this call, never of the process.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            Err(Failure::new(Code::Defect, "reading from SQLite panicked").because(error))
        }
        Err(error) => Err(Failure::new(Code::Interrupted, "the process is ending").because(error)),
    }
}
