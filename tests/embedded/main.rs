//! The executable as one process, against real databases; its files are checked by readers that are not ours.

mod busy;
mod cancel;
mod declared;
mod errors;
mod fingerprint;
mod ingest;
mod kills;
mod lineitem;
mod memory;
mod moving;
mod partitions;
mod resume;
mod types;
mod verify;
