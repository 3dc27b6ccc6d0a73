use super::*;

#[tokio::test(start_paused = true)]
async fn tasks_finish_within_the_grace_period_or_are_dropped() {
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let (told, mut ended) = tokio::sync::mpsc::channel(2);
    for (name, seconds) in [("quick", 5), ("slow", 60)] {
        let (shutdown_of_task, told) = (shutdown.clone(), told.clone());
        shutdown.spawn(name, async move {
            shutdown_of_task.draining().cancelled().await;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            told.send(name).await.ok();
            Ok(())
        });
    }
    drop(told);
    let begun = Instant::now();
    shutdown.begin(StopCause::Terminate);
    shutdown.begin(StopCause::Interrupt);
    shutdown.finish().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!((ended.recv().await, ended.recv().await), (Some("quick"), None));
    assert_eq!(shutdown.cause(), Some(StopCause::Terminate));
    assert!(shutdown.at_once().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_or_panics_begins_draining_and_is_reported() {
    let failing = Shutdown::new(Duration::from_secs(10));
    failing.spawn("sweeper", async { Err(Failure::new(Code::StorageFull, "no space")) });
    assert_eq!(failing.finish().await.unwrap_err().code, Code::StorageFull);
    let panicking = Shutdown::new(Duration::from_secs(10));
    panicking.spawn("sweeper", async { panic!("oh") });
    panicking.spawn("other", async { Ok(()) });
    let failure = panicking.finish().await.unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::Defect, "task sweeper panicked")
    );
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_counts_from_the_beginning_for_everybody() {
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let begun = Instant::now();
    shutdown.begin(StopCause::Requested);
    tokio::time::sleep(Duration::from_secs(7)).await;
    shutdown.grace_over().await;
    shutdown.grace_over().await;
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_drains_and_a_second_one_leaves_at_once() {
    let shutdown = Shutdown::on_signals(Duration::from_secs(3600)).unwrap();
    let send = |signal: &str| {
        let process = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &process]).status();
        assert!(sent.unwrap().success());
    };
    send("-TERM");
    let deadline = Duration::from_secs(30);
    tokio::time::timeout(deadline, shutdown.draining().cancelled())
        .await
        .unwrap();
    assert!(!shutdown.at_once().is_cancelled());
    send("-INT");
    tokio::time::timeout(deadline, shutdown.at_once().cancelled())
        .await
        .unwrap();
    let cause = shutdown.cause().unwrap();
    assert_eq!(
        (cause, cause.failure().unwrap().code.exit_code()),
        (StopCause::Terminate, 143)
    );
}
