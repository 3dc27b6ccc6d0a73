//! The services on ports that misbehave by a seed: they are late, double, reorder, lose answers after acting, fail and
//! forget; and each service is a process that dies at a chosen await.
//!
//! Everything runs on one thread and on a clock that stands still while somebody works. The order of what happens is
//! decided by the seed alone, so that a seed that failed fails again.

mod chance;
mod checkpoint;
mod memory_checkpoint;
mod process;
mod queue;
mod script;
mod source;
mod storage;
mod trace;
mod wire;
mod world;

pub use chance::Chance;
pub use checkpoint::FaultyCheckpoint;
pub use memory_checkpoint::MemoryCheckpoint;
pub use queue::FaultyQueue;
pub use source::{FaultySource, StillSource};
pub use storage::{FaultyStorage, MemoryStorage};
pub use trace::Trace;
pub use wire::{Faults, GivenSurroundings, Life, Wire};
pub use world::{End, Planted, World};
