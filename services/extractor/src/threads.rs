//! Threads of their own for encoding, each on one processor where that is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::oneshot;

/// How the threads are called where the system lists them.
const NAME: &str = "encode";

/// Starts a thread for each batch that is encoded. All extractors of a process share these, so that pinned threads spread
/// over its processors.
#[derive(Debug, Default)]
pub struct EncodingThreads {
    /// The processors to pin threads to, each with the threads that are there now; empty for none.
    processors: Mutex<Vec<(usize, usize)>>,
}

impl EncodingThreads {
    /// Threads that the system moves as it likes.
    pub fn free() -> Arc<Self> {
        Arc::default()
    }

    /// Threads that stay where they begin, on the processors that this process may use.
    ///
    /// `preflight_failed` where the system does not tell which these are.
    pub fn pinned() -> Result<Arc<Self>> {
        let allowed = sched_getaffinity(None).map_err(|cause| {
            Failure::new(Code::PreflightFailed, "the processors of this process cannot be read")
                .because(cause)
                .remedy("Run without `--pin-encoding`.")
        })?;
        let processors = (0..CpuSet::MAX_CPU).filter(|at| allowed.is_set(*at));
        let threads = Self {
            processors: Mutex::new(processors.map(|at| (at, 0)).collect()),
        };
        tracing::info!("encoding: threads pinned to processors {:?}", threads.numbers());
        Ok(Arc::new(threads))
    }

    fn numbers(&self) -> Vec<usize> {
        self.lock().iter().map(|(at, _)| *at).collect()
    }

    /// Runs on a thread of its own. Dropped, the thread goes on until its work ends by itself.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, waited) = oneshot::channel();
        let seat = Seat::take(self);
        let started = std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            seat.sit();
            let ended = work();
            drop(seat);
            // Another stage may have failed meanwhile; its error is the one that is told.
            let _ = done.send(ended);
        });
        started.map_err(|cause| {
            Failure::new(Code::PreflightFailed, "a thread for encoding cannot be started")
                .because(cause)
                .remedy("Raise the limit of threads (`ulimit -u`), or lower `--workers`.")
        })?;
        let ended = waited.await;
        ended.unwrap_or_else(|_| Err(Failure::new(Code::Defect, "encoding panicked")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, usize)>> {
        self.processors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's place on a processor, until it is dropped.
struct Seat {
    threads: Arc<EncodingThreads>,
    processor: Option<usize>,
}

impl Seat {
    /// On the processor with the fewest.
    fn take(threads: &Arc<EncodingThreads>) -> Self {
        let processor = threads
            .lock()
            .iter_mut()
            .min_by_key(|(_, taken)| *taken)
            .map(|(at, taken)| {
                *taken += 1;
                *at
            });
        Self {
            threads: Arc::clone(threads),
            processor,
        }
    }

    /// Pins the thread that calls.
    fn sit(&self) {
        let Some(processor) = self.processor else { return };
        let mut only = CpuSet::new();
        only.set(processor);
        if let Err(error) = sched_setaffinity(None, &only) {
            tracing::warn!(%error, "an encoding thread cannot be pinned to processor {processor}, and runs anywhere");
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut processors = self.threads.lock();
        let own = processors.iter_mut().find(|(at, _)| Some(*at) == self.processor);
        if let Some((_, taken)) = own {
            *taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The processors that the calling thread may run on, and its name, as the system lists them.
    fn listed() -> (String, String) {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        (value("Name:"), value("Cpus_allowed_list:"))
    }

    #[tokio::test]
    async fn threads_stay_on_one_processor_each_only_where_that_is_asked_for() {
        let everywhere = listed().1;
        let free = EncodingThreads::free().run(|| Ok(listed())).await.unwrap();
        assert_eq!(free, ("encode".to_owned(), everywhere));
        let threads = EncodingThreads::pinned().unwrap();
        let numbers = threads.numbers();
        let together = Arc::new(std::sync::Barrier::new(numbers.len()));
        let seats = numbers.iter().map(|_| {
            let together = Arc::clone(&together);
            threads.run(move || {
                together.wait();
                Ok(listed().1)
            })
        });
        let mut seats = futures_util::future::try_join_all(seats).await.unwrap();
        seats.sort();
        let mut expected: Vec<String> = numbers.iter().map(usize::to_string).collect();
        expected.sort();
        assert_eq!(seats, expected, "as many threads as processors are spread over them");
    }

    #[tokio::test]
    async fn a_panic_is_a_defect_and_gives_the_seat_back() {
        let threads = EncodingThreads::pinned().unwrap();
        let failure = threads.run::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(
            (failure.code, failure.message.as_str()),
            (Code::Defect, "encoding panicked")
        );
        assert!(threads.lock().iter().all(|(_, taken)| *taken == 0));
    }
}
