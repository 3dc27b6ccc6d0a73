use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlextract_queue::InProcessQueue;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::*;
use crate::StopCause;

const QUEUE: QueueName = QueueName::Ticks;

/// Does what a message's id says.
#[derive(Default)]
struct Scripted {
    seen: Mutex<Vec<(String, u32)>>,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    carried_on: Mutex<Vec<String>>,
    intake: Option<watch::Sender<bool>>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        self.seen.lock().unwrap().push((message.id.clone(), redeliveries));
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let verdict = match message.id.split('-').next().unwrap_or_default() {
            "panic" => panic!("no {}", message.id),
            "once" if redeliveries == 0 => Verdict::Again {
                after: Duration::from_secs(5),
            },
            "bad" => Verdict::Park(Failure::new(Code::ValueRefused, "'x' is no number")),
            "slow" => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Verdict::Done
            }
            "long" | "worse" => Verdict::TakeOver,
            "stuck" => std::future::pending().await,
            _ => Verdict::Done,
        };
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        verdict
    }

    fn intake(&self) -> Option<watch::Receiver<bool>> {
        self.intake.as_ref().map(watch::Sender::subscribe)
    }

    async fn carry_on(&self, message: &Message) {
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.carried_on.lock().unwrap().push(message.id.clone());
        assert!(!message.id.starts_with("worse"), "this one panics");
    }
}

struct Bench {
    queue: Arc<dyn Queue>,
    handler: Arc<Scripted>,
    shutdown: Shutdown,
    policy: RetryPolicy,
}

impl Bench {
    fn new(grace: Duration) -> Self {
        Self {
            queue: Arc::new(InProcessQueue::new(100)),
            handler: Arc::default(),
            shutdown: Shutdown::new(grace),
            policy: RetryPolicy::default(),
        }
    }

    async fn publish(&self, ids: &[&str]) {
        for id in ids {
            let message = Message::new(*id, Vec::new());
            self.queue.publish(&QUEUE, message).await.unwrap();
        }
    }

    async fn serve(&self, window: u16) -> Result<Served> {
        let handler = Arc::clone(&self.handler) as Arc<dyn Handler>;
        serve(
            self.queue.as_ref(),
            &QUEUE,
            window,
            handler,
            &self.policy,
            &self.shutdown,
        )
        .await
    }

    /// Serves until the queue is empty, then drains.
    async fn serve_all(&self, window: u16) -> Served {
        let emptied = async {
            while self.queue.depth(&QUEUE).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.shutdown.begin(StopCause::Requested);
        };
        tokio::join!(self.serve(window), emptied).0.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn every_verdict_settles_its_message_and_one_bad_message_spoils_no_other() {
    let bench = Bench::new(Duration::from_secs(1));
    bench.publish(&["a", "panic-1", "bad-1", "once-1", "b"]).await;
    let served = bench.serve_all(1).await;
    let expected = Served {
        done: 3,
        again: 3,
        parked: 2,
        panicked: 3,
        ..Served::default()
    };
    assert_eq!(served, expected);
    let mut parked = bench.queue.receiver(&QueueName::Parked, 2).await.unwrap();
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let delivery = parked.receive().await.unwrap();
        reasons.push(delivery.reason().unwrap_or_default().to_owned());
        delivery.settle(Settlement::Done).await.unwrap();
    }
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "defect: handling panicked: no panic-1",
            "value_refused: 'x' is no number"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_handled_at_once() {
    let bench = Bench::new(Duration::from_secs(60));
    let ids: Vec<_> = (0..10).map(|n| format!("slow-{n}")).collect();
    bench.publish(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let begun = Instant::now();
    let served = bench.serve_all(4).await;
    assert_eq!(served.done, 10);
    assert_eq!(bench.handler.most_at_once.load(Ordering::SeqCst), 4);
    assert!(
        begun.elapsed() >= Duration::from_secs(60),
        "ten of twenty seconds, four at once"
    );
}

#[tokio::test(start_paused = true)]
async fn draining_takes_nothing_new_and_lets_handlers_finish() {
    let bench = Bench::new(Duration::from_secs(60));
    bench.publish(&["slow-1", "slow-2", "slow-3"]).await;
    let stop = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.shutdown.begin(StopCause::Terminate);
    };
    let (served, ()) = tokio::join!(bench.serve(2), stop);
    assert_eq!((served.unwrap().done, bench.queue.depth(&QUEUE).await.unwrap()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_outlast_the_grace_period_are_dropped_and_their_messages_come_back() {
    let bench = Bench::new(Duration::from_secs(60));
    bench.publish(&["stuck-1", "slow-1"]).await;
    let begun = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.shutdown.begin(StopCause::Interrupt);
    };
    let (served, ()) = tokio::join!(bench.serve(2), stop);
    let served = served.unwrap();
    assert_eq!((served.done, served.dropped), (1, 1));
    assert_eq!(begun.elapsed().as_secs(), 65);
    let mut receiver = bench.queue.receiver(&QUEUE, 1).await.unwrap();
    let again = receiver.receive().await.unwrap();
    assert_eq!((again.message().id.as_str(), again.redeliveries()), ("stuck-1", 1));
}

#[tokio::test(start_paused = true)]
async fn leaving_at_once_cuts_the_grace_period_short() {
    let bench = Bench::new(Duration::from_secs(3600));
    bench.publish(&["stuck-1"]).await;
    let begun = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.shutdown.leave_at_once();
    };
    let (served, ()) = tokio::join!(bench.serve(2), stop);
    assert_eq!((served.unwrap().dropped, begun.elapsed().as_secs()), (1, 5));
}

/// A queue that fails as it is told, in front of one that works.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn Queue>,
    code: Code,
    left: Semaphore,
}

#[async_trait]
impl Queue for Failing {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        self.inner.publish(queue, message).await
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        self.inner.announce(routing_key, message).await
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        match self.left.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Err(Failure::new(self.code, "nobody answers"))
            }
            Err(_) => self.inner.receiver(queue, window).await,
        }
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        self.inner.depth(queue).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_is_opened_again_and_a_refusal_ends_the_loop() {
    for (code, ends) in [(Code::QueueUnavailable, false), (Code::ConfigInvalid, true)] {
        let bench = Bench::new(Duration::from_secs(1));
        bench.publish(&["a"]).await;
        let failing = Failing {
            inner: Arc::clone(&bench.queue),
            code,
            left: Semaphore::new(3),
        };
        let handler = Arc::clone(&bench.handler) as Arc<dyn Handler>;
        let serving = serve(&failing, &QUEUE, 1, handler, &bench.policy, &bench.shutdown);
        let emptied = async {
            while bench.queue.depth(&QUEUE).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            bench.shutdown.begin(StopCause::Requested);
        };
        if ends {
            assert_eq!(serving.await.unwrap_err().code, code);
        } else {
            assert_eq!(tokio::join!(serving, emptied).0.unwrap().done, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_taken_over_is_settled_and_holds_its_place_and_no_other_message() {
    let bench = Bench::new(Duration::from_secs(60));
    bench.publish(&["long-1", "worse-1", "a"]).await;
    let watching = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(bench.handler.seen.lock().unwrap().len(), 1, "its place is taken");
        assert_eq!(bench.queue.depth(&QUEUE).await.unwrap(), 2, "its message is settled");
        // What was handed out beside it went back, so that another process can have it.
        let mut other = bench.queue.receiver(&QUEUE, 2).await.unwrap();
        let soon = Duration::from_secs(1);
        let first = tokio::time::timeout(soon, other.receive()).await.expect("it is free");
        let second = tokio::time::timeout(soon, other.receive()).await.expect("it is free");
        let ids = [first, second].map(|delivery| delivery.unwrap().message().id.clone());
        assert_eq!(ids, ["worse-1", "a"]);
    };
    let (served, ()) = tokio::join!(bench.serve_all(1), watching);
    assert_eq!((served.done, served.unsettled), (3, 0));
    let carried_on = bench.handler.carried_on.lock().unwrap().clone();
    assert_eq!(carried_on.len(), 2, "{carried_on:?}");
}

#[tokio::test(start_paused = true)]
async fn while_no_message_is_wanted_none_is_held_and_what_is_in_hand_is_finished() {
    let mut bench = Bench::new(Duration::from_secs(1));
    bench.handler = Arc::new(Scripted {
        intake: Some(watch::Sender::new(true)),
        ..Scripted::default()
    });
    bench.publish(&["slow-1", "a"]).await;
    let seen = || bench.handler.seen.lock().unwrap().len();
    let intake = bench.handler.intake.as_ref().expect("it was just made");
    let closing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        intake.send_replace(false);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(seen(), 1, "nothing new is begun");
        assert_eq!(bench.queue.depth(&QUEUE).await.unwrap(), 1, "what was in hand is done");
        let mut other = bench.queue.receiver(&QUEUE, 1).await.unwrap();
        let delivery = tokio::time::timeout(Duration::from_secs(1), other.receive()).await;
        assert!(delivery.is_ok(), "another process could have it");
        drop((delivery, other));
        intake.send_replace(true);
    };
    let (served, ()) = tokio::join!(bench.serve_all(1), closing);
    assert_eq!((served.done, seen()), (2, 2));
}
