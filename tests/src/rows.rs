//! Rows as text, however they come.

use serde_json::Value;

/// Rows as text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// Undoes the escapes of the client's batch mode.
pub(crate) fn mysql_rows(told: &str) -> Rows {
    let cell = |text: &str| {
        if text == "NULL" {
            return None;
        }
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            plain.push(match letter {
                '\\' => match letters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('0') => '\0',
                    Some(other) => other,
                    None => '\\',
                },
                other => other,
            });
        }
        Some(plain)
    };
    told.lines().map(|row| row.split('\t').map(cell).collect()).collect()
}

/// Rows that a Python program wrote.
pub(crate) fn from_json(rows: &Value) -> Rows {
    let cell = |value: &Value| value.as_str().map(str::to_owned);
    let row = |row: &Value| row.as_array().map(|cells| cells.iter().map(cell).collect());
    let rows = rows.as_array().expect("rows are a list");
    rows.iter().map(|r| row(r).expect("a row is a list")).collect()
}
