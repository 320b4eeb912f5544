//! The store: the truth about sequences, as immutable objects under ids. Start with [`Store`].

mod deadline;
pub(crate) mod durable;
#[cfg(feature = "faults")]
pub mod faults;
mod folder;
pub(crate) mod layout;
mod load;
pub(crate) mod parquet;
pub(crate) mod records;
pub(crate) mod stats;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::crash;
use crate::error::{Error, Result};
use deadline::Deadline;
pub(crate) use deadline::Unavailable;
use durable::{LocalFolder, discard};
use folder::FolderStore;

/// Objects under ids. Writes return when they would survive a power cut, everything returns in time.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    objects: Deadline,
    folder: Arc<LocalFolder>,
}

/// A finished file on its way to the store. What is left of it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where it lies.
    pub file: PathBuf,
    path: Path,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        discard(&self.file);
    }
}

impl Store {
    /// Opens the store in `root`, which exists.
    pub(crate) fn open_local(root: &FilePath, config: &Config) -> Result<Self> {
        let failed = |e| Error::internal("opening the store", e);
        let folder = Arc::new(LocalFolder::open(root).map_err(|e| Error::internal("opening the store", e))?);
        let objects: Arc<dyn ObjectStore> = Arc::new(FolderStore::new(Arc::clone(&folder)).map_err(failed)?);
        #[cfg(feature = "faults")]
        let objects = config.faults.on(objects);
        Ok(Self { objects: Deadline::new(objects, config.store_timeout), folder })
    }

    /// For readers of Parquet.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.objects.clone())
    }

    /// Waits for writes that nobody waits for any more.
    pub(crate) async fn quiet(&self) -> Result<()> {
        self.objects.quiet().await.map_err(|e| Error::internal("waiting for the store", e))
    }

    /// A fresh local file name for [`Self::publish`]; on the same device as a local store.
    pub(crate) fn scratch_file(&self) -> Scratch {
        let (file, path) = self.folder.scratch_file();
        Scratch { file, path: Path::from(path) }
    }

    /// Moves a finished local file to `path`, durably.
    pub(crate) async fn publish(&self, scratch: &Scratch, path: &Path) -> Result<()> {
        let moved = self.objects.rename(&scratch.path, path).await;
        moved.map_err(|e| Error::internal("writing to the store", e))
    }

    /// Writes `bytes` to `path`, durably; replaces what was there.
    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let written = self.objects.put(path, bytes.into()).await;
        written.map(drop).map_err(|e| Error::internal("writing to the store", e))
    }

    /// Writes a JSON record, durably; replaces what was there.
    pub(crate) async fn put_json<T: Serialize>(&self, path: &Path, record: &T) -> Result<()> {
        self.put(path, json(record)?).await
    }

    /// Writes a JSON record that is written once, durably.
    pub(crate) async fn create_json<T: Serialize>(&self, path: &Path, record: &T) -> Result<()> {
        self.create(path, json(record)?).await
    }

    /// Writes an object that is written once, durably.
    pub(crate) async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let bytes = Bytes::from(bytes);
        let once = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(path, bytes.clone().into(), once).await {
            Ok(_) => Ok(()),
            // An attempt of the same write whose answer was lost.
            Err(object_store::Error::AlreadyExists { .. }) if self.get(path).await? == Some(bytes) => Ok(()),
            Err(e) => Err(Error::internal(format!("writing {path} once"), e)),
        }
    }

    /// Reads an object; `None` if there is none.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let failed = |e| Error::internal(format!("reading {path}"), e);
        match self.objects.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    /// Reads a JSON record; `None` if there is none.
    pub(crate) async fn get_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let Some(bytes) = self.get(path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::internal(format!("reading the record {path}"), e))
    }

    /// The names of folders directly below `path`. For recovery only: nothing else derives facts from listings.
    pub(crate) async fn list_folders(&self, path: &Path) -> Result<Vec<String>> {
        let listing = self.objects.list_with_delimiter(Some(path)).await;
        let listing = listing.map_err(|e| Error::internal(format!("listing {path}"), e))?;
        Ok(listing.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect())
    }

    /// The names of objects directly below `path`. For recovery only.
    pub(crate) async fn list_files(&self, path: &Path) -> Result<Vec<String>> {
        let listing = self.objects.list_with_delimiter(Some(path)).await;
        let listing = listing.map_err(|e| Error::internal(format!("listing {path}"), e))?;
        Ok(listing.objects.iter().filter_map(|o| o.location.filename().map(str::to_owned)).collect())
    }

    /// Whether there is an object.
    pub(crate) async fn has(&self, path: &Path) -> Result<bool> {
        match self.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(Error::internal(format!("looking for {path}"), e)),
        }
    }

    /// All objects below `path`. For recovery only.
    pub(crate) async fn objects_below(&self, path: &Path) -> Result<Vec<ObjectMeta>> {
        let found = self.objects.list(Some(path)).try_collect().await;
        found.map_err(|e| Error::internal(format!("listing {path}"), e))
    }

    /// Drops unfinished files that nobody has written to since `before`.
    pub(crate) async fn drop_scratch(&self, before: SystemTime) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        blocking("dropping unfinished files", move || folder.drop_scratch(before)).await
    }

    /// Removes one object; none is fine.
    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        crash::point();
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(Error::internal(format!("deleting {path}"), e)),
        }
    }

    /// Removes everything below the folder of an id, its tombstone last.
    pub(crate) async fn remove_folder(&self, path: &Path, tombstone: &Path) -> Result<()> {
        let failed = |e| Error::internal(format!("deleting {path}"), e);
        let found = self.objects_below(path).await?.into_iter().map(|object| object.location);
        let others: Vec<_> = found.filter(|found| found != tombstone).map(Ok).collect();
        let mut removed = self.objects.delete_stream(futures::stream::iter(others).boxed());
        while let Some(result) = removed.next().await {
            crash::point();
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        self.remove(tombstone).await?;
        let (folder, target) = (Arc::clone(&self.folder), path.clone());
        blocking("deleting a folder", move || folder.remove_folders(target.as_ref())).await
    }
}

fn json(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|e| Error::internal("encoding a record", e))
}

/// Runs blocking file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| Error::internal(doing, e)),
        Err(e) => Err(Error::internal(doing, e)),
    }
}
