//! Exclusive access of one process, a server or a maintenance command, to a store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mosaico_catalog::{Database, Session, Share, StoreBusy};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{LOCK_FILE as LOCK, WAL_FOLDER as LOG};
use mosaico_storage::objects::Store;
use mosaico_storage::objects::durable::create_folders;
use mosaico_storage::objects::location::StoreLocation;
use tokio::time::sleep;

use super::{owner, store_link};
use crate::state::config::Config;
use crate::state::metrics::Metrics;

/// A lock that was just released may stay locked for a moment: by a child process that its holder is
/// starting, until the child has executed its own program, or by a process that checks the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// The parts of a store: the objects, this machine's folder with the WAL, and the catalog.
#[derive(Debug)]
pub struct StoreAccess {
    pub folder: PathBuf,
    pub store: Store,
    pub database: Database,
    pub metrics: Arc<Metrics>,
    /// The session of the locks, if other servers share the store.
    pub session: Option<Arc<Session>>,
    /// Whether other servers may be running at the same time.
    pub beside: bool,
    /// The lock of the folder, released on drop.
    pub lock: File,
}

/// The purpose of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    Serve,
    /// A command that changes the store.
    Change,
    /// A command that only reads the store; if several servers share it, also while they run.
    Look,
}

impl StoreAccess {
    /// Opens the store that a configuration names, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::Startup`] if the store cannot be used, or if another process uses it.
    pub async fn take(config: &Config, purpose: AccessMode) -> Result<Self> {
        let folder = config.folder()?.to_owned();
        let lock = lock(&folder).await?;
        let metrics = Arc::new(Metrics::new(config.ingest_bytes));
        let store = Store::open(&config.store_options()?, &metrics.of_store())?;
        if purpose == AccessMode::Serve {
            store.check_shared_versions().await.map_err(|error| unreadable(&config.store, error))?;
        }
        let database = config.database(&folder);
        let is_shared = match (&config.store, purpose) {
            (StoreLocation::Local(_), _) => false,
            (StoreLocation::Bucket(_), AccessMode::Serve) => config.shared.is_some(),
            (StoreLocation::Bucket(_), AccessMode::Change | AccessMode::Look) => {
                owner::shared(&store, config).await?
            }
        };
        store_link::check(&store, &place(config), &database, is_shared).await?;
        let (mut session, mut beside) = (None, false);
        match &config.store {
            StoreLocation::Local(_) => owner::check_folder(&folder)?,
            StoreLocation::Bucket(bucket) => {
                let schema = is_shared.then_some(config.database_schema.as_str());
                let claim = owner::claim(&store, &folder, bucket, schema, config).await?;
                if let (Some(schema), Some(url)) = (schema, &config.database) {
                    let (joined, others) = join(url, schema, &claim.id, purpose, &bucket.url()).await?;
                    (session, beside) = (Some(joined), others);
                }
                if let Some(taking_over) = claim.taking_over {
                    let _alone = match &session {
                        Some(session) => Some(session.lock_at_last("start").await?),
                        None => None,
                    };
                    if taking_over.is_needed(&store).await? {
                        // Before this server owns the bucket: a crash in between must not leave outdated
                        // rows.
                        database.forget().await?;
                        taking_over.complete(&store).await?;
                    }
                }
            }
        }
        create_folders(&folder.join(LOG)).map_err(|e| unusable(&folder, &e))?;
        Ok(Self { folder, store, database, metrics, session, beside, lock })
    }
}

/// Joins a store that several servers share; also returns whether others may run at the same time.
async fn join(
    url: &str,
    schema: &str,
    id: &str,
    purpose: AccessMode,
    store: &str,
) -> Result<(Arc<Session>, bool)> {
    if purpose != AccessMode::Serve {
        match Session::open(url, schema, id, Share::Alone).await? {
            Ok(session) => return Ok((session, false)),
            Err(StoreBusy(daemons)) if purpose == AccessMode::Change && !daemons.is_empty() => {
                let daemons = daemons.join(", ");
                return Err(Error::Startup(format!(
                    "{store} is in use by the daemons at {daemons}; stop all of them first"
                )));
            }
            Err(_) => {}
        }
    }
    let share = if purpose == AccessMode::Serve { Share::Serving } else { Share::Reading };
    if purpose != AccessMode::Change
        && let Ok(session) = Session::open(url, schema, id, share).await?
    {
        return Ok((session, true));
    }
    Err(Error::Startup(format!("a maintenance command has {store}; try again when it has ended")))
}

/// The store, for messages to people.
fn place(config: &Config) -> String {
    match &config.store {
        StoreLocation::Local(root) => root.display().to_string(),
        StoreLocation::Bucket(bucket) => bucket.url(),
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Error {
    Error::Startup(format!("cannot use the store folder {}: {error}", folder.display()))
}

/// The first request to a bucket that does not exist fails: this says what to check.
fn unreadable(store: &StoreLocation, error: Error) -> Error {
    match (store, &error) {
        (StoreLocation::Bucket(bucket), Error::Internal(_) | Error::StoreUnavailable(_)) => {
            Error::Startup(format!(
                "cannot read {}: {}; does the bucket exist, may its keys read there, and is the clock of this machine right?",
                bucket.url(),
                error.detail()
            ))
        }
        _ => error,
    }
}

/// Creates the folder if needed and locks it.
async fn lock(folder: &Path) -> Result<File> {
    let failed = |e: io::Error| unusable(folder, &e);
    create_folders(folder).map_err(failed)?;
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => {
                // Clears the address of an earlier server.
                file.set_len(0).map_err(failed)?;
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_LOOK).await,
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Startup(format!(
                    "the store folder {} is in use by another server; stop that one or choose another folder",
                    folder.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
    }
}

/// Writes the address at which the server that holds `lock` is reachable on this machine, after `scheme`.
pub fn tell_address(mut lock: &File, scheme: &str, bound: SocketAddr) -> io::Result<()> {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{scheme}{}", SocketAddr::new(ip, bound.port())).as_bytes())
}

/// Addresses of the server that uses the store, or of those that share it; a server that was just killed may
/// be among them. Empty: no server uses it, or it is unreachable.
pub async fn servers(config: &Config) -> Result<Vec<String>> {
    let path = config.folder()?.join(LOCK);
    let held = File::open(&path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    if held {
        let address = fs::read_to_string(&path).unwrap_or_default();
        return Ok(Some(address).filter(|address| !address.is_empty()).into_iter().collect());
    }
    match (&config.store, &config.database) {
        (StoreLocation::Bucket(_), Some(url)) => Session::running(url, &config.database_schema).await,
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_that_is_held_a_moment_longer_is_waited_for() {
        let folder = tempfile::TempDir::new().unwrap();
        let held = lock(folder.path()).await.unwrap();
        let late = tokio::spawn(async move {
            sleep(LOCK_TIMEOUT / 4).await;
            drop(held);
        });
        let held = lock(folder.path()).await.unwrap();
        late.await.unwrap();
        assert!(lock(folder.path()).await.unwrap_err().to_string().contains("in use by another server"));
        drop(held);
    }
}
