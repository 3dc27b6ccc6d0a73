//! The cases that every queue must pass. `queue_suite!` makes a test of each; brokers open a fresh prefix per case.
//!
//! Delays are real: a case waits on a condition with a deadline, and "nothing comes" is watched for a short while.

mod events;
mod load;
mod parked;
mod settling;

use std::sync::Arc;
use std::time::Duration;

use crate::{Delivery, Message, Queue, QueueName, Receiver};

pub use events::{announcements_reach_every_subscriber, completions_reach_the_scripter};
pub use load::{messages_up_to_the_limit_pass_whole, publishers_and_receivers_together_lose_nothing};
pub use parked::parked_messages_are_listed_replayed_and_dropped;
pub use settling::{
    cancelled_receives_lose_nothing, depth_counts_what_waits_and_what_is_unsettled, done_is_final,
    dropped_deliveries_come_back, full_queues_make_publishers_wait, messages_come_again_after_their_delay,
    parked_messages_keep_their_reason, windows_limit_unsettled_deliveries,
};

/// Longest wait for something that must happen.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long nothing must happen.
const QUIET: Duration = Duration::from_millis(150);

/// A queue under test, and the capacity that it was opened with.
#[derive(Debug, Clone)]
pub struct Subject {
    pub queue: Arc<dyn Queue>,
    pub capacity: usize,
}

impl Subject {
    async fn publish(&self, queue: &QueueName, id: &str) {
        within(self.queue.publish(queue, message(id)))
            .await
            .expect("publishing succeeds");
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Box<dyn Receiver> {
        within(self.queue.receiver(queue, window))
            .await
            .expect("a receiver opens")
    }

    /// Waits until the queue's depth is as expected; brokers count with a delay.
    async fn depth_becomes(&self, queue: &QueueName, expected: u64) {
        let mut last = None;
        let seen = tokio::time::timeout(DEADLINE, async {
            loop {
                let depth = self.queue.depth(queue).await.expect("the depth is known");
                last = Some(depth);
                if depth == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(
            seen.await.is_ok(),
            "the depth of {queue} is {last:?} and never became {expected}"
        );
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, future).await;
    outcome.expect("it happens before the deadline")
}

async fn next(receiver: &mut Box<dyn Receiver>) -> Box<dyn Delivery> {
    within(receiver.receive()).await.expect("receiving succeeds")
}

/// Whether the receiver stays without a delivery for a while.
async fn stays_quiet(receiver: &mut Box<dyn Receiver>) -> bool {
    tokio::time::timeout(QUIET, receiver.receive()).await.is_err()
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        correlation: Some("job-1".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        body: id.as_bytes().to_vec(),
    }
}

fn batches() -> QueueName {
    QueueName::Batches {
        source: "shop".to_owned(),
    }
}

/// Makes a test of every case. `$open` is an async function from the capacity of each queue to a [`Subject`].
#[macro_export]
macro_rules! queue_suite {
    ($open:path) => {
        $crate::queue_suite!(@case $open, dropped_deliveries_come_back, 10);
        $crate::queue_suite!(@case $open, done_is_final, 10);
        $crate::queue_suite!(@case $open, messages_come_again_after_their_delay, 10);
        $crate::queue_suite!(@case $open, parked_messages_keep_their_reason, 10);
        $crate::queue_suite!(@case $open, parked_messages_are_listed_replayed_and_dropped, 10);
        $crate::queue_suite!(@case $open, full_queues_make_publishers_wait, 3);
        $crate::queue_suite!(@case $open, windows_limit_unsettled_deliveries, 10);
        $crate::queue_suite!(@case $open, depth_counts_what_waits_and_what_is_unsettled, 10);
        $crate::queue_suite!(@case $open, cancelled_receives_lose_nothing, 10);
        $crate::queue_suite!(@case $open, announcements_reach_every_subscriber, 10);
        $crate::queue_suite!(@case $open, completions_reach_the_scripter, 10);
        $crate::queue_suite!(@case $open, messages_up_to_the_limit_pass_whole, 10);
        $crate::queue_suite!(@case $open, publishers_and_receivers_together_lose_nothing, 64);
    };
    (@case $open:path, $case:ident, $capacity:literal) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let subject = $open($capacity).await;
            $crate::suite::$case(subject).await;
        }
    };
}
