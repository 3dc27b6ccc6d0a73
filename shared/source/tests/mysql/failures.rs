//! What goes wrong has its code, names its object and tells no secret.

use std::time::Duration;

use sqlextract_model::{Code, Failure, Selection};
use sqlextract_source::{MysqlSource, Source};

use crate::support::{Reading, Scratch, facts};

fn table(name: &str) -> Selection {
    Selection::Table {
        schema: None,
        name: name.to_owned(),
    }
}

async fn refused(scratch: &Scratch, url: &str) -> Failure {
    MysqlSource::open(scratch.settings_of(url)).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_without_secrets() {
    let scratch = Scratch::new().await;
    let failure = refused(&scratch, &scratch.url_of("nobody_here:hunter2")).await;
    assert_eq!(failure.code, Code::SourceAuthentication);
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    let settings = scratch.settings();
    let missing = settings.url.replace(&scratch.name, "no_such_database");
    assert_eq!(refused(&scratch, &missing).await.code, Code::SourceObjectMissing);
    assert!(!format!("{settings:?}").contains("mysql://"));
    let source = scratch.open().await;
    let password = settings
        .url
        .split(['/', '@'])
        .nth(2)
        .and_then(|account| account.split_once(':'))
        .map(|(_, p)| p);
    if let Some(password) = password.filter(|p| p.len() > 1) {
        assert!(!format!("{source:?}").contains(&format!("\"{password}\"")));
    }
    scratch.drop().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let scratch = Scratch::new().await;
    // Bound, so that nobody else takes the port, and silent.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut settings = scratch.settings_of(&format!("mysql://u:p@127.0.0.1:{port}/x"));
    settings.connect_timeout = Duration::from_millis(200);
    assert_eq!(
        MysqlSource::open(settings.clone()).await.unwrap_err().code,
        Code::SourceUnreachable
    );
    drop(silent);
    assert_eq!(
        MysqlSource::open(settings).await.unwrap_err().code,
        Code::SourceUnreachable
    );
    scratch.drop().await;
}

#[tokio::test]
async fn a_missing_table_is_named_with_what_was_probably_meant() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE orders (id INT)").await;
    let source = scratch.open().await;
    let failure = source.inspect(&[table("ordesr")]).await.unwrap_err();
    assert_eq!(failure.code, Code::SourceObjectMissing);
    assert_eq!(failure.table, Some(scratch.table("ordesr").to_string()));
    assert!(failure.action().contains("`orders`"), "{failure:?}");
    let elsewhere = Selection::Schema(Some("no_such_database".to_owned()));
    assert_eq!(
        source.inspect(&[elsewhere]).await.unwrap_err().code,
        Code::SourceObjectMissing
    );
    scratch.drop().await;
}

#[tokio::test]
async fn what_the_user_may_not_read_is_a_permission_failure() {
    let mut scratch = Scratch::new().await;
    let user = format!("u{}", scratch.name.rsplit_once("sx").unwrap().1);
    let user = &user[..user.len().min(30)];
    scratch.run("CREATE TABLE open_t (id INT PRIMARY KEY)").await;
    scratch.run("CREATE TABLE closed_t (id INT)").await;
    scratch.run("CREATE TABLE written_t (id INT)").await;
    scratch.run("CREATE TABLE half_t (id INT, secret INT)").await;
    scratch
        .run(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'pw'"))
        .await;
    for (what, on) in [("SELECT", "open_t"), ("INSERT", "written_t"), ("SELECT (id)", "half_t")] {
        scratch.run(&format!("GRANT {what} ON {on} TO '{user}'@'%'")).await;
    }
    let source = MysqlSource::open(scratch.settings_of(&scratch.url_of(&format!("{user}:pw"))))
        .await
        .unwrap();
    assert_eq!(facts(&source, "open_t").await.columns.len(), 1);
    assert_eq!(facts(&source, "half_t").await.columns.len(), 1);
    for name in ["closed_t", "written_t"] {
        let failure = source.inspect(&[table(name)]).await.unwrap_err();
        assert_eq!(failure.code, Code::SourcePermission, "{name}");
        assert_eq!(failure.table, Some(scratch.table(name).to_string()));
    }
    // A right that is taken away between planning and reading.
    let reading = Reading::of(&facts(&source, "open_t").await);
    scratch.run(&format!("REVOKE SELECT ON open_t FROM '{user}'@'%'")).await;
    assert_eq!(reading.failure(&source).await.code, Code::SourcePermission);
    scratch.run(&format!("DROP USER '{user}'@'%'")).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_changed_table_is_a_changed_schema() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY, d DATETIME, n DECIMAL(10,2))")
        .await;
    scratch.run("INSERT INTO t VALUES (1, NOW(), 1)").await;
    let source = scratch.open().await;
    let reading = Reading::of(&facts(&source, "t").await);
    let changes = [
        ("ALTER TABLE t MODIFY n DECIMAL(10,3)", "n"),
        ("ALTER TABLE t MODIFY n DECIMAL(10,2), MODIFY d TIMESTAMP NULL", "d"),
        ("ALTER TABLE t MODIFY d DATETIME, MODIFY id BIGINT UNSIGNED", "id"),
        ("ALTER TABLE t MODIFY id INT, DROP COLUMN n", "n"),
    ];
    assert_eq!(reading.rows(&source).await.unwrap().len(), 1);
    for (change, column) in changes {
        scratch.run(change).await;
        let failure = reading.failure(&source).await;
        assert_eq!(
            (failure.code, failure.column.as_deref()),
            (Code::SchemaChanged, Some(column)),
            "{change}"
        );
    }
    scratch.run("DROP TABLE t").await;
    assert_eq!(reading.failure(&source).await.code, Code::SourceObjectMissing);
    scratch.drop().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_timeout() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    scratch.run("INSERT INTO t VALUES (1), (2)").await;
    let mut settings = scratch.settings();
    settings.statement_timeout = Duration::from_millis(300);
    let source = MysqlSource::open(settings).await.unwrap();
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.filter = Some("id + SLEEP(5) > 0".to_owned());
    // MariaDB stops the statement; MySQL's SLEEP may end early and be told as interrupted.
    assert_eq!(reading.failure(&source).await.code, Code::SourceTimeout);
    reading.filter = None;
    assert_eq!(reading.rows(&source).await.unwrap().len(), 2);
    scratch.drop().await;
}

#[tokio::test]
async fn a_locked_table_is_waited_for_no_longer_than_allowed() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    let mut settings = scratch.settings();
    settings.lock_timeout = Duration::from_secs(1);
    let source = MysqlSource::open(settings).await.unwrap();
    let reading = Reading::of(&facts(&source, "t").await);
    scratch.run("LOCK TABLES t WRITE").await;
    let failure = reading.failure(&source).await;
    scratch.run("UNLOCK TABLES").await;
    assert_eq!(failure.code, Code::SourceTimeout, "{failure:?}");
    scratch.drop().await;
}

#[tokio::test]
async fn a_user_without_connections_left_is_told_so() {
    let mut scratch = Scratch::new().await;
    let user = format!("l{}", scratch.name.rsplit_once("sx").unwrap().1);
    let user = &user[..user.len().min(30)];
    scratch
        .run(&format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 1"
        ))
        .await;
    let database = scratch.name.clone();
    scratch
        .run(&format!("GRANT SELECT ON {database}.* TO '{user}'@'%'"))
        .await;
    scratch.run("CREATE TABLE t (id INT)").await;
    let settings = scratch.settings_of(&scratch.url_of(&format!("{user}:pw")));
    let source = MysqlSource::open(settings.clone()).await.unwrap();
    let free = source.inspect(&[table("t")]).await.unwrap().free_connections;
    assert_eq!(free, Some(1));
    assert_eq!(
        MysqlSource::open(settings).await.unwrap_err().code,
        Code::SourceConnectionLimit
    );
    scratch.run(&format!("DROP USER '{user}'@'%'")).await;
    scratch.drop().await;
}
