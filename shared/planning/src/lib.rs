//! Splits a table into batches: facts and answers in, plan out.
//!
//! Pure: no clock, no I/O, no randomness, so that the same facts and the same answers give the same plan. A
//! [`Planner`] asks what it needs to know about a key's values; whoever drives it carries the questions to the
//! database. A [`Split`] keeps the boundaries that were found, never the batches between them, and [`check`] proves
//! that a plan holds every row exactly once.

mod blocks;
mod calibrate;
mod checker;
mod condition;
mod duration;
mod halves;
mod integer;
mod keyed;
mod keys;
mod literal;
mod options;
mod pack;
mod planner;
mod probed;
mod reason;
mod scope;
mod space;
mod split;
mod target;
mod transcript;

pub use checker::check;
pub use condition::condition_sql;
pub use duration::{Pace, batch_time};
pub use halves::halves;
pub use options::{Answer, PlanOptions, Question};
pub use planner::Planner;
pub use split::Split;
