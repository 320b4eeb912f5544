//! Writes to a local folder that survive a power cut: the writer syncs the file and the folders on its path.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Removes a file that is not needed any more. If that fails, the next start deletes the file.
pub fn discard(file: &Path) {
    if let Err(e) = fs::remove_file(file)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), cause = %e, "cannot remove a scratch file");
    }
}

/// Creates a folder and its ancestors, each durably and for its owner only.
pub fn create_folders(path: &Path) -> io::Result<()> {
    sync_folders(&make_folders(path)?)
}

/// The same without a sync: returns the folders with a new entry, for [`sync_folders`].
pub(super) fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(Vec::new());
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut changed = make_folders(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => changed.push(parent.to_owned()),
    }
    Ok(changed)
}

/// Makes the entries of several folders durable.
pub(super) fn sync_folders(folders: &[PathBuf]) -> io::Result<()> {
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// Makes the entries of a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
