//! How many batches a run works at once: where it begins, how far it may go, and why.

use std::num::NonZeroUsize;

use sqlextract_model::{ByteSize, Result};
use sqlextract_runtime::{Bounds, MachineLimits};
use sqlextract_source::Source;

/// A worker's part of the budget, below which more workers only make smaller row groups.
const LEAST_WORKER_SHARE: u64 = 16 * ByteSize::MIB;
const MOST_AUTO_WORKERS: u64 = 16;

/// How many batches are worked at once, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workers {
    /// Where the run begins.
    pub(crate) start: u16,
    /// Parts that the memory budget is divided into.
    pub(crate) ceiling: u16,
    /// The number changes while the run goes on; else the user has fixed it.
    pub(crate) adapt: bool,
    /// There is one more, for long batches alone.
    pub(crate) long: bool,
    pub(crate) why: String,
}

impl Workers {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            floor: 1,
            usual: self.start,
            ceiling: self.ceiling,
        }
    }

    /// Parts that the memory budget is divided into.
    pub(crate) fn parts(&self) -> NonZeroUsize {
        let workers = usize::from(self.ceiling) + usize::from(self.long);
        NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN)
    }

    pub(crate) fn fixed(workers: u16) -> Self {
        Self {
            start: workers,
            ceiling: workers,
            adapt: false,
            long: false,
            why: "as asked for".to_owned(),
        }
    }

    /// One more than there are cores, so that none has nothing to do while a batch begins or ends, as far as the memory
    /// budget goes. A source on another machine lets its workers wait, so that half as many more may be worth their
    /// memory; one on this machine takes the processors that we leave.
    pub(crate) fn automatic(limits: MachineLimits, buffer: u64, source_is_here: bool) -> Self {
        let cores = (limits.cores.ceil() as u64).max(2);
        // Half of the budget is the workers' own; the other half serves rows that pass a worker's part.
        let fitting = (buffer / 2 / LEAST_WORKER_SHARE).max(1);
        let of = if limits.quota {
            "by the quota"
        } else {
            "of this machine"
        };
        let bounds = [
            (
                cores + 1,
                format!("{} cores {of} and one more", (limits.cores * 10.0).round() / 10.0),
            ),
            (fitting, format!("memory budget of {}", ByteSize(buffer))),
            (
                MOST_AUTO_WORKERS,
                format!("at most {MOST_AUTO_WORKERS} without being asked"),
            ),
        ];
        let (start, why) = bounds
            .into_iter()
            .min_by_key(|(workers, _)| *workers)
            .expect("an array of three has a least element");
        let more = if source_is_here { start } else { cores + cores / 2 };
        Self {
            start: start as u16,
            ceiling: more.min(fitting).min(MOST_AUTO_WORKERS).max(start) as u16,
            adapt: true,
            long: false,
            why,
        }
    }

    /// Asks the source how many connections are free, and tells the choice.
    pub(crate) async fn ask(&mut self, source: &dyn Source) -> Result<()> {
        if self.adapt {
            self.fit(source.inspect(&[]).await?.free_connections);
        }
        tracing::info!("workers: {}, {}", self.start, self.why);
        Ok(())
    }

    /// Leaves others half of the connections that are free.
    fn fit(&mut self, free_connections: Option<u32>) {
        let Some(free) = free_connections.filter(|_| self.adapt) else {
            return;
        };
        let most = u16::try_from(free / 2).unwrap_or(u16::MAX).max(1);
        self.ceiling = self.ceiling.min(most);
        if self.start > most {
            self.start = most;
            self.why = format!("half of the {free} connections that are free");
        }
    }
}

/// Whether a source's work is done by this machine's processors: a file, a socket, or a loopback address.
pub(crate) fn is_here(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return true;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let host = match server.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => server.split(':').next().unwrap_or_default(),
    };
    let parameter = |name: &str| rest.split(['?', '&']).any(|pair| pair.starts_with(name));
    let socket = if scheme.starts_with("postgres") {
        // Without a host the parameter names it.
        host.starts_with("%2F")
            || (host.is_empty() && (!parameter("host=") || parameter("host=/") || parameter("host=%2F")))
    } else {
        parameter("socket=")
    };
    let loopback = |ip: std::net::IpAddr| ip.is_loopback();
    socket || host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = ByteSize::MIB;
    const MACHINE: MachineLimits = MachineLimits {
        cores: 4.0,
        quota: false,
        memory: Some(8 << 30),
    };

    #[test]
    fn workers_follow_what_is_scarcest() {
        let chosen = |limits, buffer, here| {
            let workers = Workers::automatic(limits, buffer, here);
            (workers.start, workers.ceiling, workers.why)
        };
        let quota = MachineLimits {
            cores: 2.5,
            quota: true,
            ..MACHINE
        };
        let large = MachineLimits { cores: 64.0, ..MACHINE };
        let cases = [
            (MACHINE, 1 << 30, true, (5, 5), "4 cores of this machine and one more"),
            (MACHINE, 1 << 30, false, (5, 6), "4 cores of this machine and one more"),
            (
                MACHINE,
                160 * MIB,
                false,
                (5, 5),
                "4 cores of this machine and one more",
            ),
            (MACHINE, 128 * MIB, false, (4, 4), "memory budget of"),
            (quota, 1 << 30, true, (4, 4), "2.5 cores by the quota and one more"),
            (MACHINE, 32 * MIB, false, (1, 1), "memory budget of"),
            (large, 1 << 40, false, (16, 16), "at most 16"),
        ];
        for (limits, buffer, here, expected, reason) in cases {
            let (start, ceiling, why) = chosen(limits, buffer, here);
            assert_eq!((start, ceiling), expected, "{why}");
            assert!(why.contains(reason), "{why}");
        }
    }

    #[test]
    fn half_of_the_free_connections_stay_free() {
        let mut workers = Workers::automatic(MACHINE, 1 << 30, false);
        workers.fit(None);
        workers.fit(Some(10));
        assert_eq!((workers.start, workers.ceiling), (5, 5));
        workers.fit(Some(5));
        assert_eq!((workers.start, workers.ceiling), (2, 2));
        assert_eq!(workers.why, "half of the 5 connections that are free");
        workers.fit(Some(0));
        assert_eq!((workers.start, workers.ceiling), (1, 1));
        let mut fixed = Workers::fixed(8);
        fixed.fit(Some(1));
        assert_eq!(fixed, Workers::fixed(8), "what the user asked for is not changed");
    }

    #[test]
    fn a_source_on_this_machine_is_told_by_its_url() {
        let here = [
            "sqlite://shop.db",
            "postgres://u:p@localhost:5432/db",
            "postgres://127.0.0.1/db",
            "postgres://u@[::1]:5432/db",
            "postgres:///db?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/db",
            "mysql://u@db.example/shop?socket=/run/mysqld/mysqld.sock",
            "mysql://u@LOCALHOST/shop",
        ];
        let away = [
            "postgres://u:p@localhost@db.example/db",
            "postgres://db.example/localhost",
            "postgres:///db?host=db.example",
            "mysql://u:p@10.0.0.7:3306/shop",
            "postgres://u@[fd00::1]/db",
        ];
        assert!(here.iter().all(|url| is_here(url)));
        for url in away {
            assert!(!is_here(url), "{url}");
        }
    }
}
