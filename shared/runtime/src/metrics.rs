//! Numbers about the work for Prometheus: a fixed list of families, few labels, bounded series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Series of one family at most. Further ones are counted together under the value `other`.
const MOST_SERIES: usize = 256;
const OTHER: &str = "other";
/// Upper bounds of the buckets of every histogram, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0, 1200.0];

/// What a family measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Counter,
    Gauge,
    /// A histogram of seconds.
    Seconds,
}

macro_rules! metrics {
    ($($metric:ident $name:literal $kind:ident $help:literal)*) => {
        /// A family of series.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric { $($metric,)* }

        impl Metric {
            pub const ALL: &[Self] = &[$(Self::$metric,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$metric => concat!("sqlextract_", $name),)* }
            }

            pub fn kind(self) -> Kind {
                match self { $(Self::$metric => Kind::$kind,)* }
            }

            fn help(self) -> &'static str {
                match self { $(Self::$metric => $help,)* }
            }
        }
    };
}

metrics! {
    JobsActive "jobs_active" Gauge "Jobs that this planner holds open."
    JobsTotal "jobs_total" Counter "Jobs that were ended here, by outcome."
    Leading "planner_leading" Gauge "1 where this process holds the planner's lease."
    BatchesTotal "batches_total" Counter "Batches by result: new (committed) or parked."
    RowsTotal "rows_total" Counter "Rows read from a source."
    BytesTotal "bytes_total" Counter "Bytes of chunks that were committed."
    MessagesTotal "messages_total" Counter "Messages that were handled, by queue and verdict: done, again, parked, unsettled."
    MessageSeconds "message_seconds" Seconds "Time from a message's delivery to its settlement, by queue."
    RedeliveredTotal "redelivered_total" Counter "Deliveries of messages that were delivered before, by queue."
    Inflight "inflight" Gauge "Messages in the hands of this process, by queue."
    PublishTotal "publish_total" Counter "Messages that were published, by result: ack or error."
    PublishSeconds "publish_seconds" Seconds "Time from publishing to the confirm."
    AmqpReconnectsTotal "amqp_reconnects_total" Counter "Connections to the broker that were made again."
    AmqpBlocked "amqp_blocked" Gauge "1 while the broker blocks publishers."
    CheckpointSeconds "redis_seconds" Seconds "Time of a checkpoint call, by operation."
    CheckpointErrorsTotal "redis_errors_total" Counter "Checkpoint calls that failed, by code."
    RebuildsTotal "rebuilds_total" Counter "Jobs whose checkpoint was given storage's truth."
    StorageRequestsTotal "s3_requests_total" Counter "Storage calls, by operation and result: ok or the failure's code."
    StorageConflictsTotal "s3_put_conflicts_total" Counter "Create-only writes that found an object there."
    StorageSeconds "s3_seconds" Seconds "Time of a storage call, by operation."
    SourceErrorsTotal "source_errors_total" Counter "Source calls that failed, by source and class."
    SourceStatementSeconds "source_statement_seconds" Seconds "Time of the longest statement of each committed batch, by source."
    SourceBytesTotal "source_bytes_total" Counter "Bytes of rows that came off the source for committed batches, by source."
    SourceConnections "source_connections" Gauge "Connections of this process to a source when its last batch was read, by source."
    SnapshotAge "snapshot_age_seconds" Gauge "Age of the oldest snapshot that this planner keeps; 0 without one."
    MemoryUsed "memory_budget_used_bytes" Gauge "Bytes of the memory budget that are taken."
    MemoryLimit "memory_budget_limit_bytes" Gauge "Bytes of the memory budget."
    UploadLimit "upload_limit_bytes_per_second" Gauge "Bytes that this process sends per second at most, by destination with such a limit."
    Draining "draining" Gauge "1 while this process finishes what it holds."
}

/// The numbers of a process. Clones are handles of the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<Metric, Family>>>,
}

type Labels = Vec<(&'static str, String)>;
type Family = BTreeMap<Labels, Series>;

#[derive(Debug, Clone, PartialEq)]
enum Series {
    Number(f64),
    Histogram {
        buckets: [u64; SECONDS.len()],
        count: u64,
        sum: f64,
    },
}

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to a counter.
    pub fn count(&self, metric: Metric, labels: &[(&'static str, &str)], by: u64) {
        self.with(metric, labels, |series| {
            if let Series::Number(number) = series {
                *number += by as f64;
            }
        });
    }

    /// Sets a gauge, or a counter that somebody else keeps.
    pub fn set(&self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        self.with(metric, labels, |series| *series = Series::Number(value));
    }

    /// Moves a gauge.
    pub fn change(&self, metric: Metric, labels: &[(&'static str, &str)], by: f64) {
        self.with(metric, labels, |series| {
            if let Series::Number(number) = series {
                *number += by;
            }
        });
    }

    pub fn observe(&self, metric: Metric, labels: &[(&'static str, &str)], time: Duration) {
        let seconds = time.as_secs_f64();
        self.with(metric, labels, |series| {
            if let Series::Histogram { buckets, count, sum } = series {
                let over = SECONDS
                    .iter()
                    .zip(buckets.iter_mut())
                    .filter(|(bound, _)| seconds <= **bound);
                over.for_each(|(_, bucket)| *bucket += 1);
                *count += 1;
                *sum += seconds;
            }
        });
    }

    fn with(&self, metric: Metric, labels: &[(&'static str, &str)], change: impl FnOnce(&mut Series)) {
        let mut families = self.lock();
        let family = families.entry(metric).or_default();
        let mut key: Labels = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        if family.len() >= MOST_SERIES && !family.contains_key(&key) {
            key.iter_mut().for_each(|(_, value)| OTHER.clone_into(value));
        }
        change(family.entry(key).or_insert_with(|| match metric.kind() {
            Kind::Counter | Kind::Gauge => Series::Number(0.0),
            Kind::Seconds => Series::Histogram {
                buckets: [0; SECONDS.len()],
                count: 0,
                sum: 0.0,
            },
        }));
    }

    /// Everything in Prometheus's text format. Families without a series are named too.
    pub fn text(&self) -> String {
        let families = self.lock();
        let mut text = String::new();
        for metric in Metric::ALL {
            let (name, kind) = (
                metric.name(),
                match metric.kind() {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Seconds => "histogram",
                },
            );
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help());
            for (labels, series) in families.get(metric).into_iter().flatten() {
                series.write(&mut text, name, labels);
            }
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Metric, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Series {
    fn write(&self, text: &mut String, name: &str, labels: &Labels) {
        let _ = match self {
            Self::Number(number) => writeln!(text, "{name}{} {number}", braces(labels, None)),
            Self::Histogram { buckets, count, sum } => {
                for (bound, bucket) in SECONDS.iter().zip(buckets) {
                    let bound = bound.to_string();
                    let _ = writeln!(text, "{name}_bucket{} {bucket}", braces(labels, Some(&bound)));
                }
                let _ = writeln!(text, "{name}_bucket{} {count}", braces(labels, Some("+Inf")));
                let plain = braces(labels, None);
                writeln!(text, "{name}_sum{plain} {sum}\n{name}_count{plain} {count}")
            }
        };
    }
}

fn braces(labels: &Labels, bound: Option<&str>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let own = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    let all: Vec<String> = own.chain(bound.map(|bound| format!("le=\"{bound}\""))).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheuss() {
        let metrics = Metrics::new();
        metrics.count(Metric::JobsTotal, &[("outcome", "a \"b\"\n")], 2);
        metrics.observe(Metric::PublishSeconds, &[], Duration::from_millis(30));
        let text = metrics.text();
        assert!(
            text.contains("sqlextract_jobs_total{outcome=\"a \\\"b\\\"\\n\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("sqlextract_publish_seconds_bucket{le=\"0.02\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("sqlextract_publish_seconds_bucket{le=\"0.1\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("sqlextract_publish_seconds_bucket{le=\"+Inf\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("sqlextract_publish_seconds_count 1\n"), "{text}");
        assert!(text.contains("# TYPE sqlextract_inflight gauge\n"), "{text}");
    }

    #[test]
    fn series_have_a_bound_whatever_the_labels_are() {
        let metrics = Metrics::new();
        for number in 0..10_000 {
            metrics.count(Metric::RowsTotal, &[("source", &number.to_string())], 1);
        }
        let text = metrics.text();
        let series = text.lines().filter(|line| line.starts_with("sqlextract_rows_total{"));
        assert!(series.count() <= MOST_SERIES + 1);
        assert!(
            text.contains(&format!("source=\"other\"}} {}", 10_000 - MOST_SERIES)),
            "{text}"
        );
    }

    #[test]
    fn counters_end_in_total_and_names_are_distinct() {
        let names: std::collections::HashSet<_> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            assert_eq!(
                metric.kind() == Kind::Counter,
                metric.name().ends_with("_total"),
                "{metric:?}"
            );
        }
    }
}
