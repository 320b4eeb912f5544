//! Warnings that clients cause, at most one per interval: nobody can flood the log output.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const INTERVAL: Duration = Duration::from_secs(5);

/// Writes a warning, unless the last one was written a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: Option<Instant>,
    omitted: u64,
}

impl Warnings {
    pub(super) fn warn(&self, text: &str) {
        if let Some(omitted) = self.admit(Instant::now()) {
            tracing::warn!(omitted, "{text}");
        }
    }

    /// The number of warnings that were omitted before this one; `None`: this one is omitted too.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.next.is_some_and(|next| now < next) {
            state.omitted += 1;
            return None;
        }
        state.next = Some(now + INTERVAL);
        Some(std::mem::take(&mut state.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_per_interval() {
        let (warnings, start) = (Warnings::default(), Instant::now());
        assert_eq!(warnings.admit(start), Some(0));
        assert_eq!(warnings.admit(start + INTERVAL / 2), None);
        assert_eq!(warnings.admit(start + INTERVAL), Some(1));
        assert_eq!(warnings.admit(start + INTERVAL * 3), Some(0));
    }
}
