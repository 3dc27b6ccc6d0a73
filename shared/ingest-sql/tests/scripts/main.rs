//! Scripts as they are written, and manifests that are refused.

mod golden;
mod manifests;
mod refusals;
