//! A file of audit lines. Programs that rotate logs may move or delete it at any time: the next line creates a
//! new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mosaico_storage::error::{Error, Result};

/// Only the user of the daemon reads a new file.
const MODE: u32 = 0o600;

/// The file.
#[derive(Debug)]
pub(crate) struct AuditFile {
    path: PathBuf,
    file: File,
    /// Whether the last write failed: it may have left a part of a line.
    is_torn: bool,
}

impl AuditFile {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`Error::Startup`] if it cannot be written.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        match append(&path) {
            Ok(file) => Ok(Self { path, file, is_torn: false }),
            Err(error) => Err(Error::Startup(format!(
                "cannot write the audit log {}: {error}; choose another --audit-log",
                path.display()
            ))),
        }
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_current() {
            self.file = append(&self.path)?;
            self.is_torn = false;
        }
        let separator: &[u8] = if self.is_torn { b"\n" } else { b"" };
        self.is_torn = true;
        self.file.write_all(&[separator, lines].concat())?;
        self.is_torn = false;
        Ok(())
    }

    /// Whether the path still names the open file.
    fn is_current(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let open = self.file.metadata().map(identity).ok();
        open.is_some() && fs::metadata(&self.path).map(identity).ok() == open
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_moved_or_deleted_is_created_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "earlier\n").unwrap();
        let mut file = AuditFile::open(path.clone()).unwrap();
        file.append(b"one\n").unwrap();
        let moved = folder.path().join("audit.jsonl.1");
        fs::rename(&path, &moved).unwrap();
        file.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "earlier\none\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        fs::remove_file(&path).unwrap();
        file.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        // As `copytruncate` of logrotate does.
        fs::write(&path, "").unwrap();
        file.append(b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn a_line_after_a_failed_write_begins_on_its_own() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut file = AuditFile::open(path.clone()).unwrap();
        file.append(b"one\n").unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let written = std::mem::replace(&mut file.file, full);
        let here = std::mem::replace(&mut file.path, "/dev/full".into());
        assert!(file.append(b"two\n").is_err());
        (file.file, file.path) = (written, here);
        file.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n\nthree\n");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_of_the_start() {
        let folder = tempfile::TempDir::new().unwrap();
        let error = AuditFile::open(folder.path().to_owned()).unwrap_err().to_string();
        assert!(
            error.contains("--audit-log") && error.contains(&folder.path().display().to_string()),
            "{error}"
        );
    }
}
