//! Several sessions: chunks go into a staging table, each with its row in the ledger of chunks, and the epilogue's one
//! transaction publishes them. A table that is new is the staging table under its own name.

use super::SETTINGS;
use super::names::Names;
use crate::driver::LOADED_BEFORE;
use crate::load::ChunkLoad;
use crate::quote::postgres::{dollar_quoted, identifier, literal};
use crate::script::{LoadPart, TableParts, section};

pub(super) fn table_parts(names: &Names<'_, '_>) -> TableParts {
    let table = names.table;
    let staging = format!("{}.{}", identifier(&table.place.schema), identifier(&table.staging));
    let loads = table.groups.iter().flatten().map(|chunk| LoadPart {
        about: chunk.record.key.clone(),
        sql: load(names, &staging, chunk),
    });
    let check = if table.key.is_empty() {
        check(names, &staging)
    } else {
        check(names, &staging) + &names.key_check(&staging)
    };
    TableParts {
        before: vec![
            section("Schema and ledgers.", ledgers(names)),
            section(
                "Staging table, beside a target that fits or is still missing.",
                staging_table(names, &staging),
            ),
        ],
        loads: loads.collect(),
        after: vec![
            section("What follows happens once per job.", names.claim()),
            section("Check: rows in all; every chunk's rows were counted.", check),
            section("Publish.", publish(names, &staging)),
            section("Clean up.", clean_up(names, &staging)),
            section("What happened.", names.said()),
        ],
        rollback: names.rollback(),
    }
}

fn ledgers(names: &Names<'_, '_>) -> String {
    format!(
        "{}CREATE TABLE IF NOT EXISTS {} (\n  \
           job text NOT NULL,\n  \
           table_name text NOT NULL,\n  \
           chunk text NOT NULL,\n  \
           rows bigint NOT NULL,\n  \
           loaded_at timestamptz NOT NULL DEFAULT now(),\n  \
           PRIMARY KEY (job, chunk)\n\
         );\n",
        names.schema_and_ledger(),
        names.chunks
    )
}

fn is_missing(names: &Names<'_, '_>) -> String {
    format!(
        "SELECT to_regclass({}) IS NULL AS sqlextract_missing \\gset\n",
        literal(&names.target)
    )
}

/// The staging table of a target that exists is not logged: after a crash of the server it is empty, and what the ledger of
/// chunks says about it is forgotten here.
fn staging_table(names: &Names<'_, '_>, staging: &str) -> String {
    let additions = if names.plan.options.add_columns {
        names.additions()
    } else {
        String::new()
    };
    format!(
        "SELECT EXISTS (SELECT FROM {ledger} WHERE {entry}) AS sqlextract_loaded \\gset\n\
         \\if :sqlextract_loaded\n\
         \\echo {LOADED_BEFORE}\n\
         \\else\n\
         {missing}\
         \\if :sqlextract_missing\n\
         CREATE TABLE IF NOT EXISTS {staging} (\n{lines}\n);\n\
         \\else\n\
         {additions}{comparison}\
         CREATE UNLOGGED TABLE IF NOT EXISTS {staging} (\n{lines}\n);\n\
         \\endif\n\
         SELECT (SELECT count(*) FROM {staging}) <> (SELECT coalesce(sum(rows), 0) FROM {chunks} WHERE {entry}) AS sqlextract_stale \\gset\n\
         \\if :sqlextract_stale\n\
         TRUNCATE TABLE {staging};\n\
         DELETE FROM {chunks} WHERE {entry};\n\
         \\endif\n\
         \\endif\n",
        ledger = names.ledger,
        entry = names.entry(),
        missing = is_missing(names),
        lines = names.column_lines(),
        comparison = names.comparison(),
        chunks = names.chunks,
    )
}

fn load(names: &Names<'_, '_>, staging: &str, chunk: &ChunkLoad<'_>) -> String {
    format!(
        "{SETTINGS}\
         SELECT EXISTS (SELECT FROM {ledger} WHERE {entry}) AS sqlextract_loaded \\gset\n\
         \\if :sqlextract_loaded\n\\q\n\\endif\n\
         BEGIN;\n\
         WITH claim AS (\n  \
           INSERT INTO {chunks} (job, table_name, chunk, rows) VALUES ({job}, {name}, {key}, {rows})\n  \
           ON CONFLICT DO NOTHING RETURNING 1\n\
         )\n\
         SELECT count(*) = 1 AS sqlextract_fresh FROM claim \\gset\n\
         \\if :sqlextract_fresh\n\
         {copy}\
         \\endif\n\
         COMMIT;\n",
        ledger = names.ledger,
        entry = names.entry(),
        chunks = names.chunks,
        job = names.job,
        name = names.name,
        key = literal(&chunk.record.key),
        rows = chunk.record.rows,
        copy = names.copy(staging, chunk),
    )
}

/// Raises unless the staging table holds what the manifest says.
fn check(names: &Names<'_, '_>, staging: &str) -> String {
    let (rows, chunks) = (names.table.rows(), names.table.chunks.len());
    let rows_differ = if names.plan.skips_bad_rows() {
        "false".to_owned()
    } else {
        format!("staged <> {rows}")
    };
    let body = format!(
        "DECLARE\n  staged bigint;\n  parts bigint;\nBEGIN\n  \
         SELECT count(*) INTO staged FROM {staging};\n  \
         SELECT count(*) INTO parts FROM {} WHERE {};\n  \
         IF {rows_differ} OR parts <> {chunks} THEN\n    \
         RAISE EXCEPTION '%: % rows of % chunks are staged, the manifest says {rows} of {chunks}', {}, staged, parts;\n  \
         END IF;\nEND",
        names.chunks,
        names.entry(),
        literal(&names.shown())
    );
    format!("DO {};\n", dollar_quoted(&body))
}

fn publish(names: &Names<'_, '_>, staging: &str) -> String {
    format!(
        "{}\\if :sqlextract_missing\n\
         ALTER TABLE {staging} SET LOGGED;\n\
         ALTER TABLE {staging} RENAME TO {};\n\
         \\else\n{}\\endif\n",
        is_missing(names),
        identifier(&names.table.place.name),
        names.publish(staging)
    )
}

fn clean_up(names: &Names<'_, '_>, staging: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {staging};\nDELETE FROM {} WHERE {};\n",
        names.chunks,
        names.entry()
    )
}
