//! What the statements of one table say again and again.

use std::fmt::Write as _;

use sqlextract_model::{ChunkType, Compression, Format};

use super::columns;
use crate::compare::{Catalogue, differences};
use crate::load::ChunkLoad;
use crate::names::LEDGER;
use crate::options::Mode;
use crate::plan::{Plan, TablePlan};
use crate::quote::postgres::{dollar_quoted, identifier, literal, psql_argument};
use crate::quote::shell_word;

/// The ledger of chunks that sessions share.
pub(super) const CHUNKS: &str = "sqlextract_chunks";

pub(super) struct Names<'p, 'm> {
    pub(super) plan: &'p Plan<'m>,
    pub(super) table: &'p TablePlan<'m>,
    pub(super) target: String,
    pub(super) ledger: String,
    pub(super) chunks: String,
    pub(super) job: String,
    pub(super) name: String,
}

impl<'p, 'm> Names<'p, 'm> {
    pub(super) fn new(plan: &'p Plan<'m>, table: &'p TablePlan<'m>) -> Self {
        let qualified = |name: &str| format!("{}.{}", identifier(&table.place.schema), identifier(name));
        Self {
            plan,
            table,
            target: qualified(&table.place.name),
            ledger: qualified(LEDGER),
            chunks: qualified(CHUNKS),
            job: literal(plan.job()),
            name: literal(&table.place.name),
        }
    }

    pub(super) fn shown(&self) -> String {
        self.table.place.shown()
    }

    /// A condition that a ledger's rows of this table fulfil.
    pub(super) fn entry(&self) -> String {
        format!("job = {} AND table_name = {}", self.job, self.name)
    }

    pub(super) fn schema_and_ledger(&self) -> String {
        format!(
            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {}) AS sqlextract_new \\gset\n\
             \\if :sqlextract_new\n\
             CREATE SCHEMA {};\n\
             \\endif\n\
             CREATE TABLE IF NOT EXISTS {} (\n  \
               job text NOT NULL,\n  \
               table_name text NOT NULL,\n  \
               rows bigint NOT NULL,\n  \
               loaded_at timestamptz NOT NULL DEFAULT now(),\n  \
               PRIMARY KEY (job, table_name)\n\
             );\n",
            literal(&self.table.place.schema),
            identifier(&self.table.place.schema),
            self.ledger,
        )
    }

    /// The columns of a CREATE TABLE, one a line.
    pub(super) fn column_lines(&self) -> String {
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {}{}", identifier(&c.name), c.kind, c.not_null()))
            .collect();
        lines.join(",\n")
    }

    pub(super) fn additions(&self) -> String {
        let mut out = String::new();
        for column in &self.table.columns {
            let _ = writeln!(
                out,
                "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {};",
                self.target,
                identifier(&column.name),
                column.kind
            );
        }
        out
    }

    /// Raises with the list of differences, if there are any.
    pub(super) fn comparison(&self) -> String {
        let filter = format!(
            "table_schema = {} AND table_name = {}",
            literal(&self.table.place.schema),
            self.name
        );
        let catalogue = Catalogue {
            relation: "information_schema.columns",
            filter: &filter,
            concat: "||",
            type_column: "data_type",
            folds_case: false,
            literal,
        };
        let body = format!(
            "DECLARE\n  differences text;\nBEGIN\n  \
             SELECT string_agg(difference, '; ' ORDER BY difference) INTO differences FROM (\n{}\n) AS found\n  \
             WHERE difference IS NOT NULL;\n  \
             IF differences IS NOT NULL THEN\n    RAISE EXCEPTION '% does not fit: %', {}, differences;\n  END IF;\nEND",
            differences(&catalogue, self.table, columns::fits),
            literal(&self.shown())
        );
        format!("DO {};\n", dollar_quoted(&body))
    }

    /// Says whether this transaction is the one that loads the table, in `sqlextract_fresh`.
    pub(super) fn claim(&self) -> String {
        format!(
            "WITH claim AS (\n  \
               INSERT INTO {ledger} (job, table_name, rows) VALUES ({job}, {name}, {rows})\n  \
               ON CONFLICT DO NOTHING RETURNING 1\n\
             )\n\
             SELECT count(*) = 1 AS sqlextract_fresh FROM claim \\gset\n\
             \\if :sqlextract_fresh\n",
            ledger = self.ledger,
            job = self.job,
            name = self.name,
            rows = self.table.rows(),
        )
    }

    /// Ends what [`claim`](Self::claim) began.
    pub(super) fn said(&self) -> String {
        let (rows, shown) = (self.table.rows(), self.shown());
        format!(
            "SELECT {loaded} AS sqlextract_said \\gset\n\
             \\else\n\
             SELECT {skipped} || min(loaded_at) AS sqlextract_said FROM {ledger}\n  \
               WHERE {entry} \\gset\n\
             \\endif\n\
             \\echo :sqlextract_said\n",
            loaded = literal(&format!("{shown}: {rows} rows loaded")),
            skipped = literal(&format!(
                "{shown}: nothing changed, {LEDGER} says that {rows} rows of this job were loaded at "
            )),
            ledger = self.ledger,
            entry = self.entry(),
        )
    }

    /// Loads a chunk, and fails unless it has as many rows as the manifest says.
    pub(super) fn copy(&self, into: &str, chunk: &ChunkLoad<'_>) -> String {
        let rows = chunk.record.rows;
        let copy = format!(
            "\\copy {into} ({}) FROM {}\n",
            self.table.names(identifier),
            self.origin(chunk)
        );
        let mut out = String::new();
        if self.plan.skips_bad_rows() {
            // The server tells every row that it leaves out, as a notice.
            let _ = write!(out, "SET client_min_messages = notice;\n{copy}");
            let _ = writeln!(
                out,
                "\\echo {} :ROW_COUNT {}\nSET client_min_messages = warning;",
                psql_argument(&format!("{}:", chunk.record.key)),
                psql_argument(&format!("rows of {rows} loaded"))
            );
        } else {
            out.push_str(&copy);
            let _ = writeln!(
                out,
                "SELECT (CASE :ROW_COUNT WHEN {rows} THEN '{rows}' ELSE {} || :ROW_COUNT || {} END)::bigint AS sqlextract_rows \\gset",
                literal(&format!("{}: ", chunk.record.key)),
                literal(&format!(" rows were loaded, the manifest says {rows}"))
            );
        }
        out
    }

    /// Where a chunk's rows come from, and how they are written there.
    fn origin(&self, chunk: &ChunkLoad<'_>) -> String {
        let load = self.plan.load;
        let tolerant = if self.plan.skips_bad_rows() {
            ", ON_ERROR ignore, LOG_VERBOSITY verbose"
        } else {
            ""
        };
        match &load.local_folder {
            Some(folder) if self.is_plain_csv(chunk) => {
                let file = psql_argument(&format!("{folder}/{}", chunk.record.key));
                format!("{file} WITH (FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8'{tolerant})")
            }
            _ => {
                let command = format!(
                    "sqlextract cat --as pg-text --manifest {} --chunk {}",
                    shell_word(&load.manifest_location),
                    shell_word(&chunk.record.key)
                );
                format!(
                    "PROGRAM {} WITH (FORMAT text, ENCODING 'UTF8'{tolerant})",
                    psql_argument(&command)
                )
            }
        }
    }

    /// psql and the server read this CSV chunk as it is: no line that psql takes for the end, no bytes to be decoded, no
    /// date that PostgreSQL writes in a way of its own.
    fn is_plain_csv(&self, chunk: &ChunkLoad<'_>) -> bool {
        let format = self.plan.format();
        let decoded = |c: &ChunkType| matches!(c, ChunkType::Binary | ChunkType::List(_));
        (format.format, format.compression) == (Format::Csv, Compression::None)
            && !chunk.record.end_of_copy_line
            && !self.table.columns.iter().any(|c| decoded(c.chunk()))
            && chunk.plain_dates
    }

    /// From a staging table into the target.
    pub(super) fn publish(&self, staging: &str) -> String {
        let names = self.table.names(identifier);
        let insert = format!(
            "INSERT INTO {} ({names})\nSELECT {names} FROM {staging};\n",
            self.target
        );
        match self.plan.mode() {
            Mode::Append => insert,
            Mode::Replace => format!("TRUNCATE TABLE {};\n{insert}", self.target),
            Mode::Merge => self.merge(staging),
        }
    }

    /// Needs no unique index on the key; the key is unique in the staging table, or the check fails.
    fn merge(&self, staging: &str) -> String {
        let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
        let on: Vec<_> = key.iter().map(|k| format!("t.{k} = s.{k}")).collect();
        let on = on.join(" AND ");
        let others = self.table.other_names().into_iter().map(identifier);
        let set: Vec<_> = others.map(|c| format!("{c} = s.{c}")).collect();
        let mut out = String::new();
        if !set.is_empty() {
            let _ = writeln!(
                out,
                "UPDATE {} AS t SET {}\nFROM {staging} AS s WHERE {on};",
                self.target,
                set.join(", ")
            );
        }
        let _ = write!(
            out,
            "INSERT INTO {target} ({})\nSELECT {} FROM {staging} AS s\n\
             WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {on});\n",
            self.table.names(identifier),
            self.table.names(|c| format!("s.{}", identifier(c))),
            target = self.target,
        );
        out
    }

    /// Raises where a key of the staging table occurs twice or is NULL.
    pub(super) fn key_check(&self, staging: &str) -> String {
        let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
        let nulls: Vec<_> = key.iter().map(|k| format!("{k} IS NULL")).collect();
        let body = format!(
            "BEGIN\n  \
             IF EXISTS (SELECT FROM {staging} GROUP BY {} HAVING count(*) > 1) OR EXISTS (SELECT FROM {staging} WHERE {}) THEN\n    \
             RAISE EXCEPTION '%: the merge key is not unique in the extraction, or NULL', {};\n  END IF;\nEND",
            key.join(", "),
            nulls.join(" OR "),
            literal(&self.shown())
        );
        format!("DO {};\n", dollar_quoted(&body))
    }

    pub(super) fn rollback(&self) -> Vec<String> {
        use crate::quote::comment_statement;
        vec![
            "Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:"
                .to_owned(),
            format!("TRUNCATE TABLE {};", comment_statement(&self.target)),
            format!(
                "and delete this job's row from {}, so that it can be loaded again.",
                comment_statement(&self.ledger)
            ),
        ]
    }
}
