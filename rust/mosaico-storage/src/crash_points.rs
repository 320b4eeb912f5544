//! Crash points: places before and after each durable step at which a test can end the process as `kill -9`
//! would.
//!
//! `MOSAICO_CRASH_AT=n` ends the process at the n-th crash point. `MOSAICO_CRASH_SYNCED` is a folder for copies of the
//! SQLite catalog after each durable commit: what a power cut may leave of it. Only builds with the feature
//! `crash-points` read them.

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

/// Copies a SQLite database, which has just become durable, to a new numbered folder.
#[cfg(feature = "crash-points")]
pub fn synced(file: &std::path::Path) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static COPIES: AtomicU64 = AtomicU64::new(0);
    let Some(folder) = std::env::var_os("MOSAICO_CRASH_SYNCED").map(std::path::PathBuf::from) else { return };
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let (unfinished, finished) =
        (folder.join(format!("{number}.unfinished")), folder.join(format!("{number:06}")));
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let copied = std::fs::create_dir_all(&unfinished).and_then(|()| {
        for from in [file, std::path::Path::new(&log)].into_iter().filter(|from| from.exists()) {
            std::fs::copy(from, unfinished.join(from.file_name().unwrap_or_default()))?;
        }
        std::fs::rename(&unfinished, &finished)
    });
    if let Err(error) = copied {
        tracing::error!(%error, "a durable commit is not copied");
    }
}
