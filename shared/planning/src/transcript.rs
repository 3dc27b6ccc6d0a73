//! Questions and answers so far.
//!
//! Planning is written as one function that asks as it goes. When an answer is missing the function stops; after the
//! answers have come it runs again from the start and finds them here, in the same order. That keeps the algorithm
//! readable, needs no state of its own, and makes equal answers give equal plans by construction.

use sqlextract_model::{Code, Failure, KeyColumn, KeyRange, KeyValue, Range, Result};

use crate::options::{Answer, Question};

/// Why a run of the planning function ended before its result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The transcript holds questions that nobody has answered yet.
    Unanswered,
    Failed(Box<Failure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Round trips of one plan: at 10 ms each they take two seconds.
const MOST_ROUNDS: usize = 200;

type Bounds = (Vec<KeyValue>, Vec<KeyValue>);

#[derive(Debug, Default)]
pub(crate) struct Transcript {
    answers: Vec<Answer>,
    cursor: usize,
    /// Calls that asked something in this run: each is a round trip to the database.
    rounds: usize,
    pending: Vec<Question>,
    /// Whether this database estimates rows; unknown until it was asked once.
    estimates: Option<bool>,
}

impl Transcript {
    /// Before a run of the planning function.
    pub(crate) fn rewind(&mut self) {
        self.cursor = 0;
        self.rounds = 0;
        self.estimates = None;
        self.pending.clear();
    }

    pub(crate) fn pending(&self) -> &[Question] {
        &self.pending
    }

    /// Takes the answers to the pending questions, in their order.
    pub(crate) fn answer(&mut self, answers: Vec<Answer>) -> Result<()> {
        let fit = answers.len() == self.pending.len() && answers.iter().zip(&self.pending).all(|(a, q)| a.fits(q));
        if !fit {
            let message = format!(
                "planning asked {} questions and was given {} answers, not all of their kind",
                self.pending.len(),
                answers.len()
            );
            return Err(Failure::new(Code::Defect, message));
        }
        self.answers.extend(answers);
        self.pending.clear();
        Ok(())
    }

    /// Questions asked so far in this run.
    pub(crate) fn asked(&self) -> usize {
        self.cursor
    }

    /// Questions that refining may still ask, of `limit` altogether; none when there were too many round trips.
    pub(crate) fn room(&self, limit: usize) -> usize {
        if self.rounds < MOST_ROUNDS {
            limit.saturating_sub(self.cursor)
        } else {
            0
        }
    }

    fn ask(&mut self, questions: Vec<Question>) -> std::result::Result<&[Answer], Stop> {
        let from = self.cursor;
        if self.answers.len() < from + questions.len() {
            self.pending = questions;
            return Err(Stop::Unanswered);
        }
        self.cursor += questions.len();
        self.rounds += 1;
        Ok(&self.answers[from..self.cursor])
    }

    pub(crate) fn bounds(&mut self, columns: &[KeyColumn]) -> std::result::Result<Option<Bounds>, Stop> {
        let question = Question::Bounds {
            columns: columns.to_vec(),
        };
        match self.ask(vec![question])? {
            [Answer::Bounds(bounds)] => Ok(bounds.clone()),
            _ => Err(out_of_step()),
        }
    }

    pub(crate) fn next_keys(
        &mut self,
        looks: Vec<(KeyRange, Vec<KeyValue>)>,
    ) -> std::result::Result<Vec<Option<Vec<KeyValue>>>, Stop> {
        if looks.is_empty() {
            return Ok(Vec::new());
        }
        let widths: Vec<usize> = looks.iter().map(|(within, _)| within.columns.len()).collect();
        let questions = looks
            .into_iter()
            .map(|(within, at_least)| Question::NextKey { within, at_least })
            .collect();
        let read = |(answer, width): (&Answer, usize)| match answer {
            Answer::NextKey(Some(key)) if key.len() != width => Err(Failure::new(
                Code::SourceProtocol,
                format!("a key of {width} columns was answered with {} values", key.len()),
            )
            .into()),
            Answer::NextKey(key) => Ok(key.clone()),
            _ => Err(out_of_step()),
        };
        self.ask(questions)?.iter().zip(widths).map(read).collect()
    }

    /// Estimates of the rows in each range, or `None` where this database has none for them.
    pub(crate) fn estimates(&mut self, ranges: Vec<Range>) -> std::result::Result<Option<Vec<u64>>, Stop> {
        if self.estimates == Some(false) || ranges.is_empty() {
            return Ok(None);
        }
        let questions = ranges
            .into_iter()
            .map(|range| Question::EstimateRows { range })
            .collect();
        let read = |answer: &Answer| match answer {
            Answer::Rows(rows) => Ok(*rows),
            _ => Err(out_of_step()),
        };
        let rows: Option<Vec<u64>> = self
            .ask(questions)?
            .iter()
            .map(read)
            .collect::<std::result::Result<_, _>>()?;
        self.estimates = Some(rows.is_some());
        Ok(rows)
    }

    pub(crate) fn explain(&mut self, ranges: Vec<Range>) -> std::result::Result<Option<String>, Stop> {
        let questions = ranges.into_iter().map(|range| Question::Explain { range }).collect();
        let complaint = |answer: &Answer| match answer {
            Answer::Explain(step) => step.clone(),
            _ => None,
        };
        Ok(self.ask(questions)?.iter().find_map(complaint))
    }
}

/// `answer` has matched every answer with its question, so that this would be a planning function that does not
/// repeat itself.
fn out_of_step() -> Stop {
    Failure::new(Code::Defect, "planning asked other questions than in its run before").into()
}
