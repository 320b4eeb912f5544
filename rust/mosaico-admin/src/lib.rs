//! Maintenance of a store that no daemon has open: check and repair, garbage collection, statistics, import,
//! rebuild. Start with [`Maintenance`]. API keys are managed beside running daemons: [`ApiKeys`].
//!
//! Owns the reports that commands print, and the readers of stores that others wrote.
//!
//! May know: the engine, for work that needs one, and everything below it. Never belongs here: Flight,
//! anything that runs inside a daemon, arguments of commands.

// The crate is used only inside this workspace: its functions are documented; names and types explain most
// fields.
#![allow(missing_docs)]

mod api_keys;
mod check;
mod gc;
mod import;
mod links;
mod remote_rebuild;
mod stats;

use std::time::Duration;

pub use api_keys::{ApiKeys, Author, KeyInfo, KeyState, KeyUpdate, NewKey};
pub use check::report::{CheckOptions, Checked};
pub use gc::Collected;
pub use import::{ImportOptions, ImportPlan, Imported, PlannedSequence, PlannedTopic, mapping, plan_import};
use mosaico_catalog::OwnStore;
pub use mosaico_engine::access::link::{IssuedLink, NewLink, page_url};
use mosaico_engine::access::owner;
use mosaico_engine::access::store_access::{self, AccessMode, StoreAccess};
pub use mosaico_engine::maintenance::compact::Compacted;
use mosaico_engine::maintenance::{compact, rebuild as offline_rebuild};
use mosaico_engine::startup;
use mosaico_engine::state::config::Config;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{LOCK_FILE as LOCK, ROOT};
use mosaico_storage::objects::Store;
use mosaico_storage::objects::location::StoreLocation;
pub use mosaico_tls::ClientFiles;
pub use mosaico_wire::maintenance::{Problem, Progress, Rebuilt};
pub use stats::Stats;

/// A store that this process has opened as a server would; servers are refused until it closes.
#[derive(Debug)]
pub struct Maintenance {
    hold: StoreAccess,
    config: Config,
}

/// Rebuilds the catalog of an existing store from the store alone. If a server uses the store, the server
/// rebuilds the catalog while it keeps serving; `tls` is for the connection to a server with TLS.
///
/// # Errors
/// As of [`Maintenance::open`] and [`Maintenance::rebuild`]; [`Error::Startup`] if the server cannot be
/// reached.
pub async fn rebuild(
    config: Config,
    tls: &ClientFiles,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Rebuilt> {
    match &store_access::servers(&config).await?[..] {
        [] => Maintenance::open(config).await?.rebuild(progress).await,
        servers => {
            let signer = api_keys::signer(&config).await?;
            remote_rebuild::rebuild(servers, tls, signer.as_ref(), progress).await
        }
    }
}

impl Maintenance {
    /// Opens an existing store for exclusive access.
    ///
    /// # Errors
    /// [`Error::Startup`] if there is no store, or if a server uses it.
    pub async fn open(config: Config) -> Result<Self> {
        Self::existing(config, AccessMode::Change).await
    }

    /// Opens an existing store for read-only access: [`Self::stats`], and [`Self::check`] without a repair.
    /// Servers that share the store may run at the same time.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub async fn look(config: Config) -> Result<Self> {
        Self::existing(config, AccessMode::Look).await
    }

    async fn existing(config: Config, purpose: AccessMode) -> Result<Self> {
        let folder = config.folder()?;
        let has = |name: &str| folder.join(name).exists();
        let text = match &config.store {
            StoreLocation::Local(_) if has(ROOT) || has(LOCK) => return Self::take(config, purpose).await,
            StoreLocation::Local(_) => {
                format!(
                    "there is no store in {}; name the folder that `mosaicod run` serves",
                    folder.display()
                )
            }
            // Any folder works for a shared store.
            StoreLocation::Bucket(_)
                if has(LOCK)
                    || config.force_ownership
                    || owner::shared(&Store::open_to_read(&config.read_options())?, &config).await? =>
            {
                return Self::take(config, purpose).await;
            }
            StoreLocation::Bucket(bucket) => format!(
                "{} is not the state folder of {}; name the one that `mosaicod run` has, or add --force-ownership if it \
                 is lost",
                folder.display(),
                bucket.url()
            ),
        };
        Err(Error::Startup(text))
    }

    /// Opens a store for exclusive access; creates a missing one.
    ///
    /// # Errors
    /// [`Error::Startup`] if it cannot be used, or if a server uses it.
    pub async fn create(config: Config) -> Result<Self> {
        Self::take(config, AccessMode::Change).await
    }

    async fn take(config: Config, purpose: AccessMode) -> Result<Self> {
        config.check()?;
        Ok(Self { hold: StoreAccess::take(&config, purpose).await?, config })
    }

    /// Rebuilds the catalog from the store alone; resumes an interrupted rebuild.
    ///
    /// # Errors
    /// [`Error::Internal`] or [`Error::Full`] if the store cannot be listed or the catalog cannot be written.
    pub async fn rebuild(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Rebuilt> {
        offline_rebuild::run(&self.hold.database, &self.hold.store, progress).await
    }

    /// Compares records, chunks, WAL and catalog, see [`CheckOptions`]. Without `repair` it changes nothing.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store cannot be read or repaired; the report has the problems *in* the
    /// store.
    pub async fn check(
        &self,
        options: CheckOptions,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Checked> {
        check::run(&self.hold, options, progress).await
    }

    /// Deletes unreferenced files and finishes interrupted removals, if they are older than `grace`; with
    /// `dry_run` it only counts them.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store cannot be listed or written.
    pub async fn gc(
        &self,
        grace: Duration,
        dry_run: bool,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Collected> {
        gc::run(&self.hold, grace, dry_run, progress).await
    }

    /// Merges small chunks of finalized sequences into large ones, see [`Server::compact`]; also writes
    /// chunks of the rows in the WAL.
    ///
    /// # Errors
    /// As of [`Server::open`] and [`Server::compact`].
    pub async fn compact(self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Compacted> {
        // Only the daemon ends sequences.
        let shared = self.address().await?;
        let config = Config { writer_timeout: None, shared, ..self.config };
        let (engine, _lock) = startup::open(self.hold, config).await?;
        let done = compact::run(&engine, progress).await;
        startup::shutdown(&engine).await;
        done
    }

    /// The last known address of this folder's daemon, if daemons share the store; no server listens there
    /// now.
    async fn address(&self) -> Result<Option<String>> {
        let Some(session) = &self.hold.session else { return Ok(None) };
        let unknown = || Some(self.hold.folder.display().to_string());
        let Some(catalog) = self.hold.database.open_filled(&OwnStore::Unknown).await? else {
            return Ok(unknown());
        };
        let known = catalog.daemon(session.daemon()).await;
        catalog.close().await;
        Ok(known?.map(|daemon| daemon.address).or_else(unknown))
    }

    /// Counts and sizes of a store's contents, from its records.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store cannot be listed.
    pub async fn stats(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Stats> {
        stats::run(&self.hold.store, progress).await
    }

    /// Imports foreign sequences; does not change the source. The configuration sets the size of chunks.
    ///
    /// # Errors
    /// [`Error::Startup`] if the source cannot be used, [`Error::Full`] or [`Error::Internal`] if the store
    /// cannot be written; the report lists sequences that cannot be imported.
    pub async fn import(
        &self,
        options: &ImportOptions,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Imported> {
        let catalog = offline_rebuild::open_catalog(&self.hold.database, &self.hold.store).await?;
        let imported = import::run(&self.hold, &catalog, &self.config, options, progress).await;
        catalog.close().await;
        imported
    }
}
