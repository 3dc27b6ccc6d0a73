//! The services on ports that misbehave by a seed: they delay, double, lose answers after acting, fail and forget; and
//! each service is a process whose tasks end between two awaits.
//!
//! The seed decides what goes wrong and how often. Calls run at the same time, so that the same seed need not meet the
//! same calls twice; a seed that failed is kept and run again many times.

mod chance;
mod checkpoint;
mod queue;
mod storage;
mod world;

pub use chance::Chance;
pub use checkpoint::FaultyCheckpoint;
pub use queue::FaultyQueue;
pub use storage::FaultyStorage;
pub use world::{End, Planted, World};
