//! Spans for a collector: OTLP over HTTP, set up by the variables that every OpenTelemetry program reads.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use sqlextract_model::{Code, Failure, Result};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// A collector that does not answer loses spans and holds up nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// A collector's answer is a few bytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// How long a process that ends waits for its last spans to be taken.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// The way of this process's spans to a collector.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

/// Whether the variables ask for traces, or ask for what cannot be done.
fn wanted(variable: &impl Fn(&str) -> Option<String>) -> Result<bool> {
    let given = |names: [&str; 2]| {
        let mut values = names.into_iter().filter_map(variable);
        values.find(|value| !value.trim().is_empty())
    };
    let endpoint = given(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if endpoint.is_none() || off {
        return Ok(false);
    }
    match given(["OTEL_TRACES_EXPORTER", ""]).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(false),
        Some(other) => {
            let text = format!("OTEL_TRACES_EXPORTER is `{other}`; traces are exported by `otlp` alone");
            return Err(Failure::new(Code::ConfigInvalid, text));
        }
    }
    match given(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]).as_deref() {
        None | Some("http/protobuf") => Ok(true),
        Some(other) => {
            let text = format!("OTEL_EXPORTER_OTLP_PROTOCOL is `{other}`; traces are sent by `http/protobuf` alone");
            Err(Failure::new(Code::ConfigInvalid, text)
                .remedy("Name the collector's HTTP endpoint (most listen on port 4318), and leave the protocol out."))
        }
    }
}

impl Traces {
    /// Reads `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and their like. `None` where no
    /// endpoint is named. To be called on a runtime, which then sends.
    ///
    /// - `config_invalid`: a variable asks for what cannot be done.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        if !wanted(&variable)? {
            return Ok(None);
        }
        let refused = |cause: &dyn fmt::Display| {
            Failure::new(
                Code::ConfigInvalid,
                "traces cannot be exported as the OTEL_… variables say",
            )
            .because(cause)
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Sender::new().map_err(|error| refused(&error))?)
            .build()
            .map_err(|error| refused(&error))?;
        let resource = Resource::builder();
        let resource = match variable("OTEL_SERVICE_NAME") {
            Some(_) => resource,
            None => resource.with_service_name("sqlextract"),
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Some(Self { provider }))
    }

    /// Spans of our own, without what is logged within them: logs have their own way, which covers secrets.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("sqlextract"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        spans.with_filter(filter_fn(|about| {
            about.is_span() && about.target().starts_with("sqlextract")
        }))
    }

    /// Sends what is left.
    pub async fn close(self) {
        // It waits for the sending, which this runtime does.
        let closing = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_WAIT));
        if let Ok(Err(error)) = closing.await {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Sends on the runtime, wherever it is asked from.
struct Sender {
    runtime: Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The last request failed, and that was told.
    failing: AtomicBool,
}

impl Sender {
    fn new() -> std::io::Result<Self> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self {
            runtime: Handle::current(),
            client: Client::builder(TokioExecutor::new()).build(connector),
            failing: AtomicBool::new(false),
        })
    }

    fn tell(&self, problem: Option<&dyn fmt::Display>) {
        let told = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !told => tracing::warn!("spans cannot be exported, and are dropped: {problem}"),
            None if told => tracing::info!("spans are exported again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // Spans are batched on a thread of their own, where no timer and no socket would work.
        let sent = self.runtime.spawn(async move {
            let sending = async {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            tokio::time::timeout(PATIENCE, sending).await
        });
        let answer = match sent.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(late)) => Err(late.into()),
            Err(ended) => Err(ended.into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => self.tell(None),
            Ok(answer) => self.tell(Some(&format!("the collector answers {}", answer.status()))),
            Err(error) => self.tell(Some(error)),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Result<bool> {
        wanted(&|name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_usual_variables_decide_whether_traces_are_exported() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let cases = [
            (vec![], Some(false)),
            (vec![("OTEL_SERVICE_NAME", "x")], Some(false)),
            (vec![endpoint], Some(true)),
            (
                vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces")],
                Some(true),
            ),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], Some(false)),
            (vec![endpoint, ("OTEL_SDK_DISABLED", "True")], Some(false)),
            (vec![endpoint, ("OTEL_TRACES_EXPORTER", "none")], Some(false)),
            (vec![endpoint, ("OTEL_TRACES_EXPORTER", "otlp")], Some(true)),
            (vec![endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")], None),
            (
                vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
                Some(true),
            ),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], None),
            (
                vec![
                    endpoint,
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ],
                Some(true),
            ),
        ];
        for (variables, expected) in cases {
            assert_eq!(asked(&variables).ok(), expected, "{variables:?}");
        }
    }
}
