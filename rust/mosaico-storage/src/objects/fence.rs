//! Fencing of a bucket: a daemon that lost its bucket to another daemon stops writing.
//! `mosaico-engine/src/access/owner.rs` documents the protocol; this file is the owner's side of it.
//!
//! Every write passes this fence. Before a write is sent and after it was applied, the daemon must be sure of
//! its ownership: it read `owner.json` less than a lease ago and found its own name, or it reads it now. So a
//! write that succeeds for its caller was applied before another owner reads the bucket. When the bucket is
//! lost, the daemon abandons writes in flight; if they are applied nevertheless, the new owner ignores them.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};
use parking_lot::Mutex;
use tokio::select;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::{OwnershipLost, Unavailable};
use crate::format::paths::owner_file;
use crate::format::record;
use crate::format::records::OwnerRecord;

/// A moment on two clocks. Neither clock is sufficient: the first stops while the machine is suspended, the
/// second may be set.
#[derive(Debug, Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// The larger of both durations; a wall clock that was set back counts as zero.
    fn elapsed(&self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// The ownership that this daemon claims.
#[derive(Debug)]
struct Claim {
    ours: OwnerRecord,
    /// How long a read of `owner.json` proves the ownership.
    lease: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: the store is not a bucket with an exclusive owner, or not yet claimed.
    claim: OnceLock<Claim>,
    epoch: AtomicU32,
    open_since: AtomicU32,
    /// When the last read that found this daemon was started.
    verified: Mutex<Option<Moment>>,
    /// Locked during a read; a task that waits for it uses the result if the read started after the task's
    /// request.
    looking: tokio::sync::Mutex<()>,
    lost: CancellationToken,
    reason: OnceLock<OwnershipLost>,
}

/// A store that only its owner writes to. Clones share one ownership state.
#[derive(Debug, Clone)]
pub struct Fence {
    inner: Arc<dyn ObjectStore>,
    /// The time limit of a read of `owner.json`.
    limit: Duration,
    state: Arc<State>,
}

impl Fence {
    /// Allows all writes until [`Self::claim`].
    pub fn new(inner: Arc<dyn ObjectStore>, limit: Duration) -> Self {
        Self { inner, limit, state: Arc::default() }
    }

    /// Sets the epochs from `owner.json`, see [`OwnerRecord`].
    pub fn number(&self, record: &OwnerRecord) {
        self.state.epoch.store(record.epoch, Ordering::Release);
        self.state.open_since.store(record.open_since, Ordering::Release);
    }

    /// From now on `owner.json` must name this daemon as in `ours`; it did at `since`.
    pub fn claim(&self, ours: OwnerRecord, heartbeat: Duration, since: Asked) {
        self.number(&ours);
        *self.state.verified.lock() = Some(since.0);
        let claim = Claim { ours, lease: lease(heartbeat) };
        if self.state.claim.set(claim).is_err() {
            tracing::debug!("the bucket was claimed before");
        }
    }

    /// The ownership epoch of the store: how often another daemon took its bucket from its owner.
    pub fn epoch(&self) -> u32 {
        self.state.epoch.load(Ordering::Acquire)
    }

    /// Sequences that are not finalized count if they were created in this epoch or a later one.
    pub fn open_since(&self) -> u32 {
        self.state.open_since.load(Ordering::Acquire)
    }

    /// Whether another daemon can take the bucket.
    pub fn is_claimed(&self) -> bool {
        self.state.claim.get().is_some()
    }

    /// Waits until the bucket is lost.
    pub async fn lost(&self) {
        self.state.lost.cancelled().await;
    }

    /// Returns an error if the bucket is known to be lost.
    pub fn check(&self) -> std::result::Result<(), OwnershipLost> {
        match self.state.reason.get() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Ensures that this daemon owned the bucket at some moment after this call began, or less than a lease
    /// before its end.
    async fn confirm(&self) -> Result<()> {
        self.check()?;
        let Some(claim) = self.state.claim.get() else { return Ok(()) };
        let fresh = self.state.verified.lock().is_some_and(|verified| verified.elapsed() < claim.lease);
        if fresh { Ok(()) } else { self.verify().await }
    }

    /// Reads the owner of the bucket: the heartbeat.
    pub async fn verify(&self) -> Result<()> {
        let Some(claim) = self.state.claim.get() else { return Ok(()) };
        let asked = Moment::now();
        let _looking = self.state.looking.lock().await;
        self.check()?;
        let answered = self.state.verified.lock().is_some_and(|verified| verified.steady >= asked.steady);
        if answered {
            return Ok(());
        }
        let begun = Moment::now();
        let look = async { self.inner.get(&owner_file()).await?.bytes().await };
        let found = match timeout(self.limit, look).await {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(Error::NotFound { .. })) => None,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Unavailable(None).into()),
        };
        let theirs = found.map(|bytes| record::read::<OwnerRecord>(&bytes)).transpose();
        let theirs =
            theirs.map_err(|error| Error::Generic { store: "owner.json", source: Box::new(error) })?;
        let theirs = theirs.map(|(record, _)| record);
        match theirs {
            Some(theirs) if (&theirs.id, theirs.epoch) == (&claim.ours.id, claim.ours.epoch) => {
                *self.state.verified.lock() = Some(begun);
                Ok(())
            }
            theirs => Err(self.lose(claim, theirs.as_ref()).into()),
        }
    }

    fn lose(&self, claim: &Claim, theirs: Option<&OwnerRecord>) -> OwnershipLost {
        let reason = self.state.reason.get_or_init(|| {
            let text = lost_text(&claim.ours, theirs);
            tracing::error!("{text}");
            OwnershipLost(text)
        });
        self.state.lost.cancel();
        reason.clone()
    }

    /// Runs a write; abandons it if the bucket is lost while the write is in flight.
    async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.confirm().await?;
        let done = select! {
            biased;
            () = self.lost() => Err(self.gone()),
            done = work => done,
        };
        match &done {
            Ok(_) => self.confirm().await?,
            // Another process wrote there: another owner, or an earlier process of this daemon.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => self.verify().await?,
            Err(_) => {}
        }
        done
    }

    fn gone(&self) -> Error {
        match self.check() {
            Err(lost) => lost.into(),
            Ok(()) => Unavailable(None).into(),
        }
    }
}

/// When a request was sent whose response names the owner.
#[derive(Debug, Clone, Copy)]
pub struct Asked(Moment);

impl Asked {
    pub fn now() -> Self {
        Self(Moment::now())
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Fence {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.guard(self.inner.put_opts(path, payload, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.guard(self.inner.rename_opts(from, to, options)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.guard(self.inner.copy_opts(from, to, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.guard(self.inner.put_multipart_opts(path, options)).await?;
        Ok(Box::new(Upload { inner: upload, fence: self.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let paths = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.confirm().await.map(|()| path)
            }
        });
        let this = self.clone();
        let removed = self.inner.delete_stream(paths.boxed());
        let ended = async move {
            this.lost().await;
        };
        removed.take_until(ended).chain(self.end()).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
}

impl Fence {
    /// Ends a stream of deletions: with an error if the bucket is lost.
    fn end(&self) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let end = async move { this.check().err().map(|lost| Err(lost.into())) };
        futures::stream::once(end).filter_map(std::future::ready).boxed()
    }
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    fence: Fence,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, fence) = (self.inner.put_part(data), self.fence.clone());
        Box::pin(async move { fence.guard(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.fence.guard(self.inner.complete()).await
    }

    /// Allowed for every daemon: it removes only parts that no reader sees.
    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// The number of heartbeats for which a read of the record proves the ownership.
const LEASE: u32 = 2;

/// How long a read of the record proves the ownership.
fn lease(heartbeat: Duration) -> Duration {
    heartbeat * LEASE
}

/// The error text for clients and the daemon's log after the bucket is lost.
fn lost_text(ours: &OwnerRecord, theirs: Option<&OwnerRecord>) -> String {
    let OwnerRecord { store, folder, epoch, .. } = ours;
    let now = match theirs {
        Some(theirs) => format!(
            "{store} was taken by the daemon with the state folder {} (ownership epoch {}, this daemon had epoch {epoch})",
            theirs.folder, theirs.epoch
        ),
        None => format!("{store} has no {} any more, so it belongs to nobody", owner_file()),
    };
    format!(
        "{now}; this daemon refuses every call and ends: connect to the other one. Rows that it acknowledged and did not \
         upload are in {folder}"
    )
}
