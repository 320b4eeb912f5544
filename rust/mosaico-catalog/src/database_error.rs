//! Maps database errors to the errors that callers see.

use std::io;

use mosaico_storage::error::{Error, Failure};

/// The codes of SQLite and Postgres for a full disk.
const DISK_FULL: [&str; 2] = ["13", "53100"];

/// Codes of Postgres while it shuts down, starts or has no connection left; codes that begin with 08 report a
/// broken connection.
pub(crate) const AWAY: [&str; 5] = ["53300", "57P01", "57P02", "57P03", "57P05"];

pub(crate) fn failed(e: sqlx::Error) -> Error {
    let doing = "using the catalog";
    let code = e.as_database_error().and_then(|e| e.code());
    if code.as_ref().is_some_and(|code| DISK_FULL.contains(&&**code)) {
        return Error::Full(Failure::new(doing, e));
    }
    let lost = match &e {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(e) => e.kind() != io::ErrorKind::StorageFull,
        _ => code.is_some_and(|code| AWAY.contains(&&*code) || code.starts_with("08")),
    };
    if lost {
        return Error::StoreUnavailable(Failure::new(doing, e));
    }
    Error::internal(doing, e)
}
