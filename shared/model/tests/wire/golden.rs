//! Messages as each version wrote them: they are read, and what they say is kept.

use std::path::Path;

use sqlextract_model::{BatchMessage, Event, EventKind, Incoming, Order, Outcome, TickMessage};

fn golden(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schemas/golden/v1")
        .join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn a_request_of_the_first_version_is_read() {
    let Ok(Incoming::Request { sender, data }) = Incoming::read(golden("extraction.requested.json").as_bytes(), "")
    else {
        panic!("it is a request")
    };
    assert_eq!((sender.id.as_str(), sender.source.as_str()), ("r-1", "/billing"));
    assert_eq!(
        (data.source.as_str(), data.tables.len(), data.chunk_bytes),
        ("shop", 1, Some(134_217_728))
    );
    assert_eq!(data.limits.rows_per_second, Some(50_000));
    assert!(
        data.tables[0]
            .filter
            .as_ref()
            .is_some_and(|filter| filter.problem().is_none())
    );
}

#[test]
fn an_order_of_the_first_version_is_read() {
    let read = Incoming::read(golden("extraction.cancel_requested.json").as_bytes(), "");
    let Ok(Incoming::Order { order, data }) = read else {
        panic!("it is an order")
    };
    assert_eq!((order, data.job.as_str()), (Order::Cancel, "orders-1a2b3c4d"));
}

#[test]
fn an_event_of_the_first_version_is_read_and_written_alike() {
    let text = golden("extraction.completed.json");
    let event: Event = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (event.kind, event.data.outcome),
        (EventKind::Completed, Some(Outcome::Completed))
    );
    let before: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&event).unwrap(), before);
}

#[test]
fn messages_between_services_of_the_first_version_are_read() {
    let batch: BatchMessage = serde_json::from_str(&golden("batch.json")).unwrap();
    assert_eq!((batch.batch.0, batch.generation.0, batch.limits), (12, 1, None));
    let tick: TickMessage = serde_json::from_str(&golden("tick.json")).unwrap();
    assert_eq!(
        (tick.position, tick.published, tick.lost, tick.round),
        (64, 60, None, 0)
    );
}
