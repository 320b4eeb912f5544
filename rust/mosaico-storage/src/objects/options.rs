//! Options for opening a store.

use std::path::PathBuf;
use std::time::Duration;

use super::location::StoreLocation;
use crate::timer::{CacheReads, Timer};

/// The location of a store, and the limits of its operations.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub location: StoreLocation,
    /// A folder of this machine: the store itself, or the state folder beside a bucket.
    pub folder: PathBuf,
    /// An operation that takes longer fails.
    pub timeout: Duration,
    /// How often a failed request to a bucket is retried within the time limit of its operation.
    pub retries: usize,
    /// The size of the cache of a bucket's chunks on the local disk in bytes; 0: no cache.
    pub cache_bytes: u64,
    /// Faults injected by tests.
    #[cfg(feature = "faults")]
    pub faults: super::faults::Faults,
}

/// The metrics of a store's operations.
#[derive(Debug, Clone, Default)]
pub struct StoreMetrics {
    pub operations: Timer,
    pub cache: CacheReads,
}
