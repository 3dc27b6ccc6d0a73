//! What others feel, told from what they do.

use std::future::Future;
use std::time::{Duration, Instant};

use sqlextract_model::Strain;
use sqlextract_source::{PostgresSource, Source};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use crate::fixture::{Scratch, execute, settings};

/// Asks until the answer is as it must be; others may use the server meanwhile.
async fn until(source: &PostgresSource, what: &str, holds: impl Fn(Strain) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let strain = source.strain().await.unwrap().expect("PostgreSQL tells");
        if holds(strain) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {strain:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Three sessions, two of which wait for the lock of the first, while `work` goes on.
async fn while_two_wait(scratch: &mut Scratch, work: impl Future<Output = ()>) {
    scratch.execute("CREATE TABLE held (id int)").await;
    let url = scratch.url();
    let mut first = connect(&url).await;
    execute(&mut first, "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await;
    let (mut second, mut third) = (connect(&url).await, connect(&url).await);
    let waiting = async {
        tokio::join!(
            execute(&mut second, "SELECT * FROM held"),
            execute(&mut third, "SELECT * FROM held")
        )
    };
    tokio::select! {
        _ = waiting => panic!("the lock is held"),
        () = work => {}
    }
    execute(&mut first, "ROLLBACK").await;
}

#[tokio::test]
async fn others_that_wait_for_locks_are_strain_until_they_need_not() {
    let mut scratch = Scratch::new().await;
    let source = scratch.open().await;
    let waits = async {
        until(&source, "two wait", |strain| strain.level >= 1.0).await;
    };
    while_two_wait(&mut scratch, waits).await;
    until(&source, "nobody waits", |strain| strain.level < 1.0).await;
    scratch.remove().await;
}

#[tokio::test]
async fn sessions_at_work_are_strain_and_those_of_our_application_are_not() {
    let mut scratch = Scratch::new().await;
    let limit: usize = scratch.value("SHOW max_connections").await.parse().unwrap();
    let tolerated = (limit / 10).max(4);
    let source = scratch.open().await;
    let url = scratch.url();
    let work = async |named: &str| {
        let mut all = Vec::new();
        for _ in 0..=tolerated {
            let mut session = connect(&url).await;
            execute(&mut session, &format!("SET application_name = '{named}'")).await;
            all.push(session);
        }
        all
    };
    let at_work = |sessions: &mut Vec<PgConnection>| {
        let all: Vec<_> = sessions
            .drain(..)
            .map(|mut session| async move {
                let ended = raw_sql("SELECT pg_sleep(600)").execute(&mut session).await;
                panic!("it sleeps: {ended:?}");
            })
            .collect();
        futures_util::future::join_all(all)
    };
    let mut others = work("a shop").await;
    tokio::select! {
        _ = at_work(&mut others) => {}
        () = until(&source, "many work", |strain| strain.level > 1.0) => {}
    }
    let gone = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'a shop'",
        scratch.name
    );
    scratch.execute(&gone).await;
    let mut ours = work("sqlextract").await;
    let begun = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sqlextract' AND query ~ 'pg_sleep'";
    let asking = async {
        let mut admin = connect(&url).await;
        let working = async |admin: &mut PgConnection| {
            let text = AssertSqlSafe(format!("{begun} AND datname = current_database() AND state = 'active'"));
            sqlx::query_scalar::<_, i64>(text).fetch_one(admin).await.unwrap()
        };
        while working(&mut admin).await <= tolerated as i64 {}
        until(&source, "only ours work", |strain| strain.level < 0.5).await;
    };
    tokio::select! {
        _ = at_work(&mut ours) => {}
        () = asking => {}
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_user_without_rights_still_sees_who_waits_for_locks() {
    let mut scratch = Scratch::new().await;
    let (_, url) = scratch.role().await;
    let source = PostgresSource::open(settings(url)).await.unwrap();
    let waits = async {
        let named = |strain: Strain| strain.level >= 1.0 && strain.signal == "lock waits of others";
        until(&source, "two wait", named).await;
    };
    while_two_wait(&mut scratch, waits).await;
    drop(source);
    scratch.remove().await;
}
