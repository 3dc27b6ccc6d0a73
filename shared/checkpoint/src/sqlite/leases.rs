//! Leases: a row with its holder, its time, and the process that took it.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::Problem;
use super::alive::LifeFile;
use crate::Lease;

pub(super) struct Wish {
    pub(super) name: String,
    pub(super) holder: String,
    pub(super) time_to_live: Duration,
    /// When the call began, in whole milliseconds since 1970.
    pub(super) now: i64,
}

struct Taken {
    holder: String,
    process: String,
    expires: i64,
}

pub(super) fn lease(transaction: &Transaction<'_>, life: &LifeFile, wish: Wish) -> Result<Lease, Problem> {
    let taken = transaction
        .prepare("SELECT holder, process, expires_ms FROM lease WHERE name = ?1")?
        .query_row([&wish.name], |row| {
            Ok(Taken {
                holder: row.get(0)?,
                process: row.get(1)?,
                expires: row.get(2)?,
            })
        })
        .optional()?;
    // Times are cut to their milliseconds, so the one in which a lease ends is its last.
    if let Some(taken) = taken.filter(|taken| taken.holder != wish.holder && taken.expires >= wish.now) {
        if life.lives(&taken.process) {
            return Ok(Lease::Busy { holder: taken.holder });
        }
        life.bury(&taken.process);
    }
    if wish.time_to_live.is_zero() {
        transaction
            .prepare("DELETE FROM lease WHERE name = ?1")?
            .execute([&wish.name])?;
    } else {
        let milliseconds = i64::try_from(wish.time_to_live.as_millis()).unwrap_or(i64::MAX);
        transaction
            .prepare("INSERT OR REPLACE INTO lease (name, holder, process, expires_ms) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                wish.name,
                wish.holder,
                life.name(),
                wish.now.saturating_add(milliseconds)
            ])?;
    }
    Ok(Lease::Held)
}
