//! The text of a script, put together alike for every platform: a header, then per table its definition, its load, the
//! check, the publication and the clean-up, and at the end how to take it back.

use std::fmt::Write as _;

use sqlextract_model::ScriptLanguage;

use crate::driver;
use crate::plan::{Dialect, Plan, Remarks, remarks};
use crate::quote::comment_text;

/// A finished script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    pub language: ScriptLanguage,
    /// What has to be filled in before it runs, and what is worth knowing: the same lines that it says at its top.
    pub fill_in: Vec<String>,
    pub notes: Vec<String>,
}

/// What a platform's module writes.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Settings of the session, and what all tables share.
    pub(crate) opening: String,
    pub(crate) tables: Vec<TableParts>,
    pub(crate) closing: String,
}

#[derive(Debug, Default)]
pub(crate) struct TableParts {
    /// Definitions and comparison.
    pub(crate) before: Vec<Section>,
    pub(crate) loads: Vec<LoadPart>,
    /// Check, publication, clean-up.
    pub(crate) after: Vec<Section>,
    /// How to take the load back, in words.
    pub(crate) rollback: Vec<String>,
}

/// Statements under a heading.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) sql: String,
}

/// One statement's worth of files.
#[derive(Debug)]
pub(crate) struct LoadPart {
    /// Which files, for a log.
    pub(crate) about: String,
    pub(crate) sql: String,
}

pub(crate) fn section(title: &'static str, sql: impl Into<String>) -> Section {
    Section { title, sql: sql.into() }
}

pub(crate) fn write(plan: &Plan<'_>, dialect: &dyn Dialect) -> Script {
    let remarks = remarks(plan, dialect);
    let parts = dialect.parts(plan);
    let header = header(plan, dialect, &remarks);
    let (text, language) = if plan.sessions > 1 {
        (driver::text(plan, dialect, &header, &parts), ScriptLanguage::Shell)
    } else {
        (sql(plan, dialect, &header, &parts), ScriptLanguage::Sql)
    };
    let fill_in = remarks
        .fill_in
        .into_iter()
        .map(|(name, what)| format!("{name}: {what}"));
    Script {
        text,
        language,
        fill_in: fill_in.collect(),
        notes: remarks.notes,
    }
}

/// The lines of the header, without comment signs.
fn header(plan: &Plan<'_>, dialect: &dyn Dialect, remarks: &Remarks) -> Vec<String> {
    let manifest = plan.load.manifest;
    let mut lines = vec![format!(
        "Loads an extraction into {}. Written by sqlextract {}.",
        dialect.title(),
        env!("CARGO_PKG_VERSION")
    )];
    if !remarks.fill_in.is_empty() {
        lines.extend([String::new(), "FILL IN before it runs:".to_owned(), String::new()]);
        lines.extend(remarks.fill_in.iter().map(|(name, what)| format!("  {name}: {what}")));
    }
    lines.push(String::new());
    lines.extend(dialect.how_to_run(plan));
    if !remarks.notes.is_empty() {
        lines.extend([String::new(), "Note:".to_owned()]);
        lines.extend(remarks.notes.iter().map(|note| format!("  {note}")));
    }
    lines.extend([
        String::new(),
        format!("job: {}", comment_text(manifest.job.as_str())),
        format!("finished: {}", comment_text(&manifest.finished_at)),
        format!("manifest: {}", comment_text(&plan.load.manifest_location)),
        format!("manifest sha256: {}", plan.load.sha256),
        format!("mode: {:?}", plan.mode()).to_lowercase(),
    ]);
    for table in &plan.tables {
        let totals = &table.table.totals;
        lines.push(format!(
            "table: {} from {}, rows: {}, chunks: {}",
            comment_text(&table.place.shown()),
            comment_text(&table.table.table.to_string()),
            totals.rows,
            totals.chunks
        ));
    }
    lines
}

/// The lines as comments.
pub(crate) fn commented(sign: &str, lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "{}", format!("{sign} {line}").trim_end());
    }
    out
}

fn sql(plan: &Plan<'_>, dialect: &dyn Dialect, header: &[String], parts: &Parts) -> String {
    let mut pieces = Vec::new();
    if !parts.opening.is_empty() {
        pieces.push(format!("\n{}", parts.opening));
    }
    for (table, parts) in plan.tables.iter().zip(&parts.tables) {
        let about = comment_text(&table.place.shown());
        let heading = format!("\n-- ==== {about}\n");
        let mut first = Some(heading);
        let mut piece = |title: &str, sql: &str| {
            if sql.is_empty() {
                return;
            }
            let heading = first.take().unwrap_or_default();
            pieces.push(format!("{heading}\n-- {title}\n{sql}"));
        };
        for Section { title, sql } in &parts.before {
            piece(title, sql);
        }
        for (number, load) in parts.loads.iter().enumerate() {
            let title = match parts.loads.len() {
                1 => "Load.".to_owned(),
                count => format!("Load, {} of {count}.", number + 1),
            };
            piece(&title, &load.sql);
        }
        for Section { title, sql } in &parts.after {
            piece(title, sql);
        }
    }
    if !parts.closing.is_empty() {
        pieces.push(format!("\n{}", parts.closing));
    }
    let rollback = rollback(plan, parts);
    let text = joined(pieces, dialect.script_bytes());
    format!("{}{text}{}", commented("--", header), commented("--", &rollback))
}

/// The pieces, with a mark where a platform's message would become too long: what follows it is sent on its own.
fn joined(pieces: Vec<String>, most_bytes: Option<usize>) -> String {
    let total: usize = pieces.iter().map(String::len).sum();
    let Some(most) = most_bytes.filter(|most| total > *most) else {
        return pieces.concat();
    };
    let (mut out, mut size, mut part) = (String::new(), 0, 1);
    for piece in pieces {
        if size > 0 && size + piece.len() > most {
            part += 1;
            let _ = write!(
                out,
                "\n-- >>>> Part {part}: one message may not hold more. Send what stands above first, then go on from here.\n"
            );
            size = 0;
        }
        size += piece.len();
        out.push_str(&piece);
    }
    out
}

pub(crate) fn rollback(plan: &Plan<'_>, parts: &Parts) -> Vec<String> {
    let mut lines = vec![String::new(), "To take it back:".to_owned()];
    for (table, parts) in plan.tables.iter().zip(&parts.tables) {
        lines.push(format!("  {}", comment_text(&table.place.shown())));
        lines.extend(parts.rollback.iter().map(|line| format!("    {line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_over_the_limit_is_marked_where_it_can_be_cut() {
        let pieces = vec!["a".repeat(40), "b".repeat(40), "c".repeat(40)];
        assert_eq!(joined(pieces.clone(), None), pieces.concat());
        assert_eq!(joined(pieces.clone(), Some(200)), pieces.concat());
        let cut = joined(pieces, Some(90));
        let parts: Vec<&str> = cut.split("-- >>>> Part").collect();
        assert_eq!(parts.len(), 2, "{cut}");
        assert!(parts[1].ends_with(&"c".repeat(40)), "{cut}");
    }
}
