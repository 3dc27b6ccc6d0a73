//! JSON Schemas and the AsyncAPI document, generated from the types and compared with what is committed.
//!
//! `SQLEXTRACT_WRITE_SCHEMAS=1` writes them anew; the difference is then a change of the contract, to be looked at.

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};
use sqlextract_model::{Event, EventKind, Order, OrderData, RequestData};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn schema<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.to_value()
}

#[track_caller]
fn is_committed(name: &str, generated: &Value) {
    let file = folder().join(name);
    let mut text = serde_json::to_string_pretty(generated).expect("documents have string keys and serialise");
    text.push('\n');
    if std::env::var_os("SQLEXTRACT_WRITE_SCHEMAS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(folder()).expect("the tree takes folders");
        std::fs::write(&file, &text).expect("the tree takes files");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is not what the types say; SQLEXTRACT_WRITE_SCHEMAS=1 writes it anew"
    );
}

#[test]
fn the_schemas_are_those_of_the_types() {
    is_committed("extraction.requested.v1.json", &schema::<RequestData>());
    is_committed("extraction.order.v1.json", &schema::<OrderData>());
    is_committed("event.v1.json", &schema::<Event>());
}

fn envelope(kind: &str, data: &str) -> Value {
    json!({
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 256},
            "source": {"type": "string"},
            "type": {"const": kind},
            "data": {"$ref": data},
        },
    })
}

fn message(name: &str, payload: &Value) -> Value {
    json!({"name": name, "contentType": "application/cloudevents+json", "payload": payload})
}

/// Every kind, so that the compiler asks for a new one here.
fn kinds() -> Vec<EventKind> {
    let all = [
        EventKind::Accepted,
        EventKind::Rejected,
        EventKind::Planned,
        EventKind::Progressed,
        EventKind::Completed,
        EventKind::Failed,
        EventKind::Cancelled,
        EventKind::TableCompleted,
        EventKind::BatchParked,
        EventKind::IngestGenerated,
        EventKind::SnapshotLost,
    ];
    for kind in all {
        match kind {
            EventKind::Accepted | EventKind::Rejected | EventKind::Planned | EventKind::Progressed => {}
            EventKind::Completed | EventKind::Failed | EventKind::Cancelled | EventKind::TableCompleted => {}
            EventKind::BatchParked | EventKind::IngestGenerated | EventKind::SnapshotLost => {}
        }
    }
    all.to_vec()
}

#[test]
fn the_asyncapi_document_names_every_message() {
    let requested = "io.sqlextract.extraction.requested.v1";
    let mut incoming = serde_json::Map::new();
    let payload = envelope(requested, "./extraction.requested.v1.json");
    incoming.insert(requested.to_owned(), message(requested, &payload));
    for order in [Order::Cancel, Order::Pause, Order::Resume, Order::GiveUp] {
        let kind = order.event_type();
        let payload = envelope(&kind, "./extraction.order.v1.json");
        incoming.insert(kind.clone(), message(&kind, &payload));
    }
    let mut outgoing = serde_json::Map::new();
    for kind in kinds() {
        let name = serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        let payload = json!({
            "allOf": [{"$ref": "./event.v1.json"}, {"properties": {"type": {"const": name}}}],
        });
        let mut told = message(&name, &payload);
        let key = format!("{}.<source>.<table or job>", kind.noun_and_verb());
        told["x-routing-key"] = Value::String(key);
        outgoing.insert(name, told);
    }
    let amqp = |name: &str, kind: &str| json!({"amqp": {"is": "routingKey", "exchange": {"name": name, "type": kind, "durable": true}}});
    is_committed(
        "asyncapi.json",
        &json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "sqlextract",
                "version": "1",
                "description": "Requests in, events out. Unknown fields are ignored; an unknown major version is rejected.",
            },
            "defaultContentType": "application/cloudevents+json",
            "channels": {
                "requests": {"address": "sqlextract.requests", "messages": incoming, "bindings": amqp("sqlextract.requests", "fanout")},
                "events": {"address": "sqlextract.events", "messages": outgoing, "bindings": amqp("sqlextract.events", "topic")},
            },
            "operations": {
                "ask": {"action": "receive", "channel": {"$ref": "#/channels/requests"}},
                "tell": {"action": "send", "channel": {"$ref": "#/channels/events"}},
            },
        }),
    );
}
