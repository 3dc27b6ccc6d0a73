//! Rows as text for pipes: what `cat` writes.

use arrow::array::RecordBatch;
use sqlextract_model::{Code, ColumnMapping, Failure, Result};

use crate::cells::Cells;
use crate::csv::{self, CsvRows};
use crate::{copy_text, json};

/// A form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// The neutral CSV dialect, with a header.
    Csv,
    /// One JSON object a row, keys in the plan's order. Decimals, dates, times, timestamps and JSON are strings of their
    /// text, bytes of hexadecimal digits, NaN and the infinities of their names.
    JsonLines,
    /// The text format of PostgreSQL's `COPY`: tabs, `\N`, backslash escapes, `t` and `f`, bytes as `\x…`, lists as array
    /// literals. Any server reads it under any session settings but a foreign `client_encoding`.
    PgText,
}

impl std::str::FromStr for TextKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::JsonLines),
            "pg-text" => Ok(Self::PgText),
            _ => Err(format!("`{text}` is none of csv, jsonl, pg-text")),
        }
    }
}

/// Writes record batches as text.
#[derive(Debug)]
pub struct TextWriter {
    kind: TextKind,
    columns: Vec<ColumnMapping>,
    /// The keys of a JSON object with their punctuation, made once.
    keys: Vec<Vec<u8>>,
    rows: u64,
}

impl TextWriter {
    pub fn new(kind: TextKind, columns: &[ColumnMapping]) -> Self {
        let key = |(position, mapping): (usize, &ColumnMapping)| {
            let mut key = vec![if position == 0 { b'{' } else { b',' }];
            json::string(&mut key, &mapping.name);
            key.push(b':');
            key
        };
        Self {
            kind,
            columns: columns.to_vec(),
            keys: columns.iter().enumerate().map(key).collect(),
            rows: 0,
        }
    }

    /// What comes before the first row: CSV's header, else nothing.
    ///
    /// # Errors
    /// `type_unsupported` for a name that CSV cannot carry.
    pub fn header(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if self.kind == TextKind::Csv {
            csv::header(&self.columns, &mut out)?;
        }
        Ok(out)
    }

    /// Appends the rows of a batch.
    ///
    /// # Errors
    /// `value_refused` for a value that the form cannot carry, `defect` for a batch of other columns.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Failure::new(
                Code::Defect,
                "a record batch has other columns than the plan",
            ));
        }
        if self.kind == TextKind::Csv {
            let mut rows = CsvRows::new(&self.columns, batch)?;
            for row in 0..batch.num_rows() {
                self.rows += 1;
                rows.write(row, self.rows, out)?;
            }
            return Ok(());
        }
        let pairs = self.columns.iter().zip(batch.columns());
        let cells = pairs
            .map(|(mapping, array)| Cells::new(&mapping.chunk, array.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let written = match self.kind {
                TextKind::PgText => copy_text::record(&cells, row, out),
                _ => self.json_line(&cells, row, out),
            };
            written.map_err(|(position, wrong)| self.refused(position, wrong))?;
        }
        Ok(())
    }

    fn json_line(
        &self,
        cells: &[Cells<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), (usize, &'static str)> {
        for (position, (key, cells)) in self.keys.iter().zip(cells).enumerate() {
            out.extend_from_slice(key);
            json::value(cells, row, out).map_err(|wrong| (position, wrong))?;
        }
        out.extend_from_slice(if cells.is_empty() { b"{}\n" } else { b"}\n" });
        Ok(())
    }

    fn refused(&self, position: usize, wrong: &str) -> Failure {
        let name = &self.columns[position].name;
        Failure::new(
            Code::ValueRefused,
            format!("row {} of column `{name}` {wrong}", self.rows),
        )
        .column(name)
        .row(format!("row {}", self.rows))
    }
}
