//! Preconditions of requests that change a sequence or a topic.

use mosaico_catalog::SequenceRow;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;

/// Compares keys as UUIDs, so that their spelling does not matter.
pub fn check_key(expected: &str, given: &str, resource: &str) -> Result<()> {
    let parsed = uuid::Uuid::parse_str(given).map_err(|_| {
        Error::Refused(
            ErrorCode::BadKey,
            format!("the key of `{resource}` is not a UUID; use the one that its creation returned"),
        )
    })?;
    if uuid::Uuid::parse_str(expected).is_ok_and(|expected| expected == parsed) {
        Ok(())
    } else {
        Err(Error::WrongKey(resource.to_owned()))
    }
}

/// Fails if the sequence is finalized.
pub fn check_unlocked(sequence: &SequenceRow) -> Result<()> {
    match sequence.finalized_ns {
        None => Ok(()),
        Some(_) => Err(Error::SequenceLocked(sequence.name.to_string())),
    }
}

/// Fails if the sequence's writer may not add to it any more.
pub fn check_open(sequence: &SequenceRow) -> Result<()> {
    check_unlocked(sequence)?;
    match sequence.ended_ns {
        None => Ok(()),
        Some(_) => Err(Error::SequenceEnded(sequence.name.to_string())),
    }
}
