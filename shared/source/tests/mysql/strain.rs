//! What others feel, told from what they do.

use std::time::{Duration, Instant};

use sqlextract_model::Strain;
use sqlextract_source::{MysqlSource, Source};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::support::Scratch;

/// Asks until the answer is as it must be; others may use the server meanwhile.
async fn until(source: &MysqlSource, what: &str, holds: impl Fn(Strain) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let strain = source.strain().await.unwrap().expect("the server tells");
        if holds(strain) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {strain:?}");
        // InnoDB tells about its transactions anew only where nobody has asked for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn run(session: &mut MySqlConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await;
    done.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

#[tokio::test]
async fn others_that_wait_for_locks_are_strain_until_they_need_not() {
    let waits = [
        ("BEGIN; UPDATE t SET n = 1", "UPDATE t SET n = 2", "COMMIT"),
        ("LOCK TABLES t WRITE", "SELECT * FROM t", "UNLOCK TABLES"),
    ];
    for (hold, wait, end) in waits {
        let mut scratch = Scratch::new().await;
        scratch.run("CREATE TABLE t (id INT PRIMARY KEY, n INT)").await;
        scratch.run("INSERT INTO t VALUES (1, 0)").await;
        let source = scratch.open().await;
        let url = scratch.settings().url;
        let mut sessions = Vec::new();
        for _ in 0..2 {
            sessions.push(MySqlConnection::connect(&url).await.unwrap());
        }
        scratch.run(hold).await;
        let [one, two] = &mut sessions[..] else {
            panic!("two sessions")
        };
        tokio::select! {
            _ = async { tokio::join!(run(one, wait), run(two, wait)) } => panic!("{hold} holds them up"),
            () = until(&source, wait, |strain| strain.level >= 1.0) => {}
        }
        scratch.run(end).await;
        until(&source, "nobody waits", |strain| strain.level < 1.0).await;
        scratch.drop().await;
    }
}

#[tokio::test]
async fn sessions_at_work_are_strain_also_for_a_user_without_rights() {
    let mut scratch = Scratch::new().await;
    let user = format!("s{}", scratch.name.rsplit_once("sx").unwrap().1);
    let user = &user[..user.len().min(30)];
    let (create, grant) = (
        format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'pw'"),
        format!("GRANT SELECT ON {}.* TO '{user}'@'%'", scratch.name),
    );
    scratch.run(&create).await;
    scratch.run(&grant).await;
    let limited = scratch.settings_of(&scratch.url_of(&format!("{user}:pw")));
    let sources = [scratch.open().await, MysqlSource::open(limited).await.unwrap()];
    let tolerated = (scratch.number("SELECT @@max_connections").await / 10).max(4);
    let url = scratch.settings().url;
    let mut sessions = Vec::new();
    for _ in 0..=tolerated {
        sessions.push(MySqlConnection::connect(&url).await.unwrap());
    }
    let work = futures_util::future::join_all(sessions.iter_mut().map(|s| run(s, "DO SLEEP(600)")));
    let asking = async {
        for source in &sources {
            let named = |strain: Strain| strain.level > 1.0 && strain.signal == "other sessions at work";
            until(source, "many work", named).await;
        }
    };
    tokio::select! {
        _ = work => panic!("they sleep"),
        () = asking => {}
    }
    drop(sessions);
    for id in asleep(&mut scratch).await {
        // One that has noticed its closed socket is gone already.
        let kill = format!("KILL {id}");
        let _ = sqlx::raw_sql(AssertSqlSafe(kill)).execute(&mut scratch.admin).await;
    }
    for source in &sources {
        until(source, "nobody works", |strain| strain.level < 0.5).await;
    }
    drop(sources);
    scratch.run(&format!("DROP USER '{user}'@'%'")).await;
    scratch.drop().await;
}

async fn asleep(scratch: &mut Scratch) -> Vec<String> {
    let list = format!(
        "SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO = 'DO SLEEP(600)'",
        scratch.name
    );
    sqlx::query_scalar(AssertSqlSafe(list))
        .fetch_all(&mut scratch.admin)
        .await
        .unwrap()
}
