//! Staging files: a file is written in `tmp/` and then moved to its place.
//!
//! A clean-up must not delete a staging file that some process still writes, and the age of a file does not
//! show that: a chunk may take hours, and clocks jump. So age never counts. Instead:
//!
//! 1. Each process has a mark, `tmp/<owner>.lock`, which it locks (`flock`) before its first staging file. The
//!    kernel releases the lock when the process ends, however it ends.
//! 2. Its files are named `<owner>.<number>`. A name is registered before the file is created, for as long as
//!    its [`StagingFile`] exists, and never used twice.
//! 3. A clean-up deletes files of its own process unless they are registered, and files of another owner only
//!    while it has the lock of their mark. Files without a mark belong to no process.
//!
//! A clean-up may find a mark between its creation and its lock, and delete it. A process that has locked its
//! mark therefore checks that the file is still there, and otherwise makes another one.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::durable::{create_folders, discard};

/// The folder of staging files.
pub(super) const FOLDER: &str = "tmp";

const MARK: &str = "lock";

/// The names in use.
type InUse = Arc<Mutex<HashSet<String>>>;

/// A new file that will be moved to the store. Dropping this removes the file if it still exists.
#[derive(Debug)]
pub struct StagingFile {
    /// Its path.
    pub file: PathBuf,
    name: String,
    in_use: InUse,
}

impl StagingFile {
    /// Its path below the root of the store.
    pub(super) fn path(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }
}

impl Drop for StagingFile {
    fn drop(&mut self) {
        discard(&self.file);
        self.in_use.lock().remove(&self.name);
    }
}

/// The staging files of a store, as one process sees them.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    /// `None` until the first file of this process.
    owner: Mutex<Option<Owner>>,
    in_use: InUse,
}

#[derive(Debug)]
struct Owner {
    name: String,
    files: u64,
    /// The locked mark.
    _mark: File,
}

impl Staging {
    /// Those of the store in `root`. Nothing is written before the first file.
    pub(super) fn of(root: &Path) -> Self {
        Self { folder: root.join(FOLDER), owner: Mutex::default(), in_use: InUse::default() }
    }

    /// A new file name.
    pub(super) fn file(&self) -> io::Result<StagingFile> {
        let mut owner = self.owner.lock();
        let owner = match &mut *owner {
            Some(owner) => owner,
            none => none.insert(Owner::begin(&self.folder)?),
        };
        owner.files += 1;
        let name = format!("{}.{}", owner.name, owner.files);
        self.in_use.lock().insert(name.clone());
        Ok(StagingFile { file: self.folder.join(&name), name, in_use: Arc::clone(&self.in_use) })
    }

    /// Deletes the files that no process uses.
    pub(super) fn clean_up(&self) -> io::Result<()> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type()?.is_dir() {
                let owner = name.split_once('.').map_or(name.as_str(), |(owner, _)| owner);
                found.entry(owner.to_owned()).or_default().push(name);
            }
        }
        let own = self.owner.lock().as_ref().map(|owner| owner.name.clone());
        for (owner, names) in found {
            let mark = format!("{owner}.{MARK}");
            let files = names.iter().filter(|name| **name != mark);
            if Some(&owner) == own.as_ref() {
                let in_use = self.in_use.lock().clone();
                files
                    .filter(|name| !in_use.contains(*name))
                    .for_each(|name| discard(&self.folder.join(name)));
                continue;
            }
            let mark = self.folder.join(&mark);
            if let Some(_lock) = lock_of_ended(&mark)? {
                files.for_each(|name| discard(&self.folder.join(name)));
                discard(&mark);
            }
        }
        Ok(())
    }
}

/// The lock of a mark, or the proof that there is no mark; `None` if its process still runs.
fn lock_of_ended(mark: &Path) -> io::Result<Option<Option<File>>> {
    let file = match File::open(mark) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
        Err(e) => return Err(e),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(Some(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

impl Owner {
    fn begin(folder: &Path) -> io::Result<Self> {
        create_folders(folder)?;
        loop {
            let name = uuid::Uuid::new_v4().to_string();
            let path = folder.join(format!("{name}.{MARK}"));
            let mark = OpenOptions::new().write(true).create_new(true).open(&path)?;
            if mark.try_lock().is_ok() && is_at(&mark, &path)? {
                return Ok(Self { name, files: 0, _mark: mark });
            }
        }
    }
}

/// Whether the path names this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (file.metadata()?.dev(), file.metadata()?.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder.join(FOLDER)).unwrap().count()
    }

    /// As a clock that jumps makes it look.
    fn write_long_ago(file: &StagingFile) {
        let written = File::create(&file.file).unwrap();
        written.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn a_file_in_use_stays_however_old_it_looks() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::of(folder.path());
        let (used, dropped) = (staging.file().unwrap(), staging.file().unwrap());
        write_long_ago(&used);
        write_long_ago(&dropped);
        // A panic may leave a file that no value stands for.
        staging.in_use.lock().remove(&dropped.name);
        staging.clean_up().unwrap();
        assert!(used.file.exists() && !dropped.file.exists());
        let file = used.file.clone();
        drop(used);
        assert!(!file.exists());
    }

    #[test]
    fn files_of_another_process_stay_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (command, daemon) = (Staging::of(folder.path()), Staging::of(folder.path()));
        let file = command.file().unwrap();
        write_long_ago(&file);
        daemon.clean_up().unwrap();
        assert!(file.file.exists());
        // As kill -9 leaves it: the lock is released, and no destructor ran.
        let path = file.file.clone();
        std::mem::forget(file);
        drop(command);
        fs::write(folder.path().join(FOLDER).join("of-an-old-version"), "x").unwrap();
        daemon.clean_up().unwrap();
        assert!(!path.exists());
        assert_eq!(names(folder.path()), 0, "nor is the mark left");
    }

    #[test]
    fn a_mark_that_was_deleted_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mark = File::create(&path).unwrap();
        assert!(is_at(&mark, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&mark, &path).unwrap());
        File::create(&path).unwrap();
        assert!(!is_at(&mark, &path).unwrap());
    }
}
