//! Where a test may end the process as kill -9 would: before and after each durable step.
//!
//! `MOSAICO_CRASH_AT=n` ends it at the n-th step it passes. Only builds with the feature `crash-points` know this.

/// A step. Nothing at all in other builds.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point() {}

/// A step; the process ends here if it is the one that was asked for.
#[cfg(feature = "crash-points")]
pub fn point() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("MOSAICO_CRASH_AT").ok().and_then(|step| step.parse().ok()));
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some(asked) = *ASKED
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == asked
    {
        std::process::abort();
    }
}
