//! A store that counts and times its operations. It is below the store with time limits: operations that time
//! out there count as `cancelled` here, and writes are timed to their actual end.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use crate::timer::Timer;

#[derive(Debug)]
pub(super) struct Measured {
    inner: Arc<dyn ObjectStore>,
    timer: Timer,
}

impl Measured {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, timer: Timer) -> Self {
        Self { inner, timer }
    }
}

/// The label of an outcome.
fn outcome<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Error::NotFound { .. }) => "not_found",
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => "conflict",
        Err(_) => "error",
    }
}

/// Measures a stream as one operation, from its start to its end.
fn measured<T: Send + 'static>(
    timer: &Timer,
    operation: &'static str,
    mut items: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    let timing = timer.begin(operation);
    async_stream::stream! {
        let mut result = "ok";
        while let Some(item) = items.next().await {
            if item.is_err() {
                result = outcome(&item);
            }
            yield item;
        }
        timing.end(result);
    }
    .boxed()
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.timer.time("put", self.inner.put_opts(path, payload, options), outcome).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.timer.time("rename", self.inner.rename_opts(from, to, options), outcome).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.timer.time("copy", self.inner.copy_opts(from, to, options), outcome).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.inner.put_multipart_opts(path, options);
        let upload = self.timer.time("upload_begin", begun, outcome).await?;
        Ok(Box::new(Upload { upload, timer: self.timer.clone() }))
    }

    /// Up to the start of the response body.
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { "head" } else { "get" };
        self.timer.time(operation, self.inner.get_opts(path, options), outcome).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.timer.time("get", self.inner.get_ranges(path, ranges), outcome).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        measured(&self.timer, "delete", self.inner.delete_stream(paths))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        measured(&self.timer, "list", self.inner.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.timer.time("list", self.inner.list_with_delimiter(prefix), outcome).await
    }
}

#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    timer: Timer,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, timer) = (self.upload.put_part(data), self.timer.clone());
        Box::pin(async move { timer.time("upload_part", part, outcome).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.timer.time("upload_end", self.upload.complete(), outcome).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.timer.time("upload_abort", self.upload.abort(), outcome).await
    }
}
