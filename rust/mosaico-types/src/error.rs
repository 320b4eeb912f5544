use std::fmt;

/// The kind of an error, for the caller's handling. [`ErrorCode`] is more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named resource does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A request, name, schema or row is malformed.
    InvalidInput,
    /// The key does not open this resource.
    PermissionDenied,
    /// The resource is not in the state that the call needs (locked, still being written ...).
    FailedPrecondition,
    /// The other side interrupted the operation.
    Cancelled,
    /// A limit of disk, memory or message size was reached.
    ResourceExhausted,
    /// The server cannot be reached, or went away.
    Unavailable,
    /// The timeout expired.
    Deadline,
    /// The peer does not know this call.
    Unimplemented,
    /// The object was closed before the call.
    Closed,
    /// Stored data is damaged or missing; other data is not affected.
    DataLoss,
    /// A bug or a damaged store: worth a report.
    Internal,
}

impl ErrorKind {
    /// The code of an error for which only the kind is known.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::AlreadyExists => ErrorCode::AlreadyExists,
            Self::InvalidInput => ErrorCode::InvalidInput,
            Self::PermissionDenied => ErrorCode::PermissionDenied,
            Self::FailedPrecondition => ErrorCode::FailedPrecondition,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::ResourceExhausted => ErrorCode::ResourceExhausted,
            Self::Unavailable => ErrorCode::Unavailable,
            Self::Deadline => ErrorCode::Deadline,
            Self::Unimplemented => ErrorCode::Unimplemented,
            Self::Closed => ErrorCode::Closed,
            Self::DataLoss => ErrorCode::DataLoss,
            Self::Internal => ErrorCode::Internal,
        }
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Deadline)
    }

    /// Every kind, for tables and tests.
    pub const ALL: [Self; 13] = [
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
        Self::DataLoss,
        Self::Internal,
    ];
}

/// The stable machine code of an error, for programs; codes are only ever added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A named resource does not exist.
    NotFound,
    /// No such sequence.
    SequenceNotFound,
    /// No such topic.
    TopicNotFound,
    /// No such layer.
    LayerNotFound,
    /// A name is taken.
    AlreadyExists,
    /// The sequence name is taken.
    SequenceExists,
    /// The topic name is taken.
    TopicExists,
    /// The layer name is taken.
    LayerExists,
    /// A request or value is malformed.
    InvalidInput,
    /// A name, locator or tag that is not allowed.
    BadName,
    /// A key that is not a UUID.
    BadKey,
    /// A ticket that no server issued.
    BadTicket,
    /// A descriptor that is not a command, or a malformed one.
    BadDescriptor,
    /// A schema that cannot be stored, or differs from the topic's.
    BadSchema,
    /// A query that cannot be parsed.
    BadQuery,
    /// A row that cannot be stored, such as one without time.
    BadRow,
    /// A message that cannot be decoded.
    BadMessage,
    /// A well-formed message at the wrong position of a stream.
    UnexpectedMessage,
    /// Not allowed.
    PermissionDenied,
    /// The key does not open the resource.
    WrongKey,
    /// The resource is not in the state that the call needs.
    FailedPrecondition,
    /// The sequence is finalized.
    SequenceLocked,
    /// The sequence ended without being finalized; it has no writer any more.
    SequenceEnded,
    /// The upload of the topic is complete.
    TopicLocked,
    /// The upload of a topic is not complete.
    TopicUnlocked,
    /// Another stream writes the topic.
    TopicBusy,
    /// A newer version of the daemon wrote the requested data.
    NewerFormat,
    /// The other side interrupted the operation.
    Cancelled,
    /// The resource was deleted while the call ran.
    Deleted,
    /// The stream was ended because its writer opened a new one.
    StreamReplaced,
    /// The client's stream broke off.
    StreamBroken,
    /// A limit was reached.
    ResourceExhausted,
    /// The store's device is full.
    StoreFull,
    /// A message or body is larger than the limit.
    TooLarge,
    /// A limit of count was reached.
    TooMany,
    /// The server cannot be reached.
    Unavailable,
    /// The server's store does not respond, or is temporarily unable to serve.
    StoreUnavailable,
    /// Rows of a topic are in the WAL of another daemon, which has to store them first.
    RemoteRows,
    /// Another daemon owns the server's bucket now; this one refuses every call.
    OwnershipLost,
    /// The server is shutting down.
    ShuttingDown,
    /// The timeout expired.
    Deadline,
    /// The peer does not know this call.
    Unimplemented,
    /// The object was closed before the call.
    Closed,
    /// Stored data is damaged or missing.
    DataLoss,
    /// A chunk in the store is damaged or missing.
    DamagedChunk,
    /// A bug or a damaged store.
    Internal,
}

impl ErrorCode {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::SequenceNotFound => "sequence_not_found",
            Self::TopicNotFound => "topic_not_found",
            Self::LayerNotFound => "layer_not_found",
            Self::AlreadyExists => "already_exists",
            Self::SequenceExists => "sequence_exists",
            Self::TopicExists => "topic_exists",
            Self::LayerExists => "layer_exists",
            Self::InvalidInput => "invalid_input",
            Self::BadName => "bad_name",
            Self::BadKey => "bad_key",
            Self::BadTicket => "bad_ticket",
            Self::BadDescriptor => "bad_descriptor",
            Self::BadSchema => "bad_schema",
            Self::BadQuery => "bad_query",
            Self::BadRow => "bad_row",
            Self::BadMessage => "bad_message",
            Self::UnexpectedMessage => "unexpected_message",
            Self::PermissionDenied => "permission_denied",
            Self::WrongKey => "wrong_key",
            Self::FailedPrecondition => "failed_precondition",
            Self::SequenceLocked => "sequence_locked",
            Self::SequenceEnded => "sequence_ended",
            Self::TopicLocked => "topic_locked",
            Self::TopicUnlocked => "topic_unlocked",
            Self::TopicBusy => "topic_busy",
            Self::NewerFormat => "newer_format",
            Self::Cancelled => "cancelled",
            Self::Deleted => "deleted",
            Self::StreamReplaced => "stream_replaced",
            Self::StreamBroken => "stream_broken",
            Self::ResourceExhausted => "resource_exhausted",
            Self::StoreFull => "store_full",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::RemoteRows => "rows_on_other_daemon",
            Self::OwnershipLost => "ownership_lost",
            Self::ShuttingDown => "shutting_down",
            Self::Deadline => "timed_out",
            Self::Unimplemented => "unimplemented",
            Self::Closed => "closed",
            Self::DataLoss => "data_loss",
            Self::DamagedChunk => "damaged_chunk",
            Self::Internal => "internal",
        }
    }

    /// The kind, for the caller's handling.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound | Self::SequenceNotFound | Self::TopicNotFound | Self::LayerNotFound => {
                ErrorKind::NotFound
            }
            Self::AlreadyExists | Self::SequenceExists | Self::TopicExists | Self::LayerExists => {
                ErrorKind::AlreadyExists
            }
            Self::InvalidInput
            | Self::BadName
            | Self::BadKey
            | Self::BadTicket
            | Self::BadDescriptor
            | Self::BadSchema
            | Self::BadQuery
            | Self::BadRow
            | Self::BadMessage
            | Self::UnexpectedMessage => ErrorKind::InvalidInput,
            Self::PermissionDenied | Self::WrongKey => ErrorKind::PermissionDenied,
            Self::FailedPrecondition
            | Self::SequenceLocked
            | Self::SequenceEnded
            | Self::TopicLocked
            | Self::TopicUnlocked
            | Self::TopicBusy
            | Self::NewerFormat => ErrorKind::FailedPrecondition,
            Self::Cancelled | Self::Deleted | Self::StreamReplaced | Self::StreamBroken => {
                ErrorKind::Cancelled
            }
            Self::ResourceExhausted | Self::StoreFull | Self::TooLarge | Self::TooMany => {
                ErrorKind::ResourceExhausted
            }
            Self::Unavailable
            | Self::StoreUnavailable
            | Self::RemoteRows
            | Self::OwnershipLost
            | Self::ShuttingDown => ErrorKind::Unavailable,
            Self::Deadline => ErrorKind::Deadline,
            Self::Unimplemented => ErrorKind::Unimplemented,
            Self::Closed => ErrorKind::Closed,
            Self::DataLoss | Self::DamagedChunk => ErrorKind::DataLoss,
            Self::Internal => ErrorKind::Internal,
        }
    }

    /// Every code, for tables and tests.
    pub const ALL: [Self; 46] = [
        Self::NotFound,
        Self::SequenceNotFound,
        Self::TopicNotFound,
        Self::LayerNotFound,
        Self::AlreadyExists,
        Self::SequenceExists,
        Self::TopicExists,
        Self::LayerExists,
        Self::InvalidInput,
        Self::BadName,
        Self::BadKey,
        Self::BadTicket,
        Self::BadDescriptor,
        Self::BadSchema,
        Self::BadQuery,
        Self::BadRow,
        Self::BadMessage,
        Self::UnexpectedMessage,
        Self::PermissionDenied,
        Self::WrongKey,
        Self::FailedPrecondition,
        Self::SequenceLocked,
        Self::SequenceEnded,
        Self::TopicLocked,
        Self::TopicUnlocked,
        Self::TopicBusy,
        Self::NewerFormat,
        Self::Cancelled,
        Self::Deleted,
        Self::StreamReplaced,
        Self::StreamBroken,
        Self::ResourceExhausted,
        Self::StoreFull,
        Self::TooLarge,
        Self::TooMany,
        Self::Unavailable,
        Self::StoreUnavailable,
        Self::RemoteRows,
        Self::OwnershipLost,
        Self::ShuttingDown,
        Self::Deadline,
        Self::Unimplemented,
        Self::Closed,
        Self::DataLoss,
        Self::DamagedChunk,
        Self::Internal,
    ];

    /// Parses a code from the wire; `None` if this version does not know it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_travel() {
        for (at, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
            assert!(!ErrorCode::ALL[..at].contains(&code));
        }
        assert_eq!(ErrorCode::parse("no_such_code"), None);
    }

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind.code().kind(), kind);
        }
    }
}
