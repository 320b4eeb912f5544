//! What a store is opened with.

use std::path::PathBuf;
use std::time::Duration;

use super::location::StoreLocation;
use crate::timer::{CacheReads, Timer};

/// Where a store lies, and the limits of its operations.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub location: StoreLocation,
    /// Folder of this machine: the store itself, or the state folder beside a bucket.
    pub folder: PathBuf,
    /// An operation that takes longer fails.
    pub timeout: Duration,
    /// How often a failed request to a bucket is repeated within the time of its operation.
    pub retries: usize,
    /// Bytes of a bucket's chunks that are kept on the local disk; 0: none.
    pub cache_bytes: u64,
    /// Faults that tests inject.
    #[cfg(feature = "faults")]
    pub faults: super::faults::Faults,
}

/// What operations of a store are measured with.
#[derive(Debug, Clone, Default)]
pub struct StoreMetrics {
    pub operations: Timer,
    pub cache: CacheReads,
}
