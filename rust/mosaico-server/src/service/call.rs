//! What the calls share: the stream of an answer, and the limit of a body.

use futures::stream::BoxStream;
use mosaico_storage::error::Error;
use mosaico_types::ErrorCode;
use tonic::Status;

pub(super) type Items<T> = BoxStream<'static, Result<T, Status>>;

/// Maximum size of a JSON body, command or ticket. Rows are sent in streams and have other limits.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;

/// Refuses an oversized body before it is parsed.
pub(super) fn check_body(what: &str, body: &[u8]) -> Result<(), Error> {
    if body.len() <= MAX_BODY_BYTES {
        return Ok(());
    }
    let text = format!("{what} has {} bytes; at most {MAX_BODY_BYTES} are allowed", body.len());
    Err(Error::Refused(ErrorCode::TooLarge, text))
}
