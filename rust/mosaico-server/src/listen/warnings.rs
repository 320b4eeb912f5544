//! Warnings that clients cause, at most one of each kind per interval: nobody can flood the log output.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const INTERVAL: Duration = Duration::from_secs(5);

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    WithoutTls,
    WithTls,
    Handshake,
    Unfinished,
}

/// Writes a warning, unless the last one of its kind was written a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<HashMap<Kind, State>>);

#[derive(Debug)]
struct State {
    next: Instant,
    omitted: u64,
}

impl Warnings {
    pub(super) fn warn(&self, kind: Kind, text: &str) {
        match self.admit(kind, Instant::now()) {
            Some(0) => tracing::warn!("{text}"),
            Some(omitted) => tracing::warn!(omitted, "{text}"),
            None => {}
        }
    }

    /// The number of warnings that were omitted before this one; `None`: this one is omitted too.
    fn admit(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut states = self.0.lock();
        let state = states.entry(kind).or_insert(State { next: now, omitted: 0 });
        if now < state.next {
            state.omitted += 1;
            return None;
        }
        state.next = now + INTERVAL;
        Some(std::mem::take(&mut state.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_of_a_kind_per_interval() {
        let (warnings, start) = (Warnings::default(), Instant::now());
        assert_eq!(warnings.admit(Kind::WithTls, start), Some(0));
        assert_eq!(warnings.admit(Kind::WithTls, start + INTERVAL / 2), None);
        assert_eq!(warnings.admit(Kind::Handshake, start + INTERVAL / 2), Some(0));
        assert_eq!(warnings.admit(Kind::WithTls, start + INTERVAL), Some(1));
        assert_eq!(warnings.admit(Kind::WithTls, start + INTERVAL * 3), Some(0));
    }
}
