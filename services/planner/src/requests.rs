//! From a message to a verdict: every request gets one clear answer, and what is no request changes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_model::{
    Blame, Class, Code, ExtractionRequest, Failure, Incoming, JobId, Result, TickMessage, Unreadable,
};
use sqlextract_queue::Message;
use sqlextract_runtime::{Handler, Verdict, settlement_for};

use crate::Planner;
use crate::announce::About;
use crate::policy::RequestPolicy;

/// Requests that cannot be served are answered with a rejection, once.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) Arc<Planner>);

#[async_trait]
impl Handler for Requests {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        match &self.0.settings.requests {
            RequestPolicy::Own => match parse(message) {
                Ok(request) => self.accept(&request, redeliveries).await,
                Err(failure) => Verdict::Park(failure),
            },
            RequestPolicy::Outside(rules) => match Incoming::read(&message.body, &message.id) {
                Ok(Incoming::Request { sender, data }) => match rules.request(sender.clone(), *data) {
                    Ok(request) => self.accept(&request, redeliveries).await,
                    Err(failure) => self.reject(&About::request_id(&sender.id), failure, redeliveries).await,
                },
                Ok(Incoming::Order { order, data }) => match self.0.obey(order, &data).await {
                    Ok(()) => Verdict::Done,
                    Err(failure) => settlement_for(&failure, redeliveries + 1, &self.0.settings.retry),
                },
                Err(unreadable) => self.refuse(unreadable, redeliveries).await,
            },
        }
    }
}

impl Requests {
    async fn accept(&self, request: &ExtractionRequest, redeliveries: u32) -> Verdict {
        let planner = &self.0;
        let failure = match planner.accept(request).await {
            Ok(()) => return Verdict::Done,
            Err(failure) => failure,
        };
        tracing::warn!(job.id = %request.job_id(), error.code = %failure.code, error = %failure, causes = ?failure.causes, "a request was not accepted");
        match settlement_for(&failure, redeliveries + 1, &planner.settings.retry) {
            Verdict::Park(failure) => match planner.give_up(&request.destination, &request.job_id(), &failure).await {
                Ok(true) => Verdict::Done,
                Ok(false) => self.reject(&About::request(request), failure, redeliveries).await,
                Err(second) => settlement_for(&second, redeliveries + 1, &planner.settings.retry),
            },
            verdict => verdict,
        }
    }

    async fn reject(&self, about: &About, failure: Failure, redeliveries: u32) -> Verdict {
        match self.0.reject(about, failure).await {
            Ok(()) => Verdict::Done,
            Err(failure) => settlement_for(&failure, redeliveries + 1, &self.0.settings.retry),
        }
    }

    /// Without an id of its own nobody may be waiting for the answer, so that the message is kept as well.
    async fn refuse(&self, unreadable: Unreadable, redeliveries: u32) -> Verdict {
        let about = About::request_id(&unreadable.id);
        match self.reject(&about, unreadable.failure.clone(), redeliveries).await {
            Verdict::Done if !unreadable.has_own_id => Verdict::Park(unreadable.failure),
            verdict => verdict,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ticks(pub(crate) Arc<Planner>);

#[async_trait]
impl Handler for Ticks {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        let tick: TickMessage = match parse(message) {
            Ok(tick) => tick,
            Err(failure) => return Verdict::Park(failure),
        };
        let failure = match self.0.tick(&tick).await {
            Ok(()) => return Verdict::Done,
            Err(failure) => failure,
        };
        tracing::warn!(job.id = %tick.job, error.code = %failure.code, error = %failure, causes = ?failure.causes, "a look at a job failed");
        match settlement_for(&failure, redeliveries + 1, &self.0.settings.retry) {
            Verdict::Park(failure) => match self.0.stop(&tick.destination, &tick.job, failure.clone()).await {
                Ok(()) => Verdict::Done,
                Err(second) => {
                    tracing::error!(job.id = %tick.job, error = %second, "a job that cannot go on could not be ended");
                    Verdict::Park(failure)
                }
            },
            verdict => verdict,
        }
    }
}

impl Planner {
    /// Ends what cannot go on, or tells of it where that leaves no trace.
    async fn stop(&self, destination: &str, job: &JobId, failure: Failure) -> Result<()> {
        if self.give_up(destination, job, &failure).await? {
            return Ok(());
        }
        self.reject(&About::job(job.clone(), destination), failure).await
    }

    /// Where failures have outcomes, ends an accepted job as failed; what only the infrastructure refuses leaves it to
    /// the sweeper, which takes it up again. Answers whether the job is dealt with.
    async fn give_up(&self, destination: &str, job: &JobId, failure: &Failure) -> Result<bool> {
        if self.settings.max_blocked.is_none() {
            return Ok(false);
        }
        let records = self.records(destination, job)?;
        let Some(record) = records.job_record().await? else {
            return Ok(false);
        };
        let _turn = self.turns.take(job).await;
        if is_final(failure) {
            self.end_failed(&records, &record, vec![failure.clone()]).await?;
        } else {
            self.deactivate(job);
        }
        Ok(true)
    }
}

/// Whether a failure ends a job for good: nobody repairs a request or a source's content, unlike the infrastructure.
pub(crate) fn is_final(failure: &Failure) -> bool {
    failure.class() == Class::Permanent && failure.code.blame() != Blame::Infrastructure
}

fn parse<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T> {
    serde_json::from_slice(&message.body).map_err(|e| {
        let text = format!("message {} cannot be read", message.id);
        Failure::new(Code::MessageUnreadable, text).because(e)
    })
}
