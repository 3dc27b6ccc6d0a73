//! `parked`: messages that wait for somebody to repair what they failed for.

use std::fmt::Write as _;

use serde_json::json;
use sqlextract_checkpoint::{BatchId, Checkpoint, RedisCheckpoint};
use sqlextract_model::{BatchMessage, JobId, Order, Result};
use sqlextract_queue::RabbitmqQueue;
use sqlextract_queue::parked::{ParkedAction, ParkedMessage, hold, parked};

use super::{job_id, send_order};
use crate::ports;
use crate::service_args::ParkedArgs;
use crate::settings::SettingsFile;

pub(super) async fn list(as_json: bool, file: &SettingsFile) -> Result<String> {
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let listed = parked(&broker, ParkedAction::List, &|_| true).await;
    broker.close().await;
    let mut text = String::new();
    for ParkedMessage {
        message,
        reason,
        origin,
    } in listed?
    {
        let origin = origin.map(|origin| origin.to_string());
        let job = message.correlation.as_deref();
        let _ = match as_json {
            true => writeln!(
                text,
                "{}",
                json!({"id": message.id, "job": job, "origin": origin, "reason": reason})
            ),
            false => writeln!(
                text,
                "{}  {}  from {}  {reason}",
                message.id,
                job.unwrap_or("-"),
                origin.as_deref().unwrap_or("-")
            ),
        };
    }
    Ok(if text.is_empty() && !as_json {
        "nothing is parked".to_owned()
    } else {
        text.trim_end().to_owned()
    })
}

pub(super) async fn replay(args: &ParkedArgs, file: &SettingsFile) -> Result<String> {
    let job = args.job.as_deref().map(job_id).transpose()?;
    let checkpoint = RedisCheckpoint::open(ports::checkpoint_settings(file)?).await?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let replayed = replay_all(&broker, &checkpoint, job.as_ref()).await;
    broker.close().await;
    Ok(format!("{} messages are on their way again", replayed?))
}

async fn replay_all(broker: &RabbitmqQueue, checkpoint: &dyn Checkpoint, job: Option<&JobId>) -> Result<usize> {
    let mut replayed = 0;
    for held in hold(broker).await? {
        if held.parked.origin.is_none() || !is_of(&held.parked, job) {
            continue;
        }
        // Its tries begin anew before somebody can pick it up.
        if let Ok(batch) = serde_json::from_slice::<BatchMessage>(&held.parked.message.body) {
            let id = BatchId {
                table: batch.segment,
                generation: batch.generation,
                batch: batch.batch,
            };
            checkpoint.park(&batch.job, &id, None).await?;
        }
        held.replay(broker).await?;
        replayed += 1;
    }
    Ok(replayed)
}

pub(super) async fn remove(args: &ParkedArgs, file: &SettingsFile) -> Result<String> {
    let job = args.job.as_deref().map(job_id).transpose()?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract parked")?).await?;
    let removed = remove_all(&broker, job.as_ref()).await;
    broker.close().await;
    let removed = removed?;
    Ok(match job {
        Some(job) => format!("{removed} messages are removed; job {job} is asked to end as failed"),
        None => format!("{removed} messages are removed"),
    })
}

async fn remove_all(broker: &RabbitmqQueue, job: Option<&JobId>) -> Result<usize> {
    let removed = parked(broker, ParkedAction::Drop, &|message| is_of(message, job)).await?;
    if let Some(job) = job {
        send_order(broker, Order::GiveUp, job, None).await?;
    }
    Ok(removed.len())
}

fn is_of(message: &ParkedMessage, job: Option<&JobId>) -> bool {
    job.is_none_or(|job| message.message.correlation.as_deref() == Some(job.as_str()))
}
