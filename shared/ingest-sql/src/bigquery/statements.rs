//! The statements of one table.

use std::fmt::Write as _;

use sqlextract_model::{Compression, Format};

use super::columns;
use crate::compare::{Catalogue, differences};
use crate::load::ChunkLoad;
use crate::names::LEDGER;
use crate::options::Mode;
use crate::plan::{Plan, TablePlan};
use crate::quote::bigquery::{identifier, literal};
use crate::quote::comment_statement;
use crate::script::{LoadPart, TableParts, section};

/// Where BigQuery finds the destination.
pub(super) fn root(plan: &Plan<'_>) -> String {
    let root = plan.root();
    if root.contains("://") {
        root.to_owned()
    } else {
        "gs://<BUCKET>/<PREFIX>".to_owned()
    }
}

struct Names<'p, 'm> {
    plan: &'p Plan<'m>,
    table: &'p TablePlan<'m>,
    target: String,
    staging: String,
    ledger: String,
    entry: String,
}

fn qualified(plan: &Plan<'_>, parts: &[&str]) -> String {
    let project = plan.options.database.as_deref();
    let parts: Vec<_> = project
        .into_iter()
        .chain(parts.iter().copied())
        .map(identifier)
        .collect();
    parts.join(".")
}

pub(super) fn table_parts(plan: &Plan<'_>, table: &TablePlan<'_>) -> TableParts {
    let dataset = table.place.schema.as_str();
    let names = Names {
        plan,
        table,
        target: qualified(plan, &[dataset, &table.place.name]),
        staging: qualified(plan, &[dataset, &table.staging]),
        ledger: qualified(plan, &[dataset, LEDGER]),
        entry: format!(
            "job = {} AND table_name = {}",
            literal(plan.job()),
            literal(&table.place.name)
        ),
    };
    let mut before = vec![section("Ledger and table.", names.definitions())];
    if plan.options.add_columns {
        before.push(section("Columns that the table does not have yet.", names.additions()));
    }
    before.push(section(
        "Stops where the table is not what the extraction needs.",
        names.comparison(),
    ));
    let mut loads = Vec::new();
    for (number, group) in table.groups.iter().enumerate() {
        loads.push(LoadPart {
            about: format!("{} files of {}", group.len(), table.place.shown()),
            sql: names.guarded(&names.load(group, number == 0)),
        });
    }
    if loads.is_empty() {
        before.push(section("Staging table.", names.guarded(&names.empty_staging())));
    }
    TableParts {
        before,
        loads,
        after: vec![
            section(
                "Check: rows in all; BigQuery does not tell them per file.",
                names.guarded(&names.check()),
            ),
            section("Publish.", names.guarded(&names.publish())),
            section("What the ledger says.", names.outcome()),
            section("Clean up.", format!("DROP TABLE IF EXISTS {};\n", names.staging)),
        ],
        rollback: vec![
            "Before its COMMIT nothing has changed. Afterwards, within seven days:".to_owned(),
            format!(
                "CREATE OR REPLACE TABLE {t} AS SELECT * FROM {t} FOR SYSTEM_TIME AS OF TIMESTAMP '<TIME before the load>';",
                t = comment_statement(&names.target)
            ),
            "and delete this job's row from the ledger, so that it can be loaded again.".to_owned(),
        ],
    }
}

impl Names<'_, '_> {
    /// Runs only where the ledger does not have the job.
    fn guarded(&self, sql: &str) -> String {
        let indented: String = sql
            .lines()
            .map(|line| {
                if line.is_empty() {
                    "\n".to_owned()
                } else {
                    format!("  {line}\n")
                }
            })
            .collect();
        format!(
            "IF NOT EXISTS (SELECT 1 FROM {} WHERE {}) THEN\n{indented}END IF;\n",
            self.ledger, self.entry
        )
    }

    fn definitions(&self) -> String {
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {}{}", identifier(&c.name), c.kind, c.not_null()))
            .collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n  job STRING NOT NULL,\n  table_name STRING NOT NULL,\n  row_count INT64 NOT NULL,\n  loaded_at TIMESTAMP NOT NULL\n);\n\
             CREATE TABLE IF NOT EXISTS {} (\n{}\n);\n",
            self.ledger,
            self.target,
            lines.join(",\n")
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
        let relation = qualified(self.plan, &[&self.table.place.schema]) + ".INFORMATION_SCHEMA.COLUMNS";
        let filter = format!("table_name = {}", literal(&self.table.place.name));
        let catalogue = Catalogue {
            relation: &relation,
            filter: &filter,
            concat: "||",
            type_column: "data_type",
            folds_case: true,
            literal,
        };
        format!(
            "SELECT IF(COUNT(*) = 0, 'the table fits', ERROR({} || STRING_AGG(difference, '; ' ORDER BY difference))) AS comparison\n\
             FROM (\n{}\n) AS found\nWHERE difference IS NOT NULL;\n",
            literal(&format!("{} does not fit: ", self.table.place.shown())),
            differences(&catalogue, self.table, columns::fits)
        )
    }

    fn staging_columns(&self) -> String {
        let format = self.plan.format().format;
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {}", identifier(&c.name), columns::staged_type(c, format)))
            .collect();
        lines.join(",\n")
    }

    fn empty_staging(&self) -> String {
        format!(
            "CREATE OR REPLACE TABLE {} (\n{}\n);\n",
            self.staging,
            self.staging_columns()
        )
    }

    /// The first statement makes the staging table anew, the others add to it.
    fn load(&self, group: &[&ChunkLoad<'_>], is_first: bool) -> String {
        let uris: Vec<_> = group
            .iter()
            .map(|chunk| literal(&format!("{}/{}", root(self.plan), self.plan.path(chunk))))
            .collect();
        let columns = self.staging_columns();
        let into = match is_first {
            true => format!("LOAD DATA OVERWRITE {} (\n{columns}\n)", self.staging),
            false => format!("LOAD DATA INTO {} (\n{columns}\n)", self.staging),
        };
        format!(
            "{into}\nFROM FILES (\n  {},\n  uris = [\n    {}\n  ]\n){};\n",
            self.options().join(",\n  "),
            uris.join(",\n    "),
            self.connection()
        )
    }

    fn options(&self) -> Vec<String> {
        let format = self.plan.format();
        match format.format {
            Format::Parquet => vec![
                "format = 'PARQUET'".to_owned(),
                "enable_list_inference = TRUE".to_owned(),
            ],
            Format::Csv => {
                let mut options = vec!["format = 'CSV'".to_owned()];
                if format.compression == Compression::Gzip {
                    options.push("compression = 'GZIP'".to_owned());
                }
                let bad_records = if self.plan.skips_bad_rows() {
                    self.table.rows()
                } else {
                    0
                };
                options.extend(
                    [
                        "skip_leading_rows = 1",
                        "field_delimiter = ','",
                        "quote = '\"'",
                        "encoding = 'UTF-8'",
                        "allow_quoted_newlines = TRUE",
                        "allow_jagged_rows = FALSE",
                        "ignore_unknown_values = FALSE",
                        "preserve_ascii_control_characters = TRUE",
                    ]
                    .map(str::to_owned),
                );
                options.push(format!("max_bad_records = {bad_records}"));
                options
            }
        }
    }

    fn connection(&self) -> String {
        if root(self.plan).starts_with("gs://") {
            return String::new();
        }
        let connection = self.plan.options.connection.as_deref();
        format!(
            "\nWITH CONNECTION {}",
            identifier(connection.unwrap_or("<PROJECT.REGION.CONNECTION>"))
        )
    }

    fn check(&self) -> String {
        let rows = self.table.rows();
        if self.plan.skips_bad_rows() {
            return format!(
                "SELECT COUNT(*) AS rows_loaded, {rows} - COUNT(*) AS rows_skipped FROM {};\n",
                self.staging
            );
        }
        let mut out = format!(
            "SELECT IF(COUNT(*) = {rows}, COUNT(*), ERROR({} || COUNT(*) || ' rows were loaded, the manifest says {rows}')) AS rows_loaded\n\
             FROM {};\n",
            literal(&format!("{}: ", self.table.place.shown())),
            self.staging
        );
        if !self.table.key.is_empty() {
            let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
            let _ = write!(
                out,
                "SELECT IF(COUNT(*) = 0, 0, ERROR({} || COUNT(*) || ' times')) AS repeated_keys\n\
                 FROM (SELECT {key} FROM {} GROUP BY {key} HAVING COUNT(*) > 1);\n",
                literal(&format!(
                    "{}: the merge key is not unique in the extraction, ",
                    self.table.place.shown()
                )),
                self.staging,
                key = key.join(", "),
            );
        }
        out
    }

    fn publish(&self) -> String {
        format!(
            "BEGIN TRANSACTION;\n{}\
             INSERT INTO {} (job, table_name, row_count, loaded_at)\n\
             SELECT {}, {}, COUNT(*), CURRENT_TIMESTAMP() FROM {};\n\
             COMMIT TRANSACTION;\n",
            self.rows_in(),
            self.ledger,
            literal(self.plan.job()),
            literal(&self.table.place.name),
            self.staging
        )
    }

    fn rows_in(&self) -> String {
        let format = self.plan.format().format;
        let names = self.table.names(identifier);
        let values: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| columns::published(c, format))
            .collect();
        let select = format!("SELECT {} FROM {}", values.join(", "), self.staging);
        let insert = format!("INSERT INTO {} ({names})\n{select};\n", self.target);
        match self.plan.mode() {
            Mode::Append => insert,
            Mode::Replace => format!("TRUNCATE TABLE {};\n{insert}", self.target),
            Mode::Merge => {
                let key = self.table.key_names().into_iter().map(identifier);
                let on: Vec<_> = key.map(|k| format!("t.{k} = s.{k}")).collect();
                let others = self.table.other_names().into_iter().map(identifier);
                let set: Vec<_> = others.map(|c| format!("{c} = s.{c}")).collect();
                let update = if set.is_empty() {
                    String::new()
                } else {
                    format!("WHEN MATCHED THEN UPDATE SET {}\n", set.join(", "))
                };
                format!(
                    "MERGE INTO {} AS t\nUSING ({select}) AS s\nON {}\n{update}\
                     WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({});\n",
                    self.target,
                    on.join(" AND "),
                    self.table.names(|c| format!("s.{}", identifier(c)))
                )
            }
        }
    }

    fn outcome(&self) -> String {
        format!(
            "SELECT row_count, loaded_at FROM {} WHERE {};\n",
            self.ledger, self.entry
        )
    }
}
