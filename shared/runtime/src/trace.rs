//! W3C trace context: which trace the current work belongs to.

use std::fmt;
use std::future::Future;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The ids of a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    /// The span is one that a collector hears of, and not only a number.
    exported: bool,
}

impl TraceContext {
    /// A trace of its own; `None` where the system gives no random bytes.
    pub fn begin() -> Option<Self> {
        let (trace, span) = (random()?, random()?);
        Some(Self {
            trace: trace.max(1),
            span: (span as u64).max(1),
            sampled: true,
            exported: false,
        })
    }

    /// Reads `00-<32 digits>-<16 digits>-<2 digits>`; longer versions by their first four parts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let form = digits(version, 2) && digits(trace, 32) && digits(span, 16) && digits(flags, 2);
        if !form || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let context = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
            exported: false,
        };
        (context.trace != 0 && context.span != 0).then_some(context)
    }

    /// The context of what is published within: under the span itself, or, where it is only a number, another of the
    /// same trace.
    #[must_use]
    pub fn next(self) -> Self {
        if self.exported {
            return self;
        }
        Self {
            span: random().map_or(self.span, |span| (span as u64).max(1)),
            ..self
        }
    }

    fn remote(self) -> SpanContext {
        let flags = match self.sampled {
            true => TraceFlags::SAMPLED,
            false => TraceFlags::default(),
        };
        let (trace, span) = (self.trace.to_be_bytes(), self.span.to_be_bytes());
        SpanContext::new(
            TraceId::from_bytes(trace),
            SpanId::from_bytes(span),
            flags,
            true,
            TraceState::NONE,
        )
    }

    /// The trace's id, for logs.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }
}

/// The context of the message that this task handles, if it handles one.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Gives a span that has just been made its place under the context that its message came with, and answers with the
/// context of what is done within it: the span's own, where a collector hears of it.
pub(crate) fn place(span: &tracing::Span, from: Option<TraceContext>) -> Option<TraceContext> {
    if let Some(from) = from {
        let parent = opentelemetry::Context::new().with_remote_span_context(from.remote());
        // Without a collector there is nothing to place.
        let _ = span.set_parent(parent);
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    match own.is_valid() {
        true => Some(TraceContext {
            trace: u128::from_be_bytes(own.trace_id().to_bytes()),
            span: u64::from_be_bytes(own.span_id().to_bytes()),
            sampled: own.is_sampled(),
            exported: true,
        }),
        false => from.or_else(TraceContext::begin),
    }
}

/// Runs work within a context.
pub(crate) async fn within<F: Future>(context: Option<TraceContext>, work: F) -> F::Output {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

fn random() -> Option<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_reads_back_as_itself_and_what_is_none_is_refused() {
        assert_eq!(TraceContext::parse(HEADER).unwrap().to_string(), HEADER);
        let zero = HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let refused = [
            "",
            "00-1-2-3",
            &zero,
            &HEADER.to_uppercase(),
            &format!("{HEADER}-x"),
            &HEADER.replace("00-", "ff-"),
        ];
        for text in refused {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_published_while_a_message_is_handled_is_of_its_trace() {
        let context = TraceContext::parse(HEADER).unwrap();
        let next = within(Some(context), async { current().map(TraceContext::next) })
            .await
            .unwrap();
        assert_eq!(next.trace_id(), context.trace_id());
        assert_ne!(next, context);
        assert_eq!(current(), None);
    }
}
