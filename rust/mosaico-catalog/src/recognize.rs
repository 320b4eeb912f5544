//! Recognizes the file at the place of a SQLite catalog, before anything in it is changed.
//!
//! A catalog is a cache: ours that is of another store, too old or damaged is replaced, since the store has
//! everything. A database of another application is somebody's data: it is refused and stays as it is. Nothing
//! that only looks like a damaged catalog is deleted either, but moved to `damaged/`.
//!
//! The mark is SQLite's `application_id`, and the table `store_link` names the store.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mosaico_storage::error::{Error, Result};
use mosaico_storage::objects::durable::create_folders;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::database_error::failed;

/// SQLite's `application_id` of a catalog during a bulk load; Postgres has a table instead.
pub(crate) const FILLING: i32 = i32::from_be_bytes(*b"MoFi");

/// `application_id` of a complete catalog.
pub(crate) const COMPLETE: i32 = i32::from_be_bytes(*b"MoCa");

/// The first bytes of each SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Catalogs up to this size are verified at each start, which takes less than a tenth of a second.
const VERIFIED_BYTES: u64 = 16 << 20;

/// Codes of SQLite: the database is malformed, or is none.
const DAMAGED: [&str; 2] = ["11", "26"];

/// Tables of catalogs from before they had a mark.
const OLD_TABLES: [&str; 4] = ["sequence", "topic", "chunk", "pending"];

/// The folder for damaged files.
const QUARANTINE: &str = "damaged";

/// What a catalog contains about its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLink {
    /// The id of the store.
    pub store: String,
    /// The id of the catalog.
    pub catalog: String,
}

/// The store whose catalog is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnStore {
    /// Its identity cannot be read: any catalog may be its own.
    Unknown,
    /// What its catalog has to say; `None`: the store has no catalog yet.
    Known(Option<StoreLink>),
}

/// What is at the place of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogFile {
    /// Nothing, or a database without content.
    Missing,
    /// A catalog of this store, perhaps of another version.
    Usable,
    /// A catalog that does not fit, for the given reason: it may be deleted.
    Stale(String),
    /// A damaged catalog, or any other file that is no database.
    Damaged(String),
    /// A database of another application, with its description.
    Foreign(String),
}

/// Recognizes the file of the catalog of a store; `newest` is the newest version of catalogs.
pub(crate) async fn recognize(file: &Path, own: &OwnStore, newest: i64) -> Result<CatalogFile> {
    let bytes = match fs::metadata(file) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Ok(CatalogFile::Foreign("is no file".into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(CatalogFile::Missing),
        Err(e) => return Err(Error::internal("looking for the catalog", e)),
    };
    if bytes > 0 && !begins_with_magic(file).map_err(|e| Error::internal("reading the catalog", e))? {
        return Ok(CatalogFile::Damaged("is no database".into()));
    }
    match read(file, own, newest, bytes <= VERIFIED_BYTES).await {
        Ok(found) => Ok(found),
        Err(e) if is_damage(&e) => Ok(CatalogFile::Damaged("is damaged".into())),
        Err(e) => Err(failed(e)),
    }
}

fn begins_with_magic(file: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    File::open(file)?.take(MAGIC.len() as u64).read_to_end(&mut first)?;
    Ok(first == MAGIC)
}

fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    // Extended codes have the code in their low byte.
    let code = code.and_then(|code| code.parse::<u32>().ok()).map(|code| (code & 0xff).to_string());
    code.is_some_and(|code| DAMAGED.contains(&&*code))
}

async fn read(file: &Path, own: &OwnStore, newest: i64, verify: bool) -> Result<CatalogFile, sqlx::Error> {
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    let has_wal = fs::metadata(wal).is_ok_and(|wal| wal.len() > 0);
    // A foreign database must not be changed, not even by files beside it.
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(!has_wal);
    let mut db = options.connect().await?;
    let found = match kind(&mut db, verify).await {
        Ok(CatalogFile::Usable) => of_store(&mut db, own, newest).await,
        other => other,
    };
    db.close().await?;
    found
}

/// Whether it is a catalog at all.
async fn kind(db: &mut SqliteConnection, verify: bool) -> Result<CatalogFile, sqlx::Error> {
    let application: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *db).await?;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *db).await?;
    if application == 0 && tables.is_empty() {
        return Ok(CatalogFile::Missing);
    }
    let is_old = || OLD_TABLES.iter().all(|old| tables.iter().any(|table| table == old));
    if application == 0 && is_old() {
        return Ok(CatalogFile::Stale("is of an older version".into()));
    }
    if application != FILLING && application != COMPLETE {
        return Ok(CatalogFile::Foreign("is a database of another application".into()));
    }
    if verify {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *db).await?;
        if found != "ok" {
            return Ok(CatalogFile::Damaged("is damaged".into()));
        }
    }
    Ok(CatalogFile::Usable)
}

/// Whether a catalog is that of this store.
async fn of_store(
    db: &mut SqliteConnection,
    own: &OwnStore,
    newest: i64,
) -> Result<CatalogFile, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *db).await?;
    let OwnStore::Known(own) = own else { return Ok(CatalogFile::Usable) };
    if version > newest {
        // It may name its store otherwise; its number decides.
        return Ok(CatalogFile::Usable);
    }
    let link: Option<(String, String)> =
        sqlx::query_as("SELECT store, catalog FROM store_link").fetch_optional(db).await?;
    let link = link.map(|(store, catalog)| StoreLink { store, catalog });
    Ok(match (&link, own) {
        (link, own) if link == own => CatalogFile::Usable,
        (None, _) => CatalogFile::Stale("does not name its store".into()),
        (Some(link), Some(own)) if link.store == own.store => {
            CatalogFile::Stale("was replaced by another one".into())
        }
        _ => CatalogFile::Stale("is of another store".into()),
    })
}

/// The refusal of a database that is not ours.
pub(crate) fn refusal(file: &Path, what: &str) -> Error {
    Error::Startup(format!(
        "{} {what}, and not a catalog of mosaicod: it is left as it is; move it to another place, and the next start \
         builds the catalog from the store",
        file.display()
    ))
}

/// Moves a file that is no usable catalog, and SQLite's files beside it, to `damaged/`. Returns where it is.
pub(crate) fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let folder = file.with_file_name(QUARANTINE);
    create_folders(&folder)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut targets = (1..).map(|number: u64| folder.join(format!("{name}.{number}")));
    let target =
        targets.find(|target| target.symlink_metadata().is_err()).unwrap_or_else(|| folder.join(&*name));
    // The database last: without it, SQLite ignores the others.
    for ending in ["-wal", "-shm", ""] {
        let with = |path: &Path| {
            let mut path = path.as_os_str().to_owned();
            path.push(ending);
            path
        };
        match fs::rename(with(file), with(&target)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(target)
}
