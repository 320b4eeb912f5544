//! The folder of a local store: files are staged, synced and moved to their places; links are not followed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parking_lot::Mutex;

use super::durable::{create_folders, make_folders, sync_folder, sync_folders};
use super::links::Tree;
use super::staging::{FOLDER as STAGING, Staging, StagingFile};
use crate::crash_points;

/// A store's root folder.
#[derive(Debug)]
pub(super) struct LocalFolder {
    root: PathBuf,
    staging: Staging,
    pub(super) tree: Tree,
    /// Folders with new folders in them that are not durable yet.
    unsynced: Mutex<Vec<PathBuf>>,
}

impl LocalFolder {
    /// Opens `root`; deletes unfinished files of processes that ended.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let opened = Self::at(root);
        create_folders(&root.join(STAGING))?;
        opened.staging.clean_up()?;
        Ok(opened)
    }

    /// A folder that other processes may use, to read from it or to replace a file.
    pub(super) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            staging: Staging::of(root),
            tree: Tree::of(root),
            unsynced: Mutex::default(),
        }
    }

    /// Its path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A new file name on the store's device.
    pub(super) fn staging_file(&self) -> io::Result<StagingFile> {
        self.staging.file()
    }

    /// Whether the file exists.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Writes `parts` to `path`.
    pub(super) fn write<'a>(&self, path: &str, mut parts: impl Iterator<Item = &'a Bytes>) -> io::Result<()> {
        let staged = self.staging_file()?;
        let mut file = File::create_new(&staged.file)?;
        parts.try_for_each(|part| file.write_all(part))?;
        self.publish(&staged.path(), path)
    }

    /// Moves the finished file at `from` to `path`.
    pub(super) fn publish(&self, from: &str, path: &str) -> io::Result<()> {
        self.tree.refuse_links_above(path)?;
        let (file, target) = (self.root.join(from), self.root.join(path));
        let parent = target.parent().unwrap_or(&self.root);
        // Before the first sync, which then takes the new folders along in most file systems.
        let changed = {
            let mut unsynced = self.unsynced.lock();
            unsynced.extend(make_folders(parent)?);
            // Also those that another write has created and not synced yet.
            unsynced.iter().filter(|folder| target.starts_with(folder)).cloned().collect::<Vec<_>>()
        };
        File::open(&file)?.sync_all()?;
        crash_points::point();
        fs::rename(&file, &target)?;
        crash_points::point();
        sync_folder(parent)?;
        sync_folders(&changed)?;
        self.unsynced.lock().retain(|folder| !changed.contains(folder));
        Ok(())
    }

    /// Deletes staging files that no process uses.
    pub(super) fn clean_up_staging(&self) -> io::Result<()> {
        self.staging.clean_up()
    }

    /// Removes one file; a symbolic link itself, never its target.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        self.tree.refuse_links_above(path)?;
        fs::remove_file(self.root.join(path))
    }

    /// Removes the folders below and including `path`; symbolic links in it themselves, never their targets.
    pub(super) fn remove_folders(&self, path: &str) -> io::Result<()> {
        self.tree.refuse_links(path)?;
        let target = self.root.join(path);
        match fs::remove_dir_all(&target) {
            Ok(()) => target.parent().map_or(Ok(()), sync_folder),
            // Its parents may be absent too.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}
