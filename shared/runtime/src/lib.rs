//! The toolbox of the services: receiving and settling, retry, shutdown, memory and rate limits, adaptive
//! concurrency, progress and logs. Nothing here knows what a batch is made of.

mod budget;
mod clock;
mod crash;
mod health;
mod machine;
mod metered;
mod metrics;
mod ports;
mod progress;
mod rate;
mod receive;
mod settle;
mod shutdown;
mod telemetry;
pub mod trace;
mod windows;
mod workers;

pub use budget::{MemoryBudget, Reservation, Share};
pub use clock::{OperatingSystem, Surroundings};
pub use crash::crash_point;
pub use health::{Health, HealthServer};
pub use machine::{Machine, MachineLimits};
pub use metered::{MeteredCheckpoint, MeteredProgress, MeteredQueue, MeteredStorage};
pub use metrics::{Kind, Metric, Metrics};
pub use ports::Ports;
pub use progress::{News, NoProgress, ProgressSink, Severity, TableProgress};
pub use rate::{LimiterState, RateLimit, RateLimiter};
pub use receive::{Handler, Served, Verdict, serve};
pub use settle::{Randomness, RetryPolicy, settlement_for};
pub use shutdown::{Shutdown, StopCause};
pub use telemetry::{LogFormat, Traces, init_logs};
pub use windows::{InForce, Limits, Schedule, Window, WindowKeeper};
pub use workers::{Bounds, Course, Decision, Gate, GatePermit, History, Sample, Sampler, decide};
