//! Records, messages and names: whatever is read back from storage, a queue or a command line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlextract_model::{
    Batch, BatchMessage, ByteSize, CommitRecord, EpochRecord, Event, ExtractionRequest, JobId, JobRecord, Manifest,
    ManifestEntry, ObjectKey, TableName, TablePlan, TickMessage,
};

/// Reads what follows the first byte as the kind that this byte chooses. What is read must be written and read again as
/// the same.
///
/// # Panics
///
/// Where it is not.
pub fn record(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else {
        return;
    };
    match kind % 16 {
        0 => reads_back::<Batch>(body),
        1 => reads_back::<BatchMessage>(body),
        2 => reads_back::<CommitRecord>(body),
        3 => reads_back::<EpochRecord>(body),
        4 => reads_back::<Event>(body),
        5 => reads_back::<ExtractionRequest>(body),
        6 => reads_back::<JobRecord>(body),
        7 => reads_back::<Manifest>(body),
        8 => reads_back::<ManifestEntry>(body),
        9 => reads_back::<TablePlan>(body),
        10 => reads_back::<TickMessage>(body),
        _ => {
            if let Ok(text) = std::str::from_utf8(body) {
                name(*kind, text);
            }
        }
    }
}

fn reads_back<T: Serialize + DeserializeOwned>(body: &[u8]) {
    let Ok(record) = serde_json::from_slice::<T>(body) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    let second = serde_json::to_vec(&again).expect("what was read can be written");
    assert!(written == second, "a record changes as it is read and written");
}

fn name(kind: u8, text: &str) {
    match kind % 4 {
        0 => {
            if let Ok(size) = text.parse::<ByteSize>() {
                assert!(
                    size.to_string().parse::<ByteSize>().is_ok(),
                    "{text:?} is shown as {size}"
                );
            }
        }
        1 => {
            if let Some((schema, name)) = TableName::parse(text) {
                let shown = TableName::new(schema.clone().unwrap_or_default(), name.clone()).to_string();
                let again = TableName::parse(&shown);
                assert!(
                    schema.is_none() || again == Some((schema, name)),
                    "{text:?} is shown as {shown}"
                );
            }
        }
        2 => {
            if let Some(key) = ObjectKey::parse(text) {
                assert_eq!(key.to_string(), text, "a key is not what its text says");
            }
        }
        _ => {
            if let Some(job) = JobId::new(text) {
                let key = ObjectKey::Manifest { job };
                assert_eq!(
                    ObjectKey::parse(&key.to_string()),
                    Some(key),
                    "{text:?} is a job without a place"
                );
            }
        }
    }
}
