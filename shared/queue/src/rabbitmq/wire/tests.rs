use super::*;

fn message() -> Message {
    Message::new("id-1", b"{}".to_vec()).job("job-1").traceparent(Some(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    ))
}

fn with_header(key: &str, value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(key.into(), value);
    BasicProperties::default().with_headers(headers)
}

#[test]
fn what_is_written_is_read_back() {
    let notes = Notes {
        redeliveries: 3,
        reason: Some("value_refused: ü".to_owned()),
        origin: Some(QueueName::Batches {
            source: "shop".to_owned(),
        }),
        content_type: Some(CLOUD_EVENT.to_owned()),
    };
    let properties = properties_of(&message(), &notes).unwrap();
    assert_eq!(properties.delivery_mode(), &Some(2), "messages are persistent");
    let (read_message, read_notes) = read(&QueueName::Parked, &properties, b"{}".to_vec(), false);
    assert_eq!((read_message, read_notes), (message(), notes));
}

#[test]
fn reason_and_origin_count_in_the_parked_queue_alone() {
    let notes = Notes {
        reason: Some("forged".to_owned()),
        origin: Some(QueueName::Ticks),
        ..Notes::default()
    };
    let properties = properties_of(&message(), &notes).unwrap();
    let (_, read_notes) = read(&QueueName::Requests, &properties, Vec::new(), false);
    assert_eq!((read_notes.reason, read_notes.origin), (None, None));
}

#[test]
fn redeliveries_are_our_count_and_the_brokers() {
    let queue = QueueName::Ticks;
    let count =
        |properties: &BasicProperties, redelivered| read(&queue, properties, Vec::new(), redelivered).1.redeliveries;
    let plain = BasicProperties::default();
    assert_eq!((count(&plain, false), count(&plain, true)), (0, 1));
    assert_eq!(count(&with_header(BROKER_COUNT, AMQPValue::LongLongInt(4)), true), 4);
    assert_eq!(
        count(&with_header(REDELIVERIES, AMQPValue::ShortShortUInt(200)), true),
        201
    );
    assert_eq!(
        count(&with_header(REDELIVERIES, AMQPValue::LongLongInt(i64::MAX)), true),
        u32::MAX
    );
    assert_eq!(count(&with_header(REDELIVERIES, AMQPValue::LongInt(-5)), false), 0);
    assert_eq!(
        count(&with_header(REDELIVERIES, AMQPValue::LongString("7".into())), false),
        0
    );
}

#[test]
fn a_message_without_an_id_is_named_by_its_content() {
    let (message, _) = read(&QueueName::Requests, &BasicProperties::default(), b"{}".to_vec(), false);
    assert_eq!(message.id, Digest::of(b"{}").to_string());
    let empty = BasicProperties::default().with_message_id("".into());
    assert_eq!(
        read(&QueueName::Requests, &empty, b"{}".to_vec(), false).0.id,
        message.id
    );
}

#[test]
fn what_does_not_fit_is_refused_or_cut_between_letters() {
    let long = Message::new("x".repeat(256), Vec::new());
    let failure = properties_of(&long, &Notes::default()).unwrap_err();
    assert_eq!(failure.code, Code::Defect);
    let notes = Notes {
        reason: Some("ü".repeat(LONGEST_REASON)),
        ..Notes::default()
    };
    let properties = properties_of(&message(), &notes).unwrap();
    let reason = read(&QueueName::Parked, &properties, Vec::new(), false)
        .1
        .reason
        .unwrap();
    assert!(reason.len() <= LONGEST_REASON && reason.chars().all(|c| c == 'ü'));
}
