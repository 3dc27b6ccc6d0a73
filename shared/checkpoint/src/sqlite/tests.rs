use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use sqlextract_model::{BatchIndex, Generation, TableName, segments};
use tempfile::TempDir;

use super::*;
use crate::suite::Subject;

async fn open() -> (Subject, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state/checkpoints.db");
    let subject = Subject {
        first: Arc::new(SqliteCheckpoint::open(&path).unwrap()),
        second: Arc::new(SqliteCheckpoint::open(&path).unwrap()),
    };
    (subject, folder)
}

crate::checkpoint_suite!(open);

fn job() -> JobId {
    JobId::new("j").unwrap()
}

fn batch(batch: u64) -> BatchId {
    BatchId {
        table: segments(&[TableName::new("public", "t")]).remove(0),
        generation: Generation::FIRST,
        batch: BatchIndex(batch),
    }
}

fn table(batches: u64, done: u64) -> TableState {
    TableState {
        table: batch(0).table,
        generation: Generation::FIRST,
        batches,
        done: (0..done).map(BatchIndex).collect(),
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_was_recorded_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let checkpoint = SqliteCheckpoint::open(&path).unwrap();
    checkpoint.begin(&job(), &[table(3, 1)]).await.unwrap();
    checkpoint.complete(&job(), &batch(2), 5, 50).await.unwrap();
    drop(checkpoint);
    let reopened = SqliteCheckpoint::open(&path).unwrap();
    let progress = reopened.progress(&job()).await.unwrap().unwrap();
    assert_eq!(
        (progress.total, progress.done, progress.rows, progress.bytes),
        (3, 2, 5, 50)
    );
}

#[test]
fn many_may_make_the_file_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/er/c.db");
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteCheckpoint::open(&path))).collect();
        let opened: Vec<_> = opening
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect();
        assert_eq!(opened[0].inner.life.others().len(), 7);
    });
    let mut left: Vec<_> = path
        .parent()
        .unwrap()
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["c.db", "c.db.opening"], "nothing is left of those that ended");
}

#[test]
fn damaged_and_foreign_files_are_named_with_their_remedy() {
    let folder = TempDir::new().unwrap();
    let fill = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let text = fill("text.db", b"this is no database at all, whatever its name says");
    let zeros = fill("zeros.db", &[0; 8192]);
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE users (id INTEGER)")
        .unwrap();
    let torn = folder.path().join("torn.db");
    drop(SqliteCheckpoint::open(&torn).unwrap());
    let mut bytes = std::fs::read(&torn).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0xa5);
    std::fs::write(&torn, bytes).unwrap();
    for path in [text, zeros, foreign, torn] {
        let failure = SqliteCheckpoint::open(&path).unwrap_err();
        assert_eq!(failure.code, Code::CheckpointCorrupt, "{}: {failure}", path.display());
        assert!(failure.message.contains(path.to_str().unwrap()), "{failure}");
        assert!(failure.action().starts_with("Delete ") && failure.action().contains("rebuilt from the output"));
        // Doing what it says helps.
        std::fs::remove_file(&path).unwrap();
        SqliteCheckpoint::open(&path).unwrap();
    }
}

#[tokio::test]
async fn damage_that_shows_up_later_is_named_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let checkpoint = SqliteCheckpoint::open(&path).unwrap();
    checkpoint.begin(&job(), &[table(3, 1)]).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE done SET bits = x'00'", []).unwrap();
    assert_eq!(
        checkpoint.complete(&job(), &batch(1), 1, 1).await.unwrap_err().code,
        Code::CheckpointCorrupt
    );
    other.execute_batch("DROP TABLE done").unwrap();
    assert_eq!(
        checkpoint.complete(&job(), &batch(1), 1, 1).await.unwrap_err().code,
        Code::CheckpointCorrupt
    );
}

#[test]
fn places_that_cannot_hold_a_file_do_not_answer() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let failure = SqliteCheckpoint::open(&folder.path().join("file/c.db")).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointUnavailable);
    let failure = SqliteCheckpoint::open(folder.path()).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointUnavailable, "{failure}");
}

#[tokio::test]
async fn newer_files_are_refused_and_older_ones_copied_and_migrated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let steps = [schema::STEPS, &["ALTER TABLE job ADD COLUMN note TEXT"]].concat();
    let old = SqliteCheckpoint::open(&path).unwrap();
    old.begin(&job(), &[table(3, 2)]).await.unwrap();
    // As long as a process of the older version lives, nothing is changed under it.
    assert_eq!(
        SqliteCheckpoint::open_with(&path, &steps).unwrap_err().code,
        Code::JobBusy
    );
    drop(old);
    let new = SqliteCheckpoint::open_with(&path, &steps).unwrap();
    assert_eq!(new.progress(&job()).await.unwrap().unwrap().done, 2);
    drop(new);
    let failure = SqliteCheckpoint::open(&path).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointNewer);
    assert!(
        failure.message.contains("has version 2, and this program knows 1"),
        "{failure}"
    );
    let copy = SqliteCheckpoint::open(&folder.path().join("c.db.v1")).unwrap();
    assert_eq!(copy.progress(&job()).await.unwrap().unwrap().done, 2);
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    SqliteCheckpoint::open(&path)
        .unwrap()
        .begin(&job(), &[table(3, 2)])
        .await
        .unwrap();
    let steps = [schema::STEPS, &["DROP TABLE lease; CREATE TABLE nonsense"]].concat();
    assert!(SqliteCheckpoint::open_with(&path, &steps).is_err());
    let again = SqliteCheckpoint::open(&path).unwrap();
    assert_eq!(again.lease("l", "a", LONG).await.unwrap(), Lease::Held);
    assert_eq!(again.progress(&job()).await.unwrap().unwrap().done, 2);
}

#[tokio::test]
async fn a_handle_that_is_dropped_frees_its_leases() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let (first, second) = (
        SqliteCheckpoint::open(&path).unwrap(),
        SqliteCheckpoint::open(&path).unwrap(),
    );
    assert_eq!(first.lease("l", "a", LONG).await.unwrap(), Lease::Held);
    let clone = first.clone();
    drop(first);
    let busy = Lease::Busy { holder: "a".to_owned() };
    assert_eq!(second.lease("l", "b", LONG).await.unwrap(), busy);
    drop(clone);
    assert_eq!(second.lease("l", "b", LONG).await.unwrap(), Lease::Held);
}

#[test]
fn opening_removes_the_files_of_killed_processes_only() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let alive = SqliteCheckpoint::open(&path).unwrap();
    std::fs::write(folder.path().join("c.db.alive-1-2-3"), "").unwrap();
    let other = SqliteCheckpoint::open(&path).unwrap();
    assert_eq!(other.inner.life.others(), [alive.inner.life.name()]);
}

/// Names the file in the process that takes the lease and is killed.
const CHILD: &str = "SQLEXTRACT_TEST_LEASE_FILE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_frees_its_leases_at_once() {
    if let Ok(path) = std::env::var(CHILD) {
        let checkpoint = SqliteCheckpoint::open(Path::new(&path)).unwrap();
        assert_eq!(checkpoint.lease("l", "child", LONG).await.unwrap(), Lease::Held);
        // Past the test's captured output.
        std::io::stderr().write_all(b"held\n").unwrap();
        std::future::pending::<()>().await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.db");
    let name = "sqlite::tests::a_process_that_is_killed_frees_its_leases_at_once";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == "held"),
        "the child has ended without its lease"
    );
    let checkpoint = SqliteCheckpoint::open(&path).unwrap();
    let busy = Lease::Busy {
        holder: "child".to_owned(),
    };
    assert_eq!(checkpoint.lease("l", "parent", LONG).await.unwrap(), busy);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(checkpoint.lease("l", "parent", LONG).await.unwrap(), Lease::Held);
    assert_eq!(
        checkpoint.inner.life.others(),
        [""; 0],
        "the dead process's file is removed"
    );
}

/// Generous bounds: what they must catch is work that grows with the number of batches.
#[tokio::test]
async fn a_hundred_thousand_batches_are_quick() {
    let folder = TempDir::new().unwrap();
    let checkpoint = SqliteCheckpoint::open(&folder.path().join("c.db")).unwrap();
    let states = [table(200_000, 100_000)];
    let begun = Instant::now();
    checkpoint.begin(&job(), &states).await.unwrap();
    let begin = begun.elapsed();
    let begun = Instant::now();
    for n in 100_000..102_000 {
        checkpoint.complete(&job(), &batch(n), 1, 1).await.unwrap();
    }
    let complete = begun.elapsed() / 2000;
    assert!(begin < Duration::from_secs(1), "begin took {begin:?}");
    assert!(complete < Duration::from_millis(2), "complete took {complete:?}");
}

/// A moment is known as the millisecond that it lies in, so a lease from the end of one lasts into the end of another.
#[tokio::test]
async fn a_lease_holds_through_its_last_millisecond() {
    let folder = TempDir::new().unwrap();
    let checkpoint = SqliteCheckpoint::open(&folder.path().join("c.db")).unwrap();
    let busy = Lease::Busy { holder: "a".to_owned() };
    for (holder, now, expected) in [("a", 1000, Lease::Held), ("b", 1300, busy), ("b", 1301, Lease::Held)] {
        let wish = leases::Wish {
            name: "l".to_owned(),
            holder: holder.to_owned(),
            time_to_live: Duration::from_millis(300),
            now,
        };
        let answer = checkpoint.transact(move |transaction, life| leases::lease(transaction, life, wish));
        assert_eq!(answer.await.unwrap(), expected, "{holder} at {now}");
    }
}
