//! The allocator's settings. glibc retains freed memory per thread and without limit; a daemon that promises
//! bounded memory has to return it.

/// Threshold for buffers of messages and row groups: larger ones are allocated from the system and returned
/// to it at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 8 << 20;

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
