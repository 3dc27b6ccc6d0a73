//! What a store's errors mean for a run: by the kind of error, HTTP status and S3 error code, never by its words.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy::Error as ClientError;
use sqlextract_model::{Code, Failure};

/// Whether a request that got no answer may have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Read,
    Write,
}

/// What became of a request, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The store answered.
    Answered {
        status: u16,
        code: String,
    },
    /// No connection came about.
    NotConnected,
    /// The connection or the time ended before the answer.
    NoAnswer,
    NoCredentials,
    /// The request could not be built.
    NotSent,
}

/// A request that failed, and what it was.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) trouble: Trouble,
    intent: Intent,
    message: String,
    cause: String,
}

impl Failed {
    pub(super) fn new<E>(intent: Intent, message: String, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let trouble = trouble(&error);
        let cause = match (&trouble, error.message()) {
            (Trouble::Answered { status, code }, Some(text)) => format!("{status} {code}: {text}"),
            (Trouble::Answered { status, code }, None) => format!("{status} {code}"),
            _ => chain(&error),
        };
        Self {
            trouble,
            intent,
            message,
            cause,
        }
    }

    pub(super) fn status(&self) -> Option<u16> {
        match self.trouble {
            Trouble::Answered { status, .. } => Some(status),
            _ => None,
        }
    }

    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(&self.trouble, Trouble::Answered { code, .. } if code == wanted)
    }

    /// The object is not there; a missing bucket is something else. The answer to HEAD has no code.
    pub(super) fn is_missing_object(&self) -> bool {
        self.status() == Some(404) && !self.is("NoSuchBucket")
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        let code = code(&failed.trouble, failed.intent);
        let failure = Failure::new(code, failed.message).because(&failed.cause);
        match failed.trouble {
            Trouble::Answered { status: 301, .. } => failure.remedy("Set the region that the bucket is in."),
            _ => failure,
        }
    }
}

pub(super) fn code(trouble: &Trouble, intent: Intent) -> Code {
    match trouble {
        Trouble::NoCredentials => Code::StorageAuthentication,
        Trouble::NotConnected => Code::StorageUnreachable,
        // Built from the settings: a bucket's name that no host name can hold, for one.
        Trouble::NotSent => Code::StorageRejected,
        Trouble::NoAnswer => unanswered(intent),
        Trouble::Answered { status, code } => match (status, code.as_str()) {
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => Code::StorageFull,
            (_, "SlowDown" | "ServiceUnavailable" | "RequestTimeout") | (429 | 503, _) => Code::StorageUnreachable,
            // Two create-only writes met, neither is applied; or a sweep has ended the upload. A new attempt can do it.
            (409, _) | (_, "NoSuchUpload") => Code::StorageUnreachable,
            (404, _) => Code::StorageMissing,
            (401 | 403, _) => Code::StorageAuthentication,
            (500.., _) => unanswered(intent),
            _ => Code::StorageRejected,
        },
    }
}

fn unanswered(intent: Intent) -> Code {
    match intent {
        Intent::Read => Code::StorageUnreachable,
        Intent::Write => Code::StorageTimeout,
    }
}

fn trouble<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if find::<CredentialsError>(error).is_some() {
        return Trouble::NoCredentials;
    }
    match error {
        SdkError::ServiceError(answer) => Trouble::Answered {
            status: answer.raw().status().as_u16(),
            code: answer.err().code().unwrap_or_default().to_owned(),
        },
        SdkError::ConstructionFailure(_) => Trouble::NotSent,
        // The client has no timeout for reading, so that a timeout while dispatching is one of connecting.
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Trouble::NotConnected,
        SdkError::DispatchFailure(_) if never_connected(error) => Trouble::NotConnected,
        _ => Trouble::NoAnswer,
    }
}

/// The host's name, the connection or its encryption did not come about, so that no request was sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    find::<ClientError>(error).is_some_and(ClientError::is_connect)
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&e| e.source()).find_map(|e| e.downcast_ref())
}

/// An error with all its layers, in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let layers: Vec<String> = std::iter::successors(Some(error), |&e| e.source())
        .map(ToString::to_string)
        .collect();
    layers.join(": ")
}
