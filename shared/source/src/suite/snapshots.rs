//! One state for all reads.

use sqlextract_model::{Code, Range};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, Taken, Writer};
use super::{CONNECTIONS, failed, within};
use crate::{ReadRequest, Source};

/// Rows that change, go and come between two reads of a snapshot are read as they were at its start; once it has
/// ended, its token opens nothing. Changes the table.
pub async fn snapshot_sees_one_state(source: &dyn Source, fixture: &Fixture, writer: &dyn Writer) {
    let expected = fixture.rows();
    let snapshot = within(source.snapshot())
        .await
        .expect("the source answers")
        .expect("the source has snapshots");
    let token = snapshot.token().clone();
    let mut all = fixture
        .read(source, &fixture.range(None, Some(0)), Some(&token))
        .await
        .rows;

    let table = fixture.quoted_table();
    for statement in [
        format!("UPDATE {table} SET label = 'changed', weight = 1"),
        format!("DELETE FROM {table} WHERE id > 1000000"),
        format!("INSERT INTO {table} (id, label, weight) VALUES (2, 'new', 2), (-2, 'new', 2)"),
    ] {
        within(writer.execute(&statement)).await;
    }
    let reads = (0..2 * CONNECTIONS).map(|_| async {
        fixture
            .read(source, &fixture.range(Some(0), None), Some(&token))
            .await
            .rows
    });
    for rest in futures_util::future::join_all(reads).await {
        all.extend(rest);
    }
    assert_eq!(all, expected);
    within(snapshot.check()).await.expect("the snapshot stands");

    drop(snapshot);
    let cancel = CancellationToken::new();
    let range = Range::All;
    let request = ReadRequest {
        snapshot: Some(&token),
        ..fixture.request(&range, &cancel)
    };
    assert_eq!(
        failed(source.read(request, &mut Taken::default())).await.code,
        Code::SnapshotLost
    );
    let now = fixture.read(source, &Range::All, None).await.rows;
    assert!(
        now.contains_key(&2) && !now.contains_key(&i64::MAX),
        "a read without the snapshot sees the changes"
    );
}
