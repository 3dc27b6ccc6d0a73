//! PostgreSQL, through psql: one transaction, one `\copy` per chunk, a count, a ledger.
//!
//! Rows come through `sqlextract cat --as pg-text`: COPY's text format has no quoted line breaks, so that a line `\.`
//! within a value, which psql before 18 takes for the end of its input, cannot occur. A CSV chunk on a local disk is
//! given to `\copy` as it is where nothing in it needs that.
//!
//! psql puts no variables into `\copy` lines, and a failing program is noticed only after its rows were sent: hence
//! literal names, the transaction, `ON_ERROR_STOP`, and the count of the rows that this transaction wrote.

mod columns;

use std::fmt::Write as _;

use sqlextract_model::{ChunkType, Code, Compression, Dialect, Failure, Format, Result};

use crate::load::{ChunkLoad, Load, TableLoad};
use crate::quote::{
    comment_text, postgres_dollar_quoted, postgres_identifier, postgres_literal, postgres_name_problem, psql_argument,
    shell_word,
};

/// One script loads at a time, so that two cannot create the same ledger at once. Any number that others do not use.
const LOCK: i64 = 0x73_71_6c_65_78_74_72;

pub(crate) fn script(load: &Load<'_>) -> Result<String> {
    let places: Vec<Place> = load.tables.iter().map(|t| Place::of(load, t)).collect();
    check_names(load, &places)?;
    let mut out = header(load, &places);
    out.push_str(&opening());
    for (table, place) in load.tables.iter().zip(&places) {
        out.push_str(&table_section(load, table, place)?);
    }
    out.push_str("\nCOMMIT;\n");
    Ok(out)
}

/// Where a table goes.
struct Place {
    schema: String,
    name: String,
}

impl Place {
    /// The name asked for, else the source's; `public` where the source's schema is none (SQLite, queries).
    fn of(load: &Load<'_>, table: &TableLoad<'_>) -> Self {
        let source = &table.table.table;
        let has_schema = table.table.query.is_none() && load.manifest.source.dialect != Dialect::Sqlite;
        let default = if has_schema {
            source.schema.clone()
        } else {
            "public".to_owned()
        };
        match &table.target {
            Some((schema, name)) => Self {
                schema: schema.clone().unwrap_or(default),
                name: name.clone(),
            },
            None => Self {
                schema: default,
                name: source.name.clone(),
            },
        }
    }

    fn quoted(&self) -> String {
        format!(
            "{}.{}",
            postgres_identifier(&self.schema),
            postgres_identifier(&self.name)
        )
    }

    fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn ledger(&self) -> String {
        format!("{}.\"sqlextract_loads\"", postgres_identifier(&self.schema))
    }
}

fn check_names(load: &Load<'_>, places: &[Place]) -> Result<()> {
    let mut findings = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (table, place) in load.tables.iter().zip(places) {
        let shown = place.shown();
        for (part, name) in [("schema", &place.schema), ("table", &place.name)] {
            findings.extend(postgres_name_problem(name).map(|problem| format!("{part} {name:?} {problem}")));
        }
        if place.quoted() == place.ledger() {
            findings.push(format!("{shown} is the name of the ledger of loads"));
        }
        if !seen.insert(place.quoted()) {
            findings.push(format!("two tables would both be {shown}"));
        }
        findings.extend(
            columns::findings(table.table)
                .into_iter()
                .map(|finding| format!("{shown}: {finding}")),
        );
    }
    if findings.is_empty() {
        return Ok(());
    }
    let message = format!(
        "job {} holds names or columns that PostgreSQL cannot have",
        load.manifest.job
    );
    let failure = Failure::new(Code::UsageInvalid, message)
        .remedy("Extract a query that gives other names (`--query NAME='SELECT … AS …'`), or name the target's table.");
    Err(findings
        .into_iter()
        .fold(failure, |failure, finding| failure.because(finding)))
}

fn header(load: &Load<'_>, places: &[Place]) -> String {
    let manifest = load.manifest;
    let mut out = format!(
        "-- Loads an extraction into PostgreSQL. Written by sqlextract {}.\n\
         --\n\
         -- Run it with psql 10 or newer, with sqlextract in the PATH:\n\
         --\n\
         --   psql -X -v ON_ERROR_STOP=1 -f FILE\n\
         --\n\
         -- It is one transaction: all of it or nothing. A second run changes nothing and says so.\n\
         --\n\
         -- job: {}\n\
         -- finished: {}\n\
         -- manifest: {}\n\
         -- manifest sha256: {}\n",
        env!("CARGO_PKG_VERSION"),
        comment_text(manifest.job.as_str()),
        comment_text(&manifest.finished_at),
        comment_text(&load.manifest_location),
        load.sha256,
    );
    for (table, place) in load.tables.iter().zip(places) {
        let totals = &table.table.totals;
        let _ = writeln!(
            out,
            "-- table: {} from {}, rows: {}, chunks: {}",
            comment_text(&place.shown()),
            comment_text(&table.table.table.to_string()),
            totals.rows,
            totals.chunks
        );
    }
    out
}

fn opening() -> String {
    format!(
        "\n\\set ON_ERROR_STOP on\n\
         \\set ON_ERROR_ROLLBACK off\n\
         SET client_encoding = 'UTF8';\n\
         SET standard_conforming_strings = on;\n\
         SET client_min_messages = warning;\n\
         SET datestyle = 'ISO, YMD';\n\
         BEGIN;\n\
         SELECT pg_advisory_xact_lock({LOCK}) IS NULL AS sqlextract_alone \\gset\n"
    )
}

fn table_section(load: &Load<'_>, table: &TableLoad<'_>, place: &Place) -> Result<String> {
    let rows = table.table.totals.rows;
    let (job, shown) = (postgres_literal(load.manifest.job.as_str()), place.shown());
    let mut out = format!(
        "\n-- {comment}\n\
         SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {schema_text}) AS sqlextract_new \\gset\n\
         \\if :sqlextract_new\n\
         CREATE SCHEMA {schema};\n\
         \\endif\n\
         CREATE TABLE IF NOT EXISTS {ledger} (\n  \
           job text NOT NULL,\n  \
           table_name text NOT NULL,\n  \
           rows bigint NOT NULL,\n  \
           loaded_at timestamptz NOT NULL DEFAULT now(),\n  \
           PRIMARY KEY (job, table_name)\n\
         );\n\
         CREATE TABLE IF NOT EXISTS {quoted} (\n{definitions}\n);\n\
         WITH claim AS (\n  \
           INSERT INTO {ledger} (job, table_name, rows) VALUES ({job}, {name}, {rows})\n  \
           ON CONFLICT DO NOTHING RETURNING 1\n\
         )\n\
         SELECT count(*) = 1 AS sqlextract_fresh FROM claim \\gset\n\
         \\if :sqlextract_fresh\n",
        comment = comment_text(&shown),
        schema_text = postgres_literal(&place.schema),
        schema = postgres_identifier(&place.schema),
        ledger = place.ledger(),
        quoted = place.quoted(),
        definitions = columns::definitions(load.manifest.source.dialect, table.table)?,
        name = postgres_literal(&place.name),
    );
    let names: Vec<_> = table
        .table
        .columns
        .iter()
        .map(|c| postgres_identifier(&c.name))
        .collect();
    for chunk in &table.chunks {
        let _ = writeln!(
            out,
            "\\copy {} ({}) FROM {}",
            place.quoted(),
            names.join(", "),
            origin(load, table, chunk)
        );
    }
    let _ = write!(
        out,
        "{check}\
         SELECT {loaded} AS sqlextract_said \\gset\n\
         \\else\n\
         SELECT {skipped} || min(loaded_at) AS sqlextract_said FROM {ledger}\n  \
           WHERE job = {job} AND table_name = {name} \\gset\n\
         \\endif\n\
         \\echo :sqlextract_said\n",
        check = row_count_check(place, rows),
        loaded = postgres_literal(&format!("{shown}: {rows} rows loaded")),
        skipped = postgres_literal(&format!(
            "{shown}: nothing changed, sqlextract_loads says that {rows} rows of this job were loaded at "
        )),
        ledger = place.ledger(),
        name = postgres_literal(&place.name),
    );
    Ok(out)
}

/// Where a chunk's rows come from, and how they are written there.
fn origin(load: &Load<'_>, table: &TableLoad<'_>, chunk: &ChunkLoad<'_>) -> String {
    match &load.local_folder {
        Some(folder) if is_plain_csv(load, table, chunk) => {
            let file = psql_argument(&format!("{folder}/{}", chunk.record.key));
            format!("{file} WITH (FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8')")
        }
        _ => {
            let command = format!(
                "sqlextract cat --as pg-text --manifest {} --chunk {}",
                shell_word(&load.manifest_location),
                shell_word(&chunk.record.key)
            );
            format!(
                "PROGRAM {} WITH (FORMAT text, ENCODING 'UTF8')",
                psql_argument(&command)
            )
        }
    }
}

/// psql and the server read this CSV chunk as it is: no line that psql takes for the end, no bytes to be decoded, no
/// date that PostgreSQL writes in a way of its own.
fn is_plain_csv(load: &Load<'_>, table: &TableLoad<'_>, chunk: &ChunkLoad<'_>) -> bool {
    let format = load.manifest.format;
    let has_bytes = table.table.columns.iter().any(|c| c.chunk == ChunkType::Binary);
    (format.format, format.compression) == (Format::Csv, Compression::None)
        && !chunk.record.end_of_copy_line
        && !has_bytes
        && chunk.plain_dates
}

/// Raises unless this transaction wrote as many rows as the manifest says. Rows that were in the table before, and
/// those of others, carry another transaction's number.
fn row_count_check(place: &Place, rows: u64) -> String {
    let body = format!(
        "DECLARE\n  \
           loaded bigint;\n\
         BEGIN\n  \
           SELECT count(*) INTO loaded FROM {quoted}\n    \
             WHERE xmin::text = (txid_current() % 4294967296)::text;\n  \
           IF loaded <> {rows} THEN\n    \
             RAISE EXCEPTION '% rows were loaded into %, the manifest says {rows}', loaded, {shown};\n  \
           END IF;\n\
         END",
        quoted = place.quoted(),
        shown = postgres_literal(&place.shown()),
    );
    format!("DO {};\n", postgres_dollar_quoted(&body))
}
