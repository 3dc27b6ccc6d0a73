//! Both adapters against the suite, and each against the faults of its world.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod limits;
mod local;
mod s3;
mod s3_faults;
