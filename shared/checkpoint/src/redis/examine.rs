//! What the server says of itself, and whether that will do.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{FromRedisValue, Value, cmd};
use sqlextract_model::{Code, Failure, Result};

use super::errors;
use super::link::Link;

/// The oldest server whose scripts may ask for the time before they write.
const OLDEST: (u32, u32) = (5, 0);

/// What a Redis server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFacts {
    pub version: String,
    /// `host:port/database`: no secret.
    pub location: String,
    /// `maxmemory-policy`: what is evicted when the memory is full.
    pub policy: String,
    /// 0 for no limit.
    pub maxmemory_bytes: u64,
    pub used_memory_bytes: u64,
    pub cluster: bool,
    /// Nodes that share the keys: 1 outside of a cluster.
    pub primaries: u32,
    pub replica: bool,
    pub round_trip: Duration,
    /// The server's clock minus ours, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// Asks the server once.
pub(super) async fn examine(link: &Link) -> Result<RedisFacts> {
    let failure = |error| errors::failure(&error, link.location());
    let info = link.command(&cmd("INFO")).await.map_err(failure)?;
    let info = String::from_redis_value(info).map_err(|error| errors::corrupt(link.location()).because(error))?;
    let (begun, before) = (Instant::now(), since_1970());
    let time = link.command(&cmd("TIME")).await.map_err(failure)?;
    let round_trip = begun.elapsed();
    let middle = before + round_trip / 2;
    let ahead = server_time(time).map_or(0, |time| time.as_millis() as i64 - middle.as_millis() as i64);
    let mut facts = read(&info, link.location(), round_trip, ahead);
    if facts.cluster {
        let info = link.command(cmd("CLUSTER").arg("INFO")).await.map_err(failure)?;
        let info = String::from_redis_value(info).map_err(|error| errors::corrupt(link.location()).because(error))?;
        facts.primaries = field(&info, "cluster_size").parse().unwrap_or(1);
    }
    Ok(facts)
}

/// A field of what INFO answers.
fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(found, _)| *found == name)
        .map_or("", |(_, value)| value.trim())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn server_time(value: Value) -> Option<Duration> {
    let (seconds, micros) = <(u64, u32)>::from_redis_value(value).ok()?;
    Some(Duration::new(seconds, micros.checked_mul(1000)?))
}

fn read(info: &str, location: &str, round_trip: Duration, clock_ahead_ms: i64) -> RedisFacts {
    let field = |name| field(info, name);
    RedisFacts {
        version: field("redis_version").to_owned(),
        location: location.to_owned(),
        policy: field("maxmemory_policy").to_owned(),
        maxmemory_bytes: field("maxmemory").parse().unwrap_or(0),
        used_memory_bytes: field("used_memory").parse().unwrap_or(0),
        cluster: field("redis_mode") == "cluster",
        primaries: 1,
        replica: field("role") == "slave",
        round_trip,
        clock_ahead_ms,
    }
}

/// Why this server cannot hold a checkpoint.
pub(super) fn refusal(facts: &RedisFacts, allow_eviction: bool) -> Option<Failure> {
    let location = &facts.location;
    let refused = |text: String| Failure::new(Code::PreflightFailed, text);
    if version(&facts.version).is_some_and(|found| found < OLDEST) {
        let text = format!("the checkpoint at {location} is Redis {}", facts.version);
        return Some(refused(text).remedy("Use Redis 5 or newer (tested with 7.0), or Valkey."));
    }
    if facts.replica {
        let text = format!("the checkpoint at {location} is a replica, which takes no writes");
        return Some(refused(text).remedy("Give the address of the primary."));
    }
    if facts.primaries > 1 {
        let text = format!(
            "the checkpoint at {location} is a cluster whose {} nodes share the keys",
            facts.primaries
        );
        return Some(refused(text).remedy("Use a server that holds all slots, or a proxy before the cluster."));
    }
    let evicts = facts.maxmemory_bytes > 0 && facts.policy != "noeviction";
    (evicts && !allow_eviction).then(|| {
        refused(format!(
            "the checkpoint at {location} evicts keys when its {} bytes are full (maxmemory-policy {})",
            facts.maxmemory_bytes, facts.policy
        ))
        .remedy(
            "Set `maxmemory-policy noeviction` on the server, or accept jobs that are rebuilt from storage now and then with `allow_eviction` in `[checkpoint]`.",
        )
    })
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\nused_memory:1024\r\n\
                        maxmemory:4096\r\nmaxmemory_policy:allkeys-lru\r\nrole:master\r\n";

    fn facts() -> RedisFacts {
        read(INFO, "h:1/0", Duration::ZERO, 0)
    }

    #[test]
    fn the_servers_words_are_read() {
        let facts = facts();
        assert_eq!(
            (facts.version.as_str(), facts.policy.as_str()),
            ("7.0.15", "allkeys-lru")
        );
        assert_eq!((facts.maxmemory_bytes, facts.used_memory_bytes), (4096, 1024));
        assert!(!facts.cluster && !facts.replica);
    }

    #[test]
    fn servers_that_lose_keys_or_take_none_are_refused() {
        let change = |change: fn(&mut RedisFacts)| {
            let mut facts = facts();
            change(&mut facts);
            facts
        };
        let cases = [
            ("evicts", facts(), false, true),
            ("evicts, allowed", facts(), true, false),
            ("never full", change(|f| f.maxmemory_bytes = 0), false, false),
            ("full", change(|f| f.policy = "noeviction".to_owned()), false, false),
            ("replica", change(|f| f.replica = true), true, true),
            ("cluster", change(|f| f.primaries = 3), true, true),
            ("old", change(|f| f.version = "4.0.9".to_owned()), true, true),
            ("new", change(|f| f.version = "10.0.0".to_owned()), true, false),
            ("unknown", change(|f| f.version = "next".to_owned()), true, false),
        ];
        for (name, facts, allow, refused) in cases {
            let failure = refusal(&facts, allow);
            assert_eq!(failure.is_some(), refused, "{name}: {failure:?}");
            assert!(
                failure.is_none_or(|f| f.code == Code::PreflightFailed && f.remedy.is_some()),
                "{name}"
            );
        }
    }
}
