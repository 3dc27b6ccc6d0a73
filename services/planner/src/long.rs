//! Batches that take longer than a batch may: refused, unless the source's settings take them.

use std::time::Duration;

use sqlextract_model::{Code, ExtractionRequest, Failure, Result, TableName, TablePlan};
use sqlextract_planning::{Pace, Split, batch_time};
use sqlextract_queue::QueueName;

use crate::Planner;

/// How long a batch of a source may take.
#[derive(Debug, Clone, Copy)]
pub struct BatchBound {
    /// What extractors hold a batch to, reading to commit.
    pub deadline: Duration,
    /// Batches that take longer are worked at nevertheless, without a message that waits for them.
    pub allow_long: bool,
    /// The least that the source's limits leave, at any time of the week.
    pub pace: Pace,
}

/// What is known of a table's batches.
#[derive(Debug, Clone, Copy)]
struct Size {
    rows: u64,
    bytes: u64,
    batches: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Fits,
    /// Longer than the deadline, and taken.
    Long,
    /// Longer than the deadline, and refused.
    TooLong(Duration),
}

fn length(bound: Option<&BatchBound>, size: Size, job: Pace) -> Length {
    let Some(bound) = bound else { return Length::Fits };
    let time = batch_time(size.rows, size.bytes, size.batches, bound.pace.and(job));
    match (time > bound.deadline, bound.allow_long) {
        (false, _) => Length::Fits,
        (true, true) => Length::Long,
        (true, false) => Length::TooLong(time),
    }
}

fn refusal(bound: &BatchBound, source: &str, table: &TableName, size: Size, time: Duration) -> Failure {
    let batches = match size.batches {
        0 | 1 => "one batch".to_owned(),
        several => format!("{several} batches"),
    };
    let text = format!(
        "{table} is {batches} of about {} s each ({} rows, {} bytes in all), and a batch may take {} s",
        time.as_secs(),
        size.rows,
        size.bytes,
        bound.deadline.as_secs()
    );
    let smaller = match size.batches {
        0 | 1 => "give the table a key that it can be split by",
        _ => "ask for smaller batches (`batch_rows`)",
    };
    Failure::new(Code::PlanRefused, text).table(table).remedy(format!(
        "Either {smaller}, or select fewer rows with a filter, or raise `extractor.batch_deadline`, or set \
         `allow_long_batches = true` in [sources.{source}]."
    ))
}

impl Planner {
    /// Refuses a plan whose batches would end at the deadline, again and again.
    pub(crate) fn check_length(&self, request: &ExtractionRequest, table: &TableName, split: &Split) -> Result<()> {
        let size = Size {
            rows: split.estimated_rows,
            bytes: split.estimated_bytes,
            batches: split.batches,
        };
        let bound = self.settings.bounds.get(&request.source);
        match (length(bound, size, pace_of(request)), bound) {
            (Length::TooLong(time), Some(bound)) => Err(refusal(bound, &request.source, table, size, time)),
            _ => Ok(()),
        }
    }

    /// Whether batches of the source may have a queue beside the usual one.
    pub(crate) fn takes_long(&self, source: &str) -> bool {
        self.settings.bounds.get(source).is_some_and(|bound| bound.allow_long)
    }

    /// Whether the plan's batches are worked at without a message that waits for them.
    pub(crate) fn is_long(&self, request: &ExtractionRequest, plan: &TablePlan) -> bool {
        let size = Size {
            rows: plan.estimated_rows,
            bytes: plan.estimated_bytes,
            batches: plan.batches,
        };
        let bound = self.settings.bounds.get(&request.source);
        length(bound, size, pace_of(request)) == Length::Long
    }
}

/// Where a source's batches wait: those that fit the deadline, and the long ones, which hold up nobody there.
pub(crate) fn queues(source: &str) -> [QueueName; 2] {
    let (batches, long) = (source.to_owned(), source.to_owned());
    [
        QueueName::Batches { source: batches },
        QueueName::LongBatches { source: long },
    ]
}

/// What the request itself allows per second.
pub(crate) fn pace_of(request: &ExtractionRequest) -> Pace {
    request.origin.as_ref().map_or_else(Pace::default, |origin| Pace {
        rows: origin.limits.rows_per_second,
        bytes: origin.limits.bytes_per_second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(allow_long: bool) -> BatchBound {
        BatchBound {
            deadline: Duration::from_secs(60),
            allow_long,
            pace: Pace {
                rows: Some(1000),
                bytes: None,
            },
        }
    }

    fn size(rows: u64, batches: u64) -> Size {
        Size {
            rows,
            bytes: 0,
            batches,
        }
    }

    #[test]
    fn what_takes_longer_than_the_deadline_is_refused_unless_it_is_taken_by_name() {
        let free = Pace::default();
        let slow = Pace {
            rows: Some(10),
            bytes: None,
        };
        let too_long = |seconds| Length::TooLong(Duration::from_secs(seconds));
        let cases = [
            (Some(bound(false)), size(60_000, 1), free, Length::Fits),
            (Some(bound(false)), size(61_000, 1), free, too_long(61)),
            (Some(bound(true)), size(61_000, 1), free, Length::Long),
            (Some(bound(true)), size(60_000, 1), free, Length::Fits),
            (Some(bound(false)), size(610_000, 11), free, Length::Fits),
            (Some(bound(false)), size(610_000, 10), free, too_long(61)),
            (Some(bound(false)), size(6_000, 1), slow, too_long(600)),
            (Some(bound(false)), size(0, 1), slow, Length::Fits),
            (None, size(u64::MAX, 1), slow, Length::Fits),
        ];
        for (bound, size, job, expected) in cases {
            assert_eq!(
                length(bound.as_ref(), size, job),
                expected,
                "{bound:?} {size:?} {job:?}"
            );
        }
    }

    #[test]
    fn a_refusal_names_table_estimate_deadline_and_ways_on() {
        let table = TableName::new("public", "visits");
        let failure = refusal(&bound(false), "shop", &table, size(90_000, 1), Duration::from_secs(90));
        assert_eq!(failure.code, Code::PlanRefused);
        assert!(
            failure.message.starts_with("public.visits is one batch of about 90 s"),
            "{failure}"
        );
        assert!(failure.message.contains("90000 rows") && failure.message.ends_with("may take 60 s"));
        let action = failure.action();
        assert!(action.contains("a key") && action.contains("`allow_long_batches = true` in [sources.shop]"));
        let several = refusal(
            &bound(false),
            "shop",
            &table,
            size(900_000, 9),
            Duration::from_secs(100),
        );
        assert!(several.message.contains("9 batches") && several.action().contains("`batch_rows`"));
    }
}
