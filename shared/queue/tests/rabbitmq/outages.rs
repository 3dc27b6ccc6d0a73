//! The broker goes away in the middle of work, and nothing is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlextract_queue::{Queue, QueueName, RabbitmqQueue, RabbitmqSettings, Settlement};

use crate::broker::Broker;
use crate::fixture::{self, batches, message, next, receiver, until, within};

const MESSAGES: u32 = 3000;
const PUBLISHERS: u32 = 8;
/// Starting a node takes most of it.
const OUTAGES_DEADLINE: Duration = Duration::from_secs(300);

/// How often each message was done.
type Done = Arc<Mutex<HashMap<String, u32>>>;

fn settings(broker: &Broker) -> RabbitmqSettings {
    RabbitmqSettings {
        sources: vec!["shop".to_owned()],
        request_timeout: Duration::from_secs(5),
        publish_patience: OUTAGES_DEADLINE,
        // A frozen broker is noticed after two intervals.
        ..RabbitmqSettings::new(broker.url() + "?heartbeat=2")
    }
}

async fn publish(queue: RabbitmqQueue, publisher: u32) {
    for number in (publisher..MESSAGES).step_by(PUBLISHERS as usize) {
        queue.publish(&batches(), message(&number.to_string())).await.unwrap();
        // The outages have to fall into the middle.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn receive(queue: RabbitmqQueue, done: Done) {
    let mut receiving = receiver(&queue, &batches(), 10).await;
    while done.lock().unwrap().len() < MESSAGES as usize {
        let Ok(received) = tokio::time::timeout(Duration::from_millis(100), receiving.receive()).await else {
            continue;
        };
        let delivery = received.unwrap();
        let id = delivery.message().id.clone();
        // A settlement that is lost with its connection is an error, and the message comes again.
        if delivery.settle(Settlement::Done).await.is_ok() {
            *done.lock().unwrap().entry(id).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_stopped_and_frozen_in_mid_work_loses_nothing() {
    let mut broker = Broker::start().await;
    let settings = settings(&broker);
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    let queue = fixture::connected(&settings).await;
    let done = Done::default();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        tasks.spawn(publish(queue.clone(), publisher));
    }
    tasks.spawn(receive(queue.clone(), Arc::clone(&done)));
    let finished = tokio::time::timeout(OUTAGES_DEADLINE, async {
        let reached = |share: u32| {
            let done = Arc::clone(&done);
            move || done.lock().unwrap().len() > (MESSAGES * share / 100) as usize
        };
        until("a tenth is done", reached(10)).await;
        broker.kill();
        broker.start_server().await;
        until("a third is done", reached(33)).await;
        broker.stop();
        broker.start_server().await;
        until("half is done", reached(50)).await;
        broker.freeze();
        until("the silence is noticed", || !queue.health().publishing_connected).await;
        broker.thaw();
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no publisher and no receiver fails");
        }
    });
    finished.await.expect("everything is done before the deadline");
    assert_eq!(done.lock().unwrap().len(), MESSAGES as usize);
    let health = queue.health();
    assert!(
        health.reconnects >= 4,
        "two connections were lost more than once: {health:?}"
    );
    assert!(health.publishing_connected && health.consuming_connected && health.receivers_down == 0);
    within(drained(&queue)).await;
}

/// Waits until nothing waits, and nothing comes: acknowledgements that were lost bring their messages again.
async fn drained(queue: &RabbitmqQueue) {
    let mut receiving = receiver(queue, &batches(), 10).await;
    while let Ok(delivery) = tokio::time::timeout(Duration::from_secs(2), receiving.receive()).await {
        delivery.unwrap().settle(Settlement::Done).await.unwrap();
    }
    assert_eq!(queue.depth(&batches()).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_in_alarm_takes_no_messages_while_settlements_pass() {
    let broker = Broker::start().await;
    let settings = settings(&broker);
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    let queue = fixture::connected(&settings).await;
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/rabbitmq/definitions.json");
    broker.ctl(&["import_definitions", definitions]);
    each_queue_has_its_policy(&broker.ctl(&["--quiet", "list_queues", "name", "policy"]));

    for id in ["a", "b"] {
        queue.publish(&batches(), message(id)).await.unwrap();
    }
    let mut receiving = receiver(&queue, &batches(), 1).await;
    broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]);
    // The broker tells a connection about its alarm when that next publishes.
    let publishing = queue.clone();
    let late = tokio::spawn(async move { publishing.publish(&QueueName::Ticks, message("late")).await });
    until("the alarm is noticed", || queue.health().blocked).await;
    for _ in 0..2 {
        let delivery = next(&mut receiving).await;
        within(delivery.settle(Settlement::Done)).await.unwrap();
    }
    assert!(
        queue.health().blocked && !late.is_finished(),
        "settlements passed during the alarm"
    );
    broker.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    within(late).await.unwrap().unwrap();
    assert_eq!(queue.depth(&batches()).await.unwrap(), 0);
    assert!(queue.depth(&QueueName::Ticks).await.unwrap() >= 1);
}

fn each_queue_has_its_policy(listing: &str) {
    let mut seen = 0;
    for line in listing.lines().filter(|line| line.starts_with("sqlextract.")) {
        let (name, policy) = line.split_once('\t').unwrap();
        let expected = match name.strip_prefix("sqlextract.").unwrap() {
            "requests" | "ticks" | "scripter" | "batches.shop" | "long-batches.shop" => "sqlextract-work",
            "parked" | "dead" => "sqlextract-kept",
            retry if retry.starts_with("retry.") => "sqlextract-retry",
            _ => panic!("{name} is a queue that no policy was meant for"),
        };
        assert_eq!(policy, expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 11, "{listing}");
}
