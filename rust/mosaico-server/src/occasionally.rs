//! Log lines about floods must not be a flood themselves.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two lines about the same limit.
const PAUSE: Duration = Duration::from_secs(60);

/// Decides when an event that may occur often is logged.
#[derive(Debug, Default)]
pub(crate) struct Occasionally(Mutex<(u64, Option<Instant>)>);

impl Occasionally {
    /// Counts an event. If a line about it is due: the number of events since the line before.
    pub(crate) fn due(&self) -> Option<u64> {
        let (count, last) = &mut *self.0.lock();
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_speaks_for_many_events() {
        let events = Occasionally::default();
        let lines: Vec<_> = (0..1000).filter_map(|_| events.due()).collect();
        assert_eq!(lines, [1]);
        events.0.lock().1 = Instant::now().checked_sub(PAUSE);
        assert_eq!(events.due(), Some(1000));
    }
}
