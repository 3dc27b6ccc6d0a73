//! The cases that every checkpoint must pass. `checkpoint_suite!` makes a test of each, on a store that was empty.

mod jobs;
mod leases;
mod model;
mod random;

use std::sync::Arc;

use sqlextract_model::{BatchIndex, Code, Failure, Generation, JobId, TableName, TableSegment, segments};

use crate::{BatchId, Checkpoint, TableState};

pub use jobs::{
    attempts_are_counted_before_the_work, begin_says_what_storage_says, completions_count_down_and_repeat,
    jobs_are_paused_until_they_are_let_go, large_jobs_are_counted_exactly, lower_generations_change_nothing,
    parking_lasts_until_done_or_cleared, what_is_not_known_is_never_made,
};
pub use leases::{leases_are_taken_renewed_and_given_back, leases_end_with_their_time, one_of_many_gets_a_lease};
pub use random::any_sequence_agrees_with_the_model;

/// Two handles of one store, as two processes have them.
#[derive(Debug, Clone)]
pub struct Subject {
    pub first: Arc<dyn Checkpoint>,
    pub second: Arc<dyn Checkpoint>,
}

fn job(name: &str) -> JobId {
    JobId::new(name).expect("a job's name of letters is valid")
}

fn segment(name: &str) -> TableSegment {
    segments(&[TableName::new("public", name)]).remove(0)
}

fn batch(table: &str, generation: u32, batch: u64) -> BatchId {
    BatchId {
        table: segment(table),
        generation: Generation(generation),
        batch: BatchIndex(batch),
    }
}

fn state(table: &str, generation: u32, batches: u64, done: &[u64]) -> TableState {
    TableState {
        table: segment(table),
        generation: Generation(generation),
        batches,
        done: done.iter().copied().map(BatchIndex).collect(),
    }
}

fn failure(words: &str) -> Failure {
    Failure::new(Code::ValueRefused, words)
        .table("public.t")
        .because("the layer below")
}

/// Makes a test of every case. `$open` is an async function that answers with a [`Subject`] and whatever keeps its store.
#[macro_export]
macro_rules! checkpoint_suite {
    ($open:path) => {
        $crate::checkpoint_suite!(@cases $open,
            begin_says_what_storage_says,
            lower_generations_change_nothing,
            completions_count_down_and_repeat,
            what_is_not_known_is_never_made,
            attempts_are_counted_before_the_work,
            parking_lasts_until_done_or_cleared,
            jobs_are_paused_until_they_are_let_go,
            large_jobs_are_counted_exactly,
            leases_are_taken_renewed_and_given_back,
            leases_end_with_their_time,
            one_of_many_gets_a_lease,
            any_sequence_agrees_with_the_model
        );
    };
    (@cases $open:path, $($case:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (subject, _store) = $open().await;
            $crate::suite::$case(subject).await;
        })+
    };
}
