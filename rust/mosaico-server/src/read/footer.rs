//! Parquet footers in memory. A path is written once, so what is known about it stays true.

use std::collections::HashMap;

use object_store::path::Path;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::file::ParquetFile;
use crate::error::{Error, Result};
use crate::store::parquet::check_chunk_version;

#[derive(Debug)]
struct Entry {
    footer: ArrowReaderMetadata,
    bytes: usize,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Path, Entry>,
    bytes: usize,
    clock: u64,
}

/// The most recently used footers, bounded in bytes.
#[derive(Debug)]
pub(crate) struct FooterCache {
    limit: usize,
    state: Mutex<State>,
}

impl FooterCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// The footer and page index of `file`.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] if a newer version wrote the file.
    pub(crate) async fn load(&self, file: &mut ParquetFile) -> Result<ArrowReaderMetadata> {
        if let Some(footer) = self.get(&file.path) {
            return Ok(footer);
        }
        let footer = ArrowReaderMetadata::load_async(file, ArrowReaderOptions::new())
            .await
            .map_err(|e| Error::internal(format!("reading the footer of {}", file.path), e))?;
        check_chunk_version(footer.metadata()).map_err(|error| error.at("chunk", &file.path))?;
        self.insert(file.path.clone(), footer.clone());
        Ok(footer)
    }

    fn get(&self, path: &Path) -> Option<ArrowReaderMetadata> {
        let mut state = self.state.lock();
        state.clock += 1;
        let now = state.clock;
        let entry = state.entries.get_mut(path)?;
        entry.used = now;
        Some(entry.footer.clone())
    }

    fn insert(&self, path: Path, footer: ArrowReaderMetadata) {
        let bytes = footer.metadata().memory_size();
        let mut state = self.state.lock();
        state.clock += 1;
        let entry = Entry { footer, bytes, used: state.clock };
        state.bytes += bytes;
        if let Some(old) = state.entries.insert(path, entry) {
            state.bytes -= old.bytes;
        }
        while state.bytes > self.limit {
            let oldest =
                state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(path, _)| path.clone());
            let Some(removed) = oldest.and_then(|path| state.entries.remove(&path)) else { break };
            state.bytes -= removed.bytes;
        }
    }
}
