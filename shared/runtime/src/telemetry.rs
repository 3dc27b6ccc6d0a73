//! Logs: lines on standard error, as text or JSON, without secrets. Traces: spans for a collector, where one is named.

mod traces;

use std::io::{self, Write};

use sqlextract_model::{Code, Failure, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use traces::Traces;

/// Whatever is asked for: these write the frames of a login at TRACE.
const WORDY: [&str; 3] = ["lapin=info", "amq_protocol=info", "async_rs=info"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One object a line.
    Json,
}

/// Sends this process's logs to standard error, and its spans to a collector. `filter` is as in `info,sqlextract_extractor=debug`. To be called once.
///
/// Passwords in URLs are covered whoever logs them: a dependency that logs its connection is enough.
pub fn init_logs(format: LogFormat, filter: &str, ansi: bool, traces: Option<&Traces>) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(
            Code::ConfigInvalid,
            format!("`{filter}` is no log filter; write for example `info`"),
        )
        .because(error)
    })?;
    let filter = WORDY.iter().fold(filter, |filter, quieter| {
        let quieter = quieter.parse().expect("the directives are well-formed");
        filter.add_directive(quieter)
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(ansi && format == LogFormat::Text)
        .with_writer(|| Covering(io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let begun = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.map(Traces::layer))
        .try_init();
    begun.map_err(|error| Failure::new(Code::Defect, "logs were set up twice").because(error))
}

/// Covers secrets in what passes. The formatter writes whole lines.
struct Covering<W>(W);

impl<W: Write> Write for Covering<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line).ok().and_then(covered) {
            Some(covered) => self.0.write_all(covered.as_bytes())?,
            None => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with secrets replaced by `***`, or `None` where there is none.
///
/// Covered are what stands between `://` and the last `@` before a blank or a quote, and values of parameters whose
/// name ends in `password`. Covering too much is better than too little.
fn covered(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some((position, marker)) = next_marker(rest) {
        let (before, after) = rest.split_at(position + marker.len());
        result.push_str(before);
        let word = &after[..after.find(ends_a_word).unwrap_or(after.len())];
        let secret = if marker == "://" {
            word.rfind('@').unwrap_or(0)
        } else {
            word.find('&').unwrap_or(word.len())
        };
        if secret > 0 {
            result.push_str("***");
            any = true;
        }
        rest = &after[secret..];
    }
    result.push_str(rest);
    any.then_some(result)
}

fn next_marker(text: &str) -> Option<(usize, &'static str)> {
    let markers = ["://", "password=", "PASSWORD="];
    let found = markers
        .into_iter()
        .filter_map(|marker| Some((text.find(marker)?, marker)));
    found.min_by_key(|(position, _)| *position)
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_and_nothing_else_is_changed() {
        let cases = [
            (
                "reading postgres://u:secret@host:5432/db now",
                "reading postgres://***@host:5432/db now",
            ),
            ("\"mysql://u:se/cr@t@host/db\"", "\"mysql://***@host/db\""),
            ("a://u:secret@h b://v:secret@i", "a://***@h b://***@i"),
            (
                "postgres://host/db?user=u&password=secret&x=1",
                "postgres://host/db?user=u&password=***&x=1",
            ),
            ("PGPASSWORD=secret psql", "PGPASSWORD=*** psql"),
            ("wrote s3://bucket/key", "wrote s3://bucket/key"),
            ("plain text, an@address", "plain text, an@address"),
            ("ends with ://", "ends with ://"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(covered(text).unwrap_or_else(|| text.to_owned()), expected);
            let mut written = Vec::new();
            Covering(&mut written).write_all(text.as_bytes()).unwrap();
            assert_eq!(written, expected.as_bytes());
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass() {
        let mut written = Vec::new();
        Covering(&mut written).write_all(b"\xff://\xfe").unwrap();
        assert_eq!(written, b"\xff://\xfe");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_a_setting_to_correct() {
        let failure = init_logs(LogFormat::Text, "sqlextract=loud", false, None).unwrap_err();
        assert_eq!(failure.code, Code::ConfigInvalid);
    }
}
