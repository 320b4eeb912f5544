//! What the calls share: the stream of an answer, and the limit of a body.

use futures::stream::BoxStream;
use mosaico_storage::error::Error;
use mosaico_types::ErrorCode;
use tonic::Status;

use crate::limits::MAX_BODY_BYTES;

pub(super) type Items<T> = BoxStream<'static, Result<T, Status>>;

/// Refuses an oversized body before it is parsed.
pub(super) fn check_body(what: &str, body: &[u8]) -> Result<(), Error> {
    if body.len() <= MAX_BODY_BYTES {
        return Ok(());
    }
    let text = format!("{what} has {} bytes; at most {MAX_BODY_BYTES} are allowed", body.len());
    Err(Error::Refused(ErrorCode::TooLarge, text))
}
