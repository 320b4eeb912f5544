//! One lock per key; a lock exists only while a task has it or waits for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

/// The locks that are in use.
#[derive(Debug)]
pub struct Locks<K>(Mutex<HashMap<K, Weak<Lock>>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Locks<K> {
    /// Waits for the lock of `key`.
    pub async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            match locks.get(key).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(Lock::default());
                    locks.insert(key.clone(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }

    /// Waits until each currently taken lock whose key matches `keys` has been free once.
    pub async fn free(&self, keys: impl Fn(&K) -> bool) {
        let held: Vec<Arc<Lock>> = {
            let locks = self.0.lock();
            locks.iter().filter(|(key, _)| keys(key)).filter_map(|(_, lock)| lock.upgrade()).collect()
        };
        for lock in held {
            drop(lock.lock_owned().await);
        }
    }
}
