//! Fault injection: a store whose operations fail, finish late or slowly, or stall. For tests; can be
//! switched while a server runs.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UpdateVersion, UploadPart,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::error::Unavailable;

/// Kinds of operations on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Writing a record or a chunk.
    Put,
    /// Reading an object, or a range of it.
    Get,
    /// Listing objects.
    List,
    /// Deleting an object.
    Delete,
}

/// The effect of a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Returns an error; the operation is not applied.
    Refuse,
    /// Returns an error, although the operation is applied.
    LoseAnswer,
    /// Blocks until the fault is lifted; then applies the operation.
    Stall,
    /// Applies the operation; returns the response when the fault is lifted.
    HoldAnswer,
    /// Starts the operation after this delay.
    Delay(Duration),
    /// Takes as long as the operation's bytes need at this many bytes per second.
    Bandwidth(u64),
}

/// Which of the matching operations a fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// One, counted from 0.
    Nth(u64),
    /// This percentage of them, the same ones in each run.
    Percent(u64),
}

/// A fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `None`: every operation.
    pub operation: Option<Operation>,
    /// A substring of the path.
    pub path: String,
    /// Which of the matching operations.
    pub when: When,
    /// The effect.
    pub effect: Effect,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    seen: u64,
    hits: u64,
}

/// The faults of one store. Clones share the same faults.
#[derive(Debug, Clone)]
pub struct Faults(Arc<State>);

#[derive(Debug)]
struct State {
    /// The store that replaces the bucket.
    bucket: Option<Arc<dyn ObjectStore>>,
    active: Mutex<Vec<Active>>,
    /// Counts how often all faults were lifted.
    lifted: watch::Sender<u64>,
    /// Writes in flight, including those that no caller waits for.
    under_way: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Faults {
    fn new(bucket: Option<Arc<dyn ObjectStore>>) -> Self {
        Self(Arc::new(State {
            bucket,
            active: Mutex::default(),
            lifted: watch::Sender::new(0),
            under_way: AtomicU64::new(0),
        }))
    }

    /// For a server whose bucket is simulated by a folder: the same objects as in a bucket, without network
    /// requests.
    ///
    /// # Errors
    /// If the folder does not exist.
    pub fn bucket(folder: &FilePath) -> Result<Self> {
        let folder = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
        Ok(Self::new(Some(Arc::new(folder))))
    }

    /// The replacement for `bucket`.
    pub fn instead(&self, bucket: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        self.0.bucket.clone().unwrap_or(bucket)
    }

    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        self.0.active.lock().push(Active { fault, seen: 0, hits: 0 });
    }

    /// Lifts all faults; stalled operations resume. Returns the number of operations that were affected.
    pub fn lift(&self) -> u64 {
        let ended = std::mem::take(&mut *self.0.active.lock());
        self.0.lifted.send_modify(|times| *times += 1);
        ended.iter().map(|active| active.hits).sum()
    }

    /// The number of operations that the active faults affected.
    pub fn hits(&self) -> u64 {
        self.0.active.lock().iter().map(|active| active.hits).sum()
    }

    /// Writes in flight, including those that no caller waits for.
    pub fn under_way(&self) -> u64 {
        self.0.under_way.load(Ordering::SeqCst)
    }

    pub fn on(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(Faulty { inner: store, faults: self.clone() })
    }

    fn effects(&self, operation: Operation, path: &Path) -> Vec<Effect> {
        let mut active = self.0.active.lock();
        let about = |fault: &Fault| {
            fault.operation.is_none_or(|one| one == operation) && path.as_ref().contains(&fault.path)
        };
        let hit = active.iter_mut().filter(|one| about(&one.fault)).filter_map(|one| {
            let number = one.seen;
            one.seen += 1;
            let hit = match one.fault.when {
                When::Always => true,
                When::Nth(nth) => number == nth,
                When::Percent(percent) => (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100 < percent,
            };
            one.hits += u64::from(hit);
            hit.then_some(one.fault.effect)
        });
        hit.collect()
    }

    /// Runs `work` with the active faults; it transfers `bytes` bytes.
    async fn run<T>(
        &self,
        operation: Operation,
        path: &Path,
        bytes: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut lifted = self.0.lifted.subscribe();
        let effects = self.effects(operation, path);
        for effect in &effects {
            match *effect {
                Effect::Refuse => return Err(Unavailable(None).into()),
                Effect::Stall => drop(lifted.changed().await),
                Effect::Delay(delay) => tokio::time::sleep(delay).await,
                Effect::Bandwidth(rate) => {
                    tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64)).await;
                }
                Effect::LoseAnswer | Effect::HoldAnswer => {}
            }
        }
        let done = work.await?;
        for effect in effects {
            match effect {
                Effect::LoseAnswer => return Err(Unavailable(None).into()),
                Effect::HoldAnswer => drop(lifted.changed().await),
                _ => {}
            }
        }
        Ok(done)
    }
}

/// Buckets replace a known version of an object atomically; for folders this store does so, among all users
/// in this process.
async fn update(
    folder: &dyn ObjectStore,
    path: &Path,
    payload: PutPayload,
    known: &UpdateVersion,
) -> Result<PutResult> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let found = folder.head(path).await?;
    if found.e_tag == known.e_tag {
        return folder.put(path, payload).await;
    }
    let source = format!("{:?} is there instead of {:?}", found.e_tag, known.e_tag).into();
    Err(Error::Precondition { path: path.to_string(), source })
}

/// A store with faults.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    /// A write may be applied after its caller stopped waiting.
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (inner, faults, path) = (Arc::clone(&self.inner), self.faults.clone(), path.clone());
        let sent = async move {
            let bytes = payload.content_length() as u64;
            let work = async {
                match &options.mode {
                    PutMode::Update(known) if faults.0.bucket.is_some() => {
                        update(&*inner, &path, payload, known).await
                    }
                    _ => inner.put_opts(&path, payload, options).await,
                }
            };
            let sent = faults.run(Operation::Put, &path, bytes, work).await;
            faults.0.under_way.fetch_sub(1, Ordering::SeqCst);
            sent
        };
        self.faults.0.under_way.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(sent).await?
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let bytes = self.inner.head(from).await?.size;
        self.faults.run(Operation::Put, to, bytes, self.inner.rename_opts(from, to, options)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.run(Operation::Put, to, 0, self.inner.copy_opts(from, to, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let work = self.inner.put_multipart_opts(path, options);
        let upload = self.faults.run(Operation::Put, path, 0, work).await?;
        Ok(Box::new(Upload { inner: upload, path: path.clone(), faults: self.faults.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.run(Operation::Get, path, 0, self.inner.get_opts(path, options)).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.faults.run(Operation::Get, path, bytes, self.inner.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults.clone());
        paths
            .then(move |path| {
                let (inner, faults) = (Arc::clone(&inner), faults.clone());
                async move {
                    let path = path?;
                    faults.run(Operation::Delete, &path, 0, inner.delete(&path)).await.map(|()| path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, faults, prefix) = (Arc::clone(&self.inner), self.faults.clone(), prefix.cloned());
        let listing = async move {
            let path = prefix.clone().unwrap_or_default();
            match faults.run(Operation::List, &path, 0, async { Ok(()) }).await {
                Ok(()) => inner.list(prefix.as_ref()),
                Err(e) => stream::iter([Err(e)]).boxed(),
            }
        };
        listing.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        self.faults.run(Operation::List, &path, 0, self.inner.list_with_delimiter(prefix)).await
    }
}

/// An upload with faults.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    path: Path,
    faults: Faults,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length() as u64;
        let (part, path, faults) = (self.inner.put_part(data), self.path.clone(), self.faults.clone());
        async move { faults.run(Operation::Put, &path, bytes, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.run(Operation::Put, &self.path, 0, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
