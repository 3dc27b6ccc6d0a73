//! The PostgreSQL adapter on a real server.
//!
//! `SQLEXTRACT_TEST_POSTGRES` is the URL of a superuser on a scratch server, without parameters. Each test makes a
//! database of its own there.

#![cfg(test)]

mod aggregates;
mod catalogue;
#[path = "../tls/certificates.rs"]
mod certificates;
mod counters;
mod encryption;
mod faults;
mod fixture;
mod keys;
mod large;
mod poolers;
mod probes;
mod reading;
mod sessions;
mod snapshots;
mod strain;
mod suite;
mod types;
