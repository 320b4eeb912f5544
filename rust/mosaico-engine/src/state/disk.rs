//! Free space on the disks that a server writes to.

use std::path::Path;

use mosaico_storage::objects::location::StoreLocation;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// The server's data on it.
    pub mount: &'static str,
    /// Bytes that an unprivileged process may still write.
    pub free_bytes: u64,
    pub size_bytes: u64,
}

impl Disk {
    fn of(mount: &'static str, folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder);
        let found =
            found.inspect_err(|cause| tracing::warn!(folder = %folder.display(), %cause, "no room known"));
        let found = found.ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { mount, free_bytes: bytes(found.f_bavail), size_bytes: bytes(found.f_blocks) })
    }
}

/// The disk of the WAL, and that of a store in a folder; this function blocks.
pub fn disks(store: &StoreLocation, log: &Path) -> Vec<Disk> {
    let store = match store {
        StoreLocation::Local(folder) => Disk::of("store", folder),
        StoreLocation::Bucket(_) => None,
    };
    Disk::of("wal", log).into_iter().chain(store).collect()
}
