//! The toolbox of the services: receiving and settling, retry, shutdown, memory and rate limits, adaptive
//! concurrency, progress and logs. Nothing here knows what a batch is made of.

mod budget;
mod clock;
mod machine;
mod ports;
mod progress;
mod rate;
mod receive;
mod settle;
mod shutdown;
mod telemetry;
mod workers;

pub use budget::{MemoryBudget, Reservation, Share};
pub use clock::utc_now;
pub use machine::{Machine, MachineLimits};
pub use ports::Ports;
pub use progress::{News, NoProgress, ProgressSink, Severity, TableProgress};
pub use rate::{LimiterState, RateLimit, RateLimiter};
pub use receive::{Handler, Served, Verdict, serve};
pub use settle::{Randomness, RetryPolicy, settlement_for};
pub use shutdown::{Shutdown, StopCause};
pub use telemetry::{LogFormat, init_logs};
pub use workers::{Bounds, Course, Decision, Gate, GatePermit, History, Sample, Sampler, decide};
