//! The scripts: one for each transition, and the only commands that touch our keys.
//!
//! A script takes all its keys from `KEYS`, and all keys of one call share a hash tag, so that it may run in a cluster.

use redis::Script;

macro_rules! scripts {
    ($($name:ident),+) => {
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)+
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: Script::new(include_str!(concat!("lua/", stringify!($name), ".lua"))),)+
                }
            }
        }
    };
}

scripts!(
    begin, complete, attempt, park, pause, progress, lease, take, connect, beat, tables, report
);

/// The names of keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) prefix: String,
}

impl Keys {
    /// Meta, done, attempts and parked of a job.
    pub(super) fn job(&self, job: &str) -> [String; 4] {
        ["meta", "done", "attempts", "parked"].map(|part| format!("{}:{{{job}}}:{part}", self.prefix))
    }

    /// `JOB/BATCH` is kept beside the job's other keys.
    pub(super) fn lease(&self, name: &str) -> String {
        match name.split_once('/') {
            Some((job, rest)) => format!("{}:{{{job}}}:lease:{rest}", self.prefix),
            None => format!("{}:{{{name}}}:lease", self.prefix),
        }
    }

    /// What the extractors of a source tell of themselves.
    pub(super) fn replicas(&self, source: &str) -> String {
        format!("{}:source:{{{source}}}:replicas", self.prefix)
    }

    /// Budget, members and connections of a source.
    pub(super) fn source(&self, source: &str) -> [String; 3] {
        ["budget", "members", "connections"].map(|part| format!("{}:source:{{{source}}}:{part}", self.prefix))
    }
}
