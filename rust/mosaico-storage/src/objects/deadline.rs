//! A store with a time limit per operation; writes that time out are tracked until they end.
//!
//! A timed-out write may still be applied. It keeps running in the background, and the next operation on the
//! same path (write, read, list or delete) waits for its end first. So an object never changes after a caller
//! got an error for a write and then checked the outcome.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::error::{OwnershipLost, Unavailable};
use crate::keyed_mutex::Locks;

/// Limits the time of each operation on `inner`.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    inner: Arc<dyn ObjectStore>,
    limit: Duration,
    /// Whether the store is a service: it may still apply a write after an error without a definite outcome.
    remote: bool,
    /// Locked during a write to the path.
    writes: Arc<Locks<Path>>,
}

impl Deadline {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, limit: Duration, remote: bool) -> Self {
        Self { inner, limit, remote, writes: Arc::default() }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout(self.limit, work).await {
            Ok(done) => done.map_err(|e| self.map_error(e)),
            Err(_) => Err(Unavailable(None).into()),
        }
    }

    fn map_error(&self, error: Error) -> Error {
        match error {
            Error::NotFound { .. } | Error::AlreadyExists { .. } | Error::Precondition { .. } => error,
            Error::Generic { ref source, .. } if source.is::<OwnershipLost>() => error,
            _ if self.remote => Unavailable(Some(error)).into(),
            _ => error,
        }
    }

    /// Waits for the right to write to `path`.
    async fn turn(&self, path: &Path) -> Result<OwnedMutexGuard<()>> {
        self.within(self.writes.lock(path).map(Ok)).await
    }

    /// Waits for writes to `path` that are in flight.
    async fn written(&self, path: &Path) -> Result<()> {
        self.within(self.writes.free(|held| held == path).map(Ok)).await
    }

    /// Waits for writes below `prefix` that are in flight.
    async fn written_below(&self, prefix: Option<&Path>) -> Result<()> {
        let below = |held: &Path| prefix.is_none_or(|prefix| held.prefix_matches(prefix));
        self.within(self.writes.free(below).map(Ok)).await
    }

    /// Waits for all writes that are in flight.
    pub(super) async fn quiet(&self) -> Result<()> {
        self.written_below(None).await
    }

    /// Runs a write to completion, even if its caller stops waiting.
    async fn to_the_end<T: Send + 'static>(
        &self,
        turn: OwnedMutexGuard<()>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(turn);
            done
        });
        self.within(async { task.await? }).await
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Deadline {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let turn = self.turn(path).await?;
        let (inner, path) = (Arc::clone(&self.inner), path.clone());
        self.to_the_end(turn, async move { inner.put_opts(&path, payload, options).await }).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let turn = self.turn(to).await?;
        let (inner, from, to) = (Arc::clone(&self.inner), from.clone(), to.clone());
        self.to_the_end(turn, async move { inner.rename_opts(&from, &to, options).await }).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let turn = self.turn(to).await?;
        let (inner, from, to) = (Arc::clone(&self.inner), from.clone(), to.clone());
        self.to_the_end(turn, async move { inner.copy_opts(&from, &to, options).await }).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let turn = self.turn(path).await?;
        let upload = self.within(self.inner.put_multipart_opts(path, options)).await?;
        Ok(Box::new(Upload { deadline: self.clone(), open: Some((upload, turn)) }))
    }

    /// Objects that are read whole are small, so the limit covers the whole body.
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.written(path).await?;
        let head = options.head;
        self.within(async {
            let found = self.inner.get_opts(path, options).await?;
            if head {
                return Ok(found);
            }
            let (meta, range, attributes) =
                (found.meta.clone(), found.range.clone(), found.attributes.clone());
            let bytes = found.bytes().await?;
            let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
            Ok(GetResult { payload, meta, range, attributes })
        })
        .await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.written(path).await?;
        self.within(self.inner.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let paths = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.written(&path).await.map(|()| path)
            }
        });
        in_time(self.clone(), self.inner.delete_stream(paths.boxed()))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            match this.written_below(prefix.as_ref()).await {
                Ok(()) => in_time(this.clone(), this.inner.list(prefix.as_ref())),
                Err(e) => stream::iter([Err(e)]).boxed(),
            }
        };
        listing.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.written_below(prefix).await?;
        self.within(self.inner.list_with_delimiter(prefix)).await
    }
}

/// Limits the time for each item; the stream ends after a late one.
fn in_time<T: Send + 'static>(
    deadline: Deadline,
    mut items: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    async_stream::stream! {
        loop {
            match timeout(deadline.limit, items.next()).await {
                Ok(Some(item)) => yield item.map_err(|e| deadline.map_error(e)),
                Ok(None) => break,
                Err(_) => {
                    yield Err(Unavailable(None).into());
                    break;
                }
            }
        }
    }
    .boxed()
}

/// Limits the time for each part.
#[derive(Debug)]
struct Upload {
    deadline: Deadline,
    /// `None` after it was completed or aborted.
    open: Option<(Box<dyn MultipartUpload>, OwnedMutexGuard<()>)>,
}

fn closed() -> Error {
    Error::NotSupported { source: "the upload has ended".into() }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some((upload, _)) = &mut self.open else { return async { Err(closed()) }.boxed() };
        let (part, deadline) = (upload.put_part(data), self.deadline.clone());
        async move { deadline.within(part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (mut upload, turn) = self.open.take().ok_or_else(closed)?;
        self.deadline.to_the_end(turn, async move { upload.complete().await }).await
    }

    async fn abort(&mut self) -> Result<()> {
        let Some((mut upload, turn)) = self.open.take() else { return Ok(()) };
        self.deadline.to_the_end(turn, async move { upload.abort().await }).await
    }
}
