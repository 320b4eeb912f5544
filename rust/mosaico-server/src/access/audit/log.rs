//! Takes the lines of calls; [`super::writer`] writes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mosaico_engine::state::metrics::code_name;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::line::Line;
use super::repeats::Repeats;

/// Lines that wait to be written; further ones are lost, and counted.
pub(super) const WAITING: usize = 4096;

/// The audit log of a server.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(super) repeats: Mutex<Repeats>,
    pub(super) lines: mpsc::Sender<Line>,
    /// Lines that were lost since the last report.
    pub(super) lost: AtomicU64,
    /// Cancelled when no more calls arrive: what waits is written.
    pub(super) ending: CancellationToken,
    pub(super) writer: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Writes what waits, in the background. Later lines are only in the log output.
    pub(crate) fn close(&self) {
        self.ending.cancel();
    }

    /// The same; waits until everything is written.
    pub(crate) async fn end(&self) {
        self.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(cause = %error, "the end of the audit log cannot be written");
        }
    }

    /// Writes a line, unless it repeats an earlier failure.
    pub(super) fn add(&self, line: Line) {
        let is_failure = line.result != code_name(Code::Ok);
        let line = if is_failure { self.repeats.lock().admit(line, Instant::now()) } else { Some(line) };
        if let Some(line) = line {
            self.write(line);
        }
    }

    pub(super) fn write(&self, line: Line) {
        let Line { who, call, subject, from, result, request, times, .. } = &line;
        tracing::info!(target: "audit", who, call, subject, from, result, request, times);
        if self.lines.try_send(line).is_err() && !self.ending.is_cancelled() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
