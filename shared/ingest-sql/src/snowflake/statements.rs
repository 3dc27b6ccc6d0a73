//! The statements of one table.

use std::fmt::Write as _;

use sqlextract_model::{Compression, FileFormat, Format};

use super::{columns, is_bucket, ledger_name, qualified};
use crate::compare::{Catalogue, differences};
use crate::load::ChunkLoad;
use crate::options::Mode;
use crate::plan::{Plan, TablePlan};
use crate::quote::comment_statement;
use crate::quote::snowflake::{identifier, literal};
use crate::script::{LoadPart, TableParts, section};

/// A table with what its statements say again and again.
struct Names<'p, 'm> {
    plan: &'p Plan<'m>,
    table: &'p TablePlan<'m>,
    target: String,
    staging: String,
    ledger: String,
    stage: String,
    /// The ledger's row of this table.
    entry: String,
    file: &'static str,
}

pub(super) fn table_parts(plan: &Plan<'_>, table: &TablePlan<'_>) -> TableParts {
    let schema = &table.place.schema;
    let stage = match &plan.options.stage {
        Some(stage) => stage.split('.').map(identifier).collect::<Vec<_>>().join("."),
        None => qualified(plan, schema, &format!("SQLEXTRACT_STAGE_{}", stage_hash(plan))),
    };
    let names = Names {
        plan,
        table,
        target: qualified(plan, schema, &table.place.name),
        staging: qualified(plan, schema, &table.staging),
        ledger: qualified(plan, schema, &ledger_name(plan)),
        stage,
        entry: format!(
            "\"JOB\" = {} AND \"TABLE_NAME\" = {}",
            literal(plan.job()),
            literal(&table.place.name)
        ),
        file: "\"SQLEXTRACT_FILE\"",
    };
    let mut before = vec![section("Schema, ledger, table, stage.", names.definitions())];
    if plan.options.add_columns {
        before.push(section("Columns that the table does not have yet.", names.additions()));
    }
    before.push(section(
        "Stops where the table is not what the extraction needs.",
        names.comparison(),
    ));
    before.push(section("Staging table.", names.staging_table()));
    let mut loads = Vec::new();
    for group in &table.groups {
        loads.push(LoadPart {
            about: format!("{} files of {}", group.len(), table.place.shown()),
            sql: names.copy(group),
        });
    }
    TableParts {
        before,
        loads,
        after: vec![
            section("Check: rows per file, then in all.", names.check()),
            section("Publish.", names.publish()),
            section("Clean up.", format!("DROP TABLE IF EXISTS {};\n", names.staging)),
        ],
        rollback: names.rollback(),
    }
}

fn stage_hash(plan: &Plan<'_>) -> String {
    sqlextract_model::Digest::of(plan.root().as_bytes()).to_string()[..8].to_uppercase()
}

impl Names<'_, '_> {
    fn definitions(&self) -> String {
        let (plan, table) = (self.plan, self.table);
        let schema = match &plan.options.database {
            Some(database) => format!("{}.{}", identifier(database), identifier(&table.place.schema)),
            None => identifier(&table.place.schema),
        };
        let mut out = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};\n\
             CREATE TABLE IF NOT EXISTS {ledger} (\n  \
               \"JOB\" VARCHAR NOT NULL,\n  \"TABLE_NAME\" VARCHAR NOT NULL,\n  \
               \"ROW_COUNT\" NUMBER(19,0) NOT NULL,\n  \"LOADED_AT\" TIMESTAMP_TZ(6)\n);\n\
             CREATE TABLE IF NOT EXISTS {target} (\n{columns}\n);\n",
            ledger = self.ledger,
            target = self.target,
            columns = self.column_lines(true).join(",\n"),
        );
        if self.plan.options.stage.is_none() {
            out.push_str(&self.stage_definition());
        }
        out
    }

    fn column_lines(&self, constraints: bool) -> Vec<String> {
        let line = |c: &crate::plan::TargetColumn<'_>| {
            let not_null = if constraints { c.not_null() } else { "" };
            format!("  {} {}{not_null}", identifier(&c.name), c.kind)
        };
        self.table.columns.iter().map(line).collect()
    }

    fn stage_definition(&self) -> String {
        let root = self.plan.root();
        if !is_bucket(root) {
            return format!("CREATE STAGE IF NOT EXISTS {};\n", self.stage);
        }
        // Snowflake joins the URL and a file's name as they are, and has a scheme of its own for Google.
        let url = match root.strip_prefix("gs://") {
            Some(rest) => format!("gcs://{rest}/"),
            None => format!("{root}/"),
        };
        let integration = self
            .plan
            .options
            .storage_integration
            .as_deref()
            .unwrap_or("<STORAGE_INTEGRATION>");
        format!(
            "CREATE STAGE IF NOT EXISTS {} URL = {} STORAGE_INTEGRATION = {};\n",
            self.stage,
            literal(&url),
            identifier(integration)
        )
    }

    fn additions(&self) -> String {
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

    fn comparison(&self) -> String {
        let relation = match &self.plan.options.database {
            Some(database) => format!("{}.INFORMATION_SCHEMA.COLUMNS", identifier(database)),
            None => "INFORMATION_SCHEMA.COLUMNS".to_owned(),
        };
        let filter = format!(
            "table_schema = {} AND table_name = {}",
            literal(&self.table.place.schema),
            literal(&self.table.place.name)
        );
        let catalogue = Catalogue {
            relation: &relation,
            filter: &filter,
            concat: "||",
            type_column: "data_type",
            folds_case: false,
            literal,
        };
        // A sentence that is no number fails the statement, and the client shows it.
        format!(
            "SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', {} || LISTAGG(difference, '; ') WITHIN GROUP (ORDER BY difference))) AS differences\n\
             FROM (\n{}\n) AS found\nWHERE difference IS NOT NULL;\n",
            literal(&format!("{} does not fit: ", self.table.place.shown())),
            differences(&catalogue, self.table, columns::fits)
        )
    }

    fn staging_table(&self) -> String {
        let mut lines = self.column_lines(false);
        lines.push(format!("  {} VARCHAR", self.file));
        format!(
            "CREATE OR REPLACE TRANSIENT TABLE {} (\n{}\n);\n",
            self.staging,
            lines.join(",\n")
        )
    }

    fn copy(&self, group: &[&ChunkLoad<'_>]) -> String {
        let format = self.plan.format();
        let numbered = self.table.columns.iter().enumerate();
        let expressions: Vec<String> = numbered
            .map(|(i, c)| columns::expression(c, i, format.format))
            .collect();
        let files: Vec<_> = group.iter().map(|c| literal(&self.plan.path(c))).collect();
        let on_error = if self.plan.skips_bad_rows() {
            "CONTINUE"
        } else {
            "ABORT_STATEMENT"
        };
        let mut out = String::new();
        if self.plan.options.stage.is_none() && !is_bucket(self.plan.root()) {
            out.push_str(&self.puts(group));
        }
        let _ = write!(
            out,
            "COPY INTO {staging} ({names}, {file})\n\
             FROM (\n  SELECT {expressions}, METADATA$FILENAME\n  FROM @{stage}/\n)\n\
             FILES = (\n  {files}\n)\n\
             FILE_FORMAT = ({options})\n\
             ON_ERROR = {on_error};\n",
            staging = self.staging,
            names = self.table.names(identifier),
            file = self.file,
            expressions = expressions.join(", "),
            stage = self.stage,
            files = files.join(",\n  "),
            options = file_format(format),
        );
        out
    }

    /// Local files, one command each: a pattern would take what is not in the manifest.
    fn puts(&self, group: &[&ChunkLoad<'_>]) -> String {
        let threads = self.plan.options.parallel.unwrap_or(4).min(99);
        let mut out = String::new();
        for chunk in group {
            let path = self.plan.path(chunk);
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let _ = writeln!(
                out,
                "PUT {} {} PARALLEL = {threads} AUTO_COMPRESS = FALSE OVERWRITE = FALSE;",
                literal(&format!("file://{}/{path}", self.plan.root())),
                literal(&format!("@{}/{folder}/", self.stage)),
            );
        }
        out
    }

    fn check(&self) -> String {
        let rows = self.table.rows();
        let shown = &self.table.place.shown();
        if self.plan.skips_bad_rows() {
            return format!(
                "SELECT COUNT(*) AS rows_loaded, {rows} - COUNT(*) AS rows_skipped FROM {};\n",
                self.staging
            );
        }
        let mut out = String::new();
        for group in &self.table.groups {
            let wanted: Vec<String> = group.iter().enumerate().map(|(i, c)| expected(c, i == 0)).collect();
            let _ = write!(
                out,
                "SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', {differs} || LISTAGG(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count, '; '))) AS wrong_files\n\
                 FROM (\n  {wanted}\n) AS w\n\
                 LEFT JOIN (\n  SELECT SPLIT_PART({file}, '/', -1) AS file_name, COUNT(*) AS row_count FROM {staging} GROUP BY 1\n) AS h ON h.file_name = w.file_name\n\
                 WHERE COALESCE(h.row_count, 0) <> w.row_count;\n",
                differs = literal(&format!("{shown} differs from the manifest: ")),
                wanted = wanted.join("\n  UNION ALL "),
                file = self.file,
                staging = self.staging,
            );
        }
        let _ = writeln!(
            out,
            "SELECT TO_NUMBER(IFF(COUNT(*) = {rows}, '{rows}', {} || COUNT(*) || {})) AS rows_loaded FROM {};",
            literal(&format!("{shown}: ")),
            literal(&format!(" rows were loaded, the manifest says {rows}")),
            self.staging
        );
        if !self.table.key.is_empty() {
            out.push_str(&self.key_check());
        }
        out
    }

    fn key_check(&self) -> String {
        let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
        format!(
            "SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', {} || COUNT(*) || ' times')) AS repeated_keys\n\
             FROM (SELECT {key} FROM {} GROUP BY {key} HAVING COUNT(*) > 1) AS repeated;\n",
            literal(&format!(
                "{}: the merge key is not unique in the extraction, ",
                self.table.place.shown()
            )),
            self.staging,
            key = key.join(", "),
        )
    }

    fn publish(&self) -> String {
        let rows = self.table.rows();
        // Written by this transaction and by no other: the time comes last.
        let fresh = format!(
            "EXISTS (SELECT 1 FROM {} WHERE {} AND \"LOADED_AT\" IS NULL)",
            self.ledger, self.entry
        );
        let enough = if self.plan.skips_bad_rows() {
            String::new()
        } else {
            format!(" AND s.row_count = {rows}")
        };
        format!(
            "BEGIN TRANSACTION;\n\
             MERGE INTO {ledger} AS l\n\
             USING (SELECT COUNT(*) AS row_count FROM {staging}) AS s\n\
             ON l.\"JOB\" = {job} AND l.\"TABLE_NAME\" = {name}\n\
             WHEN NOT MATCHED{enough} THEN INSERT (\"JOB\", \"TABLE_NAME\", \"ROW_COUNT\") VALUES ({job}, {name}, s.row_count);\n\
             {rows_in}\
             UPDATE {ledger} SET \"LOADED_AT\" = CURRENT_TIMESTAMP() WHERE {entry} AND \"LOADED_AT\" IS NULL;\n\
             COMMIT;\n\
             SELECT \"ROW_COUNT\", \"LOADED_AT\" FROM {ledger} WHERE {entry};\n",
            ledger = self.ledger,
            staging = self.staging,
            job = literal(self.plan.job()),
            name = literal(&self.table.place.name),
            rows_in = self.rows_in(&fresh),
            entry = self.entry,
        )
    }

    /// The rows' way from the staging table, if the load is `fresh`.
    fn rows_in(&self, fresh: &str) -> String {
        let names = self.table.names(identifier);
        let insert = format!(
            "INSERT INTO {} ({names})\nSELECT {names} FROM {} WHERE {fresh};\n",
            self.target, self.staging
        );
        match self.plan.mode() {
            Mode::Append => insert,
            Mode::Replace => format!("DELETE FROM {} WHERE {fresh};\n{insert}", self.target),
            Mode::Merge => {
                let on = self.table.key_names().into_iter().map(identifier);
                let on: Vec<_> = on.map(|k| format!("t.{k} = s.{k}")).collect();
                let set: Vec<_> = self.table.other_names().into_iter().map(identifier).collect();
                let update = match set.is_empty() {
                    true => String::new(),
                    false => {
                        let set: Vec<_> = set.iter().map(|c| format!("{c} = s.{c}")).collect();
                        format!("WHEN MATCHED THEN UPDATE SET {}\n", set.join(", "))
                    }
                };
                format!(
                    "MERGE INTO {} AS t\nUSING (SELECT {names} FROM {} WHERE {fresh}) AS s\nON {}\n{update}\
                     WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({});\n",
                    self.target,
                    self.staging,
                    on.join(" AND "),
                    self.table.names(|c| format!("s.{}", identifier(c)))
                )
            }
        }
    }

    fn rollback(&self) -> Vec<String> {
        vec![
            "Before its COMMIT nothing has changed. Afterwards, within the table's retention time:".to_owned(),
            format!(
                "CREATE OR REPLACE TABLE {t} CLONE {t} BEFORE (STATEMENT => '<QUERY_ID of the MERGE INTO {l}>') COPY GRANTS;",
                t = comment_statement(&self.target),
                l = comment_statement(&self.ledger)
            ),
            "and delete this job's row from the ledger, so that it can be loaded again.".to_owned(),
        ]
    }
}

/// A file's line in the list of what is due.
fn expected(chunk: &ChunkLoad<'_>, is_first: bool) -> String {
    let name = chunk.file_name();
    let rows = chunk.record.rows;
    if is_first {
        format!("SELECT {} AS file_name, {rows} AS row_count", literal(name))
    } else {
        format!("SELECT {}, {rows}", literal(name))
    }
}

fn file_format(format: FileFormat) -> String {
    match format.format {
        Format::Parquet => "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE".to_owned(),
        Format::Csv => {
            let compression = match format.compression {
                Compression::Gzip => "GZIP",
                Compression::Zstd => "ZSTD",
                _ => "NONE",
            };
            format!(
                "TYPE = CSV COMPRESSION = {compression} FIELD_DELIMITER = ',' RECORD_DELIMITER = '\\n' SKIP_HEADER = 1\n  \
                 FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE\n  \
                 SKIP_BLANK_LINES = FALSE TRIM_SPACE = FALSE ENCODING = 'UTF8'"
            )
        }
    }
}
