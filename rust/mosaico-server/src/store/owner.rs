//! One server per bucket: its catalogue knows all that the bucket holds, so nobody else may write there. Or several
//! with one catalogue, who agreed on it.
//!
//! A folder is locked by the operating system. A bucket has a record instead, written once, that names the state folder
//! of its server; whoever has that folder (which is locked) goes on, everybody else is refused.

use std::fs;
use std::io;
use std::path::Path;

use mosaico_types::now_ns;

use super::Store;
use super::bucket::Bucket;
use super::durable::LocalFolder;
use super::layout::owner_file;
use super::records::{FORMAT_VERSION, OwnerRecord};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::hold::LOG;

/// Refuses the state folder of a bucket as a local store.
pub(crate) fn check_folder(folder: &Path) -> Result<()> {
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

/// A bucket that was another server's; the record of this one is not written yet.
pub(crate) struct TakingOver(OwnerRecord);

impl TakingOver {
    pub(crate) async fn complete(self, store: &Store) -> Result<()> {
        store.put_json(&owner_file(), &self.0).await
    }
}

/// A bucket that may be used.
pub(crate) struct Claim {
    /// The id of this server.
    pub id: String,
    /// It was another server's: what the catalogue knows of it is outdated.
    pub taking_over: Option<TakingOver>,
}

/// Makes sure that the bucket is this server's, or may be taken over; with `shared`, that it belongs to the servers
/// whose database has this schema.
pub(crate) async fn claim(
    store: &Store,
    folder: &Path,
    bucket: &Bucket,
    shared: Option<&str>,
    force_ownership: bool,
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
    let record = OwnerRecord { shared: shared.map(str::to_owned), ..ours };
    let id = record.id.clone();
    let error = match store.create_json(&owner_file(), &record).await {
        Ok(()) => return Ok(Claim { id, taking_over: None }),
        Err(error) => error,
    };
    match store.get_json::<OwnerRecord>(&owner_file()).await? {
        Some(theirs) if theirs.shared == record.shared && (shared.is_some() || theirs.id == id) => {
            Ok(Claim { id, taking_over: None })
        }
        Some(OwnerRecord { shared: Some(schema), .. }) => Err(Error::Startup(format!(
            "{} is shared by daemons with the database schema `{schema}`; start with --shared, and with that \
             database",
            bucket.url()
        ))),
        Some(theirs) if force_ownership => {
            refuse_log(folder, bucket)?;
            tracing::warn!(bucket = %bucket.url(), from = %theirs.folder, "taking the bucket over");
            Ok(Claim { id, taking_over: Some(TakingOver(record)) })
        }
        Some(theirs) if shared.is_some() => Err(Error::Startup(format!(
            "{} belongs to one server, with the state folder {}; stop that one and add --force-ownership once to share \
             it from now on: what it did not upload is lost to the bucket then",
            bucket.url(),
            theirs.folder
        ))),
        Some(theirs) => Err(Error::Startup(format!(
            "{} is in use by the server with the state folder {}; stop that one and start with its folder, \
             or add --force-ownership once: what it did not upload is lost to the bucket then",
            bucket.url(),
            theirs.folder
        ))),
        None => Err(Error::Startup(format!(
            "cannot write to {}: {error}; does the bucket exist, and may its keys write there?",
            bucket.url()
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
pub(crate) async fn shared(store: &Store, config: &Config) -> Result<bool> {
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
    let record = serde_json::from_slice(&bytes);
    record.map(Some).map_err(|e| Error::Startup(format!("cannot read {}: {e}", file.display())))
}

fn introduce(store: &Store, folder: &Path, bucket: &Bucket) -> Result<OwnerRecord> {
    let ours = OwnerRecord {
        format_version: FORMAT_VERSION,
        id: uuid::Uuid::new_v4().to_string(),
        store: bucket.url(),
        folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string(),
        since_ns: now_ns(),
        shared: None,
    };
    let bytes = super::json(&ours)?.into();
    let written = LocalFolder::write(&store.folder, owner_file().as_ref(), std::iter::once(&bytes));
    written.map_err(|e| Error::internal("writing to the state folder", e))?;
    Ok(ours)
}
