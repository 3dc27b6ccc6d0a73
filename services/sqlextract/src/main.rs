//! `sqlextract`: one executable for every role. `main` decides the exit code and nothing else.

mod args;
mod report;
mod request;
mod settings;

fn main() {}
