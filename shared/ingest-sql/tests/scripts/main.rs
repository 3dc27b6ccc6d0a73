//! Scripts as they are written, and manifests that are refused.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be unwrapped is a failure")]

mod findings;
mod golden;
mod limits;
mod manifests;
mod matrix;
mod promises;
mod refusals;
