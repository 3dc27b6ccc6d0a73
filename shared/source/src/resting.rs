//! Connections at rest: the newest is used first, so that those that nobody needs grow old and are closed.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

/// Connections at rest, each with the moment from which it is.
#[derive(Debug)]
pub(crate) struct Resting<C> {
    /// The oldest first.
    since: VecDeque<(Instant, C)>,
}

impl<C> Default for Resting<C> {
    fn default() -> Self {
        Self { since: VecDeque::new() }
    }
}

impl<C> Resting<C> {
    pub(crate) fn push(&mut self, connection: C) {
        self.since.push_back((Instant::now(), connection));
    }

    /// The one that was used last.
    pub(crate) fn pop(&mut self) -> Option<C> {
        self.since.pop_back().map(|(_, connection)| connection)
    }

    pub(crate) fn len(&self) -> usize {
        self.since.len()
    }

    /// When the oldest has rested for so long.
    pub(crate) fn due(&self, limit: Duration) -> Option<Instant> {
        self.since.front().map(|(since, _)| *since + limit)
    }

    /// Takes the oldest, if it has rested for so long.
    pub(crate) fn take_due(&mut self, limit: Duration) -> Option<C> {
        let due = self.due(limit)?;
        (due <= Instant::now())
            .then(|| self.since.pop_front())?
            .map(|(_, old)| old)
    }
}

/// Connections at rest of two kinds: the driver's, for questions, and our own, for reading.
#[derive(Debug)]
pub(crate) struct Idle<D, O> {
    pub(crate) drivers: Resting<D>,
    pub(crate) own: Resting<O>,
    /// Somebody closes those that have rested for too long.
    watched: bool,
}

impl<D, O> Default for Idle<D, O> {
    fn default() -> Self {
        Self {
            drivers: Resting::default(),
            own: Resting::default(),
            watched: false,
        }
    }
}

impl<D, O> Idle<D, O> {
    pub(crate) fn len(&self) -> usize {
        self.drivers.len() + self.own.len()
    }

    /// A connection that has to go where so many may exist.
    pub(crate) fn take_surplus(&mut self, most: usize) -> (Option<D>, Option<O>) {
        if self.len() <= most {
            return (None, None);
        }
        match self.drivers.pop() {
            Some(driver) => (Some(driver), None),
            None => (None, self.own.pop()),
        }
    }

    /// Whether nobody watches yet; from now on somebody does.
    pub(crate) fn begin_to_watch(&mut self) -> bool {
        !std::mem::replace(&mut self.watched, true)
    }

    /// When the next one is old; without one nobody watches any more.
    pub(crate) fn next_old(&mut self, limit: Duration) -> Option<Instant> {
        let due = [self.drivers.due(limit), self.own.due(limit)]
            .into_iter()
            .flatten()
            .min();
        self.watched = due.is_some();
        due
    }
}

/// Who keeps connections at rest.
pub(crate) trait Keeper: Send + Sync + 'static {
    /// When the next connection at rest is old; `None` once there is none, and then nobody watches any more.
    fn next_old(&self) -> Option<Instant>;

    /// Closes a connection that is old, if there is one. Its place is free once it is gone.
    fn close_one(&self) -> impl Future<Output = bool> + Send;
}

/// Closes connections that have rested for too long, as long as any rest and their keeper lives.
pub(crate) async fn close_old<K: Keeper>(keeper: Weak<K>) {
    loop {
        let Some(due) = keeper.upgrade().and_then(|keeper| keeper.next_old()) else {
            return;
        };
        tokio::time::sleep_until(due).await;
        let Some(keeper) = keeper.upgrade() else {
            return;
        };
        while keeper.close_one().await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_needed_grows_old_while_one_is_used_again_and_again() {
        let limit = Duration::from_secs(30);
        let mut resting = Resting::default();
        assert_eq!((resting.due(limit), resting.take_due(limit)), (None, None));
        for connection in 1..=3 {
            resting.push(connection);
        }
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(resting.pop(), Some(3), "the newest is used");
            resting.push(3);
        }
        let closed: Vec<i32> = std::iter::from_fn(|| resting.take_due(limit)).collect();
        assert_eq!(closed, [1, 2]);
        assert_eq!(resting.len(), 1);
        assert_eq!(resting.due(limit), Some(Instant::now() + limit));
    }
}
