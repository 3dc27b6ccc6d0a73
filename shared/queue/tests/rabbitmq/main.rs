//! The RabbitMQ adapter on a real broker.
//!
//! `SQLEXTRACT_TEST_RABBITMQ` is the URL of an administrator on a scratch broker that has loaded
//! `tests/rabbitmq/definitions.json`. Each test has a prefix of its own there. Tests that stop, freeze or choke a broker
//! start one themselves.

#![cfg(test)]

mod broker;
mod contents;
mod fixture;
mod outages;
mod subscriptions;
mod suite;
mod topology;
mod traps;
