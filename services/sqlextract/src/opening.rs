//! Opening what a run stands on.

use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use sqlextract_checkpoint::Checkpoint;
use sqlextract_model::{ExtractionRequest, Result};
use sqlextract_source::Source;
use sqlextract_storage::{JobRecords, Storage};

use crate::args::IfRunning;
use crate::lock::JobLock;
use crate::ports::{self, UploadMemory};
use crate::settings::{DestinationChoice, SourceChoice};
use crate::workers::Workers;

/// How often a second process looks whether the first has gone.
const WAIT_LOOK: Duration = Duration::from_millis(500);

/// Runs both until the first has its result; the second's may have to be waited for still. It begins, since it waits for
/// others.
pub(crate) async fn beside<A, B>(first: A, second: B) -> (A::Output, Either<B, Ready<B::Output>>)
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    match select(second, first).await {
        Either::Left((ahead, first)) => (first.await, Either::Right(ready(ahead))),
        Either::Right((done, second)) => (done, Either::Left(second)),
    }
}

/// A job with the run that this process works on, or watches.
pub(crate) struct Claimed {
    pub(crate) request: ExtractionRequest,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) checkpoint: Arc<dyn Checkpoint>,
    pub(crate) lock: JobLock,
    /// Who works on the job, where that is somebody else.
    pub(crate) busy: Option<String>,
}

/// Opens what a run writes to, finds its number there, and takes the job's lease; waits for it where that is asked for.
pub(crate) async fn claim(
    (destination, upload, checkpoint): (&DestinationChoice, UploadMemory, &Path),
    mut request: ExtractionRequest,
    (restart, if_running): (bool, IfRunning),
) -> Result<Claimed> {
    let storage = ports::open_storage(destination, upload).await?;
    let checkpoint = ports::open_checkpoint(checkpoint).await?;
    request.run = run_number(&storage, &request, restart).await?;
    let lock = JobLock::new(Arc::clone(&checkpoint), &request.job_id());
    let mut busy = lock.take().await?;
    while busy.is_some() && if_running == IfRunning::Wait {
        tokio::time::sleep(WAIT_LOOK).await;
        busy = lock.take().await?;
    }
    Ok(Claimed {
        request,
        storage,
        checkpoint,
        lock,
        busy,
    })
}

/// Opens the source and lets it say how many workers it has connections for.
pub(crate) async fn source(
    choice: &SourceChoice,
    max_connections: u32,
    mut workers: Workers,
) -> Result<(Arc<dyn Source>, Workers)> {
    let source = ports::open_source(choice, max_connections).await?;
    workers.ask(source.as_ref()).await?;
    Ok((source, workers))
}

/// The newest run of the job, or with `restart` one more.
async fn run_number(storage: &Arc<dyn Storage>, request: &ExtractionRequest, restart: bool) -> Result<u32> {
    let mut newest = 0;
    for run in 1.. {
        let job = ExtractionRequest { run, ..request.clone() }.job_id();
        if JobRecords::new(Arc::clone(storage), job).job_record().await?.is_none() {
            break;
        }
        newest = run;
    }
    Ok(if restart { newest + 1 } else { newest.max(1) })
}
