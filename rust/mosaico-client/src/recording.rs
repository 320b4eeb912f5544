//! Control calls of an open recording; they survive a restart of the daemon.
//!
//! A call whose answer was lost may have been executed. Only the owner of a recording's key can change it, so
//! a refusal of the second attempt that implies success of the first is treated as success.

use std::time::Duration;

use mosaico_types::{ErrorCode, ErrorKind};
use mosaico_wire::action::{Named, SequenceSystemInfo, name};
use serde_json::Value;

use crate::calls;
use crate::error::{Error, Result};
use crate::pool::{Lease, Pool, Use};
use crate::reconnect::Reconnect;

/// Runs an action; if the server is away, waits for it for up to `reconnect_timeout`.
pub(crate) async fn action(
    pool: &Pool,
    name: &str,
    body: &Value,
    reconnect_timeout: Duration,
) -> Result<Option<Value>> {
    let mut reconnect = Reconnect::new(reconnect_timeout);
    let mut repeated = false;
    loop {
        let error = match attempt(pool, name, body, repeated).await {
            Err(error) => error,
            answer => return answer,
        };
        if !error.is_temporary() {
            return Err(error);
        }
        if reconnect.pause(error.retry_after).await.is_none() {
            return Err(if reconnect_timeout.is_zero() || error.code == ErrorCode::RemoteRows {
                error
            } else {
                error.context(format_args!(
                    "the daemon did not return within {} s",
                    reconnect_timeout.as_secs_f64()
                ))
            });
        }
        // A call that was refused, or not sent, was not carried out.
        repeated |= error.retry_after.is_none() && !error.unsent;
    }
}

/// One attempt; `repeated`: the outcome of an earlier one is unknown.
async fn attempt(pool: &Pool, name: &str, body: &Value, repeated: bool) -> Result<Option<Value>> {
    let lease = pool.lease(Use::Control).await?;
    let limit = Some(pool.timeouts().answer);
    let flight = &mut lease.flight.clone();
    match lease.answered(limit, calls::action(flight, name, body)).await {
        Err(error) if repeated => {
            match lease.answered(limit, carried_out(&lease, name, body, &error)).await {
                Ok(true) => Ok(None),
                Ok(false) => Err(error),
                Err(lost) => Err(lost),
            }
        }
        answer => answer,
    }
}

/// Whether `refusal` of a repeated call means that the first attempt succeeded.
async fn carried_out(lease: &Lease, action: &str, body: &Value, refusal: &Error) -> Result<bool> {
    let flight = &mut lease.flight.clone();
    let named = || Named { name: body["name"].as_str().unwrap_or_default().to_owned() };
    match (action, refusal.kind) {
        (name::SEQUENCE_FINALIZE, ErrorKind::FailedPrecondition) => {
            let info = calls::action(flight, name::SEQUENCE_SYSTEM_INFO, &named()).await?;
            Ok(info.is_some_and(|info: SequenceSystemInfo| info.is_locked))
        }
        (name::SEQUENCE_ABORT | name::SEQUENCE_DELETE | name::TOPIC_DELETE, ErrorKind::NotFound) => Ok(true),
        // The key of the topic that the first attempt created is lost; an empty one replaces it.
        (name::TOPIC_CREATE, ErrorKind::AlreadyExists) => {
            calls::action::<Value>(flight, name::TOPIC_DELETE, &named()).await?;
            Err(Error::new(ErrorKind::Unavailable, "the answer to the first attempt was lost"))
        }
        _ => Ok(false),
    }
}
