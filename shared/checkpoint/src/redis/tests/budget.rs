//! The budget that members share: rates, connections, and what happens without the server.

use std::io::{BufRead, BufReader, Write};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;
use crate::{ConnectionPermit, SourceBudget, Unit};

/// Rows per second.
const RATE: u64 = 2000;
/// How long a rate is measured: a slice more or less is a twentieth of it.
const MEASURED: Duration = Duration::from_secs(4);

fn limits(rows: u64, connections: u32) -> SourceLimits {
    SourceLimits {
        rows: NonZeroU64::new(rows),
        connections: NonZeroU32::new(connections),
        ..SourceLimits::default()
    }
}

async fn member(server: &Server, limits: SourceLimits) -> RedisBudget {
    let checkpoint = RedisCheckpoint::open(server.settings()).await.unwrap();
    checkpoint.source_budget("shop", limits)
}

/// Takes rows as fast as it may.
fn reader(budget: RedisBudget, read: &Arc<AtomicU64>) -> tokio::task::JoinHandle<()> {
    let read = Arc::clone(read);
    tokio::spawn(async move {
        loop {
            let grant = budget.take(Unit::Rows).await.unwrap();
            tokio::time::sleep(grant.wait).await;
            read.fetch_add(grant.units, Ordering::Relaxed);
        }
    })
}

async fn rate(read: &AtomicU64, time: Duration) -> f64 {
    let (begun, before) = (Instant::now(), read.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    (read.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Before a restart, over it, while the server is away, and after it came back with nothing.
async fn members_keep_the_limit(members: u32) {
    let mut server = Server::start().await;
    let read = Arc::new(AtomicU64::new(0));
    let (mut budgets, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..members {
        let budget = member(&server, limits(RATE, 0)).await;
        budgets.push(budget.clone());
        readers.push(reader(budget, &read));
    }
    until("all know the fleet", || {
        budgets.iter().all(|b| b.state().fleet == members && b.state().shared)
    })
    .await;
    let mut rates = vec![("shared", rate(&read, MEASURED).await)];
    server.kill();
    until("all notice", || budgets.iter().all(|b| !b.state().shared)).await;
    rates.push(("away", rate(&read, MEASURED).await));
    let begun = (Instant::now(), read.load(Ordering::Relaxed));
    server.go().await;
    until("all are back", || budgets.iter().all(|b| b.state().shared)).await;
    // As each member passes from its own share to the fleet's, it may have a slice of both: measured for twice as long,
    // those are a twentieth again.
    tokio::time::sleep((2 * MEASURED).saturating_sub(begun.0.elapsed())).await;
    let returned = (read.load(Ordering::Relaxed) - begun.1) as f64 / begun.0.elapsed().as_secs_f64();
    rates.push(("returning", returned));
    rates.push(("shared again", rate(&read, MEASURED).await));
    for reader in readers {
        reader.abort();
    }
    let limit = RATE as f64;
    for (when, rate) in &rates {
        assert!(
            (limit * 0.9..=limit * 1.1).contains(rate),
            "{members} members, {when}: {rates:?}"
        );
    }
}

#[tokio::test]
async fn one_reads_at_the_limit_before_and_after_a_restart() {
    members_keep_the_limit(1).await;
}

#[tokio::test]
async fn two_read_at_the_limit_together_before_and_after_a_restart() {
    members_keep_the_limit(2).await;
}

#[tokio::test]
async fn four_read_at_the_limit_together_before_and_after_a_restart() {
    members_keep_the_limit(4).await;
}

#[tokio::test]
async fn asking_is_rare_and_a_member_without_work_holds_nobody_up() {
    let server = Server::start().await;
    let read = Arc::new(AtomicU64::new(0));
    let budget = member(&server, limits(100_000, 0)).await;
    let idle = member(&server, limits(100_000, 0)).await;
    until("both are known", || idle.state().fleet == 2).await;
    let reader = reader(budget, &read);
    server.run(&["CONFIG", "RESETSTAT"]).await;
    let rate = rate(&read, MEASURED).await;
    reader.abort();
    assert!((90_000.0..=110_000.0).contains(&rate), "{rate} rows/s");
    let stats = String::from_redis_value(server.run(&["INFO", "commandstats"]).await).unwrap();
    let calls = stats.lines().find_map(|line| {
        line.strip_prefix("cmdstat_evalsha:calls=")?
            .split(',')
            .next()?
            .parse()
            .ok()
    });
    let calls: u64 = calls.unwrap();
    assert!(calls < 60, "{calls} calls in {MEASURED:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_nobody() {
    let server = Server::start().await;
    let budget = member(&server, limits(RATE, 0)).await;
    let _ = budget.take(Unit::Rows).await.unwrap();
    // As if the line had been written an hour ahead.
    let ahead = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        + Duration::from_secs(3600);
    server
        .run(&[
            "HSET",
            "sqlextract:source:{shop}:budget",
            "rows",
            &ahead.as_micros().to_string(),
        ])
        .await;
    let grant = budget.take(Unit::Rows).await.unwrap();
    assert!(grant.wait < Duration::from_secs(1), "{grant:?}");
}

#[tokio::test]
async fn limits_can_change_and_end() {
    let server = Server::start().await;
    let budget = member(&server, limits(RATE, 1)).await;
    assert_eq!(budget.take(Unit::Rows).await.unwrap().units, RATE / 5);
    assert_eq!(budget.take(Unit::Bytes).await, None, "bytes have no limit");
    budget.set_limits(limits(10 * RATE, 1));
    assert_eq!(budget.take(Unit::Rows).await.unwrap().units, 2 * RATE);
    let _only = budget.connection().await.unwrap();
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move { budget.connection().await.is_none() }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "there is one connection");
    budget.set_limits(SourceLimits::default());
    let unlimited = tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap();
    assert!(unlimited, "without a limit nobody waits");
    assert_eq!(budget.take(Unit::Rows).await, None);
}

/// Everybody takes and gives back connections; the most that were held at once.
async fn most_at_once(budgets: &[RedisBudget], time: Duration) -> (usize, usize) {
    let (held, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let most = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for budget in budgets {
        for _ in 0..4 {
            let (budget, held, taken, most) =
                (budget.clone(), Arc::clone(&held), Arc::clone(&taken), Arc::clone(&most));
            workers.spawn(async move {
                loop {
                    let _connection = budget.connection().await.unwrap();
                    most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    taken.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    held.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    }
    tokio::time::sleep(time).await;
    (
        most.load(Ordering::SeqCst) as usize,
        taken.load(Ordering::SeqCst) as usize,
    )
}

#[tokio::test]
async fn connections_are_never_more_than_the_limit_and_go_round() {
    let mut server = Server::start().await;
    let budgets = [member(&server, limits(0, 3)).await, member(&server, limits(0, 3)).await];
    until("both are known", || budgets.iter().all(|b| b.state().fleet == 2)).await;
    let (most, taken) = most_at_once(&budgets, Duration::from_secs(2)).await;
    assert_eq!(most, 3);
    assert!(taken > 20, "{taken} were taken");
    until("all are given back", || {
        budgets.iter().all(|b| b.state().connections == 0)
    })
    .await;
    server.kill();
    let (most, taken) = most_at_once(&budgets, Duration::from_secs(2)).await;
    // Three for two members: one each.
    assert_eq!(most, 2, "of those who cannot ask");
    assert!(taken > 20, "{taken} were taken");
}

#[tokio::test]
async fn connections_that_the_server_has_lost_are_written_down_again_first() {
    let server = Server::start().await;
    let budgets = [member(&server, limits(0, 2)).await, member(&server, limits(0, 2)).await];
    until("both are known", || budgets.iter().all(|b| b.state().fleet == 2)).await;
    let held: Vec<ConnectionPermit> = [
        budgets[0].connection().await.unwrap(),
        budgets[0].connection().await.unwrap(),
    ]
    .into();
    server.run(&["FLUSHALL"]).await;
    let third = tokio::time::timeout(Duration::from_secs(6), budgets[1].connection()).await;
    assert!(third.is_err(), "both are held");
    drop(held);
    tokio::time::timeout(DEADLINE, budgets[1].connection())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_caller_who_leaves_takes_no_connection_along() {
    let server = Server::start().await;
    let budget = member(&server, limits(0, 1)).await;
    for micros in 0..200 {
        let _ = tokio::time::timeout(Duration::from_micros(5 * micros), budget.connection()).await;
    }
    tokio::time::timeout(DEADLINE, budget.connection())
        .await
        .unwrap()
        .unwrap();
}

/// Names the server in processes that are killed.
const CHILD: &str = "SQLEXTRACT_TEST_REDIS_CHILD";

/// Another process with this test's beginning alone.
fn process(test: &str, server: &Server) -> (Child, impl Iterator<Item = String> + Send + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("redis::tests::budget::{test}"), "--nocapture"])
        .env(CHILD, server.url())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map_while(|line| line.ok()))
}

/// A word to the test, past the captured output.
fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn child(url: String, limits: SourceLimits) -> RedisBudget {
    let checkpoint = RedisCheckpoint::open(RedisSettings::new(url)).await.unwrap();
    checkpoint.source_budget("shop", limits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_the_limit_and_inherit_from_the_dead() {
    if let Ok(url) = std::env::var(CHILD) {
        let budget = child(url, limits(RATE, 0)).await;
        loop {
            let grant = budget.take(Unit::Rows).await.unwrap();
            tokio::time::sleep(grant.wait).await;
            tell(&grant.units.to_string());
        }
    }
    let server = Server::start().await;
    let (read, mut children) = (Arc::new(AtomicU64::new(0)), Vec::new());
    for _ in 0..4 {
        let (child, lines) = process("processes_share_the_limit_and_inherit_from_the_dead", &server);
        children.push(child);
        let read = Arc::clone(&read);
        std::thread::spawn(move || {
            for line in lines {
                read.fetch_add(line.parse().unwrap_or(0), Ordering::Relaxed);
            }
        });
    }
    let watching = member(&server, limits(RATE, 0)).await;
    until("all are known", || watching.state().fleet == 5).await;
    let mut rates = vec![rate(&read, MEASURED).await];
    for child in &mut children[..3] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    rates.push(rate(&read, MEASURED).await);
    children[3].kill().unwrap();
    children[3].wait().unwrap();
    let limit = RATE as f64;
    assert!(
        rates.iter().all(|rate| (limit * 0.9..=limit * 1.1).contains(rate)),
        "{rates:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_gives_its_connections_back() {
    if let Ok(url) = std::env::var(CHILD) {
        let budget = child(url, limits(0, 2)).await;
        let _held = (budget.connection().await, budget.connection().await);
        tell("held");
        std::future::pending::<()>().await;
    }
    let server = Server::start().await;
    let budget = member(&server, limits(0, 2)).await;
    let (mut child, mut lines) = process("a_process_that_is_killed_gives_its_connections_back", &server);
    assert!(
        lines.any(|line| line == "held"),
        "the child has ended without connections"
    );
    until("the fleet is two", || budget.state().fleet == 2).await;
    // As long as it lives its connections are renewed beyond their time.
    let while_it_lives = tokio::time::timeout(Duration::from_secs(17), budget.connection()).await;
    assert!(while_it_lives.is_err(), "both are held");
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    tokio::time::timeout(DEADLINE, budget.connection())
        .await
        .unwrap()
        .unwrap();
    assert!(killed.elapsed() < Duration::from_secs(18), "{:?}", killed.elapsed());
}
