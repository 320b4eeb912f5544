//! The mode of new files.

/// Files that this process creates are readable by their owner only: a store has everybody's recordings, and
/// the secret that signs tickets. Existing files and folders stay as they are.
pub(crate) fn only_for_the_owner() {
    // SAFETY: `umask` takes an integer and cannot fail; no other thread creates files yet.
    unsafe {
        libc::umask(0o077);
    }
}
