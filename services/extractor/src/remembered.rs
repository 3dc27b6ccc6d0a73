//! What is worth remembering and may be forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Up to so many things by their keys; one more, and all of them are forgotten.
#[derive(Debug)]
pub(crate) struct Remembered<K, V, const MOST: usize>(Mutex<HashMap<K, V>>);

impl<K, V, const MOST: usize> Default for Remembered<K, V, MOST> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone, const MOST: usize> Remembered<K, V, MOST> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.with_room_for(&key).insert(key, value);
    }

    /// What is remembered, or else made and remembered from now on.
    pub(crate) fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
        self.with_room_for(&key).entry(key).or_insert_with(make).clone()
    }

    fn with_room_for(&self, key: &K) -> MutexGuard<'_, HashMap<K, V>> {
        let mut by_key = self.lock();
        if by_key.len() >= MOST && !by_key.contains_key(key) {
            by_key.clear();
        }
        by_key
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_forgets_the_others_and_a_known_one_forgets_none() {
        let remembered = Remembered::<_, _, 2>::default();
        remembered.insert("a", 1);
        assert_eq!(remembered.get_or_insert_with("b", || 2), 2);
        assert_eq!(remembered.get_or_insert_with("a", || 9), 1);
        remembered.insert("b", 3);
        assert_eq!((remembered.get(&"a"), remembered.get(&"b")), (Some(1), Some(3)));
        remembered.insert("c", 4);
        assert_eq!((remembered.get(&"a"), remembered.get(&"c")), (None, Some(4)));
    }
}
