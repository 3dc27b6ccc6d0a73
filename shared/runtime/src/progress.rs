//! News of the work, for whoever shows it: a terminal, a log, nobody.

use std::fmt;

use sqlextract_model::{CommitRecord, Failure, JobId, Outcome, Platform, TableName};

/// Something that happened to a job.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// The plans of its tables are stored. Comes again when tables are planned anew, and when a job is resumed.
    Planned {
        tables: &'a [TableProgress],
    },
    BatchStarted {
        table: &'a TableName,
    },
    /// Rows, and their bytes in memory, since the last time.
    RowsRead {
        table: &'a TableName,
        rows: u64,
        bytes: u64,
    },
    /// Comes again when what follows a commit is repeated.
    BatchCommitted {
        table: &'a TableName,
        commit: &'a CommitRecord,
    },
    BatchParked {
        table: &'a TableName,
        failure: &'a Failure,
    },
    /// Where the script is.
    ScriptWritten {
        platform: Platform,
        location: &'a str,
    },
    /// Something that a person should read.
    Note {
        severity: Severity,
        text: &'a str,
    },
    /// The job has its outcome.
    Finished {
        outcome: Outcome,
    },
}

/// A table of a job, as it stands when the news is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProgress {
    pub table: TableName,
    pub batches: u64,
    pub done: u64,
    /// From statistics.
    pub estimated_rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Information,
    Warning,
}

/// Takes the news. It is told from many tasks at once and must return quickly; it has no say in the work.
pub trait ProgressSink: Send + Sync + fmt::Debug {
    fn tell(&self, job: &JobId, news: News<'_>);
}

/// The sentences in which services tell their news.
impl<'sink> dyn ProgressSink + 'sink {
    pub fn planned(&self, job: &JobId, tables: &[TableProgress]) {
        self.tell(job, News::Planned { tables });
    }

    pub fn batch_started(&self, job: &JobId, table: &TableName) {
        self.tell(job, News::BatchStarted { table });
    }

    pub fn rows_read(&self, job: &JobId, table: &TableName, rows: u64, bytes: u64) {
        self.tell(job, News::RowsRead { table, rows, bytes });
    }

    pub fn batch_committed(&self, job: &JobId, table: &TableName, commit: &CommitRecord) {
        self.tell(job, News::BatchCommitted { table, commit });
    }

    pub fn batch_parked(&self, job: &JobId, table: &TableName, failure: &Failure) {
        self.tell(job, News::BatchParked { table, failure });
    }

    pub fn script_written(&self, job: &JobId, platform: Platform, location: &str) {
        self.tell(job, News::ScriptWritten { platform, location });
    }

    pub fn note(&self, job: &JobId, severity: Severity, text: &str) {
        self.tell(job, News::Note { severity, text });
    }

    pub fn finished(&self, job: &JobId, outcome: Outcome) {
        self.tell(job, News::Finished { outcome });
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ProgressSink for NoProgress {
    fn tell(&self, _: &JobId, _: News<'_>) {}
}
