//! The source of truth about sequences, as immutable objects under ids. Start with [`Store`].

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use mosaico_types::id::SequenceId;
use mosaico_types::now_ns;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::cache::{self, Cache};
use super::deadline::Deadline;
use super::fence::Fence;
use super::folder::FolderStore;
use super::links;
use super::local_folder::LocalFolder;
use super::location::StoreLocation;
use super::measured::Measured;
use super::options::{StoreMetrics, StoreOptions};
use super::staging::StagingFile;
use crate::error::{Error, Result};
use crate::format::barrier::is_barrier;
use crate::format::paths::SequencePaths;
use crate::format::record::{self, FormatError, Record, check_version};
use crate::format::record_kind::RecordKind;
use crate::format::records::DeletedRecord;
use crate::{crash_points, trace};

/// The unit of copying, in bytes.
const PIECE: usize = 8 << 20;

/// Objects under ids. Writes return when they survive a power cut; every operation has a time limit.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) objects: Deadline,
    /// Staging files; in a local store, the objects too.
    pub(super) folder: Arc<LocalFolder>,
    pub(super) kind: Kind,
    pub(super) fence: Fence,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Folder,
    Bucket(Option<Arc<Cache>>),
}

/// Parquet files in the store, for reading.
#[derive(Debug, Clone)]
pub struct Chunks(Store);

impl Chunks {
    /// Reads `ranges` of the file at `path`, which has `bytes` bytes; merges ranges that are close together.
    pub async fn read(
        &self,
        path: &Path,
        bytes: u64,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        match &self.0.kind {
            Kind::Bucket(Some(cache)) => cache.read(&self.0.objects, path, bytes, ranges).await,
            _ => self.0.objects.get_ranges(path, ranges).await,
        }
    }

    /// The same from the store itself: what the cache has of these bytes is dropped.
    pub async fn read_again(
        &self,
        path: &Path,
        bytes: u64,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        if let Kind::Bucket(Some(cache)) = &self.0.kind {
            cache.forget(path, ranges).await?;
        }
        self.read(path, bytes, ranges).await
    }

    /// The size of the file at `path`.
    pub async fn size(&self, path: &Path) -> object_store::Result<u64> {
        Ok(self.0.objects.head(path).await?.size)
    }
}

impl Store {
    /// Opens the store; the local folder that it uses must exist.
    pub fn open(options: &StoreOptions, metrics: &StoreMetrics) -> Result<Self> {
        let failed = |e| Error::internal("opening the store", e);
        links::refuse(&options.folder)?;
        let folder =
            LocalFolder::open(&options.folder).map_err(|e| Error::internal("opening the store", e))?;
        let folder = Arc::new(folder);
        let (objects, kind): (Arc<dyn ObjectStore>, _) = match &options.location {
            StoreLocation::Local(_) => {
                (Arc::new(FolderStore::new(Arc::clone(&folder)).map_err(failed)?), Kind::Folder)
            }
            StoreLocation::Bucket(bucket) => {
                let opened = bucket.open(options.timeout, options.retries);
                let opened =
                    opened.map_err(|e| Error::Startup(format!("cannot use {}: {e}", bucket.url())))?;
                #[cfg(feature = "faults")]
                let opened = options.faults.instead(opened);
                let cache = match options.cache_bytes {
                    0 => None,
                    limit => {
                        Some(Cache::open(folder.root().join(cache::FOLDER), limit, metrics.cache.clone()))
                    }
                };
                let cache = cache.transpose().map_err(|e| Error::internal("opening the cache", e))?;
                (opened, Kind::Bucket(cache.map(Arc::new)))
            }
        };
        #[cfg(feature = "faults")]
        let objects = options.faults.on(objects);
        let objects = Arc::new(Measured::new(objects, metrics.operations.clone()));
        Ok(Self::on(objects, options, folder, kind))
    }

    /// Opens a store that other processes may use, to read data that does not change any more, or to replace
    /// a record that only commands write.
    pub fn open_to_read(options: &StoreOptions) -> Result<Self> {
        let failed = |e| Error::internal("opening the store", e);
        let (objects, folder): (Arc<dyn ObjectStore>, _) = match &options.location {
            StoreLocation::Local(root) => {
                let folder = Arc::new(LocalFolder::at(root));
                (Arc::new(FolderStore::new(Arc::clone(&folder)).map_err(failed)?), folder)
            }
            StoreLocation::Bucket(bucket) => {
                let opened = bucket.open(options.timeout, options.retries);
                let opened =
                    opened.map_err(|e| Error::Startup(format!("cannot use {}: {e}", bucket.url())))?;
                (opened, Arc::new(LocalFolder::at(FilePath::new(""))))
            }
        };
        let remote = matches!(options.location, StoreLocation::Bucket(_));
        let kind = if remote { Kind::Bucket(None) } else { Kind::Folder };
        Ok(Self::on(objects, options, folder, kind))
    }

    fn on(
        objects: Arc<dyn ObjectStore>,
        options: &StoreOptions,
        folder: Arc<LocalFolder>,
        kind: Kind,
    ) -> Self {
        let fence = Fence::new(objects, options.timeout);
        let remote = matches!(kind, Kind::Bucket(_));
        let objects = Deadline::new(Arc::new(fence.clone()), options.timeout, remote);
        Self { objects, folder, kind, fence }
    }

    /// The fence that stops a former owner of a bucket from writing to it.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Copies an object of `bytes` bytes to a new local file, block by block. Returns its CRC-32.
    pub async fn download(&self, path: &Path, bytes: u64, file: &FilePath) -> Result<u32> {
        let failed = |e: &dyn std::fmt::Display| Error::Invalid(format!("{path} cannot be read: {e}"));
        let target = file.to_owned();
        let created = blocking("writing a scratch file", move || File::create_new(target)).await?;
        let (mut file, mut sum) = (created, crc32fast::Hasher::new());
        for from in (0..bytes).step_by(PIECE) {
            let range = from..bytes.min(from + PIECE as u64);
            let pieces = self.objects.get_ranges(path, &[range]).await.map_err(|e| failed(&e))?;
            (file, sum) = blocking("writing a scratch file", move || {
                for piece in &pieces {
                    sum.update(piece);
                    file.write_all(piece)?;
                }
                Ok((file, sum))
            })
            .await?;
        }
        Ok(sum.finalize())
    }

    /// Writes a small file to the local folder, durably.
    pub fn write_local(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        LocalFolder::write(&self.folder, name, std::iter::once(&bytes))
    }

    /// Copies an object within the store; false if it does not exist.
    pub async fn copy(&self, from: &Path, to: &Path) -> Result<bool> {
        match self.objects.copy(from, to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(Error::internal(format!("copying {from}"), e)),
        }
    }

    /// The chunks, for Parquet readers.
    pub fn chunks(&self) -> Chunks {
        Chunks(self.clone())
    }

    /// Waits for writes that no caller waits for any more.
    pub async fn quiet(&self) -> Result<()> {
        self.objects.quiet().await.map_err(|e| Error::internal("waiting for the store", e))
    }

    /// A fresh local file name for [`Self::publish`]; on the same device as a local store. The file is in use
    /// until the value is dropped.
    pub fn staging_file(&self) -> Result<StagingFile> {
        self.folder.staging_file().map_err(|e| Error::internal("preparing a file", e))
    }

    /// Moves a finished local file to `path`, durably.
    pub async fn publish(&self, scratch: &StagingFile, path: &Path) -> Result<()> {
        let moved = match self.kind {
            Kind::Folder => self.objects.rename(&scratch.path().into(), path).await,
            Kind::Bucket(_) => super::upload::upload(&self.objects, &scratch.file, path).await,
        };
        moved.map_err(|e| Error::internal("writing to the store", e))
    }

    /// Writes `bytes` to `path`, durably; replaces an existing object.
    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let written = self.objects.put(path, bytes.into()).await;
        written.map(drop).map_err(|e| Error::internal("writing to the store", e))
    }

    /// Writes a JSON record, durably; replaces an existing one.
    pub async fn put_json<T: Record>(&self, path: &Path, record: &T) -> Result<()> {
        self.put(path, record::write(record)?).await
    }

    /// Reads an object; `None` if it does not exist.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        Ok(self.get_versioned(path).await?.map(|(bytes, _)| bytes))
    }

    /// Reads a JSON record; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] if a newer version wrote it.
    pub async fn get_json<T: Record>(&self, path: &Path) -> Result<Option<T>> {
        let found = self.get(path).await?.filter(|bytes| !is_barrier(bytes));
        found.map(|bytes| record::parse(path, &bytes)).transpose()
    }

    /// The names of folders directly below `path`. For recovery only: no other code derives facts from
    /// listings.
    pub async fn list_folders(&self, path: &Path) -> Result<Vec<String>> {
        let listing = self.objects.list_with_delimiter(Some(path)).await;
        let listing = listing.map_err(|e| Error::internal(format!("listing {path}"), e))?;
        Ok(listing.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect())
    }

    /// The names of objects directly below `path`. For recovery only.
    pub async fn list_files(&self, path: &Path) -> Result<Vec<String>> {
        let listing = self.objects.list_with_delimiter(Some(path)).await;
        let listing = listing.map_err(|e| Error::internal(format!("listing {path}"), e))?;
        Ok(listing.objects.iter().filter_map(|o| o.location.filename().map(str::to_owned)).collect())
    }

    /// Whether the object exists.
    pub async fn has(&self, path: &Path) -> Result<bool> {
        match self.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(Error::internal(format!("looking for {path}"), e)),
        }
    }

    /// All objects below `path`. For recovery only.
    pub async fn objects_below(&self, path: &Path) -> Result<Vec<ObjectMeta>> {
        let found = self.objects.list(Some(path)).try_collect().await;
        found.map_err(|e| Error::internal(format!("listing {path}"), e))
    }

    /// Deletes staging files that no process uses.
    pub async fn clean_up_staging(&self) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        blocking("deleting unfinished files", move || folder.clean_up_staging()).await
    }

    /// The symbolic links that this process met in the store. It does not follow them.
    pub fn skipped_links(&self) -> Vec<String> {
        self.folder.tree.met()
    }

    /// Removes one object; succeeds if it does not exist.
    pub async fn remove(&self, path: &Path) -> Result<()> {
        crash_points::point();
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(Error::internal(format!("deleting {path}"), e)),
        }
    }

    /// Whether a request may still be applied after it timed out.
    pub fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Bucket(_))
    }

    /// Removes a sequence whose creation was never acknowledged and may still arrive: its tombstone stays for
    /// as long as unreferenced files do.
    pub async fn write_tombstone(&self, id: SequenceId) -> Result<()> {
        let paths = SequencePaths(id);
        let record = DeletedRecord { deleted_ns: now_ns() };
        self.put_json(&paths.deleted(), &record).await?;
        self.remove_below(&paths.folder(), &paths.deleted()).await
    }

    /// Removes everything below the folder of an id. In a bucket, requests for objects below it may still arrive, so
    /// its tombstone stays there for as long as unreferenced files do.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] if a newer version began the removal: the tombstone may have another meaning
    /// there.
    pub async fn empty_folder(&self, path: &Path, tombstone: &Path) -> Result<()> {
        if !self.is_remote() {
            return self.remove_folder(path, tombstone).await;
        }
        self.check_tombstone(tombstone).await?;
        self.remove_below(path, tombstone).await
    }

    async fn check_tombstone(&self, tombstone: &Path) -> Result<()> {
        match self.get(tombstone).await?.map(|bytes| check_version(RecordKind::Tombstone, &bytes)) {
            Some(Err(error @ FormatError::Newer { .. })) => Err(error.at("record", tombstone)),
            _ => Ok(()),
        }
    }

    /// Removes everything below the folder of an id, its tombstone last.
    ///
    /// # Errors
    /// [`Error::NewerFormat`], as [`Self::empty_folder`].
    pub async fn remove_folder(&self, path: &Path, tombstone: &Path) -> Result<()> {
        self.check_tombstone(tombstone).await?;
        self.remove_below(path, tombstone).await?;
        self.remove(tombstone).await?;
        if self.is_remote() {
            return Ok(());
        }
        let (folder, target) = (Arc::clone(&self.folder), path.clone());
        blocking("deleting a folder", move || folder.remove_folders(target.as_ref())).await
    }

    async fn remove_below(&self, path: &Path, tombstone: &Path) -> Result<()> {
        let failed = |e| Error::internal(format!("deleting {path}"), e);
        let found = self.objects_below(path).await?.into_iter().map(|object| object.location);
        let others: Vec<_> = found.filter(|found| found != tombstone).map(Ok).collect();
        let mut removed = self.objects.delete_stream(futures::stream::iter(others).boxed());
        while let Some(result) = removed.next().await {
            crash_points::point();
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(())
    }
}

/// Runs blocking file operations off the async threads.
pub async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match trace::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| Error::internal(doing, e)),
        Err(e) => Err(Error::internal(doing, e)),
    }
}
