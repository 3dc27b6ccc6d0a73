//! `cat`: chunks as text on standard output.

use std::io::Write;

use sqlextract_encoding::{TextKind, TextWriter, read_chunk};
use sqlextract_model::{ChunkRecord, Code, Failure, ManifestTable, Result};

use crate::args::{CatArgs, TextStyle};
use crate::finished::FinishedJob;
use crate::settings::SettingsFile;

pub(crate) async fn run(args: &CatArgs, file: &SettingsFile) -> Result<()> {
    let job = FinishedJob::open(&args.job, file).await?;
    let mut wanted: Vec<&str> = args.chunk.iter().map(String::as_str).collect();
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut current: Option<(String, TextWriter)> = None;
    for page in &job.manifest.pages {
        for entry in job.page(page.number).await? {
            if args
                .table
                .as_ref()
                .is_some_and(|t| *t != entry.table.to_string() && *t != entry.table.name)
            {
                continue;
            }
            let table = job
                .manifest
                .tables
                .iter()
                .find(|t| t.table == entry.table)
                .ok_or_else(|| {
                    Failure::new(
                        Code::ManifestUnreadable,
                        format!("the manifest has no table {}", entry.table),
                    )
                })?;
            for chunk in &entry.chunks {
                if !args.chunk.is_empty() && !wanted.contains(&chunk.key.as_str()) {
                    continue;
                }
                wanted.retain(|key| *key != chunk.key);
                let name = entry.table.to_string();
                if current.as_ref().is_none_or(|(table, _)| *table != name) {
                    let writer = TextWriter::new(kind(args.style), &table.columns);
                    if !write(&mut out, &writer.header()?)? {
                        return Ok(());
                    }
                    current = Some((name, writer));
                }
                if let Some((_, writer)) = &mut current
                    && !write_chunk(&job, table, chunk, writer, &mut out).await?
                {
                    return Ok(());
                }
            }
        }
    }
    if let Some(missing) = wanted.first() {
        return Err(Failure::new(
            Code::StorageMissing,
            format!("the manifest of {} names no chunk {missing}", job.manifest.job),
        ));
    }
    flush(&mut out)
}

fn kind(style: TextStyle) -> TextKind {
    match style {
        TextStyle::Csv => TextKind::Csv,
        TextStyle::Jsonl => TextKind::JsonLines,
        TextStyle::PgText => TextKind::PgText,
    }
}

/// `false` when the reader has closed its end.
async fn write_chunk(
    job: &FinishedJob,
    table: &ManifestTable,
    chunk: &ChunkRecord,
    writer: &mut TextWriter,
    out: &mut impl Write,
) -> Result<bool> {
    let bytes = job.records.read_chunk(&chunk.key, None).await?;
    let bytes = bytes.ok_or_else(|| Failure::new(Code::StorageMissing, format!("chunk {} is missing", chunk.key)))?;
    if sqlextract_model::Digest::of(&bytes) != chunk.sha256 {
        let text = format!("chunk {} is not what the manifest says", chunk.key);
        return Err(Failure::new(Code::StorageCorrupt, text).table(&table.table));
    }
    let mut text = Vec::new();
    for batch in read_chunk(job.manifest.format, &table.columns, bytes)? {
        text.clear();
        writer.write(&batch?, &mut text)?;
        if !write(out, &text)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<bool> {
    match out.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritten(error)),
    }
}

fn flush(out: &mut impl Write) -> Result<()> {
    match out.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::new(Code::StorageRejected, "standard output takes no more").because(error)
}
