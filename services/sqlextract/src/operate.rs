//! What operators do from a terminal: submit, watch, status, cancel, pause, resume, parked, topology, doctor, gc.

mod doctor;
mod events;
mod gc;
mod parked;
mod shown;
mod status;
mod submit;

use sqlextract_model::{Code, Failure, JobId, Order, OrderData, Result};
use sqlextract_queue::{Message, Queue, QueueName, RabbitmqQueue, rabbitmq_definitions};
use sqlextract_runtime::{OperatingSystem, Surroundings};

use crate::ports;
use crate::report::Failures;
use crate::serve;
use crate::service_args::{OrderArgs, ParkedCommand, ServiceCommand, TopologyCommand};
use crate::settings::SettingsFile;

/// How operators' commands are called where senders are.
const SENDER: &str = "/sqlextract/cli";

/// Runs the command; the answer is what is left to be written.
pub(crate) async fn dispatch(
    command: ServiceCommand,
    file: &SettingsFile,
) -> std::result::Result<Option<String>, Failures> {
    match command {
        ServiceCommand::Serve(args) => Ok(serve::run(&args, file).await.map(|()| None)?),
        ServiceCommand::Submit(args) => submit::run(&args, file).await.map(|()| None),
        ServiceCommand::Status(args) => Ok(Some(status::run(&args, file).await?)),
        ServiceCommand::Watch(args) => events::watch(&args, file).await.map(|()| None),
        ServiceCommand::Pause(args) => Ok(Some(order(Order::Pause, &args, file).await?)),
        ServiceCommand::Resume(args) => Ok(Some(order(Order::Resume, &args, file).await?)),
        ServiceCommand::Parked(ParkedCommand::List { json }) => Ok(Some(parked::list(json, file).await?)),
        ServiceCommand::Parked(ParkedCommand::Replay(args)) => Ok(Some(parked::replay(&args, file).await?)),
        ServiceCommand::Parked(ParkedCommand::Drop(args)) => Ok(Some(parked::remove(&args, file).await?)),
        ServiceCommand::Topology(TopologyCommand::Apply) => {
            let settings = ports::broker_settings(file, "sqlextract topology")?;
            Ok(Some(RabbitmqQueue::apply_topology(&settings).await?.join("\n")))
        }
        ServiceCommand::Topology(TopologyCommand::Policies) => {
            let prefix = file.queue.prefix.as_deref().unwrap_or("sqlextract");
            Ok(Some(rabbitmq_definitions(prefix)))
        }
        ServiceCommand::Doctor(args) => doctor::run(&args, file).await,
        ServiceCommand::Gc(args) => Ok(Some(gc::run(&args, file).await?)),
    }
}

/// Asks the services for the end of a job.
pub(crate) async fn cancel(job: &str, as_json: bool, file: &SettingsFile) -> Result<String> {
    let args = OrderArgs {
        job: job.to_owned(),
        destination: None,
    };
    let told = order(Order::Cancel, &args, file).await?;
    Ok(match as_json {
        true => serde_json::json!({"job": job, "state": "cancel_requested"}).to_string(),
        false => told,
    })
}

async fn order(order: Order, args: &OrderArgs, file: &SettingsFile) -> Result<String> {
    let job = job_id(&args.job)?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract command")?).await?;
    let sent = send_order(&broker, order, &job, args.destination.as_deref()).await;
    broker.close().await;
    sent?;
    Ok(match order {
        Order::Pause => format!("job {job} is asked to pause; what is published is finished"),
        Order::Resume => format!("job {job} is asked to go on"),
        Order::Cancel | Order::GiveUp => format!("job {job} is asked to end"),
    })
}

async fn send_order(queue: &dyn Queue, order: Order, job: &JobId, destination: Option<&str>) -> Result<()> {
    let data = OrderData {
        job: job.clone(),
        destination: destination.map(str::to_owned),
    };
    let id = format!("{job}-{}", lot()?);
    let message = cloud_event(&id, &order.event_type(), &data)?.job(job);
    queue.publish(&QueueName::Requests, message).await
}

/// A message in structured mode, as any client would send it.
fn cloud_event<T: serde::Serialize>(id: &str, kind: &str, data: &T) -> Result<Message> {
    let event = serde_json::json!({
        "specversion": "1.0",
        "id": id,
        "source": SENDER,
        "type": kind,
        "time": OperatingSystem.utc_now(),
        "datacontenttype": "application/json",
        "data": data,
    });
    let body = serde_json::to_vec(&event).map_err(|e| Failure::new(Code::Defect, "an event is no JSON").because(e))?;
    Ok(Message::new(id, body))
}

fn job_id(text: &str) -> Result<JobId> {
    JobId::new(text).ok_or_else(|| Failure::new(Code::UsageInvalid, format!("`{text}` is no job name")))
}

/// Sixteen hexadecimal digits, drawn by lot.
fn lot() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::new(Code::PreflightFailed, "the system gives no random bytes").because(e))?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}
