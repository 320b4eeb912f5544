//! A local folder as an object store whose writes survive a power cut.

use std::ops::Range;
use std::sync::Arc;
use std::{fmt, io};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::durable::LocalFolder;

const NAME: &str = "folder";

/// Reads as [`LocalFileSystem`] does; puts and renames are synced.
#[derive(Debug)]
pub(super) struct FolderStore {
    reads: LocalFileSystem,
    folder: Arc<LocalFolder>,
}

impl FolderStore {
    pub(super) fn new(folder: Arc<LocalFolder>) -> Result<Self> {
        let reads = LocalFileSystem::new_with_prefix(folder.root())?.with_automatic_cleanup(false);
        Ok(Self { reads, folder })
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&LocalFolder) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        tokio::task::spawn_blocking(move || work(&folder)).await?.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::AlreadyExists { path: NAME.to_owned(), source: Box::new(e) }
            }
            _ => Error::Generic { store: NAME, source: Box::new(e) },
        })
    }
}

impl fmt::Display for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reads.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (target, create) = (path.clone(), options.mode == PutMode::Create);
        let write = move |folder: &LocalFolder| {
            // No other process writes to the folder, so a target that is absent now is absent at the rename.
            if create && folder.has(target.as_ref()) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            folder.write(target.as_ref(), payload.iter())
        };
        self.blocking(write).await.map(|()| PutResult { e_tag: None, version: None })
    }

    async fn rename_opts(&self, from: &Path, to: &Path, _: RenameOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |folder| folder.publish(from.as_ref(), to.as_ref())).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.reads.put_multipart_opts(path, options).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.reads.copy_opts(from, to, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reads.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.reads.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }
}
