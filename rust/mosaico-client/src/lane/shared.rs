//! What the tasks of a lane share: its limits, the rows that are not yet cut, and its progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::budget::LaneBudget;
use super::outbox::Outbox;
use crate::error::{Error, Result};
use crate::rows::RowBuffer;

/// Limits of a lane: when it cuts batches, and how much it may queue.
#[derive(Debug, Clone)]
pub struct LaneConfig {
    /// A batch is cut when it has this many bytes; 0 sends every row alone.
    pub max_batch_bytes: usize,
    /// A batch is cut when it has this many rows.
    pub max_batch_records: usize,
    /// A batch is cut when its first row is this old.
    pub max_batch_age: Duration,
    /// The byte budget, shared with the other lanes of the same recording.
    pub budget: LaneBudget,
    /// How long the lane waits for a server that is away. Only with servers that acknowledge can an upload
    /// resume.
    pub reconnect_timeout: Duration,
}

/// Progress of the rows; `pushed >= sent >= durable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Rows accepted.
    pub pushed: u64,
    /// Rows passed to the network.
    pub sent: u64,
    /// Rows that the server acknowledged as durable; always 0 on a server without acknowledgements.
    pub durable: u64,
    /// Bytes in memory that are not sent or not acknowledged yet.
    pub queued_bytes: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    pub(super) sent: u64,
    pub(super) durable: u64,
    pub(super) queued_bytes: usize,
    /// The result of the put, once it has ended.
    pub(super) ended: Option<Result<()>>,
}

pub(super) struct Open {
    pub(super) rows: RowBuffer,
    pub(super) pushed: u64,
    pub(super) first_row: Option<Instant>,
    /// The writer has not ended the upload.
    pub(super) accepting: bool,
}

pub(super) struct Shared {
    pub(super) topic: String,
    pub(super) config: LaneConfig,
    pub(super) acknowledged: bool,
    pub(super) open: Mutex<Open>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) notices: Mutex<Vec<String>>,
    pub(super) noticed: AtomicBool,
    pub(super) progress: watch::Sender<Progress>,
}

impl Shared {
    /// Queues the rows of the open batch; returns the queued bytes.
    pub(super) fn cut(&self, open: &mut Open) -> usize {
        open.first_row = None;
        if open.rows.rows() > 0 && open.accepting {
            self.outbox.push(open.rows.take());
            self.count_queued();
        }
        self.outbox.bytes()
    }

    pub(super) fn count_queued(&self) {
        self.progress.send_modify(|progress| progress.queued_bytes = self.outbox.bytes());
    }

    pub(super) fn notice(&self, text: impl Into<String>) {
        self.notices.lock().push(text.into());
        self.noticed.store(true, Ordering::Release);
    }

    pub(super) fn closed(&self) -> Error {
        let message = format!("topic `{}` is closed; open a new writer to continue", self.topic);
        Error::new(ErrorKind::Closed, message)
    }

    pub(super) fn describe(&self, error: Error, stats: LaneStats) -> Error {
        if error.kind == ErrorKind::Closed {
            return error;
        }
        let LaneStats { pushed, durable, .. } = stats;
        if self.acknowledged && durable >= pushed {
            return error.context(format_args!(
                "topic `{}`: all {pushed} pushed rows are stored, later ones are not accepted",
                self.topic
            ));
        }
        let lost = if self.acknowledged {
            format!("rows {durable}..{pushed} ({} of {pushed})", pushed - durable)
        } else {
            format!("some of the {pushed} pushed rows")
        };
        error.context(format_args!("topic `{}`: {lost} are not known to be stored", self.topic))
    }
}
