//! Failures as people and programs read them.

use std::fmt::Write as _;

use sqlextract_model::{Blame, Class, Code, Failure};

/// What a command ends with when it does not succeed: one failure or several, the gravest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failures(Vec<Failure>);

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Self(vec![failure])
    }
}

impl Failures {
    /// `None` where there is none.
    pub(crate) fn gather(mut failures: Vec<Failure>) -> Option<Self> {
        failures.sort_by_key(|f| std::cmp::Reverse(f.gravity()));
        failures.dedup();
        (!failures.is_empty()).then_some(Self(failures))
    }

    pub(crate) fn gravest(&self) -> &Failure {
        self.0.first().expect("there is at least one")
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.gravest().code.exit_code()
    }

    /// Code and sentence, the layers below one a line, where it was, and what to do.
    pub(crate) fn text(&self) -> String {
        const SHOWN: usize = 5;
        let mut text = String::new();
        for failure in self.0.iter().take(SHOWN) {
            let _ = writeln!(text, "error: {} [{}]", failure.message, failure.code);
            for cause in &failure.causes {
                let _ = writeln!(text, "  because: {cause}");
            }
            let place = [
                ("table", &failure.table),
                ("column", &failure.column),
                ("row", &failure.row),
            ];
            for (what, value) in place {
                if let Some(value) = value.as_ref().filter(|v| !failure.message.contains(v.as_str())) {
                    let _ = writeln!(text, "  {what}: {value}");
                }
            }
            let _ = writeln!(text, "  hint: {}", failure.action());
        }
        if self.0.len() > SHOWN {
            let _ = writeln!(text, "and {} more", self.0.len() - SHOWN);
        }
        text
    }

    /// The object that `--json`, events and `status` carry.
    pub(crate) fn json(&self) -> serde_json::Value {
        let gravest = self.gravest();
        serde_json::json!({
            "code": gravest.code,
            "message": gravest.message,
            "class": gravest.class(),
            "blame": gravest.code.blame(),
            "retryable": matches!(gravest.class(), Class::Retryable | Class::Indeterminate | Class::Busy),
            "action": gravest.action(),
            "exit_code": self.exit_code(),
            "failures": self.0,
        })
    }
}

/// The error page, generated from the registry of codes.
pub(crate) fn error_page() -> String {
    let mut page = String::from(
        "# Errors\n\nGenerated from the registry in `shared/model/src/failure.rs`. Codes are stable; wording is not.\n\n\
         | code | exit | class | blame | meaning | what to do |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let class = match code.class() {
            Class::Permanent => "permanent",
            Class::Retryable => "retryable",
            Class::Indeterminate => "indeterminate",
            Class::Busy => "busy",
        };
        let blame = match code.blame() {
            Blame::Request => "request",
            Blame::Source => "source",
            Blame::Infrastructure => "infrastructure",
            Blame::Defect => "defect",
        };
        let (exit, summary, action) = (code.exit_code(), code.summary(), code.action());
        let _ = writeln!(page, "| `{code}` | {exit} | {class} | {blame} | {summary} | {action} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_failure_decides_the_exit_code() {
        let parked = Failure::new(Code::BatchesParked, "two batches are parked");
        let refused = Failure::new(Code::ValueRefused, "no")
            .table("t")
            .column("c")
            .row("id=7");
        let failures = Failures::gather(vec![parked, refused]).unwrap();
        assert_eq!(failures.exit_code(), 7);
        assert!(failures.text().contains("row: id=7"), "{}", failures.text());
        assert_eq!(failures.json()["class"], "permanent");
    }

    #[test]
    fn the_error_page_is_the_registrys() {
        let committed = include_str!("../ERRORS.md");
        assert!(
            committed == error_page(),
            "ERRORS.md is not what `sqlextract config errors` writes"
        );
    }
}
