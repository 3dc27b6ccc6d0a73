//! What the scenarios share: the executable as a process, scratch databases, and readers that are not ours.

mod bucket;
mod chunks;
mod databases;
mod dice;
mod fleet;
mod own_servers;
mod process;
mod rows;
pub mod secrets;
mod server;
mod way;

pub use bucket::{Bucket, Dose, Faults, Hold};
pub use chunks::{Job, all_files};
pub use databases::{Database, Dialect};
pub use dice::Dice;
pub use fleet::{Fleet, FleetSource, Watch, answers};
pub use own_servers::{Broker, Store};
pub use process::{Run, Running, Scenario, eventually, pause, python, python_of, variable};
pub use rows::Rows;
pub use way::Way;

/// Whether the long form of a scenario is asked for.
pub fn full_size() -> bool {
    std::env::var_os("SQLEXTRACT_TEST_FULL").is_some_and(|value| value == "1")
}
