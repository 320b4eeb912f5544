//! Error kinds on the wire: one table between [`ErrorKind`] and gRPC, used by both ends.
//!
//! The stable machine code travels in the trailer `mosaico-error`, because several kinds share a gRPC code.

use mosaico_types::ErrorKind;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Trailer that carries [`ErrorKind::code`].
pub const ERROR_HEADER: &str = "mosaico-error";

/// The gRPC code of `kind`.
pub const fn grpc_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::FailedPrecondition | ErrorKind::Closed => Code::FailedPrecondition,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Deadline => Code::DeadlineExceeded,
        ErrorKind::Unimplemented => Code::Unimplemented,
        ErrorKind::Internal => Code::Internal,
    }
}

/// A status for `kind` with its machine code attached.
pub fn status(kind: ErrorKind, message: impl Into<String>) -> Status {
    let mut status = Status::new(grpc_code(kind), message);
    status.metadata_mut().insert(ERROR_HEADER, MetadataValue::from_static(kind.code()));
    status
}

/// The kind of a status, from its machine code if it has one, else from its gRPC code.
pub fn kind(status: &Status) -> ErrorKind {
    let code = status.metadata().get(ERROR_HEADER).and_then(|value| value.to_str().ok());
    if let Some(kind) = ErrorKind::ALL.into_iter().find(|kind| Some(kind.code()) == code) {
        return kind;
    }
    match status.code() {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::InvalidArgument => ErrorKind::InvalidInput,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
        Code::FailedPrecondition | Code::Aborted => ErrorKind::FailedPrecondition,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::ResourceExhausted | Code::OutOfRange => ErrorKind::ResourceExhausted,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::Deadline,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::Ok | Code::Unknown | Code::DataLoss | Code::Internal => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for expected in ErrorKind::ALL {
            assert_eq!(kind(&status(expected, "text")), expected);
        }
    }
}
