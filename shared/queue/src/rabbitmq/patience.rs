//! What follows from one try to publish: success, another try after a rest, or a failure.

use std::time::Duration;

use sqlextract_model::{Code, Failure};

use super::link::rest_after;
use super::publish::Outcome;
use super::settings::RabbitmqSettings;

const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// One message's tries so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    count: u32,
    /// The broker may hold the message from an earlier try.
    maybe_held: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// It is held by every queue that it was for.
    Taken,
    /// No queue takes it.
    Returned,
    /// Publish it again, under the same id.
    Again {
        after: Duration,
    },
    Fail(Failure),
}

impl Tries {
    /// `what` names the message and where it goes; `elapsed` counts from the first try.
    pub(super) fn next(
        &mut self,
        outcome: Outcome,
        elapsed: Duration,
        settings: &RabbitmqSettings,
        what: impl Fn() -> String,
    ) -> Next {
        let tries = self.count;
        self.count += 1;
        let (why, patience, rest) = match outcome {
            Outcome::Taken => return Next::Taken,
            Outcome::Returned => return Next::Returned,
            Outcome::NotConfirmed => {
                let text = format!("{}: published on a channel without confirms", what());
                return Next::Fail(Failure::new(Code::Defect, text));
            }
            // Another queue on the same key may hold it; whoever reads it twice knows it by its id.
            Outcome::Refused => {
                let wait = SHORTEST_WAIT.saturating_mul(1 << tries.min(8)).min(LONGEST_WAIT);
                ("the queue is full".to_owned(), settings.full_patience, wait)
            }
            Outcome::Unsent(why) => (why, settings.publish_patience, rest_after(tries)),
            Outcome::Unknown(why) => {
                self.maybe_held = true;
                (why, settings.publish_patience, rest_after(tries))
            }
        };
        if elapsed + rest <= patience {
            return Next::Again { after: rest };
        }
        let code = if self.maybe_held {
            Code::QueueUnconfirmed
        } else {
            Code::QueueUnavailable
        };
        let text = format!("{} was not taken in {} s", what(), elapsed.as_secs());
        Next::Fail(Failure::new(code, text).because(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(tries: &mut Tries, outcome: Outcome, seconds: u64) -> Next {
        let settings = RabbitmqSettings::new("amqp://localhost");
        tries.next(outcome, Duration::from_secs(seconds), &settings, || {
            "message m for ticks".to_owned()
        })
    }

    fn unsent() -> Outcome {
        Outcome::Unsent("no connection".to_owned())
    }

    fn unknown() -> Outcome {
        Outcome::Unknown("no confirm".to_owned())
    }

    #[test]
    fn trouble_is_tried_again_until_patience_ends() {
        let mut tries = Tries::default();
        assert!(matches!(next(&mut tries, unsent(), 0), Next::Again { .. }));
        assert!(matches!(next(&mut tries, unsent(), 50), Next::Again { .. }));
        let Next::Fail(failure) = next(&mut tries, unsent(), 60) else {
            panic!("a minute is enough")
        };
        assert_eq!(
            (failure.code, failure.causes),
            (Code::QueueUnavailable, vec!["no connection".to_owned()])
        );
    }

    #[test]
    fn once_sent_it_stays_indeterminate() {
        let mut tries = Tries::default();
        assert!(matches!(next(&mut tries, unknown(), 1), Next::Again { .. }));
        let Next::Fail(failure) = next(&mut tries, unsent(), 60) else {
            panic!("a minute is enough")
        };
        assert_eq!(failure.code, Code::QueueUnconfirmed);
    }

    #[test]
    fn a_full_queue_is_waited_for_longer_than_an_outage_and_not_for_ever() {
        let mut tries = Tries::default();
        for seconds in [0, 1, 60, 298] {
            let Next::Again { after } = next(&mut tries, Outcome::Refused, seconds) else {
                panic!("it waits at {seconds} s")
            };
            assert!(after <= LONGEST_WAIT);
        }
        assert!(matches!(next(&mut tries, Outcome::Refused, 300), Next::Fail(f) if f.code == Code::QueueUnavailable));
    }

    #[test]
    fn what_is_decided_is_not_tried_again() {
        assert_eq!(next(&mut Tries::default(), Outcome::Taken, 900), Next::Taken);
        assert_eq!(next(&mut Tries::default(), Outcome::Returned, 0), Next::Returned);
        let defect = next(&mut Tries::default(), Outcome::NotConfirmed, 0);
        assert!(matches!(defect, Next::Fail(f) if f.code == Code::Defect));
    }
}
