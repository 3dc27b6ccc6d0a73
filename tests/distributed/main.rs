//! The services as processes on a real broker, a real checkpoint store and an S3 server, against real databases.

#[path = "../embedded/fingerprint.rs"]
mod fingerprint;

mod aborts;
mod bounds;
mod broker_faults;
mod clients;
mod commands;
mod compose;
mod crash_points;
mod faults;
mod halves;
mod jobs;
mod kill_loop;
mod kills;
mod operation;
mod outages;
mod proof;
mod races;
mod requests;
mod source_faults;
mod starved;
mod store_faults;
mod traces;
mod upgrade;
mod way_faults;
