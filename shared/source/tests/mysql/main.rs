//! The MySQL adapter against a real server, MySQL or MariaDB: `SQLEXTRACT_TEST_MYSQL` is the URL of its root.

#![cfg(test)]

#[path = "../tls/certificates.rs"]
mod certificates;
mod support;

mod aggregates;
mod encryption;
mod failures;
mod keys;
mod queries;
mod reading;
mod sessions;
mod strain;
mod suite;
mod types;
