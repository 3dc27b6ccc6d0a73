//! The receive loop: one queue, up to a window of handlers at once, each delivery settled by its verdict.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use sqlextract_model::{Class, Code, Failure, Result};
use sqlextract_queue::{Delivery, Message, Queue, QueueName, Receiver, Settlement};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::trace::{self, TraceContext};
use crate::{RetryPolicy, Shutdown, crash_point, settlement_for};

/// What becomes of a message that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its effects are done.
    Done,
    /// It is to be delivered again, not before the delay.
    Again { after: Duration },
    /// It is not tried again until somebody replays it.
    Park(Failure),
    /// It is settled now, and [`Handler::carry_on`] works at it for longer than a broker waits for a settlement.
    TakeOver,
}

/// Handles the messages of one queue. Calls run at the same time.
#[async_trait]
pub trait Handler: Send + Sync {
    /// `redeliveries` counts how often the message was delivered before, as far as the queue knows. The call may be
    /// dropped at any await once the shutdown's second stage has begun; the message then comes again.
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict;

    /// Whether messages are wanted, now and whenever that changes; `None` wants them always. While none are wanted
    /// nothing is held back for this process, and what is in hand is finished.
    fn intake(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// Works at a message that `handle` has taken over. Nobody delivers it again: what becomes of it, also where this
    /// call is dropped, is the handler's business.
    async fn carry_on(&self, _message: &Message) {}
}

/// What a receive loop did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    pub done: u64,
    pub again: u64,
    pub parked: u64,
    /// Calls that panicked; each is also counted as again or parked.
    pub panicked: u64,
    /// Settlements that the queue refused or lost: the messages come again.
    pub unsettled: u64,
    /// Calls that outlasted the grace period: the messages come again.
    pub dropped: u64,
}

/// Serves a queue until draining has begun and every handler has ended or was dropped at the end of the grace period.
///
/// A handler that panics has failed with a defect, and its message is tried again as `policy` says. A queue that does
/// not answer is opened again after the policy's delays. Only a permanent failure to receive ends the loop with an
/// error, after the handlers have ended.
pub async fn serve(
    queue: &dyn Queue,
    name: &QueueName,
    window: u16,
    handler: Arc<dyn Handler>,
    policy: &RetryPolicy,
    shutdown: &Shutdown,
) -> Result<Served> {
    let mut served = Served::default();
    let mut running = JoinSet::new();
    let mut receiver = None;
    let taken_over = Arc::new(TakenOver::default());
    let mut intake = handler.intake();
    let mut failures = 0;
    let outcome = loop {
        let (open, full) = (is_open(intake.as_ref()), running.len() >= usize::from(window));
        // What the queue has handed out beyond the window would wait for a message that is settled already.
        if !open || (full && taken_over.any()) {
            receiver = None;
        }
        // Nothing else is polled here, so that a handler's end never waits for a message to come.
        let step = tokio::select! {
            biased;
            () = shutdown.draining().cancelled() => break Ok(()),
            Some(ended) = running.join_next() => {
                served.add(ended);
                continue;
            }
            () = taken_over.changed.notified() => continue,
            () = changed(&mut intake) => continue,
            // After a reconnect the queue may hand out anew what handlers still work at.
            step = next_delivery(queue, name, window, &mut receiver), if open && !full => step,
        };
        match step {
            Ok(delivery) => {
                failures = 0;
                let taken_over = Arc::clone(&taken_over);
                running.spawn(handle_one(
                    delivery,
                    Arc::clone(&handler),
                    policy.clone(),
                    taken_over,
                    name.clone(),
                ));
            }
            Err(failure) if matches!(failure.class(), Class::Permanent) => break Err(failure),
            Err(failure) => {
                failures += 1;
                receiver = None;
                tracing::warn!(queue.name = %name, error.code = %failure.code, "receiving from {name} failed: {failure}");
                rest(policy.delay(failures), shutdown).await;
            }
        }
    };
    // Dropped first: what it has prefetched goes back to others while our handlers finish.
    drop(receiver);
    drain(&mut running, &mut served, shutdown).await;
    tracing::debug!(queue.name = %name, ?served, "receiving from {name} ended");
    outcome.map(|()| served)
}

/// Opens the receiver where there is none, and receives. Cancel-safe as receiving is.
async fn next_delivery(
    queue: &dyn Queue,
    name: &QueueName,
    window: u16,
    receiver: &mut Option<Box<dyn Receiver>>,
) -> Result<Box<dyn Delivery>> {
    let open = match receiver.take() {
        Some(open) => open,
        None => queue.receiver(name, window).await?,
    };
    receiver.insert(open).receive().await
}

fn is_open(intake: Option<&watch::Receiver<bool>>) -> bool {
    intake.is_none_or(|intake| *intake.borrow())
}

async fn changed(intake: &mut Option<watch::Receiver<bool>>) {
    if let Some(intake) = intake
        && intake.changed().await.is_ok()
    {
        return;
    }
    // Nobody will say otherwise any more.
    std::future::pending().await
}

async fn rest(delay: Duration, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        () = shutdown.draining().cancelled() => {}
        () = tokio::time::sleep(delay) => {}
    }
}

/// Waits for the running handlers, also after a failure to receive, and drops those that outlast the grace period.
async fn drain(running: &mut JoinSet<Handled>, served: &mut Served, shutdown: &Shutdown) {
    let mut dropped = false;
    while !running.is_empty() {
        tokio::select! {
            biased;
            Some(ended) = running.join_next() => served.add(ended),
            () = shutdown.grace_over(), if !dropped => {
                dropped = true;
                running.abort_all();
            }
        }
    }
}

/// Messages that are settled and still worked at.
#[derive(Debug, Default)]
struct TakenOver {
    count: AtomicUsize,
    changed: Notify,
}

impl TakenOver {
    fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    fn begin(&self) -> impl Drop + '_ {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
        Counted(self)
    }
}

struct Counted<'a>(&'a TakenOver);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How the call for one delivery ended.
struct Handled {
    verdict: Verdict,
    panicked: bool,
    settled: bool,
}

async fn handle_one(
    delivery: Box<dyn Delivery>,
    handler: Arc<dyn Handler>,
    policy: RetryPolicy,
    taken_over: Arc<TakenOver>,
    queue: QueueName,
) -> Handled {
    let redeliveries = delivery.redeliveries();
    let message = delivery.message();
    let span = tracing::info_span!(
        "message",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        messaging.destination.name = %queue,
        message.id = message.id,
        job.id = message.correlation.as_deref(),
        trace.id = tracing::field::Empty,
    );
    let context = message.traceparent.as_deref().and_then(TraceContext::parse);
    let context = trace::place(&span, context);
    span.record("trace.id", context.map(TraceContext::trace_id));
    let call = AssertUnwindSafe(handler.handle(message, redeliveries)).catch_unwind();
    let (verdict, panicked) = match trace::within(context, call).instrument(span.clone()).await {
        Ok(verdict) => (verdict, false),
        Err(panic) => {
            let failure = Failure::new(Code::Defect, format!("handling panicked: {}", words_of(panic.as_ref())));
            (settlement_for(&failure, redeliveries.saturating_add(1), &policy), true)
        }
    };
    let id = delivery.message().id.clone();
    report(&id, &verdict);
    let settlement = match &verdict {
        Verdict::Done | Verdict::TakeOver => Settlement::Done,
        Verdict::Again { after } => Settlement::Again { after: *after },
        Verdict::Park(failure) => Settlement::Park {
            reason: format!("{}: {failure}", failure.code),
        },
    };
    let mine = (verdict == Verdict::TakeOver).then(|| delivery.message().clone());
    crash_point("before_ack");
    let settled = delivery.settle(settlement).await;
    if let Err(failure) = &settled {
        tracing::warn!(
            message.id = id,
            error.code = %failure.code,
            "message {id} could not be settled and comes again: {failure}"
        );
    }
    if let Some(message) = mine {
        let _counted = taken_over.begin();
        let work = AssertUnwindSafe(handler.carry_on(&message)).catch_unwind();
        if let Err(panic) = trace::within(context, work).instrument(span).await {
            let words = words_of(panic.as_ref());
            tracing::error!(
                message.id = id,
                "message {id} was taken over, and work at it panicked: {words}"
            );
        }
    }
    Handled {
        verdict,
        panicked,
        settled: settled.is_ok(),
    }
}

fn report(id: &str, verdict: &Verdict) {
    match verdict {
        Verdict::Done => tracing::trace!(message.id = id, "message {id} is done"),
        Verdict::TakeOver => tracing::debug!(message.id = id, "message {id} is taken over"),
        Verdict::Again { after } => {
            tracing::debug!(
                message.id = id,
                delay_ms = after.as_millis() as u64,
                "message {id} comes again"
            );
        }
        Verdict::Park(failure) => {
            tracing::error!(message.id = id, error.code = %failure.code, "message {id} is parked: {failure}");
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

impl Served {
    fn add(&mut self, ended: std::result::Result<Handled, JoinError>) {
        let Ok(handled) = ended else {
            self.dropped += 1;
            return;
        };
        self.panicked += u64::from(handled.panicked);
        match (handled.settled, handled.verdict) {
            (false, _) => self.unsettled += 1,
            (true, Verdict::Done | Verdict::TakeOver) => self.done += 1,
            (true, Verdict::Again { .. }) => self.again += 1,
            (true, Verdict::Park(_)) => self.parked += 1,
        }
    }
}

#[cfg(test)]
mod tests;
