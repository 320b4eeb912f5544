//! Maps database errors to the errors that callers see.

use std::io;

use mosaico_storage::error::{Error, Failure};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// The codes of SQLite and Postgres for a full disk.
const DISK_FULL: [&str; 2] = ["13", "53100"];

/// Codes of Postgres while it shuts down, starts or has no connection left; codes that begin with 08 report a
/// broken connection.
pub(crate) const AWAY: [&str; 5] = ["53300", "57P01", "57P02", "57P03", "57P05"];

/// Codes of Postgres for what may succeed later: a lock or a statement that took too long, a deadlock, and a replica
/// that is not writable yet.
const LATER: [&str; 5] = ["55P03", "57014", "40001", "40P01", "25006"];

/// Results of SQLite for a disk that fails, or that became read-only; extended codes have them in their low byte.
const DISK_FAILS: [u32; 2] = [8, 10];

/// Whether SQLite cannot use its disk.
fn is_disk_failure(error: &dyn DatabaseError) -> bool {
    let code =
        error.try_downcast_ref::<SqliteError>().and_then(|e| e.code()).and_then(|code| code.parse().ok());
    code.is_some_and(|code: u32| DISK_FAILS.contains(&(code & 0xff)))
}

pub(crate) fn failed(e: sqlx::Error) -> Error {
    let doing = "using the catalog";
    let code = e.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned());
    let is_one_of = |codes: &[&str]| code.as_ref().is_some_and(|code| codes.contains(&code.as_str()));
    let is_full = is_one_of(&DISK_FULL);
    let is_lost = match &e {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(e) => e.kind() != io::ErrorKind::StorageFull,
        _ => {
            is_one_of(&AWAY)
                || is_one_of(&LATER)
                || code.as_ref().is_some_and(|code| code.starts_with("08"))
                || e.as_database_error().is_some_and(is_disk_failure)
        }
    };
    // SQLite's messages are about its file, which is not a service.
    let said = e.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>());
    let said = said.map(|said| said.message().to_owned());
    let saying = |failure: Failure| match &said {
        Some(said) => failure.saying(said),
        None => failure,
    };
    match (is_full, is_lost) {
        (true, _) => Error::Full(saying(Failure::new(doing, e))),
        (false, true) => Error::StoreUnavailable(saying(Failure::new(doing, e))),
        (false, false) => match Error::internal(doing, e) {
            Error::Internal(failure) => Error::Internal(saying(failure)),
            other => other,
        },
    }
}
