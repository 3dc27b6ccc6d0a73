//! Why a row is not decoded, and which row it is.

use arrow::util::display::array_value_to_string;
use sqlextract_model::{ChunkType, Code, Failure};

use super::column::Column;
use super::decoder::RowDecoder;
use super::misfit::Misfit;
use super::oversized::Oversized;

/// Characters of a key's value in an error.
const SHOWN_KEY: usize = 80;

impl RowDecoder {
    pub(super) fn malformed(&self, reason: &str) -> Failure {
        Failure::new(Code::SourceProtocol, format!("{}: {reason}", self.table)).table(&self.table)
    }

    pub(super) fn misfit(&self, misfit: Misfit, field: usize, row: Option<&[u8]>) -> Failure {
        let name = &self.mappings[field].name;
        let failure = match misfit {
            Misfit::Malformed(reason) => self.malformed(reason),
            Misfit::Value(reason) => {
                let text = format!(
                    "{}, column {name}: {reason}, {:?}",
                    self.table, self.mappings[field].chunk
                );
                Failure::new(Code::ValueRefused, text)
                    .table(&self.table)
                    .remedy(format!(
                        "Take the column as text with `--column-type {}.{name}=text`.",
                        self.table
                    ))
            }
        };
        failure.column(name).row(self.row_name(row))
    }

    pub(super) fn too_large(&self, field: usize, row: Option<&[u8]>) -> Failure {
        let name = &self.mappings[field].name;
        let (bytes, limit) = (self.row_bytes, self.limits.row_bytes);
        let text = format!(
            "{}, column {name}: the row has {bytes} bytes or more, over the {limit} of a row",
            self.table
        );
        Failure::new(Code::ValueTooLarge, text)
            .table(&self.table)
            .column(name)
            .row(self.row_name(row))
    }

    /// The row by its key where all of it lies in the slice, else by its position.
    fn row_name(&self, row: Option<&[u8]>) -> String {
        let head = Some(self.row_head.as_slice()).filter(|head| !head.is_empty());
        row.or(head)
            .and_then(|row| self.key_of(row))
            .unwrap_or_else(|| format!("number {} of its range", self.rows + 1))
    }

    /// Why the row cannot be read.
    pub(crate) fn oversized_failure(&self, row: &Oversized) -> Failure {
        let column = self.mappings.get(row.largest()).map_or("", |mapping| &mapping.name);
        let key: Option<Vec<String>> = self.key.iter().map(|i| self.shown(*i, row.value(*i)?)).collect();
        let key = key.filter(|parts| !parts.is_empty()).map(|parts| parts.join(", "));
        let name = key.unwrap_or_else(|| "without a key".to_owned());
        let text = format!(
            "{}, column {column}, row {name}: the values are {} bytes long, over the {} of a row",
            self.table,
            row.bytes(),
            self.limits.row_bytes
        );
        Failure::new(Code::ValueTooLarge, text)
            .table(&self.table)
            .column(column)
            .row(name)
    }

    fn key_of(&self, row: &[u8]) -> Option<String> {
        let mut rest = row;
        let mut values = vec![None; self.mappings.len()];
        for value in &mut values {
            let Some((length, after)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let bytes = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let Some((field, after)) = after.split_at_checked(bytes) else {
                break;
            };
            *value = Some(field);
            rest = after;
        }
        let shown: Option<Vec<String>> = self.key.iter().map(|i| self.shown(*i, values[*i]?)).collect();
        shown.filter(|parts| !parts.is_empty()).map(|parts| parts.join(", "))
    }

    fn shown(&self, field: usize, value: &[u8]) -> Option<String> {
        let mut mapping = self.mappings[field].clone();
        // Arrow writes instants with a zone only by a table of zones.
        if let ChunkType::Timestamp { utc, .. } = &mut mapping.chunk {
            *utc = false;
        }
        let mut column = Column::new(&mapping).ok()?;
        column.append(value).ok()?;
        let text = array_value_to_string(&column.finish(), 0).ok()?;
        let short: String = text.chars().take(SHOWN_KEY).collect();
        Some(format!("{}={short}", self.mappings[field].name))
    }
}
