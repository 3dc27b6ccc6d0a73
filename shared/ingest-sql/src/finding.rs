//! What stands in the way of a script, found before it is written: each with the option that helps.

use sqlextract_model::{Code, Failure};

/// One thing that the target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    /// A clause without its subject: `is longer than 63 bytes`.
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Finding {
    /// A name that the platform cannot have.
    pub(crate) fn name(what: impl Into<String>) -> Self {
        Self {
            code: Code::UsageInvalid,
            what: what.into(),
            remedy:
                "Extract a query that gives other names (`--query NAME='SELECT … AS …'`), or name the target's table."
                    .to_owned(),
        }
    }

    /// A type or a value that the platform cannot hold.
    pub(crate) fn value(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code: Code::TypeUnsupported,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The finding on its own.
    pub(crate) fn failure(self) -> Failure {
        Failure::new(Code::UsageInvalid, self.what).remedy(self.remedy)
    }

    /// The same about a subject.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.what = format!("{subject} {}", self.what);
        self
    }
}

/// One failure that lists all findings, each with its remedy.
pub(crate) fn refusal(job: &str, platform: &str, findings: Vec<Finding>) -> Failure {
    let code = findings.iter().map(|f| f.code).find(|c| *c == Code::TypeUnsupported);
    let failure = Failure::new(
        code.unwrap_or(Code::UsageInvalid),
        format!("job {job} holds names or columns that {platform} cannot have"),
    );
    let mut remedies: Vec<String> = Vec::new();
    for finding in &findings {
        if !remedies.contains(&finding.remedy) {
            remedies.push(finding.remedy.clone());
        }
    }
    findings
        .into_iter()
        .fold(failure.remedy(remedies.join(" ")), |failure, finding| {
            failure.because(finding.what)
        })
}
