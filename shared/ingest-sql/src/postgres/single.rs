//! One session: every chunk goes straight into the target, within the script's one transaction.

use super::names::Names;
use crate::options::Mode;
use crate::quote::postgres::identifier;
use crate::script::{LoadPart, Section, TableParts, section};

pub(super) fn table_parts(names: &Names<'_, '_>) -> TableParts {
    let table = names.table;
    let merges = names.plan.mode() == Mode::Merge;
    let staging = identifier(&table.staging);
    let mut before = vec![section(
        "Schema, ledger, table.",
        format!(
            "{}CREATE TABLE IF NOT EXISTS {} (\n{}\n);\n",
            names.schema_and_ledger(),
            names.target,
            names.column_lines()
        ),
    )];
    if names.plan.options.add_columns {
        before.push(section("Columns that the table does not have yet.", names.additions()));
    }
    before.push(section(
        "Stops where the table is not what the extraction needs.",
        names.comparison(),
    ));
    before.push(section("What follows happens once per job.", names.claim()));
    match names.plan.mode() {
        Mode::Append => {}
        Mode::Replace => before.push(section(
            "Rows that are replaced.",
            format!("TRUNCATE TABLE {};\n", names.target),
        )),
        Mode::Merge => before.push(section(
            "Staging table, gone at the end.",
            format!(
                "CREATE TEMPORARY TABLE {staging} (\n{}\n) ON COMMIT DROP;\n",
                names.column_lines()
            ),
        )),
    }
    let into = if merges { &staging } else { &names.target };
    let loads = table.groups.iter().flatten().map(|chunk| LoadPart {
        about: chunk.record.key.clone(),
        sql: names.copy(into, chunk),
    });
    TableParts {
        before,
        loads: loads.collect(),
        after: after(names, &staging, merges),
        rollback: names.rollback(),
    }
}

fn after(names: &Names<'_, '_>, staging: &str, merges: bool) -> Vec<Section> {
    let mut sections = Vec::new();
    if merges {
        sections.push(section("Check: the key.", names.key_check(staging)));
        sections.push(section("Publish.", names.publish(staging)));
    }
    sections.push(section("What happened; every chunk's rows were counted.", names.said()));
    sections
}
