//! What can go wrong, in one registry: each code has its class, its blame, its exit code and what to do about it.
//!
//! Codes are stable; wording is not. Classes come from types, SQLSTATE and HTTP status, never from words in a message.

use std::fmt;

use serde::{Deserialize, Serialize};

pub type Result<T> = std::result::Result<T, Failure>;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The same attempt fails again until somebody changes something.
    Permanent,
    /// It did not happen and may work later.
    Retryable,
    /// It may have happened: read back before trying again.
    Indeterminate,
    /// Somebody else holds it now.
    Busy,
}

/// Who can put it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    Request,
    Source,
    Infrastructure,
    Defect,
}

macro_rules! codes {
    ($($code:ident $text:literal $class:ident $blame:ident $exit:literal $summary:literal $action:literal)*) => {
        /// A stable name for a kind of failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[serde(rename = $text)] $code,)*
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The code as written in JSON, events and the error page.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }

            pub fn class(self) -> Class {
                match self { $(Self::$code => Class::$class,)* }
            }

            pub fn blame(self) -> Blame {
                match self { $(Self::$code => Blame::$blame,)* }
            }

            /// The process's exit code when this failure ends the run.
            pub fn exit_code(self) -> u8 {
                match self { $(Self::$code => $exit,)* }
            }

            /// What it means, as a sentence for the error page.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$code => $summary,)* }
            }

            /// What to do about it.
            pub fn action(self) -> &'static str {
                match self { $(Self::$code => $action,)* }
            }
        }
    };
}

codes! {
    Defect "defect" Permanent Defect 1 "sqlextract did something that it must never do." "Report it with the command, the version and this text."
    UsageInvalid "usage_invalid" Permanent Request 2 "The command line asks for something that does not go together." "See `sqlextract help COMMAND` for the flags and examples."
    ConfigInvalid "config_invalid" Permanent Request 3 "A setting is missing, unknown or out of range." "Correct the setting; `sqlextract config show --origin` tells where each value comes from."
    PreflightFailed "preflight_failed" Permanent Infrastructure 3 "The environment lacks something that the run needs." "Provide what the message names, then run the command again."
    PlaintextRefused "plaintext_refused" Permanent Request 3 "A connection to another host would not be encrypted." "Use TLS (for PostgreSQL `sslmode=require` or stricter), or allow plain text by name with `--allow-plaintext`."
    StoreNotCreateOnly "store_not_create_only" Permanent Infrastructure 3 "The store ignores create-only writes, so two writers could both win." "Use a store that honours If-None-Match, or accept one writer with `--single-writer`."
    SourceUnreachable "source_unreachable" Retryable Infrastructure 4 "Nothing answers at the source's address." "Check host, port and network, then run the command again."
    SourceAuthentication "source_authentication" Permanent Request 4 "The source refuses the user or the password." "Correct user and password; `PGPASSWORD` and `~/.pgpass` are not read, the URL is."
    SourcePermission "source_permission" Permanent Request 4 "The user may not read the object." "Grant SELECT on the object to the user, or extract with another user."
    SourceObjectMissing "source_object_missing" Permanent Request 4 "The source has no such database, table or column." "Check the name; `sqlextract inspect` lists what the user can see."
    SourceQueryInvalid "source_query_invalid" Permanent Request 4 "The source does not accept the filter or the query." "Correct the SQL of `--where` or `--query`; the database's own words follow."
    SourceConnectionLost "source_connection_lost" Retryable Infrastructure 4 "The connection to the source ended while it was in use." "Run the same command again: it resumes."
    SourceTimeout "source_timeout" Retryable Source 4 "The source stopped the statement after its time limit or waited too long for a lock." "Run the same command again; smaller batches (`--batch-size`) make statements shorter."
    SourceConnectionLimit "source_connection_limit" Retryable Source 4 "The source has no connection left for us." "Lower `--max-connections` or `--workers`."
    SourcePooler "source_pooler" Permanent Infrastructure 4 "A pooler between us and the database breaks snapshots or session settings." "Connect to the database directly or to a pooler in session mode, or use `--consistency batch`."
    SourceCorrupt "source_corrupt" Permanent Source 4 "The source's data cannot be read as what the database says it is." "Check the database with its own tools."
    SourceProtocol "source_protocol" Permanent Defect 4 "The source sent something that its protocol does not allow." "Report it with the database's version."
    SchemaChanged "schema_changed" Permanent Source 4 "A table's columns are not those that the plan was made for." "Run with `--restart` to plan the tables anew."
    RowsUnproven "rows_unproven" Retryable Infrastructure 8 "Fewer rows arrived than the source counted, or none where a second look found some." "Run the same command again: it resumes."
    StorageUnreachable "storage_unreachable" Retryable Infrastructure 5 "The storage does not answer." "Check endpoint, region and network, then run the same command again: it resumes."
    StorageAuthentication "storage_authentication" Permanent Request 5 "The storage refuses the credentials or the permission is missing." "Check the credentials and that they may put, get, list and abort multipart uploads under the prefix."
    StorageMissing "storage_missing" Permanent Infrastructure 5 "An object or bucket that must be there is not." "Check the bucket's name and that nothing deletes objects under the job's prefix."
    StorageFull "storage_full" Permanent Infrastructure 5 "The storage has no space left." "Free some space, then run the same command again: it resumes."
    StorageRejected "storage_rejected" Permanent Infrastructure 5 "The storage refuses the request." "The store's own words follow."
    StorageTimeout "storage_timeout" Indeterminate Infrastructure 5 "The storage did not answer in time; the write may have happened." "Run the same command again: it reads back before it writes."
    StorageForeign "storage_foreign" Permanent Request 5 "The output holds something that is not of this job." "Choose another `--output` or `--job`, or move the foreign files away."
    StorageCorrupt "storage_corrupt" Permanent Infrastructure 8 "An object's content is not what its record says." "Run `sqlextract verify --depth full`; extract again with `--restart`."
    CheckpointUnavailable "checkpoint_unavailable" Retryable Infrastructure 6 "The checkpoint store does not answer." "Check the store, then run the same command again."
    CheckpointRefused "checkpoint_refused" Permanent Request 6 "The checkpoint store refuses the user, the password or a command." "Correct the user and the password, and let the user run scripts, INFO and TIME under the prefix."
    CheckpointCorrupt "checkpoint_corrupt" Permanent Infrastructure 6 "The checkpoint store cannot be read." "Delete the file: it is rebuilt from the output."
    CheckpointNewer "checkpoint_newer" Permanent Infrastructure 6 "A newer version of sqlextract wrote the checkpoint store." "Use that version, or delete the file: it is rebuilt from the output."
    QueueUnavailable "queue_unavailable" Retryable Infrastructure 6 "The queue does not take or give messages." "Check the broker, then try again."
    QueueUnconfirmed "queue_unconfirmed" Indeterminate Infrastructure 6 "The broker did not confirm a message in time; it may hold it." "Check the broker, then try again: a message that comes twice does no harm."
    QueueAuthentication "queue_authentication" Permanent Request 6 "The broker refuses the user, the password, the virtual host or a permission." "Correct the broker's URL, or grant the user what the message names."
    QueueMissing "queue_missing" Retryable Infrastructure 6 "An exchange, a queue or a binding is missing at the broker." "Run `sqlextract topology apply` with the same settings."
    QueueMismatch "queue_mismatch" Permanent Infrastructure 6 "An exchange or queue exists at the broker with other properties." "Delete the object once it is empty and run `sqlextract topology apply`, or choose another prefix."
    RequestRefused "request_refused" Permanent Request 2 "A request asks for something that does not exist or that it may not have." "Correct the request and send it under an id of its own."
    MessageUnreadable "message_unreadable" Permanent Request 6 "A message cannot be read." "Correct the sender; the message is parked with its reason."
    TypeUnsupported "type_unsupported" Permanent Request 7 "A column's type has no form in the chunk that holds every value." "Give the type by name with `--column-type`, or leave the column out with `--exclude-columns`."
    TypeLossy "type_lossy" Permanent Request 7 "A column's type would lose something in the form asked for." "Choose `--on-lossy text` or `round`, or another `--column-type`."
    ValueRefused "value_refused" Permanent Source 7 "A value cannot be held exactly by its column's form in the chunk." "Give the column a form that holds it, for example `--column-type T.C=text`."
    ValueTooLarge "value_too_large" Permanent Request 7 "A value does not fit into the memory budget." "Raise `--buffer-size`, or leave the column out with `--exclude-columns`."
    PlanRefused "plan_refused" Permanent Request 7 "The table cannot be read in a safe way as asked." "The message names the reason and the option that helps."
    PlanUnsound "plan_unsound" Permanent Defect 1 "A plan does not cover every row exactly once." "Report it with the table's definition."
    VerificationMismatch "verification_mismatch" Permanent Infrastructure 8 "Chunks, manifest and source do not agree." "The message names the chunk and the column; extract again with `--restart`."
    SourceChanged "source_changed" Permanent Source 8 "The source has changed since the extraction, so it cannot be compared." "Compare against the files with `--depth full`, or extract again with `--restart`."
    ManifestUnreadable "manifest_unreadable" Permanent Infrastructure 8 "A manifest, plan or commit record cannot be read." "Restore the object, or extract again with `--restart`."
    BatchesParked "batches_parked" Permanent Source 9 "Some batches failed and are parked; the rest is committed." "Repair the cause, then run the same command again: only the parked batches are read."
    SnapshotLost "snapshot_lost" Permanent Source 10 "The shared snapshot is gone and the job may not go on without it." "Run again with `--on-snapshot-lost replan` or `--restart`."
    JobBusy "job_busy" Busy Request 11 "Another process is working on this job." "Wait for it, or run with `--if-running wait` or `attach`."
    JobCancelled "job_cancelled" Permanent Request 12 "The job was cancelled." "Run with `--restart` to start anew."
    Interrupted "interrupted" Retryable Request 130 "The run was interrupted; what is committed stays." "Run the same command again: it resumes."
    Terminated "terminated" Retryable Request 143 "The run was terminated; what is committed stays." "Run the same command again: it resumes."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failure: its code, a sentence about this case, what it concerns, and the layers below, one a line.
///
/// `Display` writes the sentence of this layer only; whoever reports a failure writes `causes` too. No part ever
/// holds a password: adapters strip URLs before they make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub code: Code,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The row, by its key's values or its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do in this case, where that is more precise than the code's action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            table: None,
            column: None,
            row: None,
            causes: Vec::new(),
            remedy: None,
        }
    }

    #[must_use]
    pub fn table(mut self, table: impl fmt::Display) -> Self {
        self.table.get_or_insert_with(|| table.to_string());
        self
    }

    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.column.get_or_insert_with(|| column.into());
        self
    }

    #[must_use]
    pub fn row(mut self, row: impl Into<String>) -> Self {
        self.row.get_or_insert_with(|| row.into());
        self
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the layer below.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    pub fn class(&self) -> Class {
        self.code.class()
    }

    pub fn action(&self) -> &str {
        self.remedy.as_deref().unwrap_or_else(|| self.code.action())
    }

    /// Which of several failures ends the run: integrity before defect before refused before retryable.
    pub fn gravity(&self) -> u8 {
        match (self.code.exit_code(), self.code.blame(), self.class()) {
            (8, _, _) => 5,
            (_, Blame::Defect, _) => 4,
            (9, _, _) => 2,
            (_, _, Class::Permanent) => 3,
            (_, _, Class::Busy) => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_say_what_to_do() {
        let texts: std::collections::HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
            assert!(code.summary().ends_with('.') && code.action().len() > 10, "{code}");
            assert_ne!(code.exit_code(), 0, "{code}");
        }
    }

    #[test]
    fn the_gravest_failure_is_integrity_then_defect_then_refused() {
        let order = [
            Code::VerificationMismatch,
            Code::Defect,
            Code::TypeUnsupported,
            Code::BatchesParked,
            Code::JobBusy,
        ];
        let gravities: Vec<_> = order.iter().map(|c| Failure::new(*c, "").gravity()).collect();
        assert!(gravities.is_sorted_by(|a, b| a > b), "{gravities:?}");
    }
}
