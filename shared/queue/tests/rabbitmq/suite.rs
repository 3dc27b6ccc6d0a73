//! The cases that every queue must pass.

use std::sync::Arc;

use sqlextract_queue::RabbitmqQueue;
use sqlextract_queue::suite::Subject;

use crate::fixture;

async fn open(capacity: usize) -> Subject {
    let settings = fixture::applied(capacity).await;
    let queue = RabbitmqQueue::connect(settings).await.unwrap();
    Subject {
        queue: Arc::new(queue),
        capacity,
    }
}

sqlextract_queue::queue_suite!(open);
