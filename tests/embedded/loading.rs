//! Loading what was extracted into a PostgreSQL database of its own, as users do it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sqlextract_system_tests::{Database, Dialect, Run, Scenario, variable};

pub(crate) struct Load {
    pub(crate) scenario: Scenario,
    pub(crate) target: Database,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self::into(Database::new(Dialect::Postgres))
    }

    pub(crate) fn into(target: Database) -> Self {
        let scenario = Scenario::new();
        std::fs::create_dir(scenario.path("bin")).expect("the folder can be made");
        let program = std::fs::canonicalize(variable("SQLEXTRACT_BINARY")).expect("SQLEXTRACT_BINARY is there");
        std::os::unix::fs::symlink(program, scenario.path("bin/sqlextract")).expect("the folder takes links");
        Self { scenario, target }
    }

    pub(crate) fn script(&self, run: &Run) -> PathBuf {
        self.script_with(run, &[])
    }

    /// The script of a run, with further flags.
    pub(crate) fn script_with(&self, run: &Run, flags: &[&str]) -> PathBuf {
        let file = self.scenario.path("load.script");
        let name = file.to_str().expect("temporary paths are text").to_owned();
        let mut all = vec!["--target", "postgres", "-o", &name];
        all.extend(flags);
        self.scenario.about(run, "generate-ingest", &all).exits(0);
        file
    }

    pub(crate) fn path(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{}:{path}", self.scenario.path("bin").display())
    }

    pub(crate) fn psql(&self, script: &Path) -> Output {
        let mut psql: Command = self.target.client_program(self.target.name());
        psql.arg("-f").arg(script).stdin(Stdio::null());
        psql.env("PATH", self.path());
        psql.output().expect("psql is in the PATH")
    }

    /// The shell driver, which finds the server by psql's variables.
    pub(crate) fn bash(&self, script: &Path) -> Output {
        self.driver(script, "2").output().expect("bash is in the PATH")
    }

    /// The same, with so many tries for every step.
    pub(crate) fn driver(&self, script: &Path, tries: &str) -> Command {
        let url = self.target.url();
        let (login, place) = url
            .trim_start_matches("postgres://")
            .split_once('@')
            .expect("the address has a user");
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = place
            .split('/')
            .next()
            .and_then(|p| p.split_once(':'))
            .expect("the address has a port");
        let mut bash = Command::new("bash");
        bash.arg(script)
            .stdin(Stdio::null())
            .current_dir(self.scenario.path(""));
        bash.env("PATH", self.path()).env("SQLEXTRACT_TRIES", tries);
        for (name, value) in [
            ("PGHOST", host),
            ("PGPORT", port),
            ("PGUSER", user),
            ("PGPASSWORD", password),
            ("PGDATABASE", self.target.name()),
        ] {
            bash.env(name, value);
        }
        bash
    }

    /// What the driver noted.
    pub(crate) fn log(&self) -> String {
        let files = std::fs::read_dir(self.scenario.path("")).expect("the folder is there");
        let mut logs = files
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"));
        let log = logs.next().map(std::fs::read_to_string);
        log.map(|text| text.expect("a log is text")).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, script: &Path) -> String {
        said(&self.psql(script))
    }
}

/// What a run said that must have succeeded.
#[track_caller]
pub(crate) fn said(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{told}");
    said
}

/// What a run said that must have failed.
#[track_caller]
pub(crate) fn failed(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "it succeeded: {said}\n{told}");
    format!("{said}\n{told}")
}
