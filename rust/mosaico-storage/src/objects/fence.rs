//! The fence of a bucket: a daemon that lost its bucket to another one writes nothing more. The protocol stands in
//! `mosaico-engine/src/access/owner.rs`; this file is the owner's side of it.
//!
//! Every write passes here. Before it is sent and after it was carried out the ownership must be certain: `owner.json`
//! was read less than a lease ago and named this daemon, or it is read now. So a write that its caller counts as done
//! was carried out before another owner looks at the bucket. Writes that are on their way when the bucket is lost are
//! abandoned; those that arrive all the same are not taken in by the new owner.

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

/// A moment by two clocks. Neither is enough: the first one stands still while the machine is suspended, the second one
/// may be set.
#[derive(Debug, Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// The longer of both answers; a wall clock that was set back says nothing.
    fn elapsed(&self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// What this daemon claims.
#[derive(Debug)]
struct Claim {
    ours: OwnerRecord,
    /// How long a look at `owner.json` stands for ownership.
    lease: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: the store is not a bucket that one daemon has for itself, or not yet claimed.
    claim: OnceLock<Claim>,
    epoch: AtomicU32,
    open_since: AtomicU32,
    /// When the last look that found this daemon was begun.
    verified: Mutex<Option<Moment>>,
    /// Held during a look; who waits for it takes the answer if the look began later than the question.
    looking: tokio::sync::Mutex<()>,
    lost: CancellationToken,
    reason: OnceLock<OwnershipLost>,
}

/// A store that only its owner writes to. Clones share one ownership.
#[derive(Debug, Clone)]
pub struct Fence {
    inner: Arc<dyn ObjectStore>,
    /// Of a look.
    limit: Duration,
    state: Arc<State>,
}

impl Fence {
    /// Nothing is refused before [`Self::claim`].
    pub fn new(inner: Arc<dyn ObjectStore>, limit: Duration) -> Self {
        Self { inner, limit, state: Arc::default() }
    }

    /// Takes over the numbers of `owner.json`, see [`OwnerRecord`].
    pub fn number(&self, record: &OwnerRecord) {
        self.state.epoch.store(record.epoch, Ordering::Release);
        self.state.open_since.store(record.open_since, Ordering::Release);
    }

    /// From now on `owner.json` has to name this daemon as in `ours`; it did at `since`.
    pub fn claim(&self, ours: OwnerRecord, heartbeat: Duration, since: Asked) {
        self.number(&ours);
        *self.state.verified.lock() = Some(since.0);
        let claim = Claim { ours, lease: lease(heartbeat) };
        if self.state.claim.set(claim).is_err() {
            tracing::debug!("the bucket was claimed before");
        }
    }

    /// The ownership epoch of the store: how often its bucket was taken from its owner.
    pub fn epoch(&self) -> u32 {
        self.state.epoch.load(Ordering::Acquire)
    }

    /// Sequences that are not finalized count if they were created in this epoch or a later one.
    pub fn open_since(&self) -> u32 {
        self.state.open_since.load(Ordering::Acquire)
    }

    /// Whether another daemon may take the bucket.
    pub fn is_claimed(&self) -> bool {
        self.state.claim.get().is_some()
    }

    /// Waits until the bucket is lost.
    pub async fn lost(&self) {
        self.state.lost.cancelled().await;
    }

    /// Refuses if the bucket is known to be lost.
    pub fn check(&self) -> std::result::Result<(), OwnershipLost> {
        match self.state.reason.get() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Makes sure that the bucket was this daemon's at some moment after this call began, or less than a lease before
    /// its end.
    async fn confirm(&self) -> Result<()> {
        self.check()?;
        let Some(claim) = self.state.claim.get() else { return Ok(()) };
        let fresh = self.state.verified.lock().is_some_and(|verified| verified.elapsed() < claim.lease);
        if fresh { Ok(()) } else { self.verify().await }
    }

    /// Looks whose the bucket is: the heartbeat.
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

    /// Carries out a write; what is on its way when the bucket is lost is abandoned.
    async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.confirm().await?;
        let done = select! {
            biased;
            () = self.lost() => Err(self.gone()),
            done = work => done,
        };
        match &done {
            Ok(_) => self.confirm().await?,
            // Somebody else wrote there: another owner, or a process of this one before.
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

/// When a question was sent whose answer names the owner.
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
    /// Ends a stream of removals: with an error if the bucket is lost.
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

    /// Allowed to everyone: it removes what nobody sees.
    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// Heartbeats for which a look at the record stands for ownership.
const LEASE: u32 = 2;

/// How long a look at the record stands for ownership.
fn lease(heartbeat: Duration) -> Duration {
    heartbeat * LEASE
}

/// What clients and the log of a daemon read that lost its bucket.
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
