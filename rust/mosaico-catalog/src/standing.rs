//! Standing intents: one intent covers all changes of a sequence while it is recorded.
//!
//! A daemon that has a local store for itself inserts the intent of a sequence once, durably, and keeps the row
//! until the sequence is finalized, ended or deleted. Changes that the row covers commit without a sync:
//!
//! - A crash of the process loses nothing, since the operating system has the committed pages.
//! - A power cut may take the last commits. The catalog is then an earlier state of itself, because SQLite's log
//!   is read up to its last whole transaction. The row is in that state if any later commit of the sequence is
//!   missing: it was durable before the first change, and its removal is committed after the last one. So the next
//!   start reconciles the sequence from its records.
//!
//! Creations are durable commits all the same: what the catalog does not know and no row or schema proves, counts
//! as never answered and is removed (see `mosaico-engine/src/reconcile`).
//!
//! Chunks are recorded outside the lock of their sequence, so several changes may use the row at the same time.
//! It is removed when the sequence is closed and the last of them is done.

use std::collections::HashMap;
use std::sync::Arc;

use mosaico_types::id::SequenceId;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// The standing intents of this process.
#[derive(Debug, Default)]
pub(crate) struct StandingIntents(Mutex<HashMap<SequenceId, Standing>>);

/// The id of the row in table `pending`, once it is durable.
pub(crate) type IntentRow = Arc<OnceCell<i64>>;

#[derive(Debug, Default)]
struct Standing {
    row: IntentRow,
    /// Changes in progress.
    users: usize,
    /// Whether more changes are expected: the row then stays between two changes.
    is_open: bool,
}

/// A change in progress, which keeps the row.
#[derive(Debug)]
pub(crate) struct User {
    sequence: SequenceId,
    all: Arc<StandingIntents>,
}

impl Drop for User {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(standing) = all.get_mut(&self.sequence) {
            standing.users -= 1;
            if standing.users == 0 && standing.row.get().is_none() {
                all.remove(&self.sequence);
            }
        }
    }
}

impl StandingIntents {
    /// Begins a change. The caller initializes the row, unless it is there already.
    pub(crate) fn enter(self: &Arc<Self>, sequence: SequenceId) -> (User, IntentRow) {
        let mut all = self.0.lock();
        let standing = all.entry(sequence).or_default();
        standing.users += 1;
        (User { sequence, all: Arc::clone(self) }, Arc::clone(&standing.row))
    }

    /// Records whether more changes of the sequence are expected.
    pub(crate) fn set_open(&self, sequence: SequenceId, is_open: bool) {
        if let Some(standing) = self.0.lock().get_mut(&sequence) {
            standing.is_open = is_open;
        }
    }

    /// Ends a change whose transaction is committed. Returns the row if nothing needs it any more; the caller
    /// removes it.
    pub(crate) fn leave(&self, user: User) -> Option<i64> {
        let sequence = user.sequence;
        drop(user);
        self.take_unneeded(sequence).flatten()
    }

    /// Forgets the intent of a sequence whose changes are all in the catalog. `Some`: its rows may be removed; if
    /// it has a row of this process, that row and earlier ones.
    pub(crate) fn take_unneeded(&self, sequence: SequenceId) -> Option<Option<i64>> {
        let mut all = self.0.lock();
        match all.get(&sequence) {
            Some(standing) if standing.users > 0 || standing.is_open => None,
            Some(standing) => {
                let row = standing.row.get().copied();
                all.remove(&sequence);
                Some(row)
            }
            None => Some(None),
        }
    }

    /// Forgets all intents without a change in progress, except those of `pending` sequences, and returns their
    /// rows.
    pub(crate) fn take_idle(&self, pending: &[SequenceId]) -> Vec<(SequenceId, i64)> {
        let mut all = self.0.lock();
        let is_idle = |id: &SequenceId, standing: &mut Standing| standing.users == 0 && !pending.contains(id);
        let idle: Vec<_> = all.extract_if(is_idle).collect();
        idle.into_iter().filter_map(|(id, standing)| Some((id, *standing.row.get()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_row(intents: &Arc<StandingIntents>, id: SequenceId, number: i64) -> User {
        let (user, row) = intents.enter(id);
        if row.get().is_none() {
            row.set(number).expect("no row yet");
        }
        user
    }

    #[test]
    fn the_row_stays_until_the_sequence_is_closed_and_the_last_change_is_done() {
        let (intents, id) = (Arc::new(StandingIntents::default()), SequenceId::generate());
        let user = with_row(&intents, id, 1);
        intents.set_open(id, true);
        assert_eq!(intents.leave(user), None, "more changes are expected");
        let (first, second) = (with_row(&intents, id, 2), with_row(&intents, id, 2));
        intents.set_open(id, false);
        assert_eq!(intents.leave(first), None, "another change is in progress");
        assert_eq!(intents.take_unneeded(id), None);
        assert_eq!(intents.leave(second), Some(1));
        assert_eq!(intents.leave(with_row(&intents, id, 3)), Some(3), "a later change has a row of its own");
    }

    #[test]
    fn a_change_without_a_row_leaves_nothing() {
        let (intents, id) = (Arc::new(StandingIntents::default()), SequenceId::generate());
        drop(intents.enter(id));
        assert!(intents.0.lock().is_empty());
    }

    #[test]
    fn idle_rows_are_those_without_a_change() {
        let intents = Arc::new(StandingIntents::default());
        let [idle, busy, failed] = [(); 3].map(|()| SequenceId::generate());
        for (id, number) in [(idle, 1), (busy, 2), (failed, 3)] {
            drop(with_row(&intents, id, number));
            intents.set_open(id, true);
        }
        let _user = with_row(&intents, busy, 2);
        assert_eq!(intents.take_idle(&[failed]), [(idle, 1)]);
        assert_eq!(intents.take_idle(&[]), [(failed, 3)]);
    }
}
