//! All errors, with the texts that callers read. [`Error::code`] is the only table that maps them to wire
//! codes.
//!
//! Creating an error has no side effect. An error carries its cause to the place that handles it, which logs
//! it once: `calls.rs` for calls, `tasks/` for background work, the program for a failed start or command.

use std::error::Error as StdError;
use std::sync::Arc;
use std::{fmt, io};

use mosaico_select::SelectError;
use mosaico_types::{ErrorCode, ErrorKind, NameError};
use mosaico_wire::query::QueryError;

use crate::damaged_chunk::DamagedChunk;
use crate::service_text;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused request or a failed operation. The text names the offending value and the remedy; causes that
/// only an operator can act on (paths, SQL, library errors) are in [`Self::detail`], for the daemon's log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A name or locator is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A query is malformed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A request is malformed.
    #[error("{0}")]
    Invalid(String),
    /// A request cannot be served; the code gives the reason.
    #[error("{1}")]
    Refused(ErrorCode, String),
    /// A limit of the server was reached: the name of its setting, and a text for people.
    #[error("{1}")]
    Limit(&'static str, String),
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
    /// The sequence was abandoned without being finalized.
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
    /// The same writer opened another put on the topic.
    #[error("the stream of topic `{0}` was ended: its writer resumed over another connection")]
    Replaced(String),
    /// The resource is being removed, or was removed during the call.
    #[error("`{0}` was deleted while the call ran")]
    Deleted(String),
    /// The client's stream ended abnormally.
    #[error("the stream of topic `{topic}` broke after {durable_rows} durable rows: {cause}")]
    Broken {
        /// Topic locator.
        topic: String,
        /// Rows that are durable.
        durable_rows: u64,
        /// The cause, if known.
        cause: &'static str,
    },
    /// The store's device is full.
    #[error("the store is full: {0}{said}; free space and write again, acknowledged rows are kept", said = .0.said())]
    Full(Failure),
    /// The store timed out or reported that it is unavailable.
    #[error(
        "the store is not available: {0} failed or took too long{said}; try again later, acknowledged rows are kept",
        said = .0.said()
    )]
    StoreUnavailable(Failure),
    /// The system refuses descriptors, threads or memory to this process.
    #[error(
        "the daemon has no free file descriptors, threads or memory: {0} failed; try again later, acknowledged rows \
         are kept; its operator raises the limit of open files (`ulimit -n`)"
    )]
    Shortage(Failure),
    /// Some rows are only in another daemon's WAL.
    #[error("topic `{topic}` is not complete: {} in the log of the daemon {place}", amount(*rows))]
    Elsewhere {
        /// Topic locator.
        topic: String,
        /// Number of rows; 0 if unknown.
        rows: u64,
        /// The daemon that has them, and the remedy.
        place: String,
    },
    /// Another daemon owns the bucket now; the text names it.
    #[error("{0}")]
    OwnershipLost(String),
    /// The server is shutting down.
    #[error("the server is shutting down; connect again later")]
    ShuttingDown,
    /// This server does not know the action or call.
    #[error("{0}")]
    Unimplemented(String),
    /// The daemon cannot start with this configuration or store.
    #[error("{0}")]
    Startup(String),
    /// An item in the store has a format that only newer versions of the program can read.
    #[error(
        "this store was written by a newer version: {what} has format version {found}, this daemon reads up to \
         {known}; upgrade mosaicod"
    )]
    NewerFormat {
        /// The item, with its path.
        what: String,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The bytes of a chunk are not those that were written.
    #[error("{0}")]
    DamagedChunk(Box<DamagedChunk>),
    /// A bug or a broken store; the server logs the details.
    #[error("internal error while {0}{said}; the server's log has the details", said = .0.said())]
    Internal(Failure),
}

impl Error {
    /// The machine-readable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::BadName,
            Self::Query(_) => ErrorCode::BadQuery,
            Self::Invalid(_) => ErrorCode::InvalidInput,
            Self::Refused(code, _) => *code,
            Self::Limit(..) => ErrorCode::TooMany,
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
            Self::StoreUnavailable(_) | Self::Shortage(_) => ErrorCode::StoreUnavailable,
            Self::Elsewhere { .. } => ErrorCode::RemoteRows,
            Self::OwnershipLost(_) => ErrorCode::OwnershipLost,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::Unimplemented(_) => ErrorCode::Unimplemented,
            Self::NewerFormat { .. } => ErrorCode::NewerFormat,
            Self::DamagedChunk(_) => ErrorCode::DamagedChunk,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// The class of error that a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// `what` has format version `found`; this program reads versions up to `known`.
    pub fn newer(what: impl Into<String>, found: u32, known: u32) -> Self {
        Self::NewerFormat { what: what.into(), found, known }
    }

    /// A failure inside the server. Distinguishes a full device and an unavailable store.
    pub fn internal(doing: impl Into<String>, cause: impl StdError + Send + Sync + 'static) -> Self {
        // The daemon logged this once, when it noticed the loss.
        if let Some(OwnershipLost(text)) = lost_owner(&cause) {
            return Self::OwnershipLost(text);
        }
        let class = class(&cause);
        let failure = Failure::new(doing, cause);
        match class {
            Class::Full => Self::Full(failure),
            Class::Unavailable => Self::StoreUnavailable(failure),
            Class::Shortage => Self::Shortage(failure),
            Class::Other => Self::Internal(failure),
        }
    }

    /// The failure, if the server failed; `None` if it refused a request.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Full(failure)
            | Self::StoreUnavailable(failure)
            | Self::Shortage(failure)
            | Self::Internal(failure) => Some(failure),
            _ => None,
        }
    }

    /// The text followed by its cause: for the daemon's log and for operators, not for callers.
    pub fn detail(&self) -> impl fmt::Display {
        Detail(self)
    }
}

/// What the server was doing when it failed, what the service said about it (all that the text shows), and the cause.
#[derive(Debug, Clone)]
pub struct Failure {
    doing: String,
    said: Option<String>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub fn new(doing: impl Into<String>, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { doing: doing.into(), said: service_text::said(&cause), cause: Some(Arc::new(cause)) }
    }

    /// The same failure, with the text of the service.
    pub fn saying(self, text: &str) -> Self {
        Self { said: Some(service_text::line(text)), ..self }
    }

    /// Whether a conditional write was refused, as its caller has to expect: nothing is wrong with the store.
    pub fn is_conflict(&self) -> bool {
        let cause = self.cause.as_deref().and_then(|cause| cause.downcast_ref());
        matches!(
            cause,
            Some(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })
        )
    }

    /// What the service said, as the rest of a sentence.
    fn said(&self) -> String {
        self.said.as_ref().map(|said| format!(" ({said})")).unwrap_or_default()
    }

    /// The same failure, described by a caller with more context.
    pub fn during(self, doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

/// A failure without an underlying error.
impl From<String> for Failure {
    fn from(doing: String) -> Self {
        Self { doing, said: None, cause: None }
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
            // The error's own text refers to the daemon's log, where this text is written.
            Error::Internal(failure) => write!(f, "internal error while {failure}{}", failure.said())?,
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

/// Another daemon owns the bucket; the text names it and gives the remedy.
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

/// The store did not respond, or responded only that it is unavailable.
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

/// Classes of foreign errors that this crate distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The device is full.
    Full,
    /// The store is unavailable now.
    Unavailable,
    /// The system refuses descriptors, threads or memory.
    Shortage,
    Other,
}

/// Whether the system refused descriptors, threads or memory: the same operation may succeed later.
pub fn is_shortage(error: &io::Error) -> bool {
    // ENOMEM, ENFILE, EMFILE: the same numbers on every Unix. ENOBUFS of Linux. EAGAIN is what threads get.
    const SHORTAGES: [i32; 4] = [12, 23, 24, 105];
    let thread = error.kind() == io::ErrorKind::WouldBlock;
    thread || error.raw_os_error().is_some_and(|code| SHORTAGES.contains(&code))
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
            // The kernel makes a file system read-only when it finds an error in it, until an operator repairs it.
            if io.kind() == io::ErrorKind::ReadOnlyFilesystem {
                return Class::Unavailable;
            }
            if is_shortage(io) {
                return Class::Shortage;
            }
            // An `io::Error` may wrap another error without returning it as its source.
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
    fn a_full_device_is_recognised() {
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
    fn a_read_only_file_system_is_unavailable() {
        let refused = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(Error::internal("writing", refused).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_shortage_of_the_system_is_recognised() {
        for code in [11, 12, 23, 24] {
            let error = Error::internal("opening a segment", io::Error::from_raw_os_error(code));
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{code}");
            assert!(error.to_string().contains("opening a segment failed; try again later"), "{error}");
        }
    }

    #[test]
    fn an_error_says_what_the_service_said() {
        let body = "403: <Error><Code>RequestTimeTooSkewed</Code><Message>Set your clock.</Message></Error>";
        let refused = |conditional: bool| {
            let (path, source) = (String::from("a"), Box::new(io::Error::other(body)));
            match conditional {
                true => object_store::Error::Precondition { path, source },
                false => object_store::Error::PermissionDenied { path, source },
            }
        };
        let error = Error::internal("reading a", Unavailable(Some(refused(false))));
        let said = "reading a failed or took too long (RequestTimeTooSkewed: Set your clock.); try";
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.failure().expect("a failure").is_conflict());
        let error = Error::internal("writing a", refused(true));
        assert!(error.failure().expect("a failure").is_conflict() && error.to_string().contains("Set your"));
        let error = Error::Full(Failure::from("writing a").saying("no space\nleft"));
        assert!(error.to_string().contains("writing a (no space left); free"), "{error}");
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
