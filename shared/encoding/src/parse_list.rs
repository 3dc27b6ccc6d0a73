//! Lists from the JSON that the encoder writes: no blanks, no escapes but those that are needed.

use crate::parse::{ColumnBuilder, ListBuilder, Parsed};

const NO_LIST: &str = "has a list that is not as written";

/// Reads a whole list into `builder`.
pub(crate) fn read(text: &str, builder: &mut ListBuilder) -> Parsed<()> {
    let mut rest = text;
    list(&mut rest, builder)?;
    if rest.is_empty() { Ok(()) } else { Err(NO_LIST) }
}

/// The depth of lists is the type's, so that no text can nest deeper.
fn list(rest: &mut &str, builder: &mut ListBuilder) -> Parsed<()> {
    take(rest, '[')?;
    if take(rest, ']').is_err() {
        loop {
            element(rest, &mut builder.values)?;
            builder.length = builder.length.checked_add(1).ok_or(NO_LIST)?;
            if take(rest, ',').is_err() {
                take(rest, ']')?;
                break;
            }
        }
    }
    builder.end_list(true);
    Ok(())
}

fn element(rest: &mut &str, values: &mut ColumnBuilder) -> Parsed<()> {
    if let Some(behind) = rest.strip_prefix("null") {
        *rest = behind;
        values.push_null();
        return Ok(());
    }
    if let ColumnBuilder::List(inner) = values {
        return list(rest, inner);
    }
    if rest.starts_with('"') {
        return values.push_value(&string(rest)?);
    }
    // What stands bare in JSON is bare here: a text or a decimal without quotes is not of our making.
    let bare = matches!(
        values,
        ColumnBuilder::Boolean(_)
            | ColumnBuilder::Int8(_)
            | ColumnBuilder::Int16(_)
            | ColumnBuilder::Int32(_)
            | ColumnBuilder::Int64(_)
            | ColumnBuilder::Float32(_)
            | ColumnBuilder::Float64(_)
    );
    let end = rest.find([',', ']']).filter(|_| bare).ok_or(NO_LIST)?;
    let (literal, behind) = rest.split_at(end);
    *rest = behind;
    values.push_value(literal)
}

fn string(rest: &mut &str) -> Parsed<String> {
    take(rest, '"')?;
    let mut text = String::new();
    loop {
        let at = rest.find(['"', '\\']).ok_or(NO_LIST)?;
        text.push_str(&rest[..at]);
        let quote = rest[at..].starts_with('"');
        *rest = &rest[at + 1..];
        if quote {
            return Ok(text);
        }
        text.push(escape(rest)?);
    }
}

/// What stands behind a backslash.
fn escape(rest: &mut &str) -> Parsed<char> {
    let mut chars = rest.chars();
    let escaped = match chars.next() {
        Some('"') => '"',
        Some('\\') => '\\',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let digits = rest
                .get(1..5)
                .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or(NO_LIST)?;
            let control = u32::from_str_radix(digits, 16)
                .ok()
                .filter(|code| *code < 0x20)
                .ok_or(NO_LIST)?;
            *rest = &rest[5..];
            return char::from_u32(control).ok_or(NO_LIST);
        }
        _ => return Err(NO_LIST),
    };
    *rest = chars.as_str();
    Ok(escaped)
}

fn take(rest: &mut &str, expected: char) -> Parsed<()> {
    *rest = rest.strip_prefix(expected).ok_or(NO_LIST)?;
    Ok(())
}
