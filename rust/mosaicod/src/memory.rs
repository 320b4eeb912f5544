//! The allocator's settings. glibc keeps what was freed, per thread and without limit; a daemon that promises
//! bounded memory gives it back.

/// Buffers of messages and row groups: above this they come from the system and go back to it at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 8 << 20;

/// Sets the process's allocator up; elsewhere than on glibc its defaults stay.
pub(crate) fn return_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two integers and only changes settings; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}
