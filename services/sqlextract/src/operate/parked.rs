//! `parked`: messages that wait for somebody to repair what they failed for.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use sqlextract_checkpoint::{BatchId, Checkpoint, RedisCheckpoint};
use sqlextract_model::{BatchMessage, JobId, Order, Result};
use sqlextract_queue::{Delivery, Message, Queue, QueueName, RabbitmqQueue, Settlement};

use super::{job_id, send_order};
use crate::ports;
use crate::service_args::ParkedArgs;
use crate::settings::SettingsFile;

/// Parked messages that are looked at in one go.
const AT_ONCE: u16 = 1000;
/// What the broker has ready comes within this.
const MORE: Duration = Duration::from_secs(1);

pub(super) async fn list(as_json: bool, file: &SettingsFile) -> Result<String> {
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let held = hold(&broker, None).await;
    let mut text = String::new();
    for delivery in held.iter().flatten() {
        let (message, reason) = (delivery.message(), delivery.reason().unwrap_or("unknown"));
        let origin = delivery.origin().map(ToString::to_string);
        let job = message.correlation.as_deref().unwrap_or("-");
        let _ = match as_json {
            true => writeln!(
                text,
                "{}",
                json!({"id": message.id, "job": message.correlation, "origin": origin, "reason": reason})
            ),
            false => writeln!(
                text,
                "{}  {job}  from {}  {reason}",
                message.id,
                origin.as_deref().unwrap_or("-")
            ),
        };
    }
    // Unsettled, they go back to where they were.
    let held = held.map(drop);
    broker.close().await;
    held?;
    Ok(if text.is_empty() && !as_json {
        "nothing is parked".to_owned()
    } else {
        text
    })
}

pub(super) async fn replay(args: &ParkedArgs, file: &SettingsFile) -> Result<String> {
    let job = args.job.as_deref().map(job_id).transpose()?;
    let checkpoint = RedisCheckpoint::open(ports::checkpoint_settings(file)?).await?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let replayed = replay_all(&broker, &checkpoint, job.as_ref()).await;
    broker.close().await;
    let (sent, kept) = replayed?;
    let mut text = format!("{sent} messages are on their way again");
    if kept > 0 {
        let _ = write!(text, "; {kept} stay, since it is not known where they came from");
    }
    Ok(text)
}

async fn replay_all(broker: &RabbitmqQueue, checkpoint: &dyn Checkpoint, job: Option<&JobId>) -> Result<(u64, u64)> {
    let (mut sent, mut kept) = (0, 0);
    for delivery in hold(broker, job).await? {
        let Some(origin) = delivery.origin().cloned() else {
            kept += 1;
            continue;
        };
        let message: Message = delivery.message().clone();
        if let Ok(batch) = serde_json::from_slice::<BatchMessage>(&message.body) {
            let id = BatchId {
                table: batch.segment,
                generation: batch.generation,
                batch: batch.batch,
            };
            checkpoint.park(&batch.job, &id, None).await?;
        }
        // Sent before it is removed: a crash in between doubles it, which harms nothing.
        broker.publish(&origin, message).await?;
        delivery.settle(Settlement::Done).await?;
        sent += 1;
    }
    Ok((sent, kept))
}

pub(super) async fn remove(args: &ParkedArgs, file: &SettingsFile) -> Result<String> {
    let job = args.job.as_deref().map(job_id).transpose()?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let removed = remove_all(&broker, job.as_ref()).await;
    broker.close().await;
    let removed = removed?;
    Ok(match job {
        Some(job) => format!("{removed} messages are removed; job {job} is ended as failed"),
        None => format!("{removed} messages are removed"),
    })
}

async fn remove_all(broker: &RabbitmqQueue, job: Option<&JobId>) -> Result<u64> {
    let mut removed = 0;
    for delivery in hold(broker, job).await? {
        delivery.settle(Settlement::Done).await?;
        removed += 1;
    }
    if let Some(job) = job {
        send_order(broker, Order::GiveUp, job, None).await?;
    }
    Ok(removed)
}

/// Takes parked messages into our hands, of one job or all. Those of other jobs go back.
async fn hold(queue: &dyn Queue, job: Option<&JobId>) -> Result<Vec<Box<dyn Delivery>>> {
    let mut receiver = queue.receiver(&QueueName::Parked, AT_ONCE).await?;
    let mut held = Vec::new();
    while held.len() < usize::from(AT_ONCE) {
        match tokio::time::timeout(MORE, receiver.receive()).await {
            Ok(delivery) => held.push(delivery?),
            Err(_) => break,
        }
    }
    held.retain(|delivery| job.is_none_or(|job| delivery.message().correlation.as_deref() == Some(job.as_str())));
    Ok(held)
}
