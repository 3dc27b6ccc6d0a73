//! A collector hears of a job from all roles, in the trace that its request came with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use sqlextract_system_tests::{Dialect, Fleet, Running, eventually};

use crate::fingerprint::Orders;

/// A span as the collector got it.
#[derive(Debug, Clone)]
struct Span {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
}

/// Takes spans as OTLP over HTTP.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || while take(&stream, &taken).is_some() {});
            }
        });
        Self { url, spans }
    }

    fn of(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().expect("no holder panics");
        spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

/// One request of a connection, if another comes.
fn take(stream: &TcpStream, spans: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    assert!(first.starts_with("POST /v1/traces "), "{first}");
    let export = ExportTraceServiceRequest::decode(&body[..]).expect("an export is protobuf");
    spans.lock().expect("no holder panics").extend(read(export));
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn read(export: ExportTraceServiceRequest) -> Vec<Span> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut spans = Vec::new();
    for resource in export.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        let service = match service.and_then(|service| service.value?.value) {
            Some(Value::StringValue(name)) => name,
            other => panic!("a service without a name: {other:?}"),
        };
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
            });
        }
    }
    spans
}

fn serve(fleet: &Fleet, collector: &Collector, role: &str) -> Running {
    let mut command = fleet.command(&["serve", role]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    command.env("OTEL_SERVICE_NAME", format!("{role} of {}", fleet.name()));
    // What is not sent when the process leaves comes too late.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    let running = fleet.scenario().start(command);
    eventually(&format!("the start of {role}"), || {
        running.said().contains("the service is up")
    });
    running
}

fn submit(fleet: &Fleet, traceparent: &str, id: &str) {
    let arguments = [
        "submit",
        "--source",
        "shop",
        "--destination",
        "lake",
        "--table",
        "public.orders",
        "--batch-size",
        "500",
    ];
    let mut command = fleet.command(&[&arguments[..], &["--target", "postgres", "--id", id, "--wait"]].concat());
    command.env("TRACEPARENT", traceparent);
    let told = fleet.scenario().start(command).wait().exits(0).stderr;
    assert!(told.contains("extraction.completed"), "{told}");
}

#[test]
fn a_job_is_one_trace_through_all_roles_that_goes_on_from_its_request() {
    let orders = Orders::new(Dialect::Postgres, 2000);
    let fleet = Fleet::of(&orders.database.url());
    let collector = Collector::start();
    let roles = ["planner", "extractor", "scripter"];
    let services = roles.map(|role| serve(&fleet, &collector, role));
    let [sampled, not_sampled] = ["4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737"];
    submit(&fleet, &format!("00-{sampled}-00f067aa0ba902b7-01"), "sampled");
    submit(&fleet, &format!("00-{not_sampled}-00f067aa0ba902b7-00"), "not-sampled");
    eventually("two scripts", || {
        let files = sqlextract_system_tests::all_files(&fleet.folder());
        files
            .iter()
            .filter(|file| file.ends_with("ingest/postgres.sql"))
            .count()
            == 2
    });
    for service in services {
        service.signal("-TERM");
        service.wait().exits(0);
    }
    let spans = collector.of(sampled);
    let called = |role: &str, name: &str| {
        let service = format!("{role} of {}", fleet.name());
        let mine = spans.iter().filter(|span| span.service == service && span.name == name);
        mine.cloned().collect::<Vec<_>>()
    };
    let request = called("planner", "process requests");
    assert_eq!(request.len(), 1, "{spans:#?}");
    assert_eq!(
        request[0].parent, "00f067aa0ba902b7",
        "the trace goes on from the sender's span"
    );
    assert!(!called("planner", "process ticks").is_empty(), "{spans:#?}");
    let (messages, batches) = (
        called("extractor", "process batches.shop"),
        called("extractor", "batch"),
    );
    assert_eq!((messages.len(), batches.len()), (4, 4), "{spans:#?}");
    for batch in &batches {
        assert!(messages.iter().any(|message| message.id == batch.parent), "{batch:?}");
    }
    assert_eq!(called("scripter", "process scripter").len(), 1, "{spans:#?}");
    for span in &spans {
        let known = span.parent == "00f067aa0ba902b7" || spans.iter().any(|other| other.id == span.parent);
        assert!(known, "nobody sent the parent of {span:?}");
    }
    assert!(
        collector.of(not_sampled).is_empty(),
        "what its sender does not sample is not exported"
    );
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_holds_up_nothing() {
    let orders = Orders::new(Dialect::Postgres, 1000);
    let fleet = Fleet::of(&orders.database.url());
    let mut gone = Collector::start();
    // Nothing listens at port 1.
    fleet.scenario().hush();
    gone.url = "http://127.0.0.1:1".to_owned();
    let services = ["planner", "extractor", "scripter"].map(|role| serve(&fleet, &gone, role));
    submit(
        &fleet,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "away",
    );
    for service in services {
        service.signal("-TERM");
        let told = service.wait().exits(0).stderr;
        assert_eq!(
            told.matches("spans cannot be exported, and are dropped").count(),
            1,
            "{told}"
        );
        assert!(!told.contains("panicked"), "{told}");
    }
    let mut grpc = fleet.command(&["doctor"]);
    grpc.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    grpc.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let refused = fleet.scenario().start(grpc).wait().exits(3).stderr;
    assert!(refused.contains("http/protobuf"), "{refused}");
}
