//! Chunks: encoded, read back, measured and refused.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be unwrapped is a failure")]

mod aggregates;
mod alone;
mod differences;
mod golden;
mod refusals;
mod round_trip;
mod sizes;
mod support;
