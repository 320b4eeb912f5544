//! The life cycle of an engine: opening it on a store, and ending it.

use std::fs::File;
use std::sync::Arc;

use mosaico_storage::error::Result;
use mosaico_storage::format::paths::WAL_FOLDER as LOG;
use mosaico_storage::wal::open_files::OpenFiles;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::store_access::StoreAccess;
use crate::background;
use crate::coordinator::single_node::SingleNode;
use crate::ingest::recovery::recover;
use crate::maintenance::rebuild;
use crate::state::config::Config;
use crate::state::damaged_chunks::DamagedChunks;
use crate::state::engine::Engine;
use crate::state::event_archive::EventArchive;
use crate::state::footer_cache::FooterCache;
use crate::state::layers::Layers;
use crate::state::membership::Cluster;
use crate::state::process::descriptor_limit;
use crate::state::queue::Queue;
use crate::state::read_memory::ReadMemory;
use crate::state::writer_activity::Writers;

/// Recovers the state that an earlier process left in a store, and starts background work. The returned file
/// is the lock of the store: the caller keeps it until the engine has ended.
pub async fn open(hold: StoreAccess, config: Config) -> Result<(Arc<Engine>, File)> {
    // One daemon after the other: the first one creates the catalog.
    let starting = match &hold.session {
        Some(session) => Some(session.lock_at_last("start").await?),
        None => None,
    };
    let catalog = rebuild::open_catalog(&hold.database, &hold.store).await?;
    let StoreAccess { folder, store, lock, metrics, session, .. } = hold;
    let catalog = catalog.measured(&metrics.catalog_timer());
    let catalog = match &session {
        Some(session) => catalog.shared(Arc::clone(session)),
        // A bucket takes longer to answer than a sync.
        None if store.is_remote() => catalog,
        None => catalog.with_standing_intents(),
    };
    let archive =
        EventArchive::open(store.clone(), catalog.clone(), config.events_kept, session.is_some()).await?;
    let queue = Queue::default();
    let core = Arc::new(Engine {
        metrics,
        layers: Layers::open(store.clone(), session.clone()).await?,
        store,
        catalog,
        coordinator: match session.zip(config.shared.clone()) {
            Some((session, address)) => Box::new(Cluster::new(session, address, Arc::clone(&config.clock))),
            None => Box::new(SingleNode),
        },
        log: folder.join(LOG),
        live: Arc::default(),
        footers: FooterCache::new(config.footer_cache_bytes),
        creations: Default::default(),
        locks: Default::default(),
        damaged: Arc::new(DamagedChunks::new(queue.sender())),
        queue,
        writers: Writers::new(Arc::clone(&config.clock)),
        archive,
        unreferenced: Mutex::default(),
        chunk_jobs: Semaphore::new(config.chunk_jobs),
        upload_jobs: Semaphore::new(config.upload_jobs),
        scans: Semaphore::new(config.query_jobs),
        ingest_budget: Arc::new(Semaphore::new(config.ingest_bytes.min(Semaphore::MAX_PERMITS))),
        read_memory: ReadMemory::new(config.read_bytes),
        open_segments: OpenFiles::new(open_segments(&config)),
        closing: CancellationToken::new(),
        stopping: CancellationToken::new(),
        halting: CancellationToken::new(),
        readers: Arc::default(),
        tasks: TaskTracker::new(),
        config,
    });
    recover(&core).await?;
    core.coordinator.join(&core).await?;
    drop(starting);
    background::start(&core);
    background::cluster::start(&core);
    background::ownership::start(&core);
    Ok((core, lock))
}

/// Segments that are held open: a part of the descriptors, since connections and chunks need the others.
fn open_segments(config: &Config) -> usize {
    let most = config.limits.open_segments;
    descriptor_limit().map_or(most, |all| most.min(all / 8)).max(1)
}

/// Ends an engine: interrupts puts and reads, finishes chunks that are being written.
pub async fn shutdown(core: &Engine) {
    core.closing.cancel();
    core.stopping.cancel();
    core.halting.cancel();
    core.tasks.close();
    core.tasks.wait().await;
    if core.check_owner().is_ok()
        && let Err(error) = core.archive.store_pending(core.coordinator.is_leader()).await
    {
        tracing::warn!(error = %error.detail(), "the last events stay in the catalog and are stored after the next start");
    }
    if let Err(error) = core.store.quiet().await {
        tracing::warn!(error = %error.detail(), "writes to the store are cancelled");
    }
    core.coordinator.leave().await;
    core.catalog.close().await;
}
