//! How long the checkpoint's scripts take: `cargo run --release --example redis_scripts -- redis://127.0.0.1:6379`.
//!
//! For each transition: calls per second of one caller, and of 64 callers at once.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlextract_checkpoint::{
    BatchId, Checkpoint, RedisCheckpoint, RedisSettings, SourceBudget, SourceLimits, TableState, Unit,
};
use sqlextract_model::{BatchIndex, Generation, JobId, Result, TableName, segments};

const CALLERS: u64 = 64;
const CALLS: u64 = 6400;

#[derive(Clone, Copy)]
enum Transition {
    Attempt,
    Complete,
    Progress,
    Lease,
    Take,
}

struct Bench {
    checkpoint: RedisCheckpoint,
    budget: Arc<dyn SourceBudget>,
    job: JobId,
}

fn batch(number: u64) -> BatchId {
    BatchId {
        table: segments(&[TableName::new("public", "t")]).remove(0),
        generation: Generation::FIRST,
        batch: BatchIndex(number),
    }
}

impl Bench {
    async fn call(&self, transition: Transition, number: u64) -> Result<()> {
        match transition {
            Transition::Attempt => drop(self.checkpoint.attempt(&self.job, &batch(number)).await?),
            Transition::Complete => drop(
                self.checkpoint
                    .complete(&self.job, &batch(number), 1000, 100_000)
                    .await?,
            ),
            Transition::Progress => drop(self.checkpoint.progress(&self.job).await?),
            Transition::Lease => {
                let name = format!("{}/{number}", self.job);
                self.checkpoint.lease(&name, "bench", Duration::from_secs(60)).await?;
            }
            Transition::Take => drop(self.budget.take(Unit::Rows).await),
        }
        Ok(())
    }

    /// Makes the job anew, with a million batches of which none is done.
    async fn begin(&self) -> Result<Duration> {
        let table = TableState {
            table: batch(0).table,
            generation: Generation::FIRST,
            batches: 1_000_000,
            done: Vec::new(),
        };
        let begun = Instant::now();
        self.checkpoint.begin(&self.job, &[table]).await?;
        Ok(begun.elapsed())
    }
}

async fn one_after_the_other(bench: &Bench, transition: Transition) -> Result<f64> {
    let begun = Instant::now();
    for number in 0..CALLS {
        bench.call(transition, number).await?;
    }
    Ok(CALLS as f64 / begun.elapsed().as_secs_f64())
}

async fn many_at_once(bench: &Arc<Bench>, transition: Transition) -> Result<f64> {
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let bench = Arc::clone(bench);
        callers.spawn(async move {
            for number in 0..4 * CALLS / CALLERS {
                // Spread over the pages, as a job's batches are.
                bench.call(transition, 10_000 + number * CALLERS + caller).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("a caller does not panic")?;
    }
    Ok(4.0 * CALLS as f64 / begun.elapsed().as_secs_f64())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let settings = RedisSettings {
        prefix: "sqlextract-bench".to_owned(),
        retention: Duration::from_secs(300),
        ..RedisSettings::new(url)
    };
    let checkpoint = RedisCheckpoint::open(settings).await?;
    let limits = SourceLimits {
        rows: std::num::NonZeroU64::new(1 << 40),
        ..SourceLimits::default()
    };
    let bench = Arc::new(Bench {
        budget: Arc::new(checkpoint.source_budget("bench", limits)),
        job: JobId::new("bench").expect("letters are a valid name"),
        checkpoint,
    });
    let mut out = std::io::stdout().lock();
    let mut line = |text: String| {
        // Nobody reads the figures any more: nothing to do.
        let _ = writeln!(out, "{text}");
    };
    let round_trip = bench.checkpoint.examine().await?.round_trip;
    line(format!("round trip without a script {round_trip:?}"));
    for (name, transition) in [
        ("attempt", Transition::Attempt),
        ("complete", Transition::Complete),
        ("progress", Transition::Progress),
        ("lease", Transition::Lease),
        ("take", Transition::Take),
    ] {
        bench.begin().await?;
        let one = one_after_the_other(&bench, transition).await?;
        let many = many_at_once(&bench, transition).await?;
        line(format!(
            "{name:<10} {one:>8.0}/s one caller, {many:>8.0}/s {CALLERS} callers"
        ));
    }
    let done: Vec<_> = (0..1_000_000).step_by(2).map(BatchIndex).collect();
    let table = TableState {
        table: batch(0).table,
        generation: Generation::FIRST,
        batches: 1_000_000,
        done,
    };
    let begun = Instant::now();
    bench.checkpoint.begin(&bench.job, &[table]).await?;
    line(format!(
        "begin of a job with 500,000 of 1,000,000 batches done: {:?}",
        begun.elapsed()
    ));
    Ok(())
}
