//! The statements of one table.

use std::fmt::Write as _;

use sqlextract_model::Format;

use super::{Reading, columns, reading};
use crate::compare::{Catalogue, differences};
use crate::driver::LOADED_BEFORE;
use crate::load::ChunkLoad;
use crate::names::LEDGER;
use crate::options::Mode;
use crate::plan::{Plan, TablePlan};
use crate::quote::comment_statement;
use crate::quote::mssql::{identifier, literal, plain_literal};
use crate::script::{LoadPart, TableParts, section};

const CHUNKS: &str = "sqlextract_chunks";

struct Names<'p, 'm> {
    plan: &'p Plan<'m>,
    table: &'p TablePlan<'m>,
    target: String,
    staging: String,
    ledger: String,
    chunks: String,
    entry: String,
}

pub(super) fn table_parts(plan: &Plan<'_>, table: &TablePlan<'_>) -> TableParts {
    let qualified = |name: &str| format!("{}.{}", identifier(&table.place.schema), identifier(name));
    let names = Names {
        plan,
        table,
        target: qualified(&table.place.name),
        staging: qualified(&table.staging),
        ledger: qualified(LEDGER),
        chunks: qualified(CHUNKS),
        entry: format!(
            "job = {} AND table_name = {}",
            literal(plan.job()),
            literal(&table.place.name)
        ),
    };
    let mut before = vec![section("Schema, ledger, table.", names.definitions())];
    if plan.options.add_columns {
        before.push(section("Columns that the table does not have yet.", names.additions()));
    }
    before.push(section(
        "Stops where the table is not what the extraction needs.",
        names.comparison(),
    ));
    before.push(section("Staging table.", names.staging_table()));
    let mut loads = Vec::new();
    for chunk in table.groups.iter().flatten() {
        loads.push(LoadPart {
            about: chunk.record.key.clone(),
            sql: names.load(chunk),
        });
    }
    TableParts {
        before,
        loads,
        after: vec![
            section(
                "Check: rows in all; every file's rows were counted as it was loaded.",
                names.check(),
            ),
            section("Publish.", names.publish()),
            section("Clean up.", names.clean_up()),
        ],
        rollback: vec![
            "Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:"
                .to_owned(),
            format!("TRUNCATE TABLE {};", comment_statement(&names.target)),
            "and delete this job's row from the ledger, so that it can be loaded again.".to_owned(),
        ],
    }
}

impl Names<'_, '_> {
    fn has_sessions(&self) -> bool {
        self.plan.sessions > 1
    }

    /// One batch that runs only where the ledger does not have the job.
    fn guarded(&self, sql: &str) -> String {
        let indented: String = sql.lines().map(|line| format!("  {line}\n")).collect();
        format!(
            "IF NOT EXISTS (SELECT 1 FROM {} WHERE {})\nBEGIN\n{indented}END;\nGO\n",
            self.ledger, self.entry
        )
    }

    fn object(&self, name: &str) -> String {
        format!("OBJECT_ID({}, N'U')", literal(name))
    }

    fn definitions(&self) -> String {
        let schema = &self.table.place.schema;
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| {
                let null = if c.mapping.nullable { "NULL" } else { "NOT NULL" };
                format!("  {} {} {null}", identifier(&c.name), c.kind)
            })
            .collect();
        let mut out = format!(
            "IF SCHEMA_ID({}) IS NULL EXEC ({});\nGO\n\
             IF {} IS NULL\nCREATE TABLE {} (\n  \
               job NVARCHAR(120) NOT NULL,\n  table_name NVARCHAR(128) NOT NULL,\n  row_count BIGINT NOT NULL,\n  \
               loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),\n  PRIMARY KEY (job, table_name)\n);\n",
            literal(schema),
            literal(&format!("CREATE SCHEMA {}", identifier(schema))),
            self.object(&self.ledger),
            self.ledger,
        );
        if self.has_sessions() {
            let _ = write!(
                out,
                "IF {} IS NULL\nCREATE TABLE {} (\n  job NVARCHAR(120) NOT NULL,\n  chunk NVARCHAR(300) NOT NULL,\n  row_count BIGINT NOT NULL,\n  \
                 loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),\n  PRIMARY KEY (job, chunk)\n);\n",
                self.object(&self.chunks),
                self.chunks
            );
        }
        let _ = write!(
            out,
            "IF {} IS NULL\nCREATE TABLE {} (\n{}\n);\nGO\n",
            self.object(&self.target),
            self.target,
            lines.join(",\n")
        );
        out
    }

    fn additions(&self) -> String {
        let mut out = String::new();
        for column in &self.table.columns {
            let _ = writeln!(
                out,
                "IF COL_LENGTH({}, {}) IS NULL ALTER TABLE {} ADD {} {} NULL;",
                literal(&self.target),
                literal(&column.name),
                self.target,
                identifier(&column.name),
                column.kind
            );
        }
        out + "GO\n"
    }

    fn comparison(&self) -> String {
        let filter = format!(
            "table_schema = {} AND table_name = {}",
            literal(&self.table.place.schema),
            literal(&self.table.place.name)
        );
        let catalogue = Catalogue {
            relation: CATALOGUE,
            filter: &filter,
            concat: "+",
            type_column: "data_type",
            folds_case: false,
            literal,
        };
        format!(
            "DECLARE @difference NVARCHAR(MAX) = (\n\
             SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (\n{}\n) AS found\nWHERE difference IS NOT NULL\n);\n\
             IF @difference IS NOT NULL\nBEGIN\n  \
               DECLARE @message NVARCHAR(2048) = LEFT(CONCAT({}, @difference), 2048);\n  \
               THROW 50001, @message, 1;\nEND;\nGO\n",
            differences(&catalogue, self.table, columns::fits),
            literal(&format!("{} does not fit: ", self.table.place.shown())),
        )
    }

    fn staging_table(&self) -> String {
        let format = self.plan.format().format;
        let lines: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|c| format!("  {} {} NULL", identifier(&c.name), columns::staged_type(c, format)))
            .collect();
        let create = format!("CREATE TABLE {} (\n{}\n);", self.staging, lines.join(",\n"));
        if !self.has_sessions() {
            return self.guarded(&format!("DROP TABLE IF EXISTS {};\n{create}", self.staging));
        }
        let fresh = format!(
            "IF {} IS NULL\nBEGIN\n  DELETE FROM {} WHERE job = {} AND chunk LIKE {};\n  {}\nEND;",
            self.object(&self.staging),
            self.chunks,
            literal(self.plan.job()),
            literal(&self.chunk_pattern()),
            create.replace('\n', "\n  ")
        );
        let loaded = format!(
            "IF EXISTS (SELECT 1 FROM {} WHERE {})\n  PRINT {};\nGO\n",
            self.ledger,
            self.entry,
            plain_literal(LOADED_BEFORE)
        );
        self.guarded(&fresh) + &loaded
    }

    /// The chunks of this table, as LIKE takes it: `[`, `%` and `_` stand for themselves.
    fn chunk_pattern(&self) -> String {
        let mut pattern = format!("data/{}/", self.table.table.segment);
        for special in ["[", "%", "_"] {
            pattern = pattern.replace(special, &format!("[{special}]"));
        }
        pattern + "%"
    }

    fn load(&self, chunk: &ChunkLoad<'_>) -> String {
        let rows = chunk.record.rows;
        let count = match self.plan.skips_bad_rows() {
            true => String::new(),
            false => format!(
                "\nIF @@ROWCOUNT <> {rows} THROW 50002, {}, 1;",
                literal(&format!("{} does not hold {rows} rows", chunk.record.key))
            ),
        };
        let load = format!("{}{count}", self.insert(chunk));
        if !self.has_sessions() {
            return self.guarded(&load);
        }
        let (job, key) = (literal(self.plan.job()), literal(&chunk.record.key));
        let once = format!(
            "IF NOT EXISTS (SELECT 1 FROM {chunks} WHERE job = {job} AND chunk = {key})\nBEGIN\n  \
             BEGIN TRANSACTION;\n  INSERT INTO {chunks} (job, chunk, row_count) VALUES ({job}, {key}, {rows});\n  {}\n  COMMIT TRANSACTION;\nEND;",
            load.replace('\n', "\n  "),
            chunks = self.chunks,
        );
        format!(
            "SET NOCOUNT ON;\nSET XACT_ABORT ON;\nGO\n{}{}",
            self.use_database(),
            self.guarded(&once)
        )
    }

    fn use_database(&self) -> String {
        match &self.plan.options.database {
            Some(database) => format!("USE {};\nGO\n", identifier(database)),
            None => String::new(),
        }
    }

    fn insert(&self, chunk: &ChunkLoad<'_>) -> String {
        let reading = reading(self.plan);
        let data_source = self.plan.options.data_source.as_deref().unwrap_or("<DATA_SOURCE>");
        let path = self.plan.path(chunk);
        match reading {
            Reading::Folder => self.bulk_insert(&folder_path(self.plan.root(), &path), None),
            Reading::Blob => self.bulk_insert(&path, Some(data_source)),
            Reading::Polybase => self.openrowset(&format!("/{path}"), data_source),
        }
    }

    fn bulk_insert(&self, file: &str, data_source: Option<&str>) -> String {
        let mut options = Vec::new();
        options.extend(data_source.map(|name| format!("DATA_SOURCE = {}", plain_literal(name))));
        options.extend(
            [
                "FORMAT = 'CSV'",
                "FIRSTROW = 2",
                "FIELDQUOTE = '\"'",
                "FIELDTERMINATOR = ','",
                "ROWTERMINATOR = '0x0a'",
                "CODEPAGE = '65001'",
                "KEEPNULLS",
                "TABLOCK",
            ]
            .map(str::to_owned),
        );
        if self.plan.skips_bad_rows() {
            options.push(format!("MAXERRORS = {}", self.table.rows().max(1)));
            options.push(format!("ERRORFILE = {}", plain_literal(&format!("{file}.rejected"))));
        } else {
            options.push("MAXERRORS = 0".to_owned());
        }
        format!(
            "BULK INSERT {} FROM {}\nWITH ({});",
            self.staging,
            plain_literal(file),
            options.join(", ")
        )
    }

    fn openrowset(&self, path: &str, data_source: &str) -> String {
        let parquet = self.plan.format().format == Format::Parquet;
        let columns = &self.table.columns;
        let (values, shape): (Vec<_>, Vec<_>) = columns
            .iter()
            .map(|c| {
                let field = identifier(&c.mapping.name);
                match parquet {
                    true => (columns::staged(c), format!("{field} {}", columns::read_type(c))),
                    false => (
                        format!("r.{field}"),
                        format!("{field} VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8"),
                    ),
                }
            })
            .unzip();
        let format = match parquet {
            true => "FORMAT = 'PARQUET'",
            false => "FORMAT = 'CSV', FIRSTROW = 2",
        };
        format!(
            "INSERT INTO {} WITH (TABLOCK) ({})\nSELECT {}\nFROM OPENROWSET(BULK {}, {format}, DATA_SOURCE = {})\nWITH (\n  {}\n) AS r;",
            self.staging,
            self.table.names(identifier),
            values.join(", "),
            plain_literal(path),
            plain_literal(data_source),
            shape.join(",\n  "),
        )
    }

    fn check(&self) -> String {
        let rows = self.table.rows();
        if self.plan.skips_bad_rows() {
            return self.guarded(&format!(
                "SELECT COUNT_BIG(*) AS rows_loaded, {rows} - COUNT_BIG(*) AS rows_skipped FROM {};",
                self.staging
            ));
        }
        let mut sql = format!("{}\n", self.count_check());
        if !self.table.key.is_empty() {
            let key: Vec<_> = self.table.key_names().into_iter().map(identifier).collect();
            let _ = writeln!(
                sql,
                "IF EXISTS (SELECT 1 FROM ({}) AS s GROUP BY {key} HAVING COUNT_BIG(*) > 1)\n  THROW 50004, {}, 1;",
                self.source(),
                literal(&format!(
                    "{}: the merge key is not unique in the extraction",
                    self.table.place.shown()
                )),
                key = key.join(", "),
            );
        }
        self.guarded(&sql)
    }

    fn count_check(&self) -> String {
        let rows = self.table.rows();
        format!(
            "DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM {});\n\
             IF @loaded <> {rows}\nBEGIN\n  \
               DECLARE @message NVARCHAR(2048) = CONCAT({}, @loaded, {});\n  \
               THROW 50003, @message, 1;\nEND;",
            self.staging,
            literal(&format!("{}: ", self.table.place.shown())),
            literal(&format!(" rows were loaded, the manifest says {rows}")),
        )
    }

    /// The rows as the target has them.
    fn source(&self) -> String {
        let format = self.plan.format().format;
        let named = |c: &crate::plan::TargetColumn<'_>| {
            let (value, name) = (columns::published(c, format), identifier(&c.name));
            if value == name {
                name
            } else {
                format!("{value} AS {name}")
            }
        };
        let values: Vec<_> = self.table.columns.iter().map(named).collect();
        format!("SELECT {} FROM {}", values.join(", "), self.staging)
    }

    fn publish(&self) -> String {
        let check = if self.plan.skips_bad_rows() {
            String::new()
        } else {
            self.count_check() + "\n"
        };
        let body = format!(
            "{check}BEGIN TRANSACTION;\nINSERT INTO {} (job, table_name, row_count)\nSELECT {}, {}, COUNT_BIG(*) FROM {};\n{}COMMIT TRANSACTION;\n",
            self.ledger,
            literal(self.plan.job()),
            literal(&self.table.place.name),
            self.staging,
            self.rows_in()
        );
        let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
        self.guarded(&format!(
            "BEGIN TRY\n{body}END TRY\nBEGIN CATCH\n  IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;\n  THROW;\nEND CATCH;"
        ))
    }

    fn rows_in(&self) -> String {
        let names = self.table.names(identifier);
        let source = self.source();
        let insert = format!("INSERT INTO {} WITH (TABLOCK) ({names})\n{source};\n", self.target);
        match self.plan.mode() {
            Mode::Append => insert,
            Mode::Replace => format!("TRUNCATE TABLE {};\n{insert}", self.target),
            Mode::Merge => {
                let key = self.table.key_names().into_iter().map(identifier);
                let on: Vec<_> = key.map(|k| format!("t.{k} = s.{k}")).collect();
                let on = on.join(" AND ");
                let others = self.table.other_names().into_iter().map(identifier);
                let set: Vec<_> = others.map(|c| format!("t.{c} = s.{c}")).collect();
                let update = if set.is_empty() {
                    String::new()
                } else {
                    format!(
                        "UPDATE t SET {}\nFROM {} AS t INNER JOIN ({source}) AS s ON {on};\n",
                        set.join(", "),
                        self.target
                    )
                };
                format!(
                    "{update}INSERT INTO {target} ({names})\nSELECT {} FROM ({source}) AS s\nWHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {on});\n",
                    self.table.names(|c| format!("s.{}", identifier(c))),
                    target = self.target
                )
            }
        }
    }

    fn clean_up(&self) -> String {
        let mut out = format!("DROP TABLE IF EXISTS {};\n", self.staging);
        if self.has_sessions() {
            let _ = writeln!(
                out,
                "DELETE FROM {} WHERE job = {} AND chunk LIKE {};",
                self.chunks,
                literal(self.plan.job()),
                literal(&self.chunk_pattern())
            );
        }
        let _ = write!(
            out,
            "GO\nSELECT job, table_name, row_count, loaded_at FROM {} WHERE {};\nGO\n",
            self.ledger, self.entry
        );
        out
    }
}

/// The views' own names are upper case, which counts where the database's collation says so.
const CATALOGUE: &str = "(SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, \
    IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, \
    NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision \
    FROM INFORMATION_SCHEMA.COLUMNS) AS told";

/// A file below a folder of the server, with the folder's own kind of slash.
fn folder_path(root: &str, path: &str) -> String {
    if root.contains('\\') {
        format!("{root}\\{}", path.replace('/', "\\"))
    } else {
        format!("{root}/{path}")
    }
}
