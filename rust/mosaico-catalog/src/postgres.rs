//! Connections to Postgres.

use std::str::FromStr;

use mosaico_storage::error::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};

use crate::database_error::AWAY;

/// Settings of every session. A machine that disappears without closing its connections must not keep its locks
/// for the two hours that TCP keep-alives take by default, and no statement waits without a limit. Times are in
/// seconds, `tcp_user_timeout` is in milliseconds.
const SETTINGS: [(&str, &str); 7] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("lock_timeout", "20s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "20s"),
];

/// Makes commits of a session durable, whatever the database, the role or the server set: locks, intents and leases
/// protect data only if the database remembers them after a crash. Stronger settings stay.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
                       WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Applies [`DURABLE`].
pub(crate) async fn make_durable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(DURABLE).await.map(drop)
}

/// Connects, with all settings.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    make_durable(&mut connection).await?;
    Ok(connection)
}

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
    Ok(options.application_name("mosaicod").options([("search_path", schema)]).options(SETTINGS))
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
