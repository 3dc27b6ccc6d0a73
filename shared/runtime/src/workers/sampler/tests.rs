use std::sync::Mutex;

use async_trait::async_trait;
use sqlextract_model::{
    Code, ColumnAggregate, ColumnMapping, Dialect, Failure, Relation, Selection, SnapshotToken, SourceCounters,
    SourceFacts,
};
use sqlextract_source::{Probe, ProbeAnswer, ReadRequest, ReadSummary, RowSink, Snapshot};

use super::*;
use crate::StopCause;

/// What the source answers now.
#[derive(Debug, Clone, Copy)]
enum Word {
    Level(f64),
    Nothing,
    Failure,
    Silence,
}

/// A source that is only ever asked how strained others are, and answers as the test says.
#[derive(Debug)]
struct Teller(Mutex<Word>);

impl Teller {
    fn says(&self, word: Word) {
        *self.0.lock().unwrap() = word;
    }
}

#[async_trait]
impl Source for Teller {
    async fn strain(&self) -> Result<Option<Strain>> {
        let word = *self.0.lock().unwrap();
        match word {
            Word::Level(level) => Ok(Some(Strain {
                level,
                signal: "lock waits of others",
            })),
            Word::Nothing => Ok(None),
            Word::Failure => Err(Failure::new(Code::SourceConnectionLost, "the connection is gone")),
            Word::Silence => std::future::pending().await,
        }
    }

    async fn inspect(&self, _: &[Selection]) -> Result<SourceFacts> {
        unreachable!("the sampler asks for strain alone")
    }

    async fn probe(
        &self,
        _: &Relation,
        _: Option<&str>,
        _: &[Probe],
        _: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        unreachable!("the sampler asks for strain alone")
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        unreachable!("the sampler asks for strain alone")
    }

    async fn counters(&self, _: &[Relation]) -> Result<SourceCounters> {
        unreachable!("the sampler asks for strain alone")
    }

    async fn read(&self, _: ReadRequest<'_>, _: &mut dyn RowSink) -> Result<ReadSummary> {
        unreachable!("the sampler asks for strain alone")
    }

    async fn aggregate(
        &self,
        _: &Relation,
        _: Option<&str>,
        _: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        unreachable!("the sampler asks for strain alone")
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
}

struct Running {
    teller: Arc<Teller>,
    gate: Gate,
    budget: MemoryBudget,
    shutdown: Shutdown,
    _files: tempfile::TempDir,
}

impl Running {
    /// Eight workers at the start, on a machine that tells nothing of itself.
    fn start(word: Word) -> Self {
        let files = tempfile::tempdir().unwrap();
        let running = Self {
            teller: Arc::new(Teller(Mutex::new(word))),
            gate: Gate::new(8),
            budget: MemoryBudget::new(1 << 20),
            shutdown: Shutdown::new(Duration::from_secs(1)),
            _files: files,
        };
        let bounds = Bounds {
            floor: 1,
            usual: 8,
            ceiling: 12,
        };
        let sampler = Sampler::new(
            running.gate.clone(),
            bounds,
            Arc::clone(&running.teller) as Arc<dyn Source>,
            Machine::at(running._files.path(), 4),
            running.budget.clone(),
        );
        running.shutdown.spawn("sampler", sampler.run(running.shutdown.clone()));
        running
    }

    /// Lets the paused clock run.
    async fn pass(&self, seconds: u64) -> u16 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.gate.width()
    }
}

#[tokio::test(start_paused = true)]
async fn workers_go_down_while_others_are_strained_and_return_to_all_of_them() {
    let run = Running::start(Word::Level(0.0));
    assert_eq!(run.pass(30).await, 8);
    assert_eq!(run.gate.course().changes, 0);
    run.teller.says(Word::Level(2.0));
    assert_eq!(run.pass(1).await, 8, "one sample is no certainty");
    assert!(run.pass(3).await < 8);
    assert_eq!(run.pass(40).await, 1);
    let reason = run.gate.course().reason.unwrap();
    assert!(reason.contains("lock waits of others at 200 %"), "{reason}");
    run.teller.says(Word::Level(0.0));
    assert_eq!(run.pass(60).await, 8);
    let changes = run.gate.course().changes;
    assert_eq!(run.pass(600).await, 8);
    assert_eq!(run.gate.course().changes, changes, "an idle server changes nothing");
}

#[tokio::test(start_paused = true)]
async fn our_own_load_lowers_nothing() {
    let run = Running::start(Word::Nothing);
    let _all = run.budget.reserve(1 << 20).await.unwrap();
    assert_eq!(run.pass(300).await, 8);
    assert_eq!(run.gate.course().changes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_gives_its_workers_back() {
    for silence in [Word::Failure, Word::Silence] {
        let run = Running::start(Word::Level(3.0));
        assert_eq!(run.pass(60).await, 1);
        run.teller.says(silence);
        assert_eq!(run.pass(600).await, 8, "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_that_is_missed_changes_nothing() {
    let run = Running::start(Word::Level(0.8));
    assert_eq!(run.pass(20).await, 8);
    run.teller.says(Word::Failure);
    run.pass(2).await;
    run.teller.says(Word::Level(0.8));
    assert_eq!(run.pass(20).await, 8);
    assert_eq!(run.gate.course().changes, 0);
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_ends_the_sampler_even_while_it_waits_for_a_word() {
    let run = Running::start(Word::Silence);
    run.pass(2).await;
    let begun = Instant::now();
    run.shutdown.begin(StopCause::Requested);
    run.shutdown.finish().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
