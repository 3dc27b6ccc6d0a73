//! Jobs: what is done, tried and parked.

use sqlextract_model::BatchIndex;

use super::{Subject, batch, failure, job, state};
use crate::{Checkpoint, Completion, Progress};

async fn progress(checkpoint: &dyn Checkpoint, name: &str) -> Progress {
    let progress = checkpoint.progress(&job(name)).await.expect("progress is known");
    progress.expect("the job is known")
}

fn recorded(new: bool, remaining: u64) -> Completion {
    Completion::Recorded { new, remaining }
}

pub async fn begin_says_what_storage_says(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    assert_eq!(first.progress(&name).await, Ok(None));
    for _ in 0..2 {
        first
            .begin(&name, &[state("a", 1, 10, &[0, 9]), state("b", 1, 5, &[])])
            .await
            .expect("begin works");
        let seen = progress(second.as_ref(), "j").await;
        assert_eq!((seen.total, seen.done, seen.paused), (15, 2, false));
    }
    assert_eq!(
        first.complete(&name, &batch("a", 1, 1), 7, 70).await,
        Ok(recorded(true, 12))
    );
    // A batch that storage does not have is to be done again, and a table that is not named is gone.
    second
        .begin(&name, &[state("a", 1, 10, &[9])])
        .await
        .expect("begin works");
    assert_eq!(progress(first.as_ref(), "j").await.done, 1);
    assert_eq!(
        first.complete(&name, &batch("b", 1, 1), 1, 1).await,
        Ok(Completion::Unknown)
    );
    assert_eq!(
        first.complete(&name, &batch("a", 1, 9), 1, 1).await,
        Ok(recorded(false, 9))
    );
    // A new generation starts from what it says.
    first
        .begin(&name, &[state("a", 2, 3, &[2])])
        .await
        .expect("begin works");
    let seen = progress(second.as_ref(), "j").await;
    assert_eq!((seen.total, seen.done, seen.rows, seen.bytes), (3, 1, 0, 0));
    // Jobs do not touch each other.
    first
        .begin(&job("j-2"), &[state("a", 1, 4, &[])])
        .await
        .expect("begin works");
    assert_eq!(progress(first.as_ref(), "j").await.total, 3);
    first.begin(&job("empty"), &[]).await.expect("begin works");
    assert_eq!(progress(first.as_ref(), "empty").await, Progress::default());
}

pub async fn lower_generations_change_nothing(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    first
        .begin(&name, &[state("a", 3, 10, &[1]), state("b", 1, 2, &[])])
        .await
        .expect("begin works");
    second
        .begin(&name, &[state("a", 2, 99, &[]), state("b", 2, 4, &[0])])
        .await
        .expect("begin works");
    let seen = progress(first.as_ref(), "j").await;
    assert_eq!((seen.total, seen.done), (14, 2));
    assert_eq!(
        first.complete(&name, &batch("a", 2, 5), 1, 1).await,
        Ok(Completion::Stale)
    );
    assert_eq!(
        first.complete(&name, &batch("a", 3, 5), 1, 1).await,
        Ok(recorded(true, 11))
    );
    assert_eq!(
        first.complete(&name, &batch("b", 1, 1), 1, 1).await,
        Ok(Completion::Stale)
    );
    assert_eq!(progress(second.as_ref(), "j").await.done, 3);
}

pub async fn completions_count_down_and_repeat(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    first
        .begin(&name, &[state("a", 1, 2, &[]), state("b", 1, 1, &[])])
        .await
        .expect("begin works");
    assert_eq!(
        first.complete(&name, &batch("a", 1, 0), 10, 100).await,
        Ok(recorded(true, 2))
    );
    assert_eq!(
        second.complete(&name, &batch("a", 1, 0), 10, 100).await,
        Ok(recorded(false, 2))
    );
    assert_eq!(
        second.complete(&name, &batch("a", 1, 1), 20, 200).await,
        Ok(recorded(true, 1))
    );
    assert_eq!(
        first.complete(&name, &batch("b", 1, 0), 30, 300).await,
        Ok(recorded(true, 0))
    );
    assert_eq!(
        first.complete(&name, &batch("b", 1, 0), 30, 300).await,
        Ok(recorded(false, 0))
    );
    let seen = progress(first.as_ref(), "j").await;
    assert_eq!((seen.total, seen.done, seen.rows, seen.bytes), (3, 3, 60, 600));
    assert!(
        first.complete(&name, &batch("a", 1, 2), 1, 1).await.is_err(),
        "the table has two batches"
    );
    assert_eq!(progress(second.as_ref(), "j").await, seen);
}

pub async fn what_is_not_known_is_never_made(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    assert_eq!(
        first.complete(&name, &batch("a", 1, 0), 1, 1).await,
        Ok(Completion::Unknown)
    );
    assert_eq!(first.attempt(&name, &batch("a", 1, 0)).await, Ok(1));
    first
        .park(&name, &batch("a", 1, 0), Some(&failure("x")))
        .await
        .expect("parking works");
    assert_eq!(second.progress(&name).await, Ok(None));
    first.begin(&name, &[state("a", 1, 5, &[])]).await.expect("begin works");
    assert_eq!(
        first.complete(&name, &batch("b", 1, 0), 1, 1).await,
        Ok(Completion::Unknown)
    );
    assert_eq!(
        first.complete(&name, &batch("a", 2, 0), 1, 1).await,
        Ok(Completion::Unknown)
    );
    assert_eq!(progress(second.as_ref(), "j").await.done, 0);
}

pub async fn attempts_are_counted_before_the_work(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    first.begin(&name, &[state("a", 1, 5, &[])]).await.expect("begin works");
    assert_eq!(first.attempt(&name, &batch("a", 1, 0)).await, Ok(1));
    assert_eq!(second.attempt(&name, &batch("a", 1, 0)).await, Ok(2));
    assert_eq!(first.attempt(&name, &batch("a", 1, 1)).await, Ok(1));
    assert_eq!(first.attempt(&job("other"), &batch("a", 1, 0)).await, Ok(1));
    // Looking at storage again forgets no try.
    first.begin(&name, &[state("a", 1, 5, &[])]).await.expect("begin works");
    assert_eq!(first.attempt(&name, &batch("a", 1, 0)).await, Ok(3));
    first
        .park(&name, &batch("a", 1, 0), None)
        .await
        .expect("clearing works");
    assert_eq!(second.attempt(&name, &batch("a", 1, 0)).await, Ok(1));
    // A new generation is new work.
    first.begin(&name, &[state("a", 2, 5, &[])]).await.expect("begin works");
    assert_eq!(first.attempt(&name, &batch("a", 2, 0)).await, Ok(1));
}

pub async fn parking_lasts_until_done_or_cleared(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    first
        .begin(&name, &[state("a", 1, 300, &[])])
        .await
        .expect("begin works");
    for (number, words) in [(200, "first"), (3, "other"), (200, "it's `\"odd\"` \u{1F980}")] {
        first
            .park(&name, &batch("a", 1, number), Some(&failure(words)))
            .await
            .expect("parking works");
    }
    let parked = progress(second.as_ref(), "j").await.parked;
    let expected = [
        (batch("a", 1, 3), failure("other")),
        (batch("a", 1, 200), failure("it's `\"odd\"` \u{1F980}")),
    ];
    assert_eq!(parked, expected);
    for _ in 0..2 {
        second
            .park(&name, &batch("a", 1, 3), None)
            .await
            .expect("clearing works");
        assert_eq!(progress(first.as_ref(), "j").await.parked.len(), 1);
    }
    first
        .complete(&name, &batch("a", 1, 200), 1, 1)
        .await
        .expect("completing works");
    first
        .park(&name, &batch("a", 1, 200), Some(&failure("late")))
        .await
        .expect("parking works");
    assert_eq!(progress(second.as_ref(), "j").await.parked, []);
    // What storage has is not parked, nor is what belongs to another generation.
    first
        .park(&name, &batch("a", 1, 7), Some(&failure("x")))
        .await
        .expect("parking works");
    first
        .park(&name, &batch("a", 1, 8), Some(&failure("y")))
        .await
        .expect("parking works");
    first
        .begin(&name, &[state("a", 1, 300, &[7, 200])])
        .await
        .expect("begin works");
    assert_eq!(
        progress(second.as_ref(), "j").await.parked,
        [(batch("a", 1, 8), failure("y"))]
    );
    first
        .begin(&name, &[state("a", 2, 300, &[])])
        .await
        .expect("begin works");
    first
        .park(&name, &batch("a", 1, 9), Some(&failure("stale")))
        .await
        .expect("parking works");
    assert_eq!(progress(second.as_ref(), "j").await.parked, []);
}

pub async fn jobs_are_paused_until_they_are_let_go(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    assert_eq!(first.pause(&name, true).await, Ok(false), "the job is not known");
    assert_eq!(second.progress(&name).await, Ok(None), "and is not made");
    first.begin(&name, &[state("a", 1, 5, &[])]).await.expect("begin works");
    first
        .begin(&job("other"), &[state("a", 1, 5, &[])])
        .await
        .expect("begin works");
    for _ in 0..2 {
        assert_eq!(first.pause(&name, true).await, Ok(true));
        assert!(progress(second.as_ref(), "j").await.paused);
    }
    assert!(!progress(second.as_ref(), "other").await.paused);
    // Work that is under way is recorded, and looking at storage again does not let it go.
    assert_eq!(
        second.complete(&name, &batch("a", 1, 0), 1, 1).await,
        Ok(recorded(true, 4))
    );
    second
        .begin(&name, &[state("a", 2, 7, &[])])
        .await
        .expect("begin works");
    assert!(progress(first.as_ref(), "j").await.paused);
    for _ in 0..2 {
        assert_eq!(second.pause(&name, false).await, Ok(true));
        assert!(!progress(first.as_ref(), "j").await.paused);
    }
}

pub async fn large_jobs_are_counted_exactly(subject: Subject) {
    let Subject { first, second } = subject;
    let name = job("j");
    let batches = 1 << 40;
    let done: Vec<u64> = (0..100_000).map(|n| n * 3).collect();
    first
        .begin(&name, &[state("a", 1, batches, &done)])
        .await
        .expect("begin works");
    assert_eq!(progress(second.as_ref(), "j").await.done, 100_000);
    let far = [0, 1, 4095, 4096, 4097, 299_997, 299_998, batches - 1];
    let mut remaining = batches - 100_000;
    for number in far {
        let new = !done.contains(&number);
        remaining -= u64::from(new);
        let answer = first.complete(&name, &batch("a", 1, number), 1, 1).await;
        assert_eq!(answer, Ok(recorded(new, remaining)), "{number}");
    }
    let mut again = state("a", 1, batches, &done);
    again.done.extend([BatchIndex(5), BatchIndex(5)]);
    first.begin(&name, &[again]).await.expect("begin works");
    assert_eq!(progress(second.as_ref(), "j").await.done, 100_001);
}
