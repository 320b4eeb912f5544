//! Shared by all calls: the stream of an answer, the limit and the parser of a body.

use futures::stream::BoxStream;
use mosaico_storage::error::Error;
use mosaico_types::ErrorCode;
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::limits::MAX_BODY_BYTES;

pub(crate) type Items<T> = BoxStream<'static, Result<T, Status>>;

/// Refuses an oversized body before it is parsed.
pub(crate) fn check_body(what: &str, body: &[u8]) -> Result<(), Error> {
    if body.len() <= MAX_BODY_BYTES {
        return Ok(());
    }
    let text = format!("{what} has {} bytes; at most {MAX_BODY_BYTES} are allowed", body.len());
    Err(Error::Refused(ErrorCode::TooLarge, text))
}

/// Parses the body of an action.
pub(crate) fn parse<T: DeserializeOwned>(action: &str, body: &[u8]) -> Result<T, Error> {
    check_body("the body", body)?;
    serde_json::from_slice(body)
        .map_err(|e| Error::Invalid(format!("the body of `{action}` is malformed: {e}")))
}
