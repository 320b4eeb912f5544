//! Batches that are spilled to disk when the memory budget is used up.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use mosaico_types::ErrorKind;

use crate::error::{Error, Result};

/// Folder and disk budget for the spilled batches of a recording's lanes.
#[derive(Debug, Clone)]
pub struct SpillConfig {
    /// An existing folder.
    pub folder: PathBuf,
    /// Byte budget of all lanes together.
    pub bytes: u64,
    used: Arc<AtomicU64>,
}

impl SpillConfig {
    /// At most `bytes` in `folder`.
    pub fn new(folder: PathBuf, bytes: u64) -> Self {
        Self { folder, bytes, used: Arc::default() }
    }
}

/// The spill file of one lane. It has no name, so the operating system removes it when the process ends.
#[derive(Debug)]
pub(super) struct SpillFile {
    config: SpillConfig,
    file: File,
    end: AtomicU64,
}

/// A batch in a spill file.
#[derive(Debug, Clone)]
pub(super) struct Spilled {
    file: Arc<SpillFile>,
    offset: u64,
    bytes: usize,
}

impl SpillFile {
    pub(super) fn create(config: &SpillConfig) -> Result<Arc<Self>> {
        let file = unnamed(&config.folder).map_err(|cause| failed(&config.folder, &cause))?;
        Ok(Arc::new(Self { config: config.clone(), file, end: AtomicU64::new(0) }))
    }

    /// Appends a batch; `None` if the budget is used up. One caller at a time.
    pub(super) fn append(self: &Arc<Self>, batch: &RecordBatch) -> Result<Option<Spilled>> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        let frame = writer.into_inner()?;
        let bytes = frame.len() as u64;
        let SpillConfig { folder, bytes: limit, used } = &self.config;
        if used.fetch_add(bytes, Ordering::Relaxed) + bytes > *limit {
            used.fetch_sub(bytes, Ordering::Relaxed);
            return Ok(None);
        }
        let offset = self.end.fetch_add(bytes, Ordering::Relaxed);
        self.file.write_all_at(&frame, offset).map_err(|cause| failed(folder, &cause))?;
        Ok(Some(Spilled { file: Arc::clone(self), offset, bytes: frame.len() }))
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.config.used.fetch_sub(*self.end.get_mut(), Ordering::Relaxed);
    }
}

impl Spilled {
    /// Reads the batch back.
    pub(super) fn read(&self) -> Result<RecordBatch> {
        let mut frame = vec![0; self.bytes];
        let folder = &self.file.config.folder;
        self.file.file.read_exact_at(&mut frame, self.offset).map_err(|cause| failed(folder, &cause))?;
        let mut batches = StreamReader::try_new(io::Cursor::new(frame), None)?;
        batches.next().transpose()?.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!("a batch in the spill file in {} is gone", folder.display()),
            )
        })
    }
}

fn unnamed(folder: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("mosaico-{}-{number}.spill", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn failed(folder: &Path, cause: &io::Error) -> Error {
    Error::new(ErrorKind::ResourceExhausted, format!("cannot spill to {}: {cause}", folder.display()))
}
