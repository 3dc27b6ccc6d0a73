//! What upstream systems send: requests and orders about jobs, as CloudEvents or as bare data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Code, Compression, Condition, Consistency, Digest, Failure, Format, JobId, OnLossy, OnSnapshotLost, ParquetVersion,
    Target,
};

/// Larger bodies are refused before they are parsed.
pub const LONGEST_REQUEST_BYTES: usize = 1 << 20;
/// Longer ids are no ids.
const LONGEST_ID_BYTES: usize = 256;

const REQUESTED: &str = "io.sqlextract.extraction.requested";
const CANCEL: &str = "io.sqlextract.extraction.cancel_requested";
const PAUSE: &str = "io.sqlextract.extraction.pause_requested";
const RESUME: &str = "io.sqlextract.extraction.resume_requested";
const GIVE_UP: &str = "io.sqlextract.extraction.give_up_requested";

/// Data of `io.sqlextract.extraction.requested.v1`. Sources, destinations and targets are names in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestData {
    pub source: String,
    pub destination: String,
    /// At least one.
    pub tables: Vec<TableRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Within the range of the compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<i32>,
    /// Of Parquet's encodings; left out, those that every reader has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet_version: Option<ParquetVersion>,
    /// Rows of a batch; left out, planning chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_rows: Option<u64>,
    /// Target size of a chunk as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<u64>,
    /// Left out, the best level that the source offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    #[serde(default)]
    pub on_lossy: OnLossy,
    #[serde(default)]
    pub on_snapshot_lost: OnSnapshotLost,
    /// The scripts that are wanted.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Bounds on what the job takes from the source, beside the source's own.
    #[serde(default)]
    pub limits: JobLimits,
    /// Words of the sender's own; they come back in the job's record.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A table of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableRequest {
    /// `table`, `schema.table`, or `schema.*`; a part with a dot or a quote goes in double quotes.
    pub name: String,
    /// Left out, all columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Condition>,
}

/// What a job may take per second; left out, the source's own limit alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// Data of an order about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderData {
    pub job: JobId,
    /// The job's destination by its name; left out, every destination is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// What is to become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// End it as cancelled.
    Cancel,
    /// Publish no more of its batches.
    Pause,
    /// Go on, and try parked batches again.
    Resume,
    /// End it as failed, with what its parked batches failed for.
    GiveUp,
}

impl Order {
    pub fn event_type(self) -> String {
        let name = match self {
            Self::Cancel => CANCEL,
            Self::Pause => PAUSE,
            Self::Resume => RESUME,
            Self::GiveUp => GIVE_UP,
        };
        format!("{name}.v1")
    }
}

/// A message from outside, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    Request { sender: Sender, data: Box<RequestData> },
    Order { order: Order, data: OrderData },
}

/// Who asked, under which id: the pair is one request, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sender {
    pub id: String,
    /// The CloudEvent's `source`; empty for bare data.
    pub source: String,
}

impl Sender {
    pub fn digest(&self) -> Digest {
        crate::canonical_hash(self)
    }
}

/// A message that is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The message's own id where it can be read, else the hash of its bytes.
    pub id: String,
    /// Whether the sender's id was found: without one the message is parked as well.
    pub has_own_id: bool,
    pub failure: Failure,
}

#[derive(Deserialize)]
struct Head {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

impl Incoming {
    /// Reads a CloudEvent in structured mode, or bare request data under the message's own id.
    pub fn read(body: &[u8], message_id: &str) -> Result<Self, Unreadable> {
        // A queue calls a message that came without an id by the hash of its bytes.
        let message_id = match message_id == Digest::of(body).to_string() {
            true => "",
            false => message_id,
        };
        if body.len() > LONGEST_REQUEST_BYTES {
            let text = format!(
                "a message of {} bytes is not read; at most {LONGEST_REQUEST_BYTES}",
                body.len()
            );
            return Err(unreadable(body, message_id, text, None));
        }
        let head: Head = serde_json::from_slice(body)
            .map_err(|e| unreadable(body, message_id, "the message is no JSON object".to_owned(), Some(e)))?;
        let Some(version) = &head.specversion else {
            let data = serde_json::from_slice(body)
                .map_err(|e| unreadable(body, message_id, "the request cannot be read".to_owned(), Some(e)))?;
            let id = own_id(message_id).ok_or_else(|| {
                let text = "bare request data needs a message id".to_owned();
                unreadable(body, message_id, text, None)
            })?;
            let sender = Sender {
                id,
                source: String::new(),
            };
            return Ok(Self::Request { sender, data });
        };
        let event_id = head.id.as_deref().unwrap_or(message_id);
        let refuse = |text: String, cause: Option<serde_json::Error>| unreadable(body, event_id, text, cause);
        if !version.starts_with("1.") {
            return Err(refuse(format!("CloudEvents of version {version:?} are not read"), None));
        }
        let id = own_id(event_id)
            .ok_or_else(|| refuse("the event has no id of 1 to 256 printable characters".to_owned(), None))?;
        let kind = head.kind.as_deref().unwrap_or_default();
        let (name, major) = kind.rsplit_once('.').unwrap_or((kind, ""));
        let order = match name {
            REQUESTED => None,
            CANCEL => Some(Order::Cancel),
            PAUSE => Some(Order::Pause),
            RESUME => Some(Order::Resume),
            GIVE_UP => Some(Order::GiveUp),
            _ => return Err(refuse(format!("events of type {kind:?} are not read here"), None)),
        };
        if major != "v1" {
            return Err(refuse(format!("version {major:?} of {name} is not known; v1 is"), None));
        }
        let read_data = |e| refuse("the event's data cannot be read".to_owned(), Some(e));
        if let Some(order) = order {
            let Body { data } = serde_json::from_slice(body).map_err(read_data)?;
            return Ok(Self::Order { order, data });
        }
        let Body { data } = serde_json::from_slice(body).map_err(read_data)?;
        let source = head.source.unwrap_or_default();
        Ok(Self::Request {
            sender: Sender { id, source },
            data,
        })
    }
}

/// An id that may stand in logs, events and headers.
fn own_id(text: &str) -> Option<String> {
    let valid = !text.is_empty() && text.len() <= LONGEST_ID_BYTES && !text.chars().any(char::is_control);
    valid.then(|| text.to_owned())
}

fn unreadable(body: &[u8], id: &str, text: String, cause: Option<serde_json::Error>) -> Unreadable {
    let own = own_id(id);
    let has_own_id = own.is_some();
    let mut failure = Failure::new(Code::MessageUnreadable, text);
    if let Some(cause) = cause {
        failure = failure.because(cause);
    }
    Unreadable {
        id: own.unwrap_or_else(|| Digest::of(body).to_string()),
        has_own_id,
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"source":"shop","destination":"lake","tables":[{"name":"public.orders"}],"team":"unknown fields are ignored"}"#;

    fn event(kind: &str, data: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"e-1","source":"/billing","type":"{kind}","data":{data}}}"#)
    }

    #[test]
    fn an_event_and_bare_data_are_the_same_request() {
        let kind = "io.sqlextract.extraction.requested.v1";
        let Ok(Incoming::Request { sender, data }) = Incoming::read(event(kind, DATA).as_bytes(), "ignored") else {
            panic!("an event is read")
        };
        assert_eq!((sender.id.as_str(), sender.source.as_str()), ("e-1", "/billing"));
        let Ok(Incoming::Request { sender, data: bare }) = Incoming::read(DATA.as_bytes(), "m-7") else {
            panic!("bare data is read")
        };
        assert_eq!((sender.id.as_str(), bare), ("m-7", data));
    }

    #[test]
    fn orders_name_a_job() {
        let text = event(
            &Order::Cancel.event_type(),
            r#"{"job":"orders-1","destination":"lake"}"#,
        );
        let Ok(Incoming::Order { order, data }) = Incoming::read(text.as_bytes(), "") else {
            panic!("an order is read")
        };
        assert_eq!((order, data.job.as_str()), (Order::Cancel, "orders-1"));
        let text = event(&Order::Pause.event_type(), r#"{"job":"../x"}"#);
        assert!(Incoming::read(text.as_bytes(), "").is_err(), "a job's name is checked");
    }

    #[test]
    fn what_cannot_be_read_is_refused_under_the_best_id_there_is() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let nested = format!(r#"{{"specversion":"1.0","id":"e-1","type":"x","data":{deep}}}"#);
        let large = vec![b' '; LONGEST_REQUEST_BYTES + 1];
        let hash = Digest::of(b"not json").to_string();
        let cases: [(&[u8], &str, Option<&str>); 8] = [
            (b"not json", &hash, None),
            (b"not json", "m-1", Some("m-1")),
            (b"not json", "", None),
            (b"{}", "m-1", Some("m-1")),
            (DATA.as_bytes(), "", None),
            (deep.as_bytes(), "m-1", Some("m-1")),
            (nested.as_bytes(), "m-1", Some("e-1")),
            (&large, "m-1", Some("m-1")),
        ];
        for (body, message_id, id) in cases {
            let refused = Incoming::read(body, message_id).unwrap_err();
            assert_eq!(refused.has_own_id, id.is_some());
            assert_eq!(
                refused.id,
                id.map_or_else(|| Digest::of(body).to_string(), str::to_owned)
            );
            assert_eq!(refused.failure.code, Code::MessageUnreadable);
        }
        let newer = event("io.sqlextract.extraction.requested.v2", DATA);
        let refused = Incoming::read(newer.as_bytes(), "m-1").unwrap_err();
        assert_eq!(refused.id, "e-1");
        assert!(refused.failure.message.contains("v2"), "{}", refused.failure);
    }
}
