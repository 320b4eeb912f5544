//! What can go wrong, in the words that callers read. [`Error::code`] is the one table to the codes that travel.
//!
//! Creating an error has no side effect. An error carries its cause to where it is handled, and is logged there, once:
//! `calls.rs` for calls, `tasks/` for background work, the program for a start or a command that fails.

use std::error::Error as StdError;
use std::sync::Arc;
use std::{fmt, io};

use mosaico_select::SelectError;
use mosaico_types::{ErrorCode, ErrorKind, NameError};
use mosaico_wire::query::QueryError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused request or a failed piece of work. Texts name the offending value and the way out; causes that
/// only an operator can act on (paths, SQL, library errors) are in [`Self::detail`], which is for the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A name or locator is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A query that cannot be understood.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A request that cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// A request that cannot be served, for the reason that the code names.
    #[error("{1}")]
    Refused(ErrorCode, String),
    /// No such sequence.
    #[error("sequence `{0}` does not exist; list the sequences to see what does")]
    SequenceNotFound(String),
    /// No such topic.
    #[error("topic `{0}` does not exist; look at its sequence to see what does")]
    TopicNotFound(String),
    /// No such layer.
    #[error("layer `{0}` does not exist; list the layers to see what does")]
    LayerNotFound(String),
    /// The sequence name is taken.
    #[error("sequence `{0}` already exists; choose another name or delete it first")]
    SequenceExists(String),
    /// The topic name is taken.
    #[error("topic `{0}` already exists; choose another name or delete it first")]
    TopicExists(String),
    /// The layer name is taken.
    #[error("layer `{0}` already exists; choose another name or delete it first")]
    LayerExists(String),
    /// The key does not open the resource.
    #[error("the key does not open `{0}`; use the key that its creation returned")]
    WrongKey(String),
    /// The sequence is finalized.
    #[error("sequence `{0}` is locked: finalized data is immutable; write to a new sequence")]
    SequenceLocked(String),
    /// The sequence was left without being finalized.
    #[error(
        "sequence `{0}` was ended without being finalized: its writer left it, or was silent for too long; what it \
         holds can be read; delete it, or write to a new sequence"
    )]
    SequenceEnded(String),
    /// The topic is committed.
    #[error("topic `{0}` is locked: its upload is complete and immutable; write to a new topic")]
    TopicLocked(String),
    /// A topic is still open, so its sequence cannot be finalized.
    #[error("topic `{0}` is unlocked: end its upload, or delete it, before finalizing its sequence")]
    TopicUnlocked(String),
    /// Another put is open on the topic.
    #[error("topic `{0}` is being written by another stream; end that one first")]
    TopicBusy(String),
    /// The same writer opened another put.
    #[error("the stream of topic `{0}` was ended: its writer goes on over another connection")]
    Replaced(String),
    /// The resource is being removed, or was removed while the call ran.
    #[error("`{0}` was deleted while the call ran")]
    Deleted(String),
    /// The client's stream broke.
    #[error("the stream of topic `{topic}` broke after {durable_rows} durable rows: {cause}")]
    Broken {
        /// Topic locator.
        topic: String,
        /// Rows that are kept.
        durable_rows: u64,
        /// Why, as far as it is known.
        cause: &'static str,
    },
    /// The store's device is full.
    #[error("the store is full: {0}; free space and write again, acknowledged rows are kept")]
    Full(Failure),
    /// The store does not answer in time, or says that it cannot serve now.
    #[error(
        "the store is not available: {0} failed or took too long; try again later, acknowledged rows are kept"
    )]
    StoreUnavailable(Failure),
    /// Rows are in the log of another daemon.
    #[error("topic `{topic}` is not complete: {} in the log of the daemon {place}", amount(*rows))]
    Elsewhere {
        /// Topic locator.
        topic: String,
        /// How many; 0: not known.
        rows: u64,
        /// Which daemon, and what to do.
        place: String,
    },
    /// Another daemon owns the bucket now; the text names it.
    #[error("{0}")]
    OwnershipLost(String),
    /// The server ends.
    #[error("the server is shutting down; connect again later")]
    ShuttingDown,
    /// An action or call that this server does not know.
    #[error("{0}")]
    Unimplemented(String),
    /// The daemon cannot start with this configuration or store.
    #[error("{0}")]
    Startup(String),
    /// Something in the store has a format that only newer versions of the program know.
    #[error(
        "this store was written by a newer version: {what} has format version {found}, this daemon reads up to \
         {known}; upgrade mosaicod"
    )]
    NewerFormat {
        /// What it is, with its path.
        what: String,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// A bug or a broken store; the details are in the server's log.
    #[error("internal error while {0}; the server's log has the details")]
    Internal(Failure),
}

impl Error {
    /// What happened, for programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::BadName,
            Self::Query(_) => ErrorCode::BadQuery,
            Self::Invalid(_) => ErrorCode::InvalidInput,
            Self::Refused(code, _) => *code,
            Self::SequenceNotFound(_) => ErrorCode::SequenceNotFound,
            Self::TopicNotFound(_) => ErrorCode::TopicNotFound,
            Self::LayerNotFound(_) => ErrorCode::LayerNotFound,
            Self::SequenceExists(_) => ErrorCode::SequenceExists,
            Self::TopicExists(_) => ErrorCode::TopicExists,
            Self::LayerExists(_) => ErrorCode::LayerExists,
            Self::WrongKey(_) => ErrorCode::WrongKey,
            Self::SequenceLocked(_) => ErrorCode::SequenceLocked,
            Self::SequenceEnded(_) => ErrorCode::SequenceEnded,
            Self::TopicLocked(_) => ErrorCode::TopicLocked,
            Self::TopicUnlocked(_) => ErrorCode::TopicUnlocked,
            Self::TopicBusy(_) => ErrorCode::TopicBusy,
            Self::Startup(_) => ErrorCode::FailedPrecondition,
            Self::Deleted(_) => ErrorCode::Deleted,
            Self::Replaced(_) => ErrorCode::StreamReplaced,
            Self::Broken { .. } => ErrorCode::StreamBroken,
            Self::Full(_) => ErrorCode::StoreFull,
            Self::StoreUnavailable(_) => ErrorCode::StoreUnavailable,
            Self::Elsewhere { .. } => ErrorCode::RemoteRows,
            Self::OwnershipLost(_) => ErrorCode::OwnershipLost,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::Unimplemented(_) => ErrorCode::Unimplemented,
            Self::NewerFormat { .. } => ErrorCode::NewerFormat,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// `what` has the format `found`, of which no version up to `known` can read it.
    pub fn newer(what: impl Into<String>, found: u32, known: u32) -> Self {
        Self::NewerFormat { what: what.into(), found, known }
    }

    /// A failure inside the server. A full device and a store that is not available are told apart.
    pub fn internal(doing: impl Into<String>, cause: impl StdError + Send + Sync + 'static) -> Self {
        // That was logged once, when it was noticed.
        if let Some(OwnershipLost(text)) = lost_owner(&cause) {
            return Self::OwnershipLost(text);
        }
        let class = class(&cause);
        let failure = Failure::new(doing, cause);
        match class {
            Class::Full => Self::Full(failure),
            Class::Unavailable => Self::StoreUnavailable(failure),
            Class::Other => Self::Internal(failure),
        }
    }

    /// The failure, if the server failed; `None` if it refused a request.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Full(failure) | Self::StoreUnavailable(failure) | Self::Internal(failure) => Some(failure),
            _ => None,
        }
    }

    /// The text with the cause behind it: for the log and for operators, not for callers.
    pub fn detail(&self) -> impl fmt::Display {
        Detail(self)
    }
}

/// What the server was doing when it failed, which is all that the text shows, and the cause.
#[derive(Debug, Clone)]
pub struct Failure {
    doing: String,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub fn new(doing: impl Into<String>, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { doing: doing.into(), cause: Some(Arc::new(cause)) }
    }

    /// The same failure, described by a caller that knows better what was being done.
    pub fn during(self, doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

/// A failure without a foreign cause.
impl From<String> for Failure {
    fn from(doing: String) -> Self {
        Self { doing, cause: None }
    }
}

impl From<&str> for Failure {
    fn from(doing: &str) -> Self {
        doing.to_owned().into()
    }
}

struct Detail<'a>(&'a Error);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Its text refers to the log, where this goes.
            Error::Internal(failure) => write!(f, "internal error while {failure}")?,
            error => write!(f, "{error}")?,
        }
        let mut said = String::new();
        let mut next =
            self.0.failure().and_then(|failure| failure.cause.as_deref()).map(|e| e as &dyn StdError);
        while let Some(cause) = next {
            // Many errors repeat the text of their source in their own.
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

/// Another daemon owns the bucket; the text says which one, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OwnershipLost(pub String);

impl From<OwnershipLost> for object_store::Error {
    fn from(lost: OwnershipLost) -> Self {
        Self::Generic { store: "store", source: Box::new(lost) }
    }
}

impl From<OwnershipLost> for Error {
    fn from(lost: OwnershipLost) -> Self {
        Self::OwnershipLost(lost.0)
    }
}

/// Whether another daemon owns the bucket.
fn lost_owner(error: &(dyn StdError + 'static)) -> Option<OwnershipLost> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(lost) = error.downcast_ref::<OwnershipLost>() {
            return Some(lost.clone());
        }
        next = error.source();
    }
    None
}

/// The store gave no answer, or one that says no more than that it cannot serve now.
#[derive(Debug, thiserror::Error)]
#[error("the store does not serve this now{}", .0.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
pub struct Unavailable(pub Option<object_store::Error>);

impl From<Unavailable> for object_store::Error {
    fn from(error: Unavailable) -> Self {
        Self::Generic { store: "store", source: Box::new(error) }
    }
}

fn amount(rows: u64) -> String {
    match rows {
        0 => "rows may be".to_owned(),
        1 => "1 row is".to_owned(),
        rows => format!("{rows} rows are"),
    }
}

/// Foreign errors, as far as this crate tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The device is full.
    Full,
    /// The store cannot serve now.
    Unavailable,
    Other,
}

fn class(error: &(dyn StdError + 'static)) -> Class {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Unavailable>() {
            return Class::Unavailable;
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let full =
                [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            if full.contains(&io.kind()) {
                return Class::Full;
            }
            // An io::Error may wrap another one without naming it as its source.
            if let Some(inner) = io.get_ref() {
                return class(inner);
            }
        }
        next = error.source();
    }
    Class::Other
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Column(error) => Self::Invalid(error.to_string()),
            SelectError::Where(error) => Self::Query(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Error::internal("writing", full).kind(), ErrorKind::ResourceExhausted);
        let wrapped = io::Error::other(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(Error::internal("writing", wrapped).kind(), ErrorKind::ResourceExhausted);
        let other = io::Error::from(io::ErrorKind::NotFound);
        let error = Error::internal("writing", other);
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(!error.to_string().contains("entity"), "causes stay in the log: {error}");
    }

    #[test]
    fn the_detail_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read block 7{}", if *.repeats { format!(": {source}") } else { String::new() })]
        struct Block {
            source: io::Error,
            repeats: bool,
        }
        for repeats in [false, true] {
            let error =
                Error::internal("reading a chunk", Block { source: io::Error::other("bad disk"), repeats });
            let detail = "internal error while reading a chunk: cannot read block 7: bad disk";
            assert_eq!(error.detail().to_string(), detail);
        }
        assert_eq!(Error::ShuttingDown.detail().to_string(), Error::ShuttingDown.to_string());
    }
}
