//! A database of a test.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use sqlextract_simulation::StillSource;
use sqlextract_source::SourceSettings;
use sqlextract_source::suite::Writer;

pub(crate) struct Database {
    folder: tempfile::TempDir,
    writer: Mutex<Connection>,
}

impl Database {
    /// A file in which `sql` was executed.
    pub(crate) fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let writer = Connection::open(folder.path().join("shop.db")).expect("the folder takes files");
        writer.execute_batch(sql).expect("the statements are valid SQL");
        Self {
            folder,
            writer: Mutex::new(writer),
        }
    }

    pub(crate) fn still_source(&self, max_connections: u32) -> StillSource {
        let settings = SourceSettings {
            url: format!("sqlite://{}", self.folder.path().join("shop.db").display()),
            allow_plaintext: false,
            max_connections,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
        };
        StillSource::open(settings).expect("the file is a database")
    }
}

#[async_trait]
impl Writer for Database {
    async fn execute(&self, sql: &str) {
        let writer = self.writer.lock().expect("no writer panics");
        writer.execute_batch(sql).expect("the statement is valid SQL");
    }
}
