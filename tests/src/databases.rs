//! Scratch databases, spoken to through their own client programs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::process::{python, variable};
use crate::rows::{Rows, from_json, mysql_rows};
use crate::server::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

/// A database with a random name, gone when this is dropped.
#[derive(Debug)]
pub struct Database {
    pub dialect: Dialect,
    name: String,
    address: Address,
    /// Of the file, with SQLite.
    folder: Option<tempfile::TempDir>,
    /// Its own, where it shares none; ends last.
    server: Option<Server>,
}

#[derive(Debug, Clone, Default)]
struct Address {
    /// `USER` or `USER:PASSWORD`.
    login: String,
    host: String,
    port: String,
}

impl Address {
    /// Of a URL like `postgres://user@host:port/name`.
    fn parse(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (login, rest) = rest.split_once('@')?;
        let (host, _) = rest.split_once('/')?;
        let (host, port) = host.split_once(':')?;
        let [login, host, port] = [login, host, port].map(str::to_owned);
        Some(Self { login, host, port })
    }
}

const UNIT: char = '\u{1f}';
const RECORD: char = '\u{1e}';
const NULL: &str = "\u{1d}";

impl Database {
    pub fn new(dialect: Dialect) -> Self {
        Self::on(dialect, None)
    }

    /// A database of a PostgreSQL server that is a major version newer.
    pub fn newer() -> Self {
        Self::at(Dialect::Postgres, None, &variable("SQLEXTRACT_TEST_NEWER_POSTGRES"))
    }

    /// A database that nothing else changes, not even its server's counters.
    pub fn alone(dialect: Dialect) -> Self {
        Self::on(dialect, (dialect == Dialect::Postgres).then(Server::start))
    }

    fn on(dialect: Dialect, server: Option<Server>) -> Self {
        let address = match dialect {
            Dialect::Postgres if server.is_some() => {
                let port = server.as_ref().map(|s| s.port.as_str()).unwrap_or_default();
                format!("postgres://postgres@127.0.0.1:{port}/postgres")
            }
            Dialect::Postgres => variable("SQLEXTRACT_TEST_POSTGRES"),
            Dialect::Mysql => variable("SQLEXTRACT_TEST_MYSQL"),
            Dialect::Sqlite => "sqlite://user@file:0/".to_owned(),
        };
        Self::at(dialect, server, &address)
    }

    fn at(dialect: Dialect, server: Option<Server>, address: &str) -> Self {
        let address = Address::parse(address)
            .unwrap_or_else(|| panic!("the server of {dialect:?} is not given as SCHEME://USER@HOST:PORT/NAME"));
        let folder = tempfile::Builder::new()
            .prefix("scenario")
            .rand_bytes(12)
            .tempdir()
            .expect("a temporary folder can be made");
        let name = folder.path().file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        let database = Self {
            dialect,
            name,
            address,
            folder: (dialect == Dialect::Sqlite).then_some(folder),
            server,
        };
        match dialect {
            Dialect::Postgres => drop(database.client("postgres", &format!("CREATE DATABASE {};", database.name))),
            Dialect::Mysql => {
                let create = format!(
                    "CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;",
                    database.name
                );
                drop(database.client("mysql", &create));
            }
            Dialect::Sqlite => {}
        }
        database
    }

    pub fn url(&self) -> String {
        self.url_as(&self.address.login)
    }

    /// The same with another user, or `USER:PASSWORD`.
    pub fn url_as(&self, user: &str) -> String {
        let Address { host, port, .. } = &self.address;
        match self.dialect {
            Dialect::Postgres => format!("postgres://{user}@{host}:{port}/{}", self.name),
            Dialect::Mysql => format!("mysql://{user}@{host}:{port}/{}", self.name),
            Dialect::Sqlite => format!("sqlite://{}", self.file()),
        }
    }

    /// The schema that a table without one is in, as the product names it.
    pub fn table(&self, name: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("public.{name}"),
            Dialect::Mysql => format!("{}.{name}", self.name),
            Dialect::Sqlite => format!("main.{name}"),
        }
    }

    fn file(&self) -> String {
        let folder = self.folder.as_ref().expect("an SQLite database has a folder");
        folder.path().join("source.db").to_string_lossy().into_owned()
    }

    /// Runs statements; panics with the client's words where one fails.
    pub fn run(&self, statements: &str) {
        match self.dialect {
            Dialect::Sqlite => drop(python("sqlite.py", &json!({"file": self.file(), "script": statements}))),
            _ => drop(self.client(&self.name, statements)),
        }
    }

    /// The rows of one query.
    pub fn rows(&self, query: &str) -> Rows {
        match self.dialect {
            Dialect::Sqlite => from_json(&python("sqlite.py", &json!({"file": self.file(), "query": query}))),
            Dialect::Mysql => mysql_rows(&self.client(&self.name, query)),
            Dialect::Postgres => {
                let told = self.client(&self.name, query);
                let told = told.strip_suffix(RECORD).unwrap_or(&told);
                let told = told.strip_suffix('\n').unwrap_or(told);
                if told.is_empty() {
                    return Vec::new();
                }
                let cell = |text: &str| (text != NULL).then(|| text.to_owned());
                told.split(RECORD)
                    .map(|row| row.split(UNIT).map(cell).collect())
                    .collect()
            }
        }
    }

    /// The one value of a query.
    pub fn value(&self, query: &str) -> String {
        let mut rows = self.rows(query);
        rows.pop().and_then(|mut row| row.pop()).flatten().unwrap_or_default()
    }

    /// Fills a table from a CSV file with a header.
    pub fn load_csv(&self, table: &str, file: &Path) {
        let path = file.display();
        match self.dialect {
            Dialect::Postgres => self.run(&format!(
                "\\copy {table} FROM '{path}' WITH (FORMAT csv, HEADER)\nANALYZE {table};"
            )),
            Dialect::Mysql => self.run(&format!(
                "LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table} CHARACTER SET utf8mb4 \
                 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES; ANALYZE TABLE {table};"
            )),
            Dialect::Sqlite => drop(python(
                "sqlite.py",
                &json!({"file": self.file(), "table": table, "csv": path.to_string()}),
            )),
        }
    }

    /// A running client that gets these statements; for work beside an extraction.
    pub fn client_program(&self, database: &str) -> Command {
        let Address { login, host, port } = &self.address;
        let (user, password) = login.split_once(':').unwrap_or((login.as_str(), ""));
        match self.dialect {
            Dialect::Postgres => {
                let mut psql = Command::new("psql");
                psql.args([
                    "-X",
                    "-q",
                    "-A",
                    "-t",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-h",
                    host,
                    "-p",
                    port,
                    "-U",
                    user,
                ]);
                psql.args([
                    "-F",
                    &UNIT.to_string(),
                    "-R",
                    &RECORD.to_string(),
                    "-P",
                    &format!("null={NULL}"),
                ]);
                psql.args(["-d", database]);
                psql.env("PGPASSWORD", password);
                psql
            }
            _ => {
                let mut mariadb = Command::new("mariadb");
                mariadb.args([
                    "--no-defaults",
                    "--protocol=tcp",
                    "--batch",
                    "--skip-column-names",
                    "--local-infile=1",
                ]);
                mariadb.args([
                    "--default-character-set=utf8mb4",
                    "-h",
                    host,
                    "-P",
                    port,
                    "-u",
                    user,
                    database,
                ]);
                mariadb.env("MYSQL_PWD", password);
                mariadb
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn client(&self, database: &str, statements: &str) -> String {
        let mut child = self
            .client_program(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql and mariadb are in the PATH");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        let text = statements.to_owned();
        let writer = std::thread::spawn(move || {
            // A client that refuses a statement says why itself.
            let _ = stdin.write_all(text.as_bytes());
        });
        let output = child.wait_with_output().expect("the client can be waited for");
        let _ = writer.join();
        let told = String::from_utf8_lossy(&output.stderr);
        let shown: String = statements.chars().take(2000).collect();
        assert!(output.status.success(), "{told}\n{shown}");
        String::from_utf8(output.stdout).expect("the client writes UTF-8")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop_it = match self.dialect {
            Dialect::Postgres => (
                "postgres",
                format!("DROP DATABASE IF EXISTS {} WITH (FORCE);", self.name),
            ),
            Dialect::Mysql => ("mysql", format!("DROP DATABASE IF EXISTS {};", self.name)),
            Dialect::Sqlite => return,
        };
        if self.server.is_some() {
            return;
        }
        let mut client = self.client_program(drop_it.0);
        let flag = if self.dialect == Dialect::Postgres { "-c" } else { "-e" };
        let _ = client.args([flag, &drop_it.1]).stdin(Stdio::null()).output();
    }
}
