//! Errors of this crate, and how gRPC statuses become errors.

use std::fmt;
use std::time::Duration;

use mosaico_select::SelectError;
use mosaico_types::{ErrorCode, ErrorKind, printable};
use mosaico_wire::REQUEST_ID_HEADER;
use mosaico_wire::status::RETRY_HEADER;
use tonic::metadata::MetadataMap;

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call: a kind for the caller's handling, and a message with the offending value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Kind, for the caller's handling.
    pub kind: ErrorKind,
    /// Stable code, for programs.
    pub code: ErrorCode,
    /// Text for people, with the offending value and the remedy.
    pub message: String,
    /// The request ID in the log of a native server.
    pub request_id: Option<String>,
    /// The daemon refused the call because of a limit, and it may succeed after this time.
    pub(crate) retry_after: Option<Duration>,
    /// The call did not leave this process.
    pub(crate) unsent: bool,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::with_code(kind.code(), message)
    }

    /// An error with a code that is more specific than its kind.
    pub fn with_code(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            kind: code.kind(),
            code,
            message: message.into(),
            request_id: None,
            retry_after: None,
            unsent: false,
        }
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub(crate) fn is_temporary(&self) -> bool {
        self.kind.is_retryable() || self.retry_after.is_some()
    }

    /// The same error with `context: ` before the message.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, " (request {id})"))
    }
}

impl std::error::Error for Error {}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        let request_id = status.metadata().get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
        let request_id = request_id.map(str::to_owned);
        // A status with a source was created on this side, from a broken transport.
        if let Some(source) = std::error::Error::source(&status) {
            let message = format!("the connection broke: {}", printable(&reason(source)));
            let unsent = is_unsent(source);
            return Self { request_id, unsent, ..Self::new(ErrorKind::Unavailable, message) };
        }
        let code = mosaico_wire::status::code(&status);
        let message = match status.message() {
            "" => format!("the server answered {}", status.code()),
            text => printable(text),
        };
        let refused = code.kind() == ErrorKind::ResourceExhausted;
        let retry_after = retry_after(status.metadata()).filter(|_| refused);
        Self { request_id, retry_after, ..Self::with_code(code, message) }
    }
}

impl From<arrow_flight::error::FlightError> for Error {
    fn from(error: arrow_flight::error::FlightError) -> Self {
        match error {
            arrow_flight::error::FlightError::Tonic(status) => (*status).into(),
            arrow_flight::error::FlightError::ExternalError(error) => match error.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::new(ErrorKind::Internal, format!("the rows cannot be sent: {other}")),
            },
            other => Self::new(ErrorKind::Internal, format!("the stream cannot be decoded: {other}")),
        }
    }
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        let code = match error {
            SelectError::Column(_) => ErrorCode::InvalidInput,
            SelectError::Where(_) => ErrorCode::BadQuery,
        };
        Self::with_code(code, error.to_string())
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::new(ErrorKind::Internal, format!("the rows do not form a batch: {error}"))
    }
}

/// The time after which a refused call may succeed, as gRPC defines it; a negative one means never.
fn retry_after(metadata: &MetadataMap) -> Option<Duration> {
    let milliseconds = metadata.get(RETRY_HEADER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(milliseconds))
}

/// A call over a connection that was closed before: the call was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed")]
pub(crate) struct ConnectionClosed;

/// Whether the connection was closed before the call, so that the call was not sent.
fn is_unsent(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<ConnectionClosed>())
}

/// Why a connection failed: the reason in words for TLS, else the innermost cause; the outer ones only report
/// that something failed.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    mosaico_tls::explain(error).unwrap_or_else(|| root_cause(error))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
