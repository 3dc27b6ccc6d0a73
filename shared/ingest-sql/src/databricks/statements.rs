//! The statements of one table.

use std::fmt::Write as _;

use sqlextract_model::Format;

use super::columns;
use crate::compare::{Catalogue, differences};
use crate::load::ChunkLoad;
use crate::options::Mode;
use crate::plan::{Plan, TablePlan};
use crate::quote::comment_statement;
use crate::quote::databricks::{identifier, literal};
use crate::script::{LoadPart, TableParts, section};

/// Where Databricks finds the destination.
pub(super) fn root(plan: &Plan<'_>) -> String {
    let root = plan.root();
    if root.contains("://") || root.starts_with("/Volumes/") {
        root.to_owned()
    } else {
        "/Volumes/<CATALOG>/<SCHEMA>/<VOLUME>".to_owned()
    }
}

struct Names<'p, 'm> {
    plan: &'p Plan<'m>,
    table: &'p TablePlan<'m>,
    schema: String,
    target: String,
    staging: String,
}

/// The column of the staging table that names the file.
const FILE: &str = "`_sqlextract_file`";

pub(super) fn table_parts(plan: &Plan<'_>, table: &TablePlan<'_>) -> TableParts {
    let catalog = plan.options.database.as_deref();
    let qualified = |parts: &[&str]| {
        let parts: Vec<_> = catalog
            .into_iter()
            .chain(parts.iter().copied())
            .map(identifier)
            .collect();
        parts.join(".")
    };
    let schema = table.place.schema.as_str();
    let names = Names {
        plan,
        table,
        schema: qualified(&[schema]),
        target: qualified(&[schema, &table.place.name]),
        staging: qualified(&[schema, &table.staging]),
    };
    let mut loads = Vec::new();
    for group in &table.groups {
        loads.push(LoadPart {
            about: format!("{} files of {}", group.len(), table.place.shown()),
            sql: names.copy(&names.staging, group, true),
        });
    }
    let mut before = vec![section("Schema and table.", names.definitions())];
    if plan.options.add_columns {
        before.push(section(
            "Columns that the table does not have: no row is merged, and its schema takes them on.",
            names.additions(),
        ));
    }
    before.extend([
        section(
            "Stops where the table is not what the extraction needs.",
            names.comparison(),
        ),
        section(
            "Staging table, new: COPY INTO remembers files per table.",
            names.staging_table(),
        ),
    ]);
    TableParts {
        before,
        loads,
        after: vec![
            section("Check: rows per file, then in all.", names.check()),
            section("Publish.", names.publish()),
            section("Clean up.", format!("DROP TABLE IF EXISTS {};\n", names.staging)),
        ],
        rollback: vec![
            "Each table's load is one version, or one per statement when appending:".to_owned(),
            format!("DESCRIBE HISTORY {};", comment_statement(&names.target)),
            format!(
                "RESTORE TABLE {} TO VERSION AS OF <VERSION before the load>;",
                comment_statement(&names.target)
            ),
            "An appended file stays known to COPY INTO; load it again with 'force' = 'true'.".to_owned(),
        ],
    }
}

impl Names<'_, '_> {
    fn definitions(&self) -> String {
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {}{}", identifier(&c.name), c.kind, c.not_null()))
            .collect();
        format!(
            "CREATE SCHEMA IF NOT EXISTS {};\nCREATE TABLE IF NOT EXISTS {} (\n{}\n) USING DELTA;\n",
            self.schema,
            self.target,
            lines.join(",\n")
        )
    }

    /// `ALTER TABLE … ADD COLUMNS` fails on a column that is there; a merge of nothing does not.
    fn additions(&self) -> String {
        let columns: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  CAST(NULL AS {}) AS {}", c.kind, identifier(&c.name)))
            .collect();
        format!(
            "MERGE WITH SCHEMA EVOLUTION INTO {} AS t\nUSING (SELECT\n{}\n  WHERE 1 = 0) AS s\nON FALSE\n\
             WHEN NOT MATCHED THEN INSERT *;\n",
            self.target,
            columns.join(",\n")
        )
    }

    fn comparison(&self) -> String {
        let relation = match &self.plan.options.database {
            Some(catalog) => format!("{}.information_schema.columns", identifier(catalog)),
            None => "information_schema.columns".to_owned(),
        };
        let filter = format!(
            "table_schema = {} AND table_name = {}",
            literal(&self.table.place.schema.to_lowercase()),
            literal(&self.table.place.name.to_lowercase())
        );
        let catalogue = Catalogue {
            relation: &relation,
            filter: &filter,
            concat: "||",
            type_column: "full_data_type",
            folds_case: true,
            literal,
        };
        format!(
            "SELECT assert_true(COUNT(*) = 0, {} || array_join(array_sort(collect_list(difference)), '; ')) AS comparison\n\
             FROM (\n{}\n) AS found\nWHERE difference IS NOT NULL;\n",
            literal(&format!("{} does not fit: ", self.table.place.shown())),
            differences(&catalogue, self.table, columns::fits)
        )
    }

    fn staging_table(&self) -> String {
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {}", identifier(&c.name), c.kind))
            .collect();
        format!(
            "DROP TABLE IF EXISTS {staging};\nCREATE TABLE {staging} (\n{},\n  {FILE} STRING\n) USING DELTA;\n",
            lines.join(",\n"),
            staging = self.staging,
        )
    }

    fn copy(&self, into: &str, group: &[&ChunkLoad<'_>], with_file: bool) -> String {
        let format = self.plan.format().format;
        let mut values: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| columns::expression(c, format))
            .collect();
        if with_file {
            values.push(format!("_metadata.file_name AS {FILE}"));
        }
        // A table's chunks are all in one folder.
        let folder = group.first().map(|c| self.plan.path(c)).unwrap_or_default();
        let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let location = literal(&format!("{}/{folder}/", root(self.plan)));
        let source = match &self.plan.options.credential {
            Some(credential) => format!("{location} WITH (CREDENTIAL {})", identifier(credential)),
            None => location,
        };
        let files: Vec<_> = group.iter().map(|c| literal(c.file_name())).collect();
        let (name, options) = self.format_options(format);
        format!(
            "COPY INTO {into}\n\
             FROM (\n  SELECT {}\n  FROM {source}\n)\n\
             FILEFORMAT = {name}\n\
             FILES = (\n  {}\n)\n\
             FORMAT_OPTIONS ({options})\n\
             COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false');\n",
            values.join(", "),
            files.join(",\n  "),
        )
    }

    fn format_options(&self, format: Format) -> (&'static str, String) {
        match format {
            Format::Parquet => ("PARQUET", "'mergeSchema' = 'false'".to_owned()),
            Format::Csv => {
                let mode = if self.plan.skips_bad_rows() {
                    "DROPMALFORMED"
                } else {
                    "FAILFAST"
                };
                // A text that no value is, so that an empty text stays one: by default Spark makes both NULL.
                let null = format!("sqlextract-null-{}", &self.plan.load.sha256.to_string()[..32]);
                let options = format!(
                    "\n  'header' = 'true', 'inferSchema' = 'false', 'sep' = ',', 'quote' = '\"', 'escape' = '\"', 'multiLine' = 'true',\n  \
                     'nullValue' = '{null}', 'encoding' = 'UTF-8', 'mode' = '{mode}'\n"
                );
                ("CSV", options)
            }
        }
    }

    fn check(&self) -> String {
        let rows = self.table.rows();
        let shown = self.table.place.shown();
        if self.plan.skips_bad_rows() {
            return format!(
                "SELECT COUNT(*) AS rows_loaded, {rows} - COUNT(*) AS rows_skipped FROM {};\n",
                self.staging
            );
        }
        let mut out = String::new();
        for group in &self.table.groups {
            let wanted: Vec<String> = group
                .iter()
                .map(|c| format!("({}, {})", literal(c.file_name()), c.record.rows))
                .collect();
            let _ = write!(
                out,
                "SELECT assert_true(COUNT(*) = 0, {} || array_join(array_sort(collect_list(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count)), '; ')) AS wrong_files\n\
                 FROM (VALUES\n  {}\n) AS w (file_name, row_count)\n\
                 LEFT JOIN (\n  SELECT {FILE} AS file_name, COUNT(*) AS row_count FROM {} GROUP BY {FILE}\n) AS h ON h.file_name = w.file_name\n\
                 WHERE COALESCE(h.row_count, 0) <> w.row_count;\n",
                literal(&format!("{shown} differs from the manifest: ")),
                wanted.join(",\n  "),
                self.staging,
            );
        }
        let _ = writeln!(
            out,
            "SELECT assert_true(COUNT(*) = {rows}, {} || COUNT(*) || ' rows were loaded, the manifest says {rows}') AS rows_loaded FROM {};",
            literal(&format!("{shown}: ")),
            self.staging
        );
        if !self.table.key.is_empty() {
            let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
            let _ = writeln!(
                out,
                "SELECT assert_true(COUNT(*) = 0, {}) AS repeated_keys FROM (SELECT {key} FROM {} GROUP BY {key} HAVING COUNT(*) > 1) AS repeated;",
                literal(&format!("{shown}: the merge key is not unique in the extraction")),
                self.staging,
                key = key.join(", "),
            );
        }
        out
    }

    fn publish(&self) -> String {
        let names = self.table.names(identifier);
        match self.plan.mode() {
            Mode::Append => {
                let groups = self.table.groups.iter();
                groups.map(|group| self.copy(&self.target, group, false)).collect()
            }
            Mode::Replace => format!(
                "INSERT OVERWRITE {} ({names})\nSELECT {names} FROM {};\n",
                self.target, self.staging
            ),
            Mode::Merge => {
                let key = self.table.key_names().into_iter().map(identifier);
                let on: Vec<_> = key.map(|k| format!("t.{k} = s.{k}")).collect();
                let others = self.table.other_names().into_iter().map(identifier);
                let set: Vec<_> = others.map(|c| format!("t.{c} = s.{c}")).collect();
                let update = if set.is_empty() {
                    String::new()
                } else {
                    format!("WHEN MATCHED THEN UPDATE SET {}\n", set.join(", "))
                };
                format!(
                    "MERGE INTO {} AS t\nUSING {} AS s\nON {}\n{update}\
                     WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({});\n",
                    self.target,
                    self.staging,
                    on.join(" AND "),
                    self.table.names(|c| format!("s.{}", identifier(c)))
                )
            }
        }
    }
}
