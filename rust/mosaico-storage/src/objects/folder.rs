//! A local folder as an object store whose writes survive a power cut.

use std::ops::Range;
use std::sync::Arc;
use std::{fmt, io};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::links::Walk;
use super::local_folder::LocalFolder;

const NAME: &str = "folder";

/// Files that are deleted concurrently.
const DELETIONS: usize = 10;

/// Reads as [`LocalFileSystem`] does; puts and renames are synced. Listings and deletions do not follow
/// symbolic links.
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
            _ => failed(e),
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
        let folder = Arc::clone(&self.folder);
        let remove = move |path: Result<Path>| {
            let folder = Arc::clone(&folder);
            async move {
                let path = path?;
                let file = path.clone();
                match tokio::task::spawn_blocking(move || folder.remove(file.as_ref())).await? {
                    Ok(()) => Ok(path),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        Err(Error::NotFound { path: path.to_string(), source: Box::new(e) })
                    }
                    Err(e) => Err(failed(e)),
                }
            }
        };
        paths.map(remove).buffered(DELETIONS).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let walk = Walk::below(prefix.map_or("", |prefix| prefix.as_ref()));
        let steps = stream::try_unfold((walk, Arc::clone(&self.folder)), |(mut walk, folder)| async {
            let step = move || walk.step(&folder.tree).map(|objects| (objects, (walk, folder)));
            let (objects, rest) = tokio::task::spawn_blocking(step).await?.map_err(failed)?;
            let objects = (!objects.is_empty()).then_some(objects);
            Ok::<_, Error>(objects.map(|objects| (stream::iter(objects.into_iter().map(Ok)), rest)))
        });
        steps.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (folder, prefix) = (Arc::clone(&self.folder), prefix.cloned().unwrap_or_default());
        let list = move || {
            let found = folder.tree.entries(prefix.as_ref())?;
            let objects = found.files.iter().filter_map(|file| folder.tree.object(file).transpose());
            Ok(ListResult {
                objects: objects.collect::<io::Result<_>>()?,
                common_prefixes: found.folders.iter().filter_map(|path| Path::parse(path).ok()).collect(),
            })
        };
        tokio::task::spawn_blocking(list).await?.map_err(failed)
    }
}

fn failed(e: io::Error) -> Error {
    Error::Generic { store: NAME, source: Box::new(e) }
}
