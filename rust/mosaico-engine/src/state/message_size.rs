//! Sizes of the messages of reads: open reads share a budget.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// The first message of a read is small, so that it arrives soon; each later one may be twice as large as its
/// predecessor.
const FIRST_PIECE_BYTES: usize = 512 << 10;

/// Messages are at least this large, even if many reads share the memory.
pub const LEAST: usize = 64 << 10;

/// The size of a read's next message: divides the memory budget of reads among those that are open.
#[derive(Debug)]
pub struct BatchSizer {
    readers: Weak<()>,
    all: usize,
    most: usize,
    /// At least this many reads will be open soon.
    together: usize,
    next: AtomicUsize,
    /// A lower limit for now: other reads use the memory.
    cap: AtomicUsize,
    /// Bytes of a row on average, if a row is larger than a message should be.
    row: AtomicUsize,
}

impl BatchSizer {
    /// For one of `together` reads, which share `all` bytes; `readers` counts the open ones.
    pub fn new(readers: &Arc<()>, all: usize, most: usize, together: usize) -> Arc<Self> {
        let next = AtomicUsize::new(FIRST_PIECE_BYTES);
        let (cap, row) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Arc::new(Self { readers: Arc::downgrade(readers), all, most, together, next, cap, row })
    }

    /// Arrow data of the next message.
    pub fn bytes(&self) -> usize {
        // A message is in the decoder, in the encoder and in transit at the same time, partly twice.
        const COPIES: usize = 8;
        // One reference is the server's own.
        let open = self.readers.strong_count().saturating_sub(1).max(self.together).max(1);
        let share = (self.all / COPIES / open).clamp(LEAST.min(self.most), self.most);
        share.min(self.next.load(Ordering::Relaxed)).min(self.cap.load(Ordering::Relaxed))
    }

    /// Limits the next message; `usize::MAX`: only by the other rules.
    pub fn cap(&self, bytes: usize) {
        self.cap.store(bytes, Ordering::Relaxed);
    }

    /// Records the size of rows; a message has at least one.
    pub fn has_rows_of(&self, bytes: usize) {
        self.row.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row.load(Ordering::Relaxed)
    }

    /// Records that a message was produced.
    pub fn grow(&self) {
        let next = self.next.load(Ordering::Relaxed);
        self.next.store(next.saturating_mul(2).min(self.most.max(next)), Ordering::Relaxed);
    }
}

#[cfg(test)]
impl BatchSizer {
    /// A constant size.
    pub fn fixed(bytes: usize) -> Arc<Self> {
        let next = AtomicUsize::new(bytes);
        let (cap, row) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Arc::new(Self { readers: Weak::new(), all: usize::MAX, most: bytes, together: 1, next, cap, row })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn messages_grow_as_far_as_the_share_of_their_read() {
        let readers = Arc::new(());
        let next = AtomicUsize::new(FIRST_PIECE_BYTES);
        let readers_of = Arc::downgrade(&readers);
        let (cap, row) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        let size =
            BatchSizer { readers: readers_of, all: 64 * MIB, most: 4 * MIB, together: 1, next, cap, row };
        let sizes = |count| (0..count).map(|_| (size.bytes(), size.grow()).0).collect::<Vec<_>>();
        assert_eq!(sizes(5), [MIB / 2, MIB, 2 * MIB, 4 * MIB, 4 * MIB]);
        let open = vec![Arc::clone(&readers); 64];
        assert_eq!(sizes(2), [MIB / 8; 2]);
        drop(open);
        assert_eq!(sizes(1), [4 * MIB]);
        size.cap(MIB);
        assert_eq!(sizes(1), [MIB]);
        size.cap(usize::MAX);
        assert_eq!(BatchSizer { together: 32, ..size }.bytes(), MIB / 4);
    }
}
