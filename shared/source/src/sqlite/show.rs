//! Cells in the words of a failure: their class, and their value shortened.

use rusqlite::types::ValueRef;

use super::value::real_text;

const SHOWN_CHARACTERS: usize = 60;

/// A cell with its storage class, shortened.
pub(super) fn shown(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(_) => format!("the integer {}", literal(cell)),
        ValueRef::Real(_) => format!("the real {}", literal(cell)),
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => {
            format!(
                "a text of {} bytes that is not UTF-8: {}",
                bytes.len(),
                literal(ValueRef::Blob(bytes))
            )
        }
        ValueRef::Text(_) => format!("the text {}", literal(cell)),
        ValueRef::Blob(bytes) => format!("{} bytes: {}", bytes.len(), literal(cell)),
    }
}

pub(super) fn size(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Text(bytes) => format!("a text of {} bytes", bytes.len()),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
        other => shown(other),
    }
}

/// A cell as SQL writes it, shortened.
pub(super) fn literal(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => real_text(value),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARACTERS)]);
            let short: String = text
                .chars()
                .take(SHOWN_CHARACTERS)
                .flat_map(char::escape_debug)
                .collect();
            let more = if text.chars().count() > SHOWN_CHARACTERS {
                "…"
            } else {
                ""
            };
            format!("'{short}{more}'")
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes
                .iter()
                .take(SHOWN_CHARACTERS / 2)
                .map(|b| format!("{b:02x}"))
                .collect();
            let more = if bytes.len() > SHOWN_CHARACTERS / 2 { "…" } else { "" };
            format!("x'{hex}{more}'")
        }
    }
}
