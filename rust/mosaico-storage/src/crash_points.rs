//! Crash points: places before and after each durable step at which a test can end the process as `kill -9`
//! would.
//!
//! `MOSAICO_CRASH_AT=n` ends the process at the n-th crash point. Only builds with the feature `crash-points`
//! read it.

/// A crash point; a no-op without the feature.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point() {}

/// A crash point; ends the process if its number is the requested one.
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
