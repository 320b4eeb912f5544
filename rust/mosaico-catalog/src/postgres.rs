//! Connections to Postgres.

use std::str::FromStr;

use mosaico_storage::error::{Error, Result};
use sqlx::postgres::PgConnectOptions;

use crate::database_error::AWAY;

/// Options of connections that use only tables of `schema`.
///
/// # Errors
/// [`Error::Startup`] if the schema's name is not plain or the URL is malformed.
pub(crate) fn postgres_options(url: &str, schema: &str) -> Result<PgConnectOptions> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if schema.is_empty() || schema.len() > 60 || !schema.chars().all(plain) {
        return Err(Error::Startup(format!("the database schema `{schema}` is not made of a-z, 0-9 and _")));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        Error::Startup("the database URL is malformed; write postgres://user@host/database".into())
    })?;
    Ok(options.application_name("mosaicod").options([("search_path", schema)]))
}

/// The error for an unusable database: where it is, and how to fix the problem.
pub(crate) fn unusable(options: &PgConnectOptions, error: &sqlx::Error) -> Error {
    let place = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let todo = match error {
        sqlx::Error::Database(e) if !e.code().is_some_and(|code| AWAY.contains(&&*code)) => {
            "look at the user, the password and the name of the database in --database"
        }
        _ => "is it running, and does it take connections from here? See --database",
    };
    Error::Startup(format!("the database at {place} cannot be used: {error}; {todo}"))
}
