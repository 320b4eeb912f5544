//! Options of a read beyond the ticket.

/// The options in the request's headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Continue until the topic is complete or its sequence ended.
    pub follow: bool,
    /// Runs of zeros may be elided from bodies.
    pub zero_runs: bool,
    /// Number of topics that the client reads concurrently.
    pub together: usize,
    /// Rows of damaged chunks are left out, and reported at the end.
    pub skip_damaged: bool,
    /// Another daemon forwarded the request, which is not forwarded again.
    pub forwarded: bool,
}
