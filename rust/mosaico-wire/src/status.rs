//! Errors on the wire: one table between [`ErrorCode`] and gRPC, used by both ends.
//!
//! The trailer `mosaico-error-code` carries the stable machine code, because many codes share one of gRPC.

use mosaico_types::{ErrorCode, ErrorKind};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Trailer that carries [`ErrorCode::as_str`].
pub const ERROR_HEADER: &str = "mosaico-error-code";

/// Trailer of a refusal by a limit: the name of the setting that sets it, such as `max-key-calls`.
pub const LIMIT_HEADER: &str = "mosaico-limit";

/// Trailer of a refusal because of a limit: the time after which the call may succeed, in milliseconds. The name is
/// that of gRPC.
pub const RETRY_HEADER: &str = "grpc-retry-pushback-ms";

/// The gRPC code of `code`.
pub const fn grpc_code(code: ErrorCode) -> Code {
    match (code, code.kind()) {
        (ErrorCode::UnexpectedMessage, _) => Code::Aborted,
        (_, ErrorKind::NotFound) => Code::NotFound,
        (_, ErrorKind::AlreadyExists) => Code::AlreadyExists,
        (_, ErrorKind::InvalidInput) => Code::InvalidArgument,
        (_, ErrorKind::PermissionDenied) => Code::PermissionDenied,
        (_, ErrorKind::FailedPrecondition | ErrorKind::Closed) => Code::FailedPrecondition,
        (_, ErrorKind::Cancelled) => Code::Cancelled,
        (_, ErrorKind::ResourceExhausted) => Code::ResourceExhausted,
        (_, ErrorKind::Unavailable) => Code::Unavailable,
        (_, ErrorKind::Deadline) => Code::DeadlineExceeded,
        (_, ErrorKind::Unimplemented) => Code::Unimplemented,
        (_, ErrorKind::DataLoss) => Code::DataLoss,
        (_, ErrorKind::Internal) => Code::Internal,
    }
}

/// Longest message in bytes: a header carries it, and clients refuse large headers.
const MAX_MESSAGE_BYTES: usize = 2048;
const ELLIPSIS: &str = " [...] ";

/// A status for `code` with its machine code attached. A message that is too long loses its middle: its
/// beginning has the problem, its end the remedy.
pub fn status(code: ErrorCode, message: impl Into<String>) -> Status {
    let mut status = Status::new(grpc_code(code), shorten(message.into()));
    status.metadata_mut().insert(ERROR_HEADER, MetadataValue::from_static(code.as_str()));
    status
}

fn shorten(message: String) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message;
    }
    let half = (MAX_MESSAGE_BYTES - ELLIPSIS.len()) / 2;
    let head = message.floor_char_boundary(half);
    let tail = message.ceil_char_boundary(message.len() - half);
    [&message[..head], ELLIPSIS, &message[tail..]].concat()
}

/// The code of a status: its machine code if this version knows it, else the code that its gRPC code stands
/// for.
pub fn code(status: &Status) -> ErrorCode {
    let code = status.metadata().get(ERROR_HEADER).and_then(|value| value.to_str().ok());
    code.and_then(ErrorCode::parse).unwrap_or_else(|| kind(status.code()).code())
}

const fn kind(code: Code) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::InvalidArgument | Code::Aborted => ErrorKind::InvalidInput,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::ResourceExhausted | Code::OutOfRange => ErrorKind::ResourceExhausted,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::Deadline,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::DataLoss => ErrorKind::DataLoss,
        Code::Ok | Code::Unknown | Code::Internal => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for expected in ErrorCode::ALL {
            assert_eq!(code(&status(expected, "text")), expected);
        }
    }

    #[test]
    fn long_messages_keep_their_ends() {
        let name = "ä".repeat(1 << 20);
        let status = status(ErrorCode::BadName, format!("bad name `{name}`; use letters"));
        assert!(status.message().len() <= MAX_MESSAGE_BYTES);
        assert!(status.message().starts_with("bad name `ä"));
        assert!(status.message().ends_with("ä`; use letters"));
    }

    #[test]
    fn what_a_newer_or_foreign_server_says_is_understood_by_its_grpc_code() {
        let mut newer = Status::not_found("text");
        newer.metadata_mut().insert(ERROR_HEADER, MetadataValue::from_static("from_the_future"));
        assert_eq!(code(&newer), ErrorCode::NotFound);
        for expected in ErrorCode::ALL {
            let foreign = Status::new(grpc_code(expected), "text");
            let closed = expected == ErrorCode::Closed;
            let kind = if closed { ErrorKind::FailedPrecondition } else { expected.kind() };
            assert_eq!(code(&foreign), kind.code());
        }
    }
}
