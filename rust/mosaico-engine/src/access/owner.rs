//! One daemon per bucket: its catalog knows all that the bucket holds, so nobody else may write there. Or several
//! with one catalog, who agreed on it; they have locks in its database, and nothing below is about them.
//!
//! A folder is locked by the operating system. A bucket has `owner.json` instead, which names its owner; everybody else
//! is refused, or takes the bucket by force (`force_ownership`). The former owner may still run then, cut off or just
//! forgotten. This protocol fences it:
//!
//! 1. `owner.json` carries the owner's id and an ownership epoch. It is only replaced by conditional puts, so of two who
//!    take the bucket at the same time one is refused. Taking it adds 1 to the epoch.
//! 2. The owner reads the record every heartbeat. A reading that names it stands for ownership for a lease of
//!    [`LEASE`] heartbeats from the moment it was sent. [`super::fence`] makes sure of a lease before each write, and
//!    again after it was carried out and before anybody counts on it; without one it reads the record first.
//! 3. Who takes the bucket replaces the record, waits for [`WAIT`] heartbeats of the former owner (the record says how
//!    long that is), and looks at the bucket only then. So it sees every write that the former owner counted as done:
//!    acknowledged rows of the replicated log, records, answers to clients.
//! 4. Writes of the former owner that arrive later were not counted on by anybody, and must not be taken in. Therefore
//!    the new owner moves each sequence that is not finalized to a folder of a new id ([`super::adopt`]) and leaves a
//!    tombstone in the old one: whatever arrives there belongs to nothing. A sequence whose creation arrives late has an
//!    epoch from before `open_since` and is not finalized: it does not count, now and in each later rebuild.
//!    What is finalized stays where it is. Nothing is added to it but by compaction, whose files have numbers of the
//!    epoch of their owner, and whose last step replaces a known version of the commit record. Layers are replaced in
//!    the same way; events of an owner go to files of its own.
//! 5. When all is moved, `open_since` becomes the epoch. A start that finds them different goes on with the moving.
//!
//! What is promised: nothing that the former owner acknowledged is outside of what the new owner sees, save rows that
//! were on the former owner's disk alone (log on the disk); and there are never two sequences of one name. A machine
//! whose clocks, the steady and the wall clock, both stand still for a while may break the second half of step 2, never
//! step 4. Two kinds of late writes are let in, since they only tell of what the new owner has as well: files of events,
//! and notifications of finalized sequences.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{WAL_FOLDER as LOG, owner_file};
use mosaico_storage::format::record::{self, FormatError};
use mosaico_storage::format::records::OwnerRecord;
use mosaico_storage::objects::fence::Asked;
use mosaico_storage::objects::{Bucket, Store};
use mosaico_types::now_ns;
use object_store::UpdateVersion;

use super::adopt;
use crate::state::config::Config;

/// Refuses the state folder of a bucket as a local store.
pub fn check_folder(folder: &Path) -> Result<()> {
    match read(folder)? {
        None => Ok(()),
        Some(ours) if was_used(folder) => Err(Error::Startup(format!(
            "{} is the state folder of {}; a local store needs a folder of its own",
            folder.display(),
            ours.store
        ))),
        Some(_) => fs::remove_file(folder.join(owner_file().as_ref()))
            .map_err(|e| Error::internal("removing the mark of a bucket", e)),
    }
}

/// Whether a server came as far as to use this folder. Its mark alone is of a start that was refused.
fn was_used(folder: &Path) -> bool {
    folder.join(LOG).exists()
}

/// Names of chunks are in order for at least this many epochs.
pub const MAX_EPOCH: u32 = u16::MAX as u32;

/// Heartbeats that who takes a bucket waits. The difference is for clocks that do not run at the same speed.
const WAIT: u32 = 3;

fn wait_ms(heartbeat: Duration) -> u64 {
    u64::try_from((heartbeat * WAIT).as_millis()).unwrap_or(u64::MAX)
}

/// A bucket whose sequences have to be moved from its former owner to this one.
pub struct TakingOver {
    record: OwnerRecord,
    /// The version of the record of the former owner, which this one's replaces; `None`: it did so before.
    replaces: Option<UpdateVersion>,
    bucket: String,
    heartbeat: Duration,
}

impl TakingOver {
    /// Whether it is still to be done; among several daemons another one may have done so meanwhile.
    pub async fn is_needed(&self, store: &Store) -> Result<bool> {
        let known: Option<OwnerRecord> = store.get_json(&owner_file()).await?;
        let finished = known.filter(|known| {
            self.replaces.is_none() && known.epoch == self.record.epoch && known.open_since == known.epoch
        });
        if let Some(record) = &finished {
            store.fence().number(record);
        }
        Ok(finished.is_none())
    }

    /// Replaces the record of the former owner, waits until that one knows, and moves what is not finalized.
    pub async fn complete(self, store: &Store) -> Result<()> {
        let Self { mut record, replaces, bucket, heartbeat } = self;
        if let Some(theirs) = &replaces {
            let asked = Asked::now();
            replace(store, &record, theirs, &bucket).await?;
            hold(store, &record, heartbeat, asked);
        }
        let wait = Duration::from_millis(record.lease_ms);
        tracing::warn!(%bucket, ?wait, epoch = record.epoch, "waiting until the former owner has stopped writing");
        tokio::time::sleep(wait).await;
        adopt::run(store, &record).await?;
        record.open_since = record.epoch;
        record.lease_ms = wait_ms(heartbeat);
        let known = store.get_json_versioned::<OwnerRecord>(&owner_file()).await?;
        match known {
            Some((theirs, version)) if theirs.id == record.id && theirs.epoch == record.epoch => {
                replace(store, &record, &version, &bucket).await?;
            }
            _ => return Err(Error::Startup(taken_meanwhile(&bucket))),
        }
        store.fence().number(&record);
        Ok(())
    }
}

async fn replace(store: &Store, record: &OwnerRecord, known: &UpdateVersion, bucket: &str) -> Result<()> {
    match store.replace_json(&owner_file(), record, Some(known)).await {
        Ok(_) => Ok(()),
        Err(Error::StoreUnavailable(_)) if !is_ours(store, record).await? => {
            Err(Error::Startup(taken_meanwhile(bucket)))
        }
        Err(error) => Err(error),
    }
}

async fn is_ours(store: &Store, record: &OwnerRecord) -> Result<bool> {
    let theirs: Option<OwnerRecord> = store.get_json(&owner_file()).await?;
    Ok(theirs.is_some_and(|theirs| theirs.id == record.id && theirs.epoch == record.epoch))
}

fn taken_meanwhile(bucket: &str) -> String {
    format!("another daemon takes {bucket} at the same time; stop it first, or leave the bucket to it")
}

/// From now on the store is written to as long as the record names this daemon, which it did when it was asked for.
fn hold(store: &Store, record: &OwnerRecord, heartbeat: Duration, asked: Asked) {
    match &record.shared {
        None => store.fence().claim(record.clone(), heartbeat, asked),
        Some(_) => store.fence().number(record),
    }
}

/// A bucket that may be used.
pub struct Claim {
    /// The id of this server.
    pub id: String,
    /// It was another server's: what the catalog knows of it is outdated.
    pub taking_over: Option<TakingOver>,
}

/// Makes sure that the bucket is this server's, or may be taken over; with `shared`, that it belongs to the servers
/// whose database has this schema.
pub async fn claim(
    store: &Store,
    folder: &Path,
    bucket: &Bucket,
    shared: Option<&str>,
    config: &Config,
) -> Result<Claim> {
    let ours = match read(folder)? {
        Some(ours) if ours.store == bucket.url() => ours,
        Some(ours) if was_used(folder) => {
            return Err(Error::Startup(format!(
                "the state folder {} belongs to {}; choose another one for {}",
                folder.display(),
                ours.store,
                bucket.url()
            )));
        }
        None if was_used(folder) => {
            return Err(Error::Startup(format!(
                "{} is a local store; choose another state folder for {}",
                folder.display(),
                bucket.url()
            )));
        }
        _ => introduce(store, folder, bucket)?,
    };
    let heartbeat = config.ownership_heartbeat;
    let lease_ms = wait_ms(heartbeat);
    let record = OwnerRecord { shared: shared.map(str::to_owned), lease_ms, ..ours };
    let id = record.id.clone();
    let mut failed: Option<Error> = None;
    let (theirs, version, asked) = loop {
        let asked = Asked::now();
        if let Some((theirs, version)) = store.get_json_versioned::<OwnerRecord>(&owner_file()).await? {
            break (theirs, version, asked);
        }
        if let Some(error) = failed {
            return Err(Error::Startup(format!(
                "cannot write to {}: {error}; does the bucket exist, and may its keys write there?",
                bucket.url()
            )));
        }
        match store.create_json(&owner_file(), &record).await {
            Ok(()) => {
                hold(store, &record, heartbeat, asked);
                return Ok(Claim { id, taking_over: None });
            }
            // Somebody else may have been faster.
            Err(error) => failed = Some(error),
        }
    };
    let taking_over =
        |record, replaces| Some(TakingOver { record, replaces, bucket: bucket.url(), heartbeat });
    if theirs.shared == record.shared && (shared.is_some() || theirs.id == id) {
        let unfinished = theirs.open_since < theirs.epoch;
        let mut record = theirs;
        if shared.is_none() && !unfinished && record.lease_ms != lease_ms {
            record.lease_ms = lease_ms;
            replace(store, &record, &version, &bucket.url()).await?;
        }
        hold(store, &record, heartbeat, asked);
        return Ok(Claim { id, taking_over: taking_over(record, None).filter(|_| unfinished) });
    }
    match theirs {
        OwnerRecord { shared: Some(schema), .. } => Err(Error::Startup(format!(
            "{} is shared by daemons with the database schema `{schema}`; start with --shared, and with that \
             database",
            bucket.url()
        ))),
        theirs if config.force_ownership => {
            refuse_log(folder, bucket)?;
            tracing::warn!(bucket = %bucket.url(), from = %theirs.folder, "taking the bucket from its owner");
            let epoch = theirs.epoch + 1;
            if epoch > MAX_EPOCH {
                return Err(Error::Startup(format!(
                    "{} was taken from its owner {MAX_EPOCH} times, which is the limit; copy it to a new bucket",
                    bucket.url()
                )));
            }
            let (open_since, lease_ms) = (theirs.open_since, lease_ms.max(theirs.lease_ms));
            let record = OwnerRecord { epoch, open_since, lease_ms, since_ns: now_ns(), ..record };
            Ok(Claim { id, taking_over: taking_over(record, Some(version)) })
        }
        theirs if shared.is_some() => Err(Error::Startup(format!(
            "{} belongs to one server, with the state folder {}; stop that one and add --force-ownership once to share \
             it from now on: what it did not upload is lost to the bucket then",
            bucket.url(),
            theirs.folder
        ))),
        theirs => Err(Error::Startup(format!(
            "{} is in use by the server with the state folder {}; stop that one and start with its folder, \
             or add --force-ownership once: what it did not upload is lost to the bucket then",
            bucket.url(),
            theirs.folder
        ))),
    }
}

/// Rows from before another server had the bucket do not fit what it made of it since.
fn refuse_log(folder: &Path, bucket: &Bucket) -> Result<()> {
    let log = folder.join(LOG);
    let has_rows = match fs::read_dir(&log) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(Error::Startup(format!("cannot read {}: {e}", log.display()))),
    };
    if has_rows {
        return Err(Error::Startup(format!(
            "{} has rows from before another server took {} over; take it over with an empty state folder",
            log.display(),
            bucket.url()
        )));
    }
    Ok(())
}

/// Whether several servers have the bucket together, with the database that the configuration names.
///
/// # Errors
/// [`Error::Startup`] if it names another one.
pub async fn shared(store: &Store, config: &Config) -> Result<bool> {
    let owner: Option<OwnerRecord> = store.get_json(&owner_file()).await?;
    let Some(OwnerRecord { store, shared: Some(schema), .. }) = owner else { return Ok(false) };
    if config.database.is_some() && config.database_schema == schema {
        return Ok(true);
    }
    Err(Error::Startup(format!(
        "{store} is shared by daemons with the database schema `{schema}`; name their database: --database URL \
         --database-schema {schema}"
    )))
}

fn read(folder: &Path) -> Result<Option<OwnerRecord>> {
    let file = folder.join(owner_file().as_ref());
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::Startup(format!("cannot read {}: {e}", file.display()))),
    };
    match record::read(&bytes) {
        Ok((record, _)) => Ok(Some(record)),
        Err(FormatError::Newer { found, known }) => {
            Err(Error::newer(format!("record {}", file.display()), found, known))
        }
        Err(e) => Err(Error::Startup(format!("cannot read {}: {e}", file.display()))),
    }
}

fn introduce(store: &Store, folder: &Path, bucket: &Bucket) -> Result<OwnerRecord> {
    let ours = OwnerRecord {
        id: uuid::Uuid::new_v4().to_string(),
        store: bucket.url(),
        folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string(),
        since_ns: now_ns(),
        shared: None,
        epoch: 0,
        open_since: 0,
        lease_ms: 0,
    };
    let bytes = record::write(&ours)?.into();
    let written = store.write_local(owner_file().as_ref(), bytes);
    written.map_err(|e| Error::internal("writing to the state folder", e))?;
    Ok(ours)
}
