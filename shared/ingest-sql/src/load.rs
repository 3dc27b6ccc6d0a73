//! What is to be loaded, checked: the manifest and its entries are read from storage and are not trusted.

use std::collections::HashMap;

use sqlextract_model::{
    ChunkRecord, Code, ColumnMapping, Digest, Failure, Manifest, ManifestEntry, ManifestTable, ObjectKey, Outcome,
    Result, TableName, Target,
};

use crate::ScriptOptions;
use crate::facts::Facts;

/// A finished extraction, and where it goes.
#[derive(Debug)]
pub(crate) struct Load<'m> {
    pub(crate) manifest: &'m Manifest,
    pub(crate) sha256: Digest,
    /// The manifest, as `sqlextract cat` takes it.
    pub(crate) manifest_location: String,
    /// The destination of the job, without a slash at its end.
    pub(crate) root: String,
    /// The job's folder, where it is on a local disk.
    pub(crate) local_folder: Option<String>,
    pub(crate) tables: Vec<TableLoad<'m>>,
}

#[derive(Debug)]
pub(crate) struct TableLoad<'m> {
    pub(crate) table: &'m ManifestTable,
    /// The name that was asked for: schema and table.
    pub(crate) target: Option<(Option<String>, String)>,
    /// In the order of their keys, whatever the order of the pages.
    pub(crate) chunks: Vec<ChunkLoad<'m>>,
}

#[derive(Debug)]
pub(crate) struct ChunkLoad<'m> {
    pub(crate) record: &'m ChunkRecord,
    /// Every date and timestamp is within the years 1 to 9999, which all platforms read alike.
    pub(crate) plain_dates: bool,
}

impl ChunkLoad<'_> {
    /// The last part of the key, which no other chunk of the table has.
    pub(crate) fn file_name(&self) -> &str {
        self.record.key.rsplit('/').next().unwrap_or_default()
    }
}

/// Puts manifest and entries together, or says where they do not fit.
pub(crate) fn check<'m>(
    manifest: &'m Manifest,
    sha256: &Digest,
    entries: impl IntoIterator<Item = &'m ManifestEntry>,
    target: &Target,
    options: &ScriptOptions,
) -> Result<Load<'m>> {
    if manifest.outcome != Outcome::Completed {
        return Err(
            Failure::new(Code::UsageInvalid, format!("job {} was not completed", manifest.job))
                .remedy("Run its `extract` command again until it completes, then ask for the script."),
        );
    }
    let name = target_name(target, manifest)?;
    let mut tables: Vec<TableLoad<'m>> = manifest
        .tables
        .iter()
        .map(|table| TableLoad {
            table,
            target: name.clone(),
            chunks: Vec::new(),
        })
        .collect();
    let positions: HashMap<&TableName, usize> =
        manifest.tables.iter().enumerate().map(|(i, t)| (&t.table, i)).collect();
    for entry in entries {
        let load = positions.get(&entry.table).and_then(|i| tables.get_mut(*i));
        let load = load.ok_or_else(|| misfit(&entry.table, "the manifest has no such table"))?;
        add(manifest, load, entry)?;
    }
    for load in &mut tables {
        load.chunks.sort_by(|a, b| a.record.key.cmp(&b.record.key));
    }
    for load in &tables {
        let rows: u64 = load.chunks.iter().map(|c| c.record.rows).sum();
        let totals = &load.table.totals;
        if (rows, load.chunks.len() as u64) != (totals.rows, totals.chunks) {
            let found = format!(
                "its pages hold {rows} rows in {} chunks, its head says {} in {}",
                load.chunks.len(),
                totals.rows,
                totals.chunks
            );
            return Err(misfit(&load.table.table, &found));
        }
    }
    let root = location(&options.location)?;
    let manifest_key = ObjectKey::Manifest {
        job: manifest.job.clone(),
    };
    Ok(Load {
        manifest,
        sha256: *sha256,
        manifest_location: format!("{root}/{manifest_key}"),
        root: root.to_owned(),
        local_folder: root.starts_with('/').then(|| format!("{root}/{}", manifest.job)),
        tables,
    })
}

fn target_name(target: &Target, manifest: &Manifest) -> Result<Option<(Option<String>, String)>> {
    let Some(text) = &target.table else { return Ok(None) };
    if manifest.tables.len() != 1 {
        let count = manifest.tables.len();
        let message = format!(
            "job {} has {count} tables, which cannot all be loaded into one",
            manifest.job
        );
        return Err(Failure::new(Code::UsageInvalid, message).remedy("Leave the target's table name out."));
    }
    let parsed = TableName::parse(text).ok_or_else(|| {
        Failure::new(Code::UsageInvalid, format!("`{text}` is no table name"))
            .remedy("Write TABLE or SCHEMA.TABLE, with double quotes around a part that has a dot.")
    })?;
    Ok(Some(parsed))
}

fn add<'m>(manifest: &Manifest, load: &mut TableLoad<'m>, entry: &'m ManifestEntry) -> Result<()> {
    let table = load.table;
    if entry.generation != table.generation {
        return Err(misfit(
            &entry.table,
            &format!("batch {} is of another generation", entry.batch),
        ));
    }
    let in_plain_years = |column: &ColumnMapping| {
        Facts::of(entry.rows, column, &entry.columns).in_plain_years(&column.chunk) == Some(true)
    };
    let plain_dates = table.columns.iter().all(in_plain_years);
    for record in &entry.chunks {
        if !is_chunk_of(manifest, table, &record.key) {
            return Err(misfit(&entry.table, "a chunk's key is none that this program writes"));
        }
        load.chunks.push(ChunkLoad { record, plain_dates });
    }
    Ok(())
}

/// A key that was made by this project for this table is safe wherever a name is written.
fn is_chunk_of(manifest: &Manifest, of: &ManifestTable, relative: &str) -> bool {
    match ObjectKey::parse(&format!("{}/{relative}", manifest.job)) {
        Some(ObjectKey::Chunk {
            table,
            generation,
            extension,
            ..
        }) => table == of.segment && generation == of.generation && extension == manifest.format.extension(),
        _ => false,
    }
}

fn location(text: &str) -> Result<&str> {
    let root = text.trim_end_matches('/');
    let known = root.starts_with('/') || root.contains("://");
    if !known || text.chars().any(char::is_control) {
        return Err(Failure::new(
            Code::Defect,
            format!("a script cannot name the location {text:?}"),
        ));
    }
    Ok(root)
}

fn misfit(table: &TableName, what: &str) -> Failure {
    Failure::new(
        Code::ManifestUnreadable,
        format!("the manifest does not fit together for {table}: {what}"),
    )
    .table(table)
}
