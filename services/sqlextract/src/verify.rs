//! `verify`: a manifest against the listing, the bytes, or the database. Names chunk and column.

use std::collections::HashMap;

use sqlextract_encoding::{Aggregator, merge, read_chunk};
use sqlextract_model::{
    ChunkRecord, Code, ColumnAggregate, Digest, Failure, ManifestEntry, ManifestTable, ObjectKey, Relation, Result,
};
use sqlextract_source::Source;

use crate::args::{Depth, VerifyArgs};
use crate::finished::FinishedJob;
use crate::ports;
use crate::settings::{SettingsFile, choose_source};

/// What was looked at, and what was found to be wrong.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) job: String,
    pub(crate) chunks: u64,
    pub(crate) rows: u64,
    pub(crate) findings: Vec<Failure>,
}

pub(crate) async fn run(args: &VerifyArgs, file: &SettingsFile) -> Result<Verdict> {
    let job = FinishedJob::open(&args.job, file).await?;
    let mut verdict = Verdict {
        job: job.manifest.job.to_string(),
        ..Verdict::default()
    };
    check_listing(&job, args.depth, &mut verdict).await?;
    if args.depth == Depth::Source {
        let variable = |key: &str| std::env::var(key).ok();
        let choice = choose_source(file, args.source.as_deref(), args.job.place.allow_plaintext, variable)?;
        let source = ports::open_source(&choice, 4).await?;
        check_source(&job, source.as_ref(), &mut verdict).await?;
    }
    Ok(verdict)
}

/// Every chunk that the manifest names is there once, with its size (and bytes at depth `full`); nothing else is.
async fn check_listing(job: &FinishedJob, depth: Depth, verdict: &mut Verdict) -> Result<()> {
    let mut listed: HashMap<String, u64> = HashMap::new();
    let prefix = ObjectKey::job_prefix(&job.manifest.job);
    for object in job.records.chunks().await? {
        let relative = object.key.strip_prefix(&prefix).unwrap_or(&object.key).to_owned();
        listed.insert(relative, object.bytes);
    }
    let mut seen = HashMap::new();
    let mut rows: HashMap<String, u64> = HashMap::new();
    for page in &job.manifest.pages {
        for entry in job.page(page.number).await? {
            let batch = (entry.table.clone(), entry.generation, entry.batch);
            if seen.insert(batch, ()).is_some() {
                let text = format!("batch {} is in the manifest twice", entry.batch.0);
                verdict.findings.push(mismatch(text).table(&entry.table));
            }
            *rows.entry(entry.table.to_string()).or_default() += entry.rows;
            check_chunks(job, &entry, depth, &mut listed, verdict).await?;
        }
    }
    for (key, bytes) in listed {
        verdict.findings.push(mismatch(format!(
            "{key} ({bytes} bytes) is foreign: the manifest does not name it"
        )));
    }
    for table in &job.manifest.tables {
        let counted = rows.get(&table.table.to_string()).copied().unwrap_or(0);
        if counted != table.totals.rows {
            let text = format!(
                "the batches of {} hold {counted} rows, its total says {}",
                table.table, table.totals.rows
            );
            verdict.findings.push(mismatch(text).table(&table.table));
        }
    }
    Ok(())
}

async fn check_chunks(
    job: &FinishedJob,
    entry: &ManifestEntry,
    depth: Depth,
    listed: &mut HashMap<String, u64>,
    verdict: &mut Verdict,
) -> Result<()> {
    for chunk in &entry.chunks {
        verdict.chunks += 1;
        match listed.remove(&chunk.key) {
            Some(bytes) if bytes == chunk.bytes => {}
            Some(bytes) => {
                let text = format!(
                    "chunk {} has {bytes} bytes, the manifest says {}",
                    chunk.key, chunk.bytes
                );
                verdict.findings.push(mismatch(text).table(&entry.table));
                return Ok(());
            }
            None => {
                verdict
                    .findings
                    .push(mismatch(format!("chunk {} is missing", chunk.key)).table(&entry.table));
                return Ok(());
            }
        }
    }
    let rows: u64 = entry.chunks.iter().map(|c| c.rows).sum();
    if rows != entry.rows {
        let text = format!(
            "the chunks of batch {} hold {rows} rows, the batch says {}",
            entry.batch.0, entry.rows
        );
        verdict.findings.push(mismatch(text).table(&entry.table));
    }
    verdict.rows += rows;
    if depth == Depth::Full
        && let Some(table) = job.manifest.tables.iter().find(|t| t.table == entry.table)
    {
        check_bytes(job, table, entry, verdict).await?;
    }
    Ok(())
}

async fn check_bytes(
    job: &FinishedJob,
    table: &ManifestTable,
    entry: &ManifestEntry,
    verdict: &mut Verdict,
) -> Result<()> {
    let mut total: Option<Vec<ColumnAggregate>> = None;
    for chunk in &entry.chunks {
        let Some(bytes) = job.records.read_chunk(&chunk.key, None).await? else {
            verdict
                .findings
                .push(mismatch(format!("chunk {} is missing", chunk.key)).table(&table.table));
            return Ok(());
        };
        if Digest::of(&bytes) != chunk.sha256 {
            verdict
                .findings
                .push(mismatch(format!("chunk {} was changed: its SHA-256 differs", chunk.key)).table(&table.table));
            return Ok(());
        }
        match aggregate_chunk(job, table, chunk, bytes) {
            Ok(columns) => {
                total = Some(match total {
                    None => columns,
                    Some(before) => merged(&before, &columns, table),
                });
            }
            Err(finding) => {
                verdict.findings.push(finding.table(&table.table));
                return Ok(());
            }
        }
    }
    for (found, said) in total.unwrap_or_default().iter().zip(&entry.columns) {
        if found != said {
            let text = format!(
                "column {} of batch {} differs: {}",
                said.name,
                entry.batch.0,
                difference(found, said, "the file", "the manifest")
            );
            verdict
                .findings
                .push(mismatch(text).table(&table.table).column(&*said.name));
        }
    }
    Ok(())
}

fn aggregate_chunk(
    job: &FinishedJob,
    table: &ManifestTable,
    chunk: &ChunkRecord,
    bytes: bytes::Bytes,
) -> Result<Vec<ColumnAggregate>> {
    let mut aggregator = Aggregator::new(&table.columns);
    let mut rows = 0;
    for batch in read_chunk(job.manifest.format, &table.columns, bytes)? {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        aggregator.update(&batch)?;
    }
    if rows != chunk.rows {
        return Err(mismatch(format!(
            "chunk {} holds {rows} rows, the manifest says {}",
            chunk.key, chunk.rows
        )));
    }
    Ok(aggregator.finish())
}

fn merged(a: &[ColumnAggregate], b: &[ColumnAggregate], table: &ManifestTable) -> Vec<ColumnAggregate> {
    a.iter()
        .zip(b)
        .zip(&table.columns)
        .map(|((a, b), column)| merge(a, b, &column.chunk))
        .collect()
}

/// Counts and aggregates of each table against the database, which may have moved on.
async fn check_source(job: &FinishedJob, source: &dyn Source, verdict: &mut Verdict) -> Result<()> {
    let mut differing = Vec::new();
    for table in &job.manifest.tables {
        let relation = match &table.query {
            Some(sql) => Relation::Query(sql.clone()),
            None => Relation::Table(table.table.clone()),
        };
        let (rows, columns) = source
            .aggregate(&relation, table.filter.as_deref(), &table.columns)
            .await?;
        if rows != table.totals.rows {
            let text = format!(
                "{} has {rows} rows in the source, {} in the extraction",
                table.table, table.totals.rows
            );
            differing.push(mismatch(text).table(&table.table));
        }
        for (found, said) in columns.iter().zip(&table.aggregates) {
            let said = comparable(said, found);
            if *found != said {
                let text = format!(
                    "column {} of {} differs: {}",
                    said.name,
                    table.table,
                    difference(found, &said, "the source", "the extraction")
                );
                differing.push(mismatch(text).table(&table.table).column(&*said.name));
            }
        }
    }
    if !differing.is_empty() && source_moved(job, source).await? {
        let failure = Failure::new(
            Code::SourceChanged,
            format!("the source has changed since job {}", job.manifest.job),
        );
        let failure = differing.iter().fold(failure, |f, finding| f.because(finding));
        verdict.findings.push(failure);
        return Ok(());
    }
    verdict.findings.extend(differing);
    Ok(())
}

/// Only what the source's SQL can compute is compared.
fn comparable(said: &ColumnAggregate, found: &ColumnAggregate) -> ColumnAggregate {
    ColumnAggregate {
        name: said.name.clone(),
        count: said.count,
        nan: found.nan.and(said.nan),
        sum: found.sum.as_ref().and(said.sum.clone()),
        min: found.min.as_ref().and(said.min.clone()),
        max: found.max.as_ref().and(said.max.clone()),
    }
}

/// Whether the database shows that it has changed since the extraction; without evidence it is not known to have.
async fn source_moved(job: &FinishedJob, source: &dyn Source) -> Result<bool> {
    let Some(then) = job.records.epochs().await?.pop().and_then(|epoch| epoch.evidence) else {
        return Ok(false);
    };
    Ok(source.snapshot().await?.is_some_and(|now| *now.evidence() != then))
}

fn difference(found: &ColumnAggregate, said: &ColumnAggregate, here: &str, there: &str) -> String {
    let mut parts = Vec::new();
    if found.count != said.count {
        parts.push(format!("{} values in {here}, {} in {there}", found.count, said.count));
    }
    let pairs = [
        ("sum", &found.sum, &said.sum),
        ("min", &found.min, &said.min),
        ("max", &found.max, &said.max),
    ];
    for (what, found, said) in pairs {
        if found != said {
            let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "none".to_owned());
            parts.push(format!("{what} {} in {here}, {} in {there}", shown(found), shown(said)));
        }
    }
    if found.nan != said.nan {
        parts.push("the number of NaN".to_owned());
    }
    parts.join("; ")
}

fn mismatch(text: String) -> Failure {
    Failure::new(Code::VerificationMismatch, text)
}
