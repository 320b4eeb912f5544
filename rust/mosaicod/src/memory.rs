//! The allocator's settings. glibc retains freed memory per thread and without limit; a daemon that promises
//! bounded memory has to return it.

/// Threshold for buffers of messages and row groups: larger ones are allocated from the system and returned
/// to it at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 8 << 20;

/// Pause between two looks at the memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// A change of memory that is worth a return of freed pages, which stops all allocations for some milliseconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const WORTH: u64 = 16 << 20;

/// Configures the process's allocator; without glibc, its defaults stay.
pub(crate) fn return_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two integers and only changes settings; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Returns freed pages to the system whenever the process has become larger and stopped growing. The allocator
/// itself only returns the end of its heap: one small allocation after a flood keeps all pages before it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) async fn keep_returning() {
    let (mut returned, mut before) = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(now) = mosaico_server::resident_bytes() else { return };
        let grows = now > before + WORTH;
        before = now;
        if !grows && now > returned + WORTH {
            let trim = || {
                // SAFETY: `malloc_trim` takes the number of bytes to keep, and locks the heap itself.
                unsafe { libc::malloc_trim(0) };
            };
            if tokio::task::spawn_blocking(trim).await.is_err() {
                return;
            }
            returned = mosaico_server::resident_bytes().unwrap_or(now);
        } else {
            returned = returned.min(now);
        }
    }
}

/// Without glibc, the allocator returns pages itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) async fn keep_returning() {}
