//! Looks for passwords in files and folders: what a run of all tests leaves beside what each scenario has looked at itself.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the shell that runs the tests shows it"
)]

use std::path::Path;
use std::process::ExitCode;

use sqlextract_system_tests::secrets;

fn main() -> ExitCode {
    let places: Vec<_> = std::env::args_os().skip(1).collect();
    // Where nothing is looked at, nothing is found.
    let missing = places.iter().find(|place| !Path::new(place).exists());
    if places.is_empty() || missing.is_some() {
        eprintln!("name files and folders that exist: {missing:?}");
        return ExitCode::from(2);
    }
    let found: Vec<String> = places
        .iter()
        .flat_map(|place| secrets::found_in(Path::new(place)))
        .collect();
    for line in &found {
        println!("{line}");
    }
    println!("passwords found: {}, in {} places", found.len(), places.len());
    ExitCode::from(u8::from(!found.is_empty()))
}
