//! The server loses answers, keys, or everything.

use std::sync::atomic::Ordering;
use std::time::Instant;

use sqlextract_model::{Class, Code};

use super::server::Way;
use super::*;

async fn on(server: &Server) -> RedisCheckpoint {
    RedisCheckpoint::open(server.settings()).await.unwrap()
}

/// What has vanished is unknown and is not made; rebuilt from storage it counts from what storage has.
async fn is_rebuilt(checkpoint: &RedisCheckpoint) {
    assert_eq!(
        checkpoint.complete(&job(), &batch(3), 1, 1).await,
        Ok(Completion::Unknown)
    );
    assert_eq!(checkpoint.progress(&job()).await, Ok(None));
    assert_eq!(checkpoint.pause(&job(), true).await, Ok(false));
    assert_eq!(checkpoint.progress(&job()).await, Ok(None), "asking has made nothing");
    checkpoint.begin(&job(), &[table(5, &[0, 1, 3])]).await.unwrap();
    assert_eq!(checkpoint.complete(&job(), &batch(3), 1, 1).await, recorded(false, 2));
    assert_eq!(checkpoint.complete(&job(), &batch(2), 1, 1).await, recorded(true, 1));
    assert_eq!(checkpoint.complete(&job(), &batch(4), 1, 1).await, recorded(true, 0));
}

#[tokio::test]
async fn a_flush_in_mid_job_is_no_start_at_zero() {
    let server = Server::start().await;
    let checkpoint = on(&server).await;
    checkpoint.begin(&job(), &[table(5, &[0])]).await.unwrap();
    assert_eq!(checkpoint.complete(&job(), &batch(1), 1, 1).await, recorded(true, 3));
    server.run(&["FLUSHALL"]).await;
    is_rebuilt(&checkpoint).await;
}

#[tokio::test]
async fn a_restart_without_persistence_is_ridden_out_and_no_start_at_zero() {
    let mut server = Server::start().await;
    let checkpoint = on(&server).await;
    checkpoint.begin(&job(), &[table(5, &[0])]).await.unwrap();
    server.kill();
    let asking = tokio::spawn({
        let checkpoint = checkpoint.clone();
        async move { checkpoint.complete(&job(), &batch(1), 1, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asking.is_finished(), "nobody answers yet");
    server.go().await;
    assert_eq!(asking.await.unwrap(), Ok(Completion::Unknown));
    is_rebuilt(&checkpoint).await;
}

#[tokio::test]
async fn keys_that_vanish_alone_take_the_job_with_them() {
    let server = Server::start().await;
    let checkpoint = on(&server).await;
    for key in ["sqlextract:{j}:done", "sqlextract:{j}:meta"] {
        checkpoint.begin(&job(), &[table(5, &[0, 1])]).await.unwrap();
        server.run(&["DEL", key]).await;
        is_rebuilt(&checkpoint).await;
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let server = Server::start().await;
    let checkpoint = on(&server).await;
    checkpoint.begin(&job(), &[table(5, &[])]).await.unwrap();
    for n in 0..5 {
        server.run(&["SCRIPT", "FLUSH"]).await;
        assert_eq!(
            checkpoint.complete(&job(), &batch(n), 1, 1).await,
            recorded(true, 4 - n)
        );
    }
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_and_count_once() {
    let server = Server::start().await;
    let way = Way::to(&server).await;
    let url = format!("redis://127.0.0.1:{}", way.port);
    let checkpoint = RedisCheckpoint::open(RedisSettings::new(url)).await.unwrap();
    let cut = || way.cut.store(true, Ordering::SeqCst);
    let lost = || assert!(!way.cut.load(Ordering::SeqCst), "an answer was lost");
    for tries in 1..4 {
        // The script is known by then, so that the answer that is lost is that of the call itself.
        cut();
        let counted = checkpoint.attempt(&job(), &batch(0)).await;
        lost();
        assert_eq!(counted, Ok(tries));
    }
    checkpoint.begin(&job(), &[table(3, &[])]).await.unwrap();
    for n in 0..3 {
        cut();
        let answer = checkpoint.complete(&job(), &batch(n), 7, 70).await;
        lost();
        assert!(
            matches!(answer, Ok(Completion::Recorded { remaining, .. }) if remaining == 2 - n),
            "{answer:?}"
        );
    }
    let progress = checkpoint.progress(&job()).await.unwrap().unwrap();
    assert_eq!((progress.done, progress.rows, progress.bytes), (3, 21, 210));
    cut();
    assert_eq!(
        checkpoint.lease("l", "me", Duration::from_secs(60)).await,
        Ok(Lease::Held)
    );
    lost();
}

#[tokio::test]
async fn a_server_that_is_away_fails_calls_in_time() {
    let mut server = Server::start().await;
    let settings = RedisSettings {
        retry_for: Duration::from_millis(500),
        ..server.settings()
    };
    let checkpoint = RedisCheckpoint::open(settings).await.unwrap();
    server.kill();
    let begun = Instant::now();
    let calls = (0..20).map(|n| {
        let checkpoint = checkpoint.clone();
        tokio::spawn(async move { checkpoint.complete(&job(), &batch(n), 1, 1).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let failure = call.await.unwrap().unwrap_err();
        assert_eq!(
            (failure.code, failure.class()),
            (Code::CheckpointUnavailable, Class::Retryable)
        );
        assert!(failure.message.contains(&server.port.to_string()), "{failure}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_frozen_server_fails_calls_in_time_and_counts_once() {
    let server = Server::start().await;
    let settings = RedisSettings {
        call_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(200),
        retry_for: Duration::from_secs(1),
        ..server.settings()
    };
    let checkpoint = RedisCheckpoint::open(settings).await.unwrap();
    checkpoint.begin(&job(), &[table(5, &[])]).await.unwrap();
    server.signal("STOP");
    let begun = Instant::now();
    let failure = checkpoint.complete(&job(), &batch(1), 5, 5).await.unwrap_err();
    assert_eq!(failure.code, Code::CheckpointUnavailable);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    server.signal("CONT");
    // The calls that were given up may have happened.
    let answer = checkpoint.complete(&job(), &batch(1), 5, 5).await;
    assert!(
        matches!(answer, Ok(Completion::Recorded { remaining: 4, .. })),
        "{answer:?}"
    );
    let progress = checkpoint.progress(&job()).await.unwrap().unwrap();
    assert_eq!((progress.done, progress.rows), (1, 5));
}

#[tokio::test]
async fn a_full_server_is_told_with_its_remedy_and_loses_nothing() {
    let server = Server::start().await;
    let checkpoint = on(&server).await;
    checkpoint.begin(&job(), &[table(5, &[0])]).await.unwrap();
    server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let failure = checkpoint.complete(&job(), &batch(1), 1, 1).await.unwrap_err();
    assert_eq!(
        (failure.code, failure.class()),
        (Code::CheckpointUnavailable, Class::Retryable)
    );
    assert!(failure.action().contains("maxmemory"), "{failure:?}");
    server.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(checkpoint.complete(&job(), &batch(1), 1, 1).await, recorded(true, 3));
}

#[tokio::test]
async fn foreign_content_under_our_names_is_named() {
    let server = Server::start().await;
    let checkpoint = on(&server).await;
    let foreign: [&[&str]; 4] = [
        &["SET", "sqlextract:{j}:meta", "x"],
        &["HSET", "sqlextract:{j}:meta", "g:public.t", "1", "n:public.t", "many"],
        &["HSET", "sqlextract:{j}:done", "public.t/1/0", "short"],
        &["HSET", "sqlextract:{j}:parked", "public.t/1/2", "no failure"],
    ];
    for words in foreign {
        server.run(&["FLUSHALL"]).await;
        checkpoint.begin(&job(), &[table(5, &[])]).await.unwrap();
        server.run(words).await;
        let failure = match checkpoint.complete(&job(), &batch(1), 1, 1).await {
            Err(failure) => failure,
            Ok(_) => checkpoint.progress(&job()).await.unwrap_err(),
        };
        assert_eq!(failure.code, Code::CheckpointCorrupt, "{words:?}: {failure:?}");
        assert!(failure.action().contains("rebuilt from storage"), "{failure:?}");
    }
}
