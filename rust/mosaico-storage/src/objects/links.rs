//! Symbolic links in a local store. The store never makes any, so a link was put there by somebody, and its
//! target may be anything. Nothing here follows one: listings leave it out and note it, and no file is written
//! or removed through it. Deleting a folder removes the links in it, never their targets.
//!
//! The folder of the store may be reached through links, and `wal/` may be one, to a faster disk.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::{fs, vec};

use object_store::ObjectMeta;
use object_store::path::Path;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::format::paths::{EVENTS, HEARTBEATS, ROOT};

/// Folders of a store or of a state folder that must not be links.
const FOLDERS: [&str; 5] = [ROOT, EVENTS, HEARTBEATS, super::staging::FOLDER, super::cache::FOLDER];

/// Entries of a folder that are listed in one step.
const STEP: usize = 1024;

/// Refuses a store that consists of links: what they point to looks lost, since nobody follows them.
pub(super) fn refuse(root: &FilePath) -> Result<()> {
    let link = FOLDERS.iter().map(|name| root.join(name)).find(|path| path.is_symlink());
    link.map_or(Ok(()), |path| {
        Err(Error::Startup(format!(
            "{} is a symbolic link, and links in a store are not followed; move the folder back to its place, or mount \
             the other disk there (mount --bind)",
            path.display()
        )))
    })
}

/// The files below the root of a store.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// The links that were met.
    met: Mutex<BTreeSet<String>>,
}

/// The entries of a folder, without links.
pub(super) struct Entries {
    pub(super) folders: Vec<String>,
    pub(super) files: Vec<String>,
}

/// A listing of everything below a folder, in steps.
pub(super) struct Walk {
    folders: Vec<String>,
    files: vec::IntoIter<String>,
}

impl Tree {
    /// Those below `root`.
    pub(super) fn of(root: &FilePath) -> Self {
        Self { root: root.to_owned(), met: Mutex::default() }
    }

    /// The links that were met.
    pub(super) fn met(&self) -> Vec<String> {
        self.met.lock().iter().cloned().collect()
    }

    fn note(&self, path: &str) {
        if self.met.lock().insert(path.to_owned()) {
            tracing::warn!(path, "a symbolic link in the store is not followed");
        }
    }

    /// The part of `path` that is a link; `path` is a file or folder below the root.
    fn link_in(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut prefixes = ends.map(|end| &path[..end]);
        prefixes.find(|prefix| self.root.join(prefix).is_symlink()).map(str::to_owned)
    }

    /// Fails if the way to `path` leads through a link; `path` may be one itself.
    pub(super) fn refuse_links_above(&self, path: &str) -> io::Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(above, _)| self.refuse_links(above))
    }

    /// Fails if `path` is a link, or if the way to it leads through one.
    pub(super) fn refuse_links(&self, path: &str) -> io::Result<()> {
        match self.link_in(path) {
            None => Ok(()),
            Some(link) => {
                self.note(&link);
                Err(io::Error::other(format!("{link} is a symbolic link, which is not followed")))
            }
        }
    }

    /// What is directly in a folder; nothing if it does not exist or is behind a link.
    pub(super) fn entries(&self, folder: &str) -> io::Result<Entries> {
        let mut found = Entries { folders: Vec::new(), files: Vec::new() };
        if let Some(link) = self.link_in(folder) {
            self.note(&link);
            return Ok(found);
        }
        let listed = match fs::read_dir(self.root.join(folder)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
            listed => listed?,
        };
        for entry in listed {
            let entry = entry?;
            let path = match folder {
                "" => entry.file_name().to_string_lossy().into_owned(),
                _ => format!("{folder}/{}", entry.file_name().to_string_lossy()),
            };
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                self.note(&path);
            } else if kind.is_dir() {
                found.folders.push(path);
            } else if kind.is_file() {
                found.files.push(path);
            }
        }
        Ok(found)
    }

    /// The object of a file; `None` if it was removed meanwhile, or if its name is none of an object.
    pub(super) fn object(&self, file: &str) -> io::Result<Option<ObjectMeta>> {
        let Ok(location) = Path::parse(file) else { return Ok(None) };
        let path: PathBuf = self.root.join(file);
        let found = match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let modified = found.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        Ok(Some(ObjectMeta {
            location,
            last_modified: modified.into(),
            size: found.len(),
            // As `LocalFileSystem` makes it.
            e_tag: Some(format!("{inode:x}-{:x}-{:x}", since.as_micros(), found.len())),
            version: None,
        }))
    }
}

impl Walk {
    /// Lists everything below a folder.
    pub(super) fn below(folder: &str) -> Self {
        Self { folders: vec![folder.to_owned()], files: Vec::new().into_iter() }
    }

    /// The next objects; none at the end.
    pub(super) fn step(&mut self, tree: &Tree) -> io::Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        while objects.len() < STEP {
            if let Some(file) = self.files.next() {
                objects.extend(tree.object(&file)?);
                continue;
            }
            let Some(next) = self.folders.pop() else { break };
            let found = tree.entries(&next)?;
            self.folders.extend(found.folders);
            self.files = found.files.into_iter();
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::local_folder::LocalFolder;
    use super::*;

    fn listed(tree: &Tree) -> Vec<String> {
        let mut walk = Walk::below("seq");
        let mut found = Vec::new();
        loop {
            let step = walk.step(tree).unwrap();
            if step.is_empty() {
                found.sort();
                return found;
            }
            found.extend(step.into_iter().map(|object| object.location.to_string()));
        }
    }

    #[test]
    fn links_are_noted_and_not_followed() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let precious = outside.path().join("precious");
        fs::write(&precious, "x").unwrap();
        fs::create_dir_all(root.path().join("seq/a/b")).unwrap();
        fs::write(root.path().join("seq/a/b/file"), "x").unwrap();
        symlink(outside.path(), root.path().join("seq/a/out")).unwrap();
        symlink(&precious, root.path().join("seq/a/b/one")).unwrap();
        symlink("seq", root.path().join("seq/a/loop")).unwrap();
        let folder = LocalFolder::at(root.path());
        assert_eq!(listed(&folder.tree), ["seq/a/b/file"]);
        assert_eq!(folder.tree.met(), ["seq/a/b/one", "seq/a/loop", "seq/a/out"]);
        assert!(folder.tree.entries("seq/a/out").unwrap().files.is_empty());
        assert!(
            folder
                .remove("seq/a/out/precious")
                .unwrap_err()
                .to_string()
                .contains("seq/a/out is a symbolic link")
        );
        assert!(folder.remove_folders("seq/a/out/precious").is_err());
        assert!(
            folder.remove_folders("seq/a/out").is_err(),
            "the link may be all that is known of its target"
        );
        folder.remove("seq/a/b/one").unwrap();
        folder.remove_folders("seq/a").unwrap();
        assert!(precious.exists() && !root.path().join("seq/a").exists());
    }

    #[test]
    fn a_store_of_links_is_refused() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        refuse(root.path()).unwrap();
        symlink(outside.path(), root.path().join("wal")).unwrap();
        refuse(root.path()).unwrap();
        symlink(outside.path(), root.path().join("tmp")).unwrap();
        let error = refuse(root.path()).unwrap_err().to_string();
        assert!(error.contains("tmp is a symbolic link") && error.contains("mount --bind"), "{error}");
    }
}
