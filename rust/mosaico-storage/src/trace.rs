//! Work on other threads that belongs to a call: what it logs carries the call's name.

use tokio::task::JoinHandle;
use tracing::Span;

/// As tokio's, in the caller's span.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}
