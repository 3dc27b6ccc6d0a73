use super::*;

fn table() -> Topology {
    Topology::new(&Names::new("sqlextract"), &["shop".to_owned(), "crm".to_owned()])
}

fn queue<'a>(table: &'a Topology, name: &str) -> &'a QueueObject {
    let found = table.queues.iter().find(|queue| queue.name == name);
    found.unwrap_or_else(|| panic!("there is a queue {name}"))
}

#[test]
fn a_delay_is_never_shortened_but_by_the_last_rung() {
    let rung = |milliseconds| rung_for(Duration::from_millis(milliseconds)).name;
    assert_eq!([rung(1), rung(1000), rung(1001)], ["1s", "1s", "10s"]);
    assert_eq!([rung(60_000), rung(60_001), rung(3_600_000)], ["1m", "10m", "10m"]);
    assert!(RUNGS.is_sorted_by(|a, b| a.delay < b.delay));
}

#[test]
fn every_queue_is_a_quorum_queue_and_every_binding_has_its_exchange() {
    let table = table();
    for queue in &table.queues {
        let arguments = queue.arguments();
        let kind = arguments.inner().get("x-queue-type");
        assert_eq!(kind, Some(&AMQPValue::LongString("quorum".into())), "{}", queue.name);
        assert!(!queue.bindings.is_empty(), "{} is reached by nothing", queue.name);
        for (exchange, _) in &queue.bindings {
            assert!(
                table.exchanges.iter().any(|e| e.name == *exchange),
                "{exchange} is declared"
            );
        }
    }
}

#[test]
fn a_rung_gives_back_under_the_original_key_and_loses_nothing() {
    let table = table();
    for rung in &RUNGS {
        let queue = queue(&table, &format!("sqlextract.retry.{}", rung.name));
        let arguments = queue.arguments();
        let get = |key: &str| arguments.inner().get(key).cloned();
        assert_eq!(
            get("x-dead-letter-exchange"),
            Some(AMQPValue::LongString("sqlextract.work".into()))
        );
        assert_eq!(get("x-dead-letter-routing-key"), None);
        assert_eq!(
            get("x-dead-letter-strategy"),
            Some(AMQPValue::LongString("at-least-once".into()))
        );
        assert_eq!(get("x-overflow"), Some(AMQPValue::LongString("reject-publish".into())));
        let milliseconds = rung.delay.as_millis() as i64;
        assert_eq!(get("x-message-ttl"), Some(AMQPValue::LongLongInt(milliseconds)));
    }
}

#[test]
fn the_key_of_every_queue_that_is_published_to_leads_back_to_it() {
    let table = table();
    let names = Names::new("sqlextract");
    let [source, same] = ["crm"; 2].map(str::to_owned);
    for name in [
        QueueName::Requests,
        QueueName::Ticks,
        QueueName::Batches { source },
        QueueName::LongBatches { source: same },
        QueueName::Scripter,
        QueueName::Parked,
    ] {
        let bound: Vec<_> = table
            .queues
            .iter()
            .filter(|queue| queue.bindings.contains(&(names.work(), name.to_string())))
            .map(|queue| queue.name.clone())
            .collect();
        assert_eq!(bound, [names.queue(&name)]);
        assert_eq!(QueueName::parse(&name.to_string()), Some(name));
    }
}

#[test]
fn what_the_broker_gives_up_is_kept_apart_from_what_we_parked() {
    let table = table();
    let dead = queue(&table, "sqlextract.dead");
    assert_eq!(dead.bindings, [("sqlextract.dead".to_owned(), String::new())]);
    for name in [
        "requests",
        "ticks",
        "scripter",
        "batches.shop",
        "batches.crm",
        "long-batches.crm",
    ] {
        let expected = Shape::Worked {
            dead_letters: "sqlextract.dead".to_owned(),
        };
        assert_eq!(queue(&table, &format!("sqlextract.{name}")).shape, expected);
    }
}
