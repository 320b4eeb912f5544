use std::fmt;

/// What went wrong, as far as a caller can act on it. The wire crate maps each kind to a gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named sequence or topic does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A request, name, schema or row is malformed.
    InvalidInput,
    /// The key does not open this resource.
    PermissionDenied,
    /// The resource is not in the state that the call needs (locked, still being written ...).
    FailedPrecondition,
    /// The operation was cut short by the other side.
    Cancelled,
    /// A limit of disk, memory or message size was met.
    ResourceExhausted,
    /// The server cannot be reached, or went away.
    Unavailable,
    /// Nothing happened in time.
    Deadline,
    /// The peer does not know this call.
    Unimplemented,
    /// The object was closed before the call.
    Closed,
    /// A bug or a broken store: worth a report.
    Internal,
}

impl ErrorKind {
    /// The stable machine code that travels with an error; codes are only ever added.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InvalidInput => "invalid_input",
            Self::PermissionDenied => "permission_denied",
            Self::FailedPrecondition => "failed_precondition",
            Self::Cancelled => "cancelled",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::Deadline => "deadline",
            Self::Unimplemented => "unimplemented",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Deadline)
    }

    /// Every kind, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::InvalidInput,
        Self::PermissionDenied,
        Self::FailedPrecondition,
        Self::Cancelled,
        Self::ResourceExhausted,
        Self::Unavailable,
        Self::Deadline,
        Self::Unimplemented,
        Self::Closed,
        Self::Internal,
    ];
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
