//! A guard around readers of foreign files.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mosaico_storage::error::{Error, Result};

/// Runs a reader on a file that may be damaged, and converts its panics to errors.
pub(super) fn guarded<T, E: Display>(
    file: &Path,
    read: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|e| unreadable(file, &e)),
        Err(_) => Err(unreadable(file, &"it is damaged")),
    }
}

pub(super) fn unreadable(file: &Path, error: &dyn Display) -> Error {
    Error::Invalid(format!("{} cannot be read: {error}", file.display()))
}
