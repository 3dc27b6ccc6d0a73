//! Messages as they travel: properties and headers.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use sqlextract_model::{Code, Digest, Failure, Result};

use crate::{Message, QueueName};

/// Requests and events are CloudEvents; what services tell each other is JSON of their own.
const CLOUD_EVENT: &str = "application/cloudevents+json";
const JSON: &str = "application/json";

const TRACEPARENT: &str = "traceparent";
/// Our own count of attempts: what the broker counts differs from version to version.
const REDELIVERIES: &str = "x-sqlextract-redeliveries";
const REASON: &str = "x-sqlextract-reason";
const ORIGIN: &str = "x-sqlextract-origin";
const BROKER_COUNT: &str = "x-delivery-count";

/// All headers of a message have to fit into one frame, which has 128 KiB.
const LONGEST_REASON: usize = 16 << 10;
/// The protocol's limit for short strings, in bytes.
const LONGEST_ID: usize = 255;
const PERSISTENT: u8 = 2;

/// What travels with a message beside its content.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes {
    pub(super) redeliveries: u32,
    /// Why a parked message was parked, and the queue that it came from.
    pub(super) reason: Option<String>,
    pub(super) origin: Option<QueueName>,
    pub(super) content_type: Option<String>,
}

pub(super) fn content_type_of(queue: &QueueName) -> &'static str {
    match queue {
        QueueName::Requests | QueueName::Scripter | QueueName::Events { .. } => CLOUD_EVENT,
        QueueName::Ticks | QueueName::Batches { .. } | QueueName::LongBatches { .. } | QueueName::Parked => JSON,
    }
}

/// What is written to the broker. Persistent always: dead-lettered copies keep the mode.
pub(super) fn properties_of(message: &Message, notes: &Notes) -> Result<BasicProperties> {
    let short = |what: &str, text: &str| {
        ShortString::try_new(text).map_err(|_| {
            let start: String = text.chars().take(40).collect();
            let words = format!(
                "the {what} {start}… has {} bytes, and at most {LONGEST_ID} travel",
                text.len()
            );
            Failure::new(Code::Defect, words)
        })
    };
    let mut headers = FieldTable::default();
    let mut add = |key: &str, text: &str| {
        headers.insert(key.into(), AMQPValue::LongString(text.into()));
    };
    if let Some(traceparent) = &message.traceparent {
        add(TRACEPARENT, cut(traceparent, LONGEST_ID));
    }
    if let Some(reason) = &notes.reason {
        add(REASON, cut(reason, LONGEST_REASON));
    }
    if let Some(origin) = &notes.origin {
        add(ORIGIN, &origin.to_string());
    }
    if notes.redeliveries > 0 {
        headers.insert(REDELIVERIES.into(), AMQPValue::LongLongInt(notes.redeliveries.into()));
    }
    let content_type = notes.content_type.as_deref().unwrap_or(JSON);
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short("message id", &message.id)?)
        .with_content_type(short("content type", content_type)?)
        .with_headers(headers);
    if let Some(correlation) = &message.correlation {
        properties = properties.with_correlation_id(short("correlation id", correlation)?);
    }
    Ok(properties)
}

/// What was read from the broker. A message without an id is named by its content.
pub(super) fn read(
    queue: &QueueName,
    properties: &BasicProperties,
    body: Vec<u8>,
    redelivered: bool,
) -> (Message, Notes) {
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
    let headers = properties.headers().clone().unwrap_or_default();
    let counted = number(&headers, BROKER_COUNT).unwrap_or(u32::from(redelivered));
    let own = number(&headers, REDELIVERIES).unwrap_or(0);
    let parked = matches!(queue, QueueName::Parked);
    let notes = Notes {
        redeliveries: own.saturating_add(counted),
        reason: words(&headers, REASON).filter(|_| parked),
        origin: words(&headers, ORIGIN)
            .filter(|_| parked)
            .and_then(|name| QueueName::parse(&name)),
        content_type: text(properties.content_type()),
    };
    let message = Message {
        id: text(properties.message_id())
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| Digest::of(&body).to_string()),
        correlation: text(properties.correlation_id()),
        traceparent: words(&headers, TRACEPARENT),
        body,
    };
    (message, notes)
}

/// The properties of a returned message name it.
pub(super) fn id_of(properties: &BasicProperties) -> &str {
    properties.message_id().as_ref().map_or("", ShortString::as_str)
}

fn words(headers: &FieldTable, key: &str) -> Option<String> {
    match headers.inner().get(key)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Clients in other languages write numbers in other widths.
fn number(headers: &FieldTable, key: &str) -> Option<u32> {
    let wide = match headers.inner().get(key)? {
        AMQPValue::ShortShortInt(n) => i64::from(*n),
        AMQPValue::ShortShortUInt(n) => i64::from(*n),
        AMQPValue::ShortInt(n) => i64::from(*n),
        AMQPValue::ShortUInt(n) => i64::from(*n),
        AMQPValue::LongInt(n) => i64::from(*n),
        AMQPValue::LongUInt(n) => i64::from(*n),
        AMQPValue::LongLongInt(n) => *n,
        _ => return None,
    };
    Some(u32::try_from(wide.max(0)).unwrap_or(u32::MAX))
}

/// The longest head of the text that has at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
