//! Exclusive ownership of a bucket. Either one daemon owns it: its catalog knows the whole content, so no
//! other daemon may write there. Or several daemons share one catalog; they use locks in its database, and
//! nothing below applies to them.
//!
//! The operating system locks a folder. A bucket has `owner.json` instead, which names its owner; any other
//! daemon is refused, or takes the bucket by force (`force_ownership`). The former owner may still run then,
//! disconnected or just forgotten. This protocol fences it:
//!
//! 1. `owner.json` contains the owner's id and an ownership epoch. Daemons replace it by conditional puts
//!    only, so of two daemons that take the bucket at the same time one is refused. Taking it adds 1 to the
//!    epoch.
//! 2. The owner reads the record every heartbeat. A read that names the owner grants a lease of [`LEASE`]
//!    heartbeats, counted from the moment the read was sent. [`mosaico_storage::objects::fence`] requires a lease before each
//!    write, and again after the write and before anything relies on it; without a lease it reads the record
//!    first.
//! 3. A daemon that takes the bucket replaces the record, waits for [`WAIT`] heartbeats of the former owner
//!    (the record contains their length), and reads the bucket only then. So it sees every write that the
//!    former owner counted as done: acknowledged rows of the replicated WAL, records, answers to clients.
//! 4. Nothing relied on writes of the former owner that arrive later, and the new owner must ignore them. It
//!    therefore moves each sequence that is not finalized to a folder with a new id ([`super::adopt`]) and
//!    leaves a tombstone in the old folder: objects that arrive there belong to nothing. A sequence whose
//!    creation arrives late has an epoch from before `open_since` and is not finalized: it is ignored, now
//!    and in each later rebuild. Finalized sequences stay where they are. Only compaction adds to them: its
//!    files have numbers of their owner's epoch, and its last step replaces a known version of the commit
//!    record. Layers are replaced in the same way; each owner writes events to its own files.
//! 5. When everything is moved, `open_since` becomes the epoch. A start that finds the two different resumes
//!    the move.
//!
//! Guarantees: the new owner sees everything that the former owner acknowledged, except rows that were only
//! on the former owner's disk (WAL on disk); and two sequences never have the same name. A machine whose
//! monotonic clock and wall clock both stop for a while may break the second half of step 2, never step 4.
//! Two kinds of late writes are accepted, since they only describe facts that the new owner has as well:
//! files of events, and notifications of finalized sequences.

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

/// Whether a server got as far as using this folder. The mark alone comes from a start that was refused.
fn was_used(folder: &Path) -> bool {
    folder.join(LOG).exists()
}

/// Names of chunks are in order for at least this many epochs.
pub const MAX_EPOCH: u32 = u16::MAX as u32;

/// Heartbeats that a daemon waits when it takes a bucket. The margin over the lease covers clocks that run at
/// different speeds.
const WAIT: u32 = 3;

fn wait_ms(heartbeat: Duration) -> u64 {
    u64::try_from((heartbeat * WAIT).as_millis()).unwrap_or(u64::MAX)
}

/// A bucket whose sequences must move from its former owner to this one.
pub struct TakingOver {
    record: OwnerRecord,
    /// The version of the former owner's record, which this owner's record replaces; `None`: it already did.
    replaces: Option<UpdateVersion>,
    bucket: String,
    heartbeat: Duration,
}

impl TakingOver {
    /// Whether the move is still to be done; among several daemons another one may have done it meanwhile.
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

    /// Replaces the former owner's record, waits until the former owner is fenced, and moves what is not
    /// finalized.
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
            _ => return Err(Error::Startup(contended(&bucket))),
        }
        store.fence().number(&record);
        Ok(())
    }
}

async fn replace(store: &Store, record: &OwnerRecord, known: &UpdateVersion, bucket: &str) -> Result<()> {
    match store.replace_json(&owner_file(), record, Some(known)).await {
        Ok(_) => Ok(()),
        Err(Error::StoreUnavailable(_)) if !is_ours(store, record).await? => {
            Err(Error::Startup(contended(bucket)))
        }
        Err(error) => Err(error),
    }
}

async fn is_ours(store: &Store, record: &OwnerRecord) -> Result<bool> {
    let theirs: Option<OwnerRecord> = store.get_json(&owner_file()).await?;
    Ok(theirs.is_some_and(|theirs| theirs.id == record.id && theirs.epoch == record.epoch))
}

fn contended(bucket: &str) -> String {
    format!("another daemon takes {bucket} at the same time; stop it first, or leave the bucket to it")
}

/// From now on, the store accepts writes as long as the record names this daemon, as it did when it was read.
fn hold(store: &Store, record: &OwnerRecord, heartbeat: Duration, asked: Asked) {
    match &record.shared {
        None => store.fence().claim(record.clone(), heartbeat, asked),
        Some(_) => store.fence().number(record),
    }
}

/// A bucket that this daemon may use.
pub struct Claim {
    /// The id of this server.
    pub id: String,
    /// Set if the bucket belonged to another server: the catalog's knowledge of it is outdated.
    pub taking_over: Option<TakingOver>,
}

/// Ensures that this server owns the bucket or may take it over; with `shared`, that the bucket belongs to
/// the servers whose database has this schema.
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
                "cannot write to {}: {}; does the bucket exist, and may its keys write there?",
                bucket.url(),
                error.detail()
            )));
        }
        match store.create_json(&owner_file(), &record).await {
            Ok(()) => {
                hold(store, &record, heartbeat, asked);
                return Ok(Claim { id, taking_over: None });
            }
            // Another daemon may have been faster.
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

/// WAL rows from before another server owned the bucket do not match the bucket's later content.
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

/// Whether several servers share the bucket, with the database that the configuration names.
///
/// # Errors
/// [`Error::Startup`] if the bucket names another database.
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
