//! Writes to a local folder that survive a power cut: the writer syncs the file and the folders on its path.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use crate::crash_points;

/// The folder of staging files.
const SCRATCH: &str = "tmp";

/// A store's root folder.
#[derive(Debug)]
pub struct LocalFolder {
    root: PathBuf,
    scratch: PathBuf,
}

impl LocalFolder {
    /// Opens `root`; deletes unfinished files of earlier processes.
    pub fn open(root: &Path) -> io::Result<Self> {
        let scratch = root.join(SCRATCH);
        create_folders(&scratch)?;
        for entry in fs::read_dir(&scratch)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { root: root.to_owned(), scratch })
    }

    /// A folder that is only read.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), scratch: root.join(SCRATCH) }
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A new file name on the store's device, and its path below the root.
    pub fn staging_file(&self) -> (PathBuf, String) {
        let name = uuid::Uuid::new_v4().to_string();
        (self.scratch.join(&name), format!("{SCRATCH}/{name}"))
    }

    /// Whether the file exists.
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Writes `parts` to `path`.
    pub fn write<'a>(&self, path: &str, mut parts: impl Iterator<Item = &'a Bytes>) -> io::Result<()> {
        let (scratch, from) = self.staging_file();
        let written =
            File::create_new(&scratch).and_then(|mut file| parts.try_for_each(|part| file.write_all(part)));
        match written.and_then(|()| self.publish(&from, path)) {
            Ok(()) => Ok(()),
            Err(e) => {
                discard(&scratch);
                Err(e)
            }
        }
    }

    /// Moves the finished file at `from` to `path`.
    pub fn publish(&self, from: &str, path: &str) -> io::Result<()> {
        let (file, target) = (self.root.join(from), self.root.join(path));
        let parent = target.parent().unwrap_or(&self.root);
        File::open(&file)?.sync_all()?;
        create_folders(parent)?;
        crash_points::point();
        fs::rename(&file, &target)?;
        crash_points::point();
        sync_folder(parent)
    }

    /// Deletes staging files that were not written to since `before`.
    pub fn drop_staging_files(&self, before: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.scratch)? {
            let entry = entry?;
            match entry.metadata().and_then(|file| file.modified()) {
                Ok(written) if written < before => discard(&entry.path()),
                Ok(_) => {}
                // Its writer published it meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Removes the empty folders below and including `path`.
    pub fn remove_folders(&self, path: &str) -> io::Result<()> {
        let target = self.root.join(path);
        match fs::remove_dir_all(&target) {
            Ok(()) => target.parent().map_or(Ok(()), sync_folder),
            // Its parents may be absent too.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

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
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    create_folders(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_folder(parent),
    }
}

/// Makes the entries of a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
