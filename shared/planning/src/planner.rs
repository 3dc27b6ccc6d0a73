//! The planner: asks until it knows enough, then tells the best split that the table allows.

use sqlextract_model::{Code, Consistency, Dialect, Failure, Range, Result, Rung, TableFacts};

use crate::blocks::BlockLayout;
use crate::keyed;
use crate::keys::{SplitKey, candidates};
use crate::options::{Answer, PlanOptions, Question};
use crate::reason;
use crate::split::{KeyLayout, Layout, Split};
use crate::target::Target;
use crate::transcript::{Stop, Transcript};

/// Plans one table without doing any I/O.
///
/// Take [`questions`](Self::questions), carry them to the database, give their answers in the same order to
/// [`answer`](Self::answer), and repeat until no question is left; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Planner {
    facts: TableFacts,
    dialect: Dialect,
    options: PlanOptions,
    transcript: Transcript,
    split: Option<Split>,
}

impl Planner {
    /// Fails with `usage_invalid` when a size of the options is 0.
    pub fn new(facts: &TableFacts, dialect: Dialect, options: PlanOptions) -> Result<Self> {
        if options.batch_rows == Some(0) || options.chunk_bytes == 0 {
            return Err(Failure::new(
                Code::UsageInvalid,
                "a batch and a chunk must have a size above 0",
            ));
        }
        let transcript = Transcript::default();
        let mut planner = Self {
            facts: facts.clone(),
            dialect,
            options,
            transcript,
            split: None,
        };
        planner.run()?;
        Ok(planner)
    }

    /// The questions to answer next; none when the plan is ready.
    pub fn questions(&mut self) -> Vec<Question> {
        self.transcript.pending().to_vec()
    }

    /// Fails with `defect` when the answers are not to the questions, and with `source_protocol` when a key in them
    /// does not have the form of its column.
    pub fn answer(&mut self, answers: Vec<Answer>) -> Result<()> {
        if self.split.is_some() {
            return if answers.is_empty() {
                Ok(())
            } else {
                Err(Failure::new(Code::Defect, "the plan is ready already"))
            };
        }
        self.transcript
            .answer(answers)
            .map_err(|failure| failure.table(&self.facts.name))?;
        self.run()
    }

    /// Fails with `defect` while questions are left.
    pub fn finish(self) -> Result<Split> {
        self.split.ok_or_else(|| {
            Failure::new(Code::Defect, "a plan was taken before its last question was answered").table(&self.facts.name)
        })
    }

    fn run(&mut self) -> Result<()> {
        self.transcript.rewind();
        let mut decision = Decision {
            facts: &self.facts,
            dialect: self.dialect,
            options: &self.options,
            target: Target::of(&self.facts, &self.options),
            transcript: &mut self.transcript,
            passed: Vec::new(),
        };
        match decision.best() {
            Ok(split) => self.split = Some(split),
            Err(Stop::Unanswered) => {}
            Err(Stop::Failed(failure)) => return Err(failure.table(&self.facts.name)),
        }
        Ok(())
    }
}

struct Decision<'a> {
    facts: &'a TableFacts,
    dialect: Dialect,
    options: &'a PlanOptions,
    target: Target,
    transcript: &'a mut Transcript,
    /// Why better rungs were passed over.
    passed: Vec<String>,
}

impl Decision<'_> {
    fn best(&mut self) -> std::result::Result<Split, Stop> {
        if !self.target.unknown && self.target.batches() == 1 {
            return Ok(self.whole(reason::small(&self.target)));
        }
        if let Some(split) = self.by_blocks()? {
            return Ok(split);
        }
        let keys = candidates(self.facts, self.dialect);
        if keys.is_empty() {
            self.passed.push(reason::no_key(self.facts));
        }
        for key in keys {
            if let Some(split) = self.by_key(&key)? {
                return Ok(split);
            }
        }
        Ok(self.whole(reason::whole(&self.passed)))
    }

    fn by_blocks(&mut self) -> std::result::Result<Option<Split>, Stop> {
        let shared = self.options.shared_snapshot && self.options.consistency == Consistency::Snapshot;
        if self.facts.leaves.is_empty() || self.dialect != Dialect::Postgres {
            return Ok(None);
        }
        if let Some(why) = reason::no_blocks(self.facts, self.options, shared) {
            self.passed.push(why);
            return Ok(None);
        }
        let layout = BlockLayout::new(&self.facts.leaves, self.target.batches(), self.target.rows);
        let batches = layout.batches;
        let sentence = reason::blocks(self.facts.leaves.len(), &self.target, batches);
        let split = self.split(Rung::Blocks, sentence, batches, Layout::Blocks(layout));
        self.gate(split, "block ranges")
    }

    fn by_key(&mut self, key: &SplitKey) -> std::result::Result<Option<Split>, Stop> {
        let chosen_size = self.options.batch_rows.is_some();
        let found = keyed::split(self.transcript, key, self.dialect, &self.target, chosen_size)?;
        let Some(found) = found else {
            self.passed.push(format!("the key {} has no values", key.name));
            return Ok(None);
        };
        let layout = KeyLayout::new(found.columns.clone(), found.segments, key.nullable().cloned());
        let batches = layout.batches();
        if batches == 1 && !self.target.unknown {
            self.passed
                .push(format!("the key {} has too few values to divide", key.name));
            return Ok(None);
        }
        let sentence = reason::keys(&key.name, &found.columns, &self.passed, batches, found.rows);
        let mut split = self.split(found.rung, sentence, batches, Layout::Keys(layout));
        split.estimated_rows = split.estimated_rows.max(found.rows);
        split
            .warnings
            .extend(reason::fewer(self.facts, batches, self.target.batches()));
        self.gate(split, &format!("the key {}", key.name))
    }

    /// Passes over a split when the database would sort, or read more than a batch, to serve it.
    fn gate(&mut self, split: Split, what: &str) -> std::result::Result<Option<Split>, Stop> {
        let mut ranges: Vec<Range> = [0, split.batches / 2]
            .into_iter()
            .map(|index| split.batch(index).0)
            .collect();
        ranges.dedup();
        let Some(step) = self.transcript.explain(ranges)? else {
            return Ok(Some(split));
        };
        self.passed
            .push(format!("by {what} the database would read more than a batch ({step})"));
        Ok(None)
    }

    fn whole(&self, sentence: String) -> Split {
        let mut split = self.split(Rung::Single, sentence, 1, Layout::Whole);
        split.warnings.extend(reason::large_batch(self.facts, &self.target));
        split
    }

    fn split(&self, rung: Rung, reason: String, batches: u64, layout: Layout) -> Split {
        Split {
            rung,
            reason,
            warnings: reason::unknown_rows(self.facts).into_iter().collect(),
            estimated_rows: self.target.rows,
            estimated_bytes: self.target.bytes,
            batches,
            layout,
        }
    }
}
