//! Work on other threads that belongs to a call: its log lines carry the call's request ID.

use tokio::task::JoinHandle;
use tracing::Span;

/// Like tokio's function, in the caller's span.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}
