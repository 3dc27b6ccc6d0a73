//! The topology at the broker: looked at, or declared.

use lapin::Channel;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use sqlextract_model::{Code, Failure, Result};

use super::failure::{Refusal, refusal_of};
use super::link::Link;
use super::topology::{Exchange, QueueObject, Topology};

/// What there is at the broker under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// As the table has it.
    Right,
    /// Its properties cannot be compared without the permission to configure.
    Present,
    Missing,
    Differs(String),
    Denied(String),
}

/// One object of the table.
#[derive(Debug, Clone, Copy)]
enum Object<'a> {
    Exchange(&'a Exchange),
    Queue(&'a QueueObject),
}

impl Object<'_> {
    fn words(&self) -> String {
        match self {
            Self::Exchange(exchange) => format!("exchange {}", exchange.name),
            Self::Queue(queue) => format!("queue {}", queue.name),
        }
    }

    async fn declare(&self, channel: &Channel, passive: bool) -> lapin::Result<()> {
        match self {
            Self::Exchange(exchange) => {
                let options = ExchangeDeclareOptions {
                    passive,
                    durable: true,
                    ..ExchangeDeclareOptions::default()
                };
                let name = exchange.name.as_str().into();
                let declaring = channel.exchange_declare(name, exchange.kind.clone(), options, FieldTable::default());
                declaring.await
            }
            Self::Queue(queue) => {
                let options = QueueDeclareOptions {
                    passive,
                    durable: true,
                    ..QueueDeclareOptions::default()
                };
                let name = queue.name.as_str().into();
                channel
                    .queue_declare(name, options, queue.arguments())
                    .await
                    .map(|_| ())
            }
        }
    }
}

/// Looks at the table's objects, or declares them. A refusal ends the channel that it came on, so that a visit opens a
/// new one whenever it has none.
struct Visit<'a> {
    link: &'a Link,
    channel: Option<Channel>,
}

impl Visit<'_> {
    async fn channel(&mut self) -> Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.link.channel().await?;
        Ok(self.channel.insert(channel).clone())
    }

    /// `None` where the broker agrees.
    async fn refused(&mut self, object: Object<'_>, passive: bool) -> Result<Option<Finding>> {
        let channel = self.channel().await?;
        let declaring = object.declare(&channel, passive);
        let answer = tokio::time::timeout(self.link.request_timeout, declaring).await;
        let Ok(answer) = answer else {
            return Err(super::failure::timed_out(&object.words()));
        };
        let Err(error) = answer else {
            return Ok(None);
        };
        self.channel = None;
        match refusal_of(&error) {
            Refusal::Missing => Ok(Some(Finding::Missing)),
            Refusal::Differs => Ok(Some(Finding::Differs(error.to_string()))),
            Refusal::Denied => Ok(Some(Finding::Denied(error.to_string()))),
            Refusal::Trouble => Err(super::failure::failure(&object.words(), &error)),
        }
    }

    async fn look(&mut self, object: Object<'_>) -> Result<Finding> {
        if let Some(finding) = self.refused(object, true).await? {
            return Ok(finding);
        }
        // A passive declaration compares nothing. The same one in earnest changes nothing either, now that it exists.
        Ok(match self.refused(object, false).await? {
            None => Finding::Right,
            Some(Finding::Denied(_)) => Finding::Present,
            Some(finding) => finding,
        })
    }

    async fn make(&mut self, object: Object<'_>) -> Result<Finding> {
        if let Some(finding) = self.refused(object, false).await? {
            return Ok(finding);
        }
        if let Object::Queue(queue) = object {
            let channel = self.channel().await?;
            bind(self.link, &channel, queue).await?;
        }
        Ok(Finding::Right)
    }
}

/// Declares one queue and its bindings.
pub(super) async fn declare(link: &Link, queue: &QueueObject) -> Result<()> {
    let mut visit = Visit { link, channel: None };
    let finding = visit.make(Object::Queue(queue)).await?;
    problem(&Object::Queue(queue).words(), &finding).map_or(Ok(()), Err)
}

async fn bind(link: &Link, channel: &Channel, queue: &QueueObject) -> Result<()> {
    for (exchange, key) in &queue.bindings {
        let what = format!("queue {} cannot be bound to exchange {exchange}", queue.name);
        let options = QueueBindOptions::default();
        let (name, exchange, key) = (queue.name.as_str(), exchange.as_str(), key.as_str());
        let binding = channel.queue_bind(name.into(), exchange.into(), key.into(), options, FieldTable::default());
        link.ask(&what, binding).await?;
    }
    Ok(())
}

/// Looks at every object of the table, or declares it, and answers one sentence for each; fails with all that is wrong.
pub(super) async fn visit(link: &Link, topology: &Topology, declare: bool) -> Result<Vec<String>> {
    let mut visit = Visit { link, channel: None };
    let mut sentences = Vec::new();
    let mut problems = Vec::new();
    let exchanges = topology.exchanges.iter().map(Object::Exchange);
    for object in exchanges.chain(topology.queues.iter().map(Object::Queue)) {
        let finding = if declare {
            visit.make(object).await?
        } else {
            visit.look(object).await?
        };
        match problem(&object.words(), &finding) {
            Some(problem) => problems.push(problem),
            None => sentences.push(sentence(&object.words(), &finding)),
        }
    }
    match join(problems) {
        Some(failure) => Err(failure),
        None => Ok(sentences),
    }
}

fn sentence(words: &str, finding: &Finding) -> String {
    match finding {
        Finding::Present => {
            format!("{words} exists; its properties cannot be compared without permission to configure it")
        }
        _ => format!("{words} is as it should be"),
    }
}

fn problem(words: &str, finding: &Finding) -> Option<Failure> {
    match finding {
        Finding::Right | Finding::Present => None,
        Finding::Missing => Some(Failure::new(
            Code::QueueMissing,
            format!("{words} does not exist at the broker"),
        )),
        Finding::Differs(text) => {
            let message = format!("{words} exists at the broker with other properties");
            Some(Failure::new(Code::QueueMismatch, message).because(text))
        }
        Finding::Denied(text) => {
            let message = format!("the broker's user may not look at or declare {words}");
            Some(Failure::new(Code::QueueAuthentication, message).because(text))
        }
    }
}

/// One failure of all: the first that is permanent leads, since it does not pass by itself.
fn join(mut problems: Vec<Failure>) -> Option<Failure> {
    let lead = problems
        .iter()
        .position(|problem| problem.code != Code::QueueMissing)
        .unwrap_or(0);
    if problems.is_empty() {
        return None;
    }
    let mut first = problems.remove(lead);
    for problem in problems {
        first.causes.push(problem.message);
        first.causes.extend(problem.causes);
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_and_what_does_not_pass_comes_first() {
        let problems = vec![
            problem("queue a", &Finding::Missing).unwrap(),
            problem("queue b", &Finding::Differs("inequivalent arg".to_owned())).unwrap(),
        ];
        let failure = join(problems).unwrap();
        assert_eq!(failure.code, Code::QueueMismatch);
        assert!(failure.message.contains("queue b"), "{failure}");
        assert_eq!(
            failure.causes,
            ["inequivalent arg", "queue a does not exist at the broker"]
        );
        assert!(join(Vec::new()).is_none());
    }

    #[test]
    fn what_is_right_or_cannot_be_compared_is_no_problem() {
        assert!(problem("queue a", &Finding::Right).is_none());
        assert!(problem("queue a", &Finding::Present).is_none());
        assert!(sentence("queue a", &Finding::Present).contains("permission"));
    }
}
