//! The SQLite source on real files.

#![cfg(test)]

mod aggregates;
mod database;
mod files;
mod inspection;
mod keys;
mod ranges;
mod snapshots;
mod suite;
mod values;
