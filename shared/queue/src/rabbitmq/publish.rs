//! Publishing: lanes with a channel each, and what the broker's answers mean.
//!
//! A lane publishes a window of messages, waits for the answer to each, and judges them together once all are there. The
//! client library hands returned messages to confirms in the order of arrival and not to their own confirm, so that in
//! the middle of a window neither a clean confirm nor a return says anything about its own message. At the end of a
//! window every return has arrived, and names its message by its id.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use lapin::{Confirmation, PublisherConfirm};
use sqlextract_model::Result;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::link::Link;
use super::wire;

/// How often a lane looks whether the broker's alarm is over.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A lane takes messages from others while its own wait, so that a short backlog is enough.
const BACKLOG: usize = 256;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Arc<[u8]>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Every queue that it reached holds it, and it reached one.
    Taken,
    /// A queue was full. Others may hold it.
    Refused,
    /// No queue takes it.
    Returned,
    /// It was not sent.
    Unsent(String),
    /// The broker may hold it.
    Unknown(String),
    /// The channel does not confirm: a defect.
    NotConfirmed,
}

struct Job {
    outgoing: Outgoing,
    answer: oneshot::Sender<Outcome>,
}

/// Lanes that share one connection and one backlog.
#[derive(Clone)]
pub(super) struct Lanes {
    jobs: mpsc::Sender<Job>,
}

impl Lanes {
    /// Starts so many lanes, each with at most `window` messages under way. They end with the last handle.
    pub(super) fn start(link: &Arc<Link>, lanes: usize, window: usize) -> Self {
        let (jobs, waiting) = mpsc::channel(BACKLOG);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..lanes {
            let lane = Lane {
                link: Arc::clone(link),
                channel: None,
                window,
            };
            tokio::spawn(lane.run(Arc::clone(&waiting)));
        }
        Self { jobs }
    }

    /// Publishes once, and answers what became of it.
    pub(super) async fn publish(&self, outgoing: Outgoing) -> Outcome {
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job { outgoing, answer }).await.is_err() {
            return Outcome::Unsent("publishing has ended".to_owned());
        }
        let ended = |_| Outcome::Unknown("publishing ended before the broker's answer".to_owned());
        answered.await.unwrap_or_else(ended)
    }
}

struct Lane {
    link: Arc<Link>,
    channel: Option<Channel>,
    window: usize,
}

impl Lane {
    async fn run(mut self, waiting: Arc<Mutex<mpsc::Receiver<Job>>>) {
        loop {
            let mut jobs = Vec::new();
            if waiting.lock().await.recv_many(&mut jobs, self.window).await == 0 {
                return;
            }
            // Who gave up publishes again or not at all; it is not for us to send what nobody waits for.
            jobs.retain(|job| !job.answer.is_closed());
            if jobs.is_empty() {
                continue;
            }
            let outcomes = self.publish_window(&jobs).await;
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                // The caller may have gone in the meantime.
                let _: std::result::Result<(), Outcome> = job.answer.send(outcome);
            }
        }
    }

    async fn publish_window(&mut self, jobs: &[Job]) -> Vec<Outcome> {
        let deadline = Instant::now() + self.link.request_timeout;
        let channel = match self.open(deadline).await {
            Ok(channel) => channel,
            Err(text) => return vec![Outcome::Unsent(text); jobs.len()],
        };
        let mut sent = Vec::with_capacity(jobs.len());
        for job in jobs {
            sent.push(send(&channel, &job.outgoing, deadline).await);
        }
        let mut returned = HashSet::new();
        let mut answers = Vec::with_capacity(jobs.len());
        for confirm in sent {
            answers.push(match confirm {
                Ok(confirm) => answer(confirm, deadline, &mut returned).await,
                Err(text) => Answer::Lost(text),
            });
        }
        let outcomes = judge(answers, |number| {
            returned.contains(&Address::of(&jobs[number].outgoing))
        });
        if !outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Taken | Outcome::Refused | Outcome::Returned))
        {
            // Answers that are still to come would be taken for those of the next window.
            self.channel = None;
        }
        outcomes
    }

    /// The lane's channel, once the broker takes messages. The error says why nothing was sent.
    async fn open(&mut self, deadline: Instant) -> std::result::Result<Channel, String> {
        if let Some(channel) = &self.channel
            && !channel.status().connected()
        {
            self.channel = None;
        }
        if self.channel.is_none() {
            self.channel = Some(self.confirming().await.map_err(|failure| words(&failure))?);
        }
        // What is sent into an alarm waits in this process, and is sent although we have given it up.
        while self.link.blocked() {
            if Instant::now() >= deadline {
                return Err("the broker takes no messages: an alarm about its memory or its disk".to_owned());
            }
            sleep(LOOK_AGAIN).await;
        }
        self.channel.clone().ok_or_else(|| "there is no channel".to_owned())
    }

    async fn confirming(&self) -> Result<Channel> {
        let channel = self.link.channel().await?;
        let selecting = channel.confirm_select(ConfirmSelectOptions::default());
        self.link
            .ask("the broker does not confirm on a channel", selecting)
            .await?;
        Ok(channel)
    }
}

fn words(failure: &sqlextract_model::Failure) -> String {
    let mut words = failure.message.clone();
    for cause in &failure.causes {
        words.push_str(": ");
        words.push_str(cause);
    }
    words
}

async fn send(
    channel: &Channel,
    outgoing: &Outgoing,
    deadline: Instant,
) -> std::result::Result<PublisherConfirm, String> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sending = channel.basic_publish(
        outgoing.exchange.as_str().into(),
        outgoing.key.as_str().into(),
        options,
        &outgoing.body,
        outgoing.properties.clone(),
    );
    match timeout_at(deadline, sending).await {
        Ok(Ok(confirm)) => Ok(confirm),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the message could not be sent in time".to_owned()),
    }
}

/// Where a message was to go, and its id: what a returned message tells about itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Address {
    exchange: String,
    key: String,
    id: String,
}

impl Address {
    fn of(outgoing: &Outgoing) -> Self {
        Self {
            exchange: outgoing.exchange.clone(),
            key: outgoing.key.clone(),
            id: wire::id_of(&outgoing.properties).to_owned(),
        }
    }
}

async fn answer(confirm: PublisherConfirm, deadline: Instant, returned: &mut HashSet<Address>) -> Answer {
    let confirmation = match timeout_at(deadline, confirm).await {
        Ok(Ok(confirmation)) => confirmation,
        Ok(Err(error)) => return Answer::Lost(error.to_string()),
        Err(_) => return Answer::Lost("the broker did not confirm in time".to_owned()),
    };
    let answer = match &confirmation {
        Confirmation::Ack(_) => Answer::Ack,
        Confirmation::Nack(_) => Answer::Nack,
        Confirmation::NotRequested => Answer::NotRequested,
    };
    if let Some(message) = confirmation.take_message() {
        returned.insert(Address {
            exchange: message.exchange.as_str().to_owned(),
            key: message.routing_key.as_str().to_owned(),
            id: wire::id_of(&message.properties).to_owned(),
        });
    }
    answer
}

/// The broker's answer to one message, without what was returned beside it.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Ack,
    Nack,
    NotRequested,
    Lost(String),
}

/// What became of each message of a window that has ended. Where an answer is missing, a return may be missing too, and
/// then no clean confirm proves that its message was routed.
fn judge(answers: Vec<Answer>, is_returned: impl Fn(usize) -> bool) -> Vec<Outcome> {
    let complete = !answers.iter().any(|answer| matches!(answer, Answer::Lost(_)));
    let judged = answers.into_iter().enumerate().map(|(number, answer)| match answer {
        Answer::NotRequested => Outcome::NotConfirmed,
        _ if is_returned(number) => Outcome::Returned,
        Answer::Lost(text) => Outcome::Unknown(text),
        Answer::Nack => Outcome::Refused,
        Answer::Ack if complete => Outcome::Taken,
        Answer::Ack => Outcome::Unknown("the channel broke before all answers were there".to_owned()),
    });
    judged.collect()
}

/// Publishes one message as a lane would whose channel was never told to confirm.
#[cfg(test)]
pub(super) async fn one_on_an_unconfirmed_channel(link: &Arc<Link>, outgoing: Outgoing) -> Outcome {
    let mut lane = Lane {
        link: Arc::clone(link),
        channel: Some(link.channel().await.expect("the broker opens a channel")),
        window: 1,
    };
    let (answer, _) = oneshot::channel();
    let mut outcomes = lane.publish_window(&[Job { outgoing, answer }]).await;
    outcomes.remove(0)
}

#[cfg(test)]
mod tests;
