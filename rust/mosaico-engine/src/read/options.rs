//! What a reader asks for beyond the ticket.

/// What the request's headers ask for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Go on until the topic is complete or left.
    pub follow: bool,
    /// Runs of zeros may be elided from bodies.
    pub zero_runs: bool,
    /// Topics that the client reads together.
    pub together: usize,
    /// Another daemon asks: there is nobody else to ask.
    pub forwarded: bool,
}
