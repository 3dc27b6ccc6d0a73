//! The executable as one process, against real databases; its files are checked by readers that are not ours.

mod busy;
mod cancel;
mod declared;
mod demo;
mod descriptors;
mod errors;
mod fingerprint;
mod ingest;
mod kills;
mod lineitem;
mod loading;
mod memory;
mod modes;
mod moving;
mod names;
mod oddities;
mod partitions;
mod readable;
mod resume;
mod s3;
mod scripts;
mod space;
mod terminal;
mod types;
mod verify;
mod workers;
