//! Files that stay open between two writes, as long as there are not too many: a topic that is written often
//! does not open its file each time, and thousands of topics need few descriptors.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::error::is_shortage;

/// A file that its user writes, and that may be closed in between.
#[derive(Debug)]
pub(super) struct Handle {
    path: PathBuf,
    /// `None`: closed for now.
    file: Arc<Mutex<Option<File>>>,
}

impl Handle {
    pub(super) fn new(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file: Arc::new(Mutex::new(Some(file))) }
    }

    /// The file; if it was closed, it continues at `end`.
    pub(super) fn open(&self, end: u64) -> io::Result<MappedMutexGuard<'_, File>> {
        let mut file = self.file.lock();
        let opened = match file.take() {
            Some(open) => open,
            None => {
                let mut opened = OpenOptions::new().write(true).open(&self.path)?;
                opened.seek(SeekFrom::Start(end))?;
                opened
            }
        };
        Ok(MutexGuard::map(file, |file| file.insert(opened)))
    }
}

/// The files that are open, in the order of their last use.
#[derive(Debug)]
pub struct OpenFiles {
    most: usize,
    open: Mutex<VecDeque<Weak<Mutex<Option<File>>>>>,
}

impl OpenFiles {
    /// Holds `most` files open.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Records a use, and closes the files that were not used for longest.
    pub(super) fn used(&self, handle: &Handle) {
        let this = Arc::downgrade(&handle.file);
        let mut open = self.open.lock();
        open.retain(|other| !other.ptr_eq(&this) && other.strong_count() > 0);
        open.push_back(this);
        let excess = open.len().saturating_sub(self.most);
        let closed: Vec<_> = open.drain(..excess).collect();
        drop(open);
        close(closed);
    }

    /// Runs `work`. If the process has no free descriptors, closes files and tries again once.
    pub fn with_room<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if is_shortage(&error) => {
                let all = self.open.lock().drain(..).collect();
                close(all);
                work()
            }
            done => done,
        }
    }
}

/// Closes files, except those in use.
fn close(files: Vec<Weak<Mutex<Option<File>>>>) {
    for file in files.into_iter().filter_map(|file| file.upgrade()) {
        if let Some(mut file) = file.try_lock() {
            *file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn closed_files_continue_where_they_ended() {
        let folder = tempfile::tempdir().unwrap();
        let files = OpenFiles::new(2);
        let create = |name: usize| {
            let path = folder.path().join(name.to_string());
            Handle::new(&path, File::create_new(&path).unwrap())
        };
        let handles: Vec<Handle> = (0..5).map(create).collect();
        let is_open = |handle: &Handle| handle.file.lock().is_some();
        for round in 0..3 {
            for handle in &handles {
                handle.open(2 * round).unwrap().write_all(b"ab").unwrap();
                files.used(handle);
            }
            let open: Vec<bool> = handles.iter().map(is_open).collect();
            assert_eq!(open, [false, false, false, true, true]);
        }
        files.used(&handles[3]);
        drop(handles[0].open(6).unwrap());
        files.used(&handles[0]);
        assert!(is_open(&handles[3]) && !is_open(&handles[4]), "the oldest one is closed");
        for name in 0..5 {
            assert_eq!(std::fs::read(folder.path().join(name.to_string())).unwrap(), b"ababab");
        }
    }

    #[test]
    fn a_file_in_use_stays_open_and_a_shortage_closes_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (files, path) = (OpenFiles::new(9), folder.path().join("a"));
        let idle = Handle::new(&path, File::create_new(&path).unwrap());
        let busy = Handle::new(&path, File::open(&path).unwrap());
        files.used(&idle);
        files.used(&busy);
        let writing = busy.open(0).unwrap();
        let mut tries = 0;
        let refused = files.with_room(|| {
            tries += 1;
            Err::<(), _>(io::Error::from_raw_os_error(24))
        });
        assert_eq!((refused.unwrap_err().raw_os_error(), tries), (Some(24), 2));
        assert!(idle.file.lock().is_none());
        assert!(writing.metadata().is_ok());
    }
}
