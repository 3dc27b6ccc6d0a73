//! Publishes messages with confirms to a scratch broker and tells how many per second: `tests/run bench-queue`.

use std::io::Write;
use std::time::Instant;

use sqlextract_queue::{Message, Queue, QueueName, RabbitmqQueue, RabbitmqSettings};

const MESSAGES: u32 = 100_000;
const BODY_BYTES: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("SQLEXTRACT_TEST_RABBITMQ")?;
    let settings = RabbitmqSettings {
        prefix: format!("bench-{}", std::process::id()),
        sources: vec!["shop".to_owned()],
        ..RabbitmqSettings::new(url)
    };
    RabbitmqQueue::apply_topology(&settings).await?;
    let queue = RabbitmqQueue::connect(settings).await?;
    let batches = QueueName::Batches {
        source: "shop".to_owned(),
    };
    let messages = (0..MESSAGES).map(|n| Message::new(format!("job-{n}"), vec![b'x'; BODY_BYTES]).job("job"));
    let messages: Vec<_> = messages.collect();
    let begun = Instant::now();
    queue.publish_all(&batches, messages).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let depth = queue.depth(&batches).await?;
    let counts = queue.health().publishes;
    writeln!(
        std::io::stdout(),
        "{MESSAGES} messages of {BODY_BYTES} bytes, each confirmed, in {seconds:.2} s: {:.0} messages/s; {depth} wait; {counts:?}",
        f64::from(MESSAGES) / seconds
    )?;
    queue.close().await;
    Ok(())
}
