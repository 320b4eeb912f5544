//! The resend buffer of one lane: batches that were cut and are not acknowledged, in order, in memory or
//! spilled to disk.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::spill::{SpillConfig, SpillFile, Spilled};
use crate::error::{Error, Result};
use crate::rows::RawRows;

#[derive(Debug)]
enum Form {
    /// `None` only while the rows are converted to a batch.
    Raw(Option<RawRows>),
    Batch(RecordBatch),
    Disk(Spilled),
}

/// Rows that were cut together.
#[derive(Debug)]
struct Entry {
    /// Counted from the topic's first row.
    first_row: u64,
    rows: usize,
    /// Leading rows that are stored already.
    stored: usize,
    /// Its size in memory.
    bytes: usize,
    form: Form,
}

impl Entry {
    fn end_row(&self) -> u64 {
        self.first_row + self.rows as u64
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        if let Form::Raw(raw) = &mut self.form {
            let raw =
                raw.take().ok_or_else(|| Error::new(ErrorKind::Internal, "rows did not form a batch"))?;
            self.form = Form::Batch(raw.into_batch()?);
        }
        match &self.form {
            Form::Batch(batch) => Ok(batch.clone()),
            Form::Disk(spilled) => spilled.read(),
            Form::Raw(_) => unreachable!("made a batch above"),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Number of entries that the current stream has taken.
    taken: usize,
    /// Rows cut so far.
    rows: u64,
    /// Rows that streams have taken so far.
    sent: u64,
    /// Rows that the server acknowledged last.
    acknowledged: u64,
    /// Bytes in memory.
    bytes: usize,
    /// The lane appends no more rows.
    closed: bool,
    /// The stream that may take entries.
    stream: u64,
}

/// The batches of a lane from the cut until the acknowledgement.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Keep entries until they are acknowledged, not only until they are sent.
    keep: bool,
    state: Mutex<State>,
    changed: Notify,
    /// Entries that the current stream had taken may be spilled again.
    released: Notify,
    spill: Option<SpillConfig>,
    file: tokio::sync::Mutex<Option<Arc<SpillFile>>>,
}

/// The next step of a stream.
#[derive(Debug)]
pub(super) enum Next {
    /// Rows, and the number of the topic's rows that are sent with them.
    Rows(RecordBatch, u64),
    /// The upload is complete.
    End,
    /// Another stream replaced this one, which must neither send nor end.
    Stale,
}

impl Outbox {
    pub(super) fn new(keep: bool, spill: Option<SpillConfig>) -> Self {
        Self {
            keep,
            state: Mutex::default(),
            changed: Notify::new(),
            released: Notify::new(),
            spill,
            file: tokio::sync::Mutex::default(),
        }
    }

    /// Appends rows; returns the bytes in memory.
    pub(super) fn push(&self, raw: RawRows) -> usize {
        let (rows, bytes) = (raw.rows, raw.bytes);
        self.append(rows, bytes, Form::Raw(Some(raw)))
    }

    /// Appends rows that are columns already; `bytes` is their size.
    pub(super) fn push_batch(&self, batch: RecordBatch, bytes: usize) -> usize {
        self.append(batch.num_rows(), bytes, Form::Batch(batch))
    }

    fn append(&self, rows: usize, bytes: usize, form: Form) -> usize {
        let mut state = self.state.lock();
        let first_row = state.rows;
        state.rows += rows as u64;
        state.bytes += bytes;
        state.entries.push_back(Entry { first_row, rows, stored: 0, bytes, form });
        self.changed.notify_waiters();
        state.bytes
    }

    /// Marks the end of the rows.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Begins a stream; from now on, only this one may take entries.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.stream += 1;
        self.changed.notify_waiters();
        state.stream
    }

    /// Ends the current stream, because its connection broke: what it has taken waits again, and may be
    /// spilled.
    pub(super) fn release(&self) {
        let mut state = self.state.lock();
        state.stream += 1;
        state.taken = 0;
        drop(state);
        self.changed.notify_waiters();
        self.released.notify_waiters();
    }

    /// Completes at the next [`Self::release`] after this call.
    pub(super) fn released(&self) -> Notified<'_> {
        self.released.notified()
    }

    /// Removes the topic's first `rows` rows, which are stored.
    ///
    /// # Errors
    /// The server acknowledges rows that it cannot have, or fewer than before.
    pub(super) fn acknowledge(&self, rows: u64) -> Result<()> {
        let mut state = self.state.lock();
        let State { sent, acknowledged, .. } = *state;
        if rows > sent {
            let message = format!(
                "the server acknowledged {rows} rows, but only {sent} were sent to it; somebody else wrote to the \
                 topic, or it is no mosaicod"
            );
            return Err(Error::new(ErrorKind::Internal, message));
        }
        if rows < acknowledged {
            let message = format!(
                "the server acknowledged {rows} rows after it had acknowledged {acknowledged}; it lost rows"
            );
            return Err(Error::new(ErrorKind::Internal, message));
        }
        state.acknowledged = rows;
        while state.entries.front().is_some_and(|entry| entry.end_row() <= rows) {
            state.forget_first();
        }
        Ok(())
    }

    /// Resets the current stream to the position after the topic's first `rows` rows; returns the number of
    /// rows to resend.
    ///
    /// # Errors
    /// The server lacks rows that it acknowledged, or has more rows than were sent.
    pub(super) fn rewind(&self, rows: u64) -> Result<u64> {
        {
            let mut state = self.state.lock();
            let (all, sent) = (state.rows, state.sent);
            let kept = state.entries.front().map_or(all, |entry| entry.first_row + entry.stored as u64);
            if rows < kept || rows > sent {
                let message = format!(
                    "the server stores {rows} rows, this writer sent {sent} and knows of {kept} as stored; \
                     somebody else wrote to the topic, or the server lost rows"
                );
                return Err(Error::new(ErrorKind::Internal, message));
            }
            // Acknowledged rows that the server lacks are sent again, as far as they are kept.
            (state.taken, state.acknowledged) = (0, rows);
        }
        self.acknowledge(rows)?;
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.front_mut() {
            entry.stored = usize::try_from(rows - entry.first_row).unwrap_or(entry.rows);
        }
        Ok(state.sent.saturating_sub(rows))
    }

    /// Waits for the next step of `stream`.
    ///
    /// # Errors
    /// If rows do not form a batch, or cannot be read back from disk.
    pub(super) async fn next(self: &Arc<Self>, stream: u64) -> Result<Next> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let on_disk = match self.look(stream) {
                Look::Ready(next) => return next,
                Look::Disk => true,
                Look::Nothing => false,
            };
            if !on_disk {
                changed.await;
                continue;
            }
            let outbox = Arc::clone(self);
            if let Some(next) = off_thread(move || outbox.take(stream)).await? {
                return Ok(next);
            }
        }
    }

    fn look(&self, stream: u64) -> Look {
        let mut state = self.state.lock();
        if state.stream != stream {
            return Look::Ready(Ok(Next::Stale));
        }
        // The caller has sent the entries that it took before.
        while !self.keep && state.taken > 0 {
            state.forget_first();
        }
        let taken = state.taken;
        match state.entries.get(taken).map(|entry| &entry.form) {
            Some(Form::Disk(_)) => Look::Disk,
            Some(_) => Look::Ready(state.take()),
            None if state.closed => Look::Ready(Ok(Next::End)),
            None => Look::Nothing,
        }
    }

    /// Takes an entry from disk; `None` if the state changed in the meantime.
    fn take(&self, stream: u64) -> Result<Option<Next>> {
        let (spilled, first_row) = {
            let state = self.state.lock();
            match state.entries.get(state.taken) {
                Some(Entry { form: Form::Disk(spilled), first_row, .. }) => (spilled.clone(), *first_row),
                _ => return Ok(None),
            }
        };
        let batch = spilled.read()?;
        let mut state = self.state.lock();
        let taken = state.taken;
        match state.entries.get(taken) {
            Some(entry) if state.stream == stream && entry.first_row == first_row => {
                let next = Next::Rows(batch.slice(entry.stored, entry.rows - entry.stored), entry.end_row());
                let end = entry.end_row();
                state.take_to(end);
                Ok(Some(next))
            }
            _ => Ok(None),
        }
    }

    /// Moves entries that no stream has taken yet to disk, within the disk budget; returns whether it moved
    /// any.
    ///
    /// # Errors
    /// If the disk fails. The rows stay in memory.
    pub(super) async fn spill(self: &Arc<Self>) -> Result<bool> {
        let Some(config) = self.spill.clone() else { return Ok(false) };
        // One at a time: entries go to disk in order.
        let mut file = self.file.lock().await;
        let mut moved = false;
        loop {
            let waiting = {
                let mut state = self.state.lock();
                if !state.entries.iter().any(|entry| matches!(entry.form, Form::Disk(_))) {
                    *file = None;
                }
                let taken = state.taken;
                let mut waiting =
                    state.entries.iter_mut().skip(taken).filter(|entry| !matches!(entry.form, Form::Disk(_)));
                match waiting.next() {
                    Some(entry) => (entry.first_row, entry.batch()?),
                    None => return Ok(moved),
                }
            };
            let (first_row, batch) = waiting;
            let (config, open) = (config.clone(), file.take());
            let (open, spilled) = off_thread(move || {
                let open = open.map_or_else(|| SpillFile::create(&config), Ok)?;
                let spilled = open.append(&batch)?;
                Ok((open, spilled))
            })
            .await?;
            *file = Some(open);
            let Some(spilled) = spilled else { return Ok(moved) };
            moved = true;
            let mut state = self.state.lock();
            let bytes = match state.entries.iter_mut().find(|entry| entry.first_row == first_row) {
                Some(entry) => {
                    entry.form = Form::Disk(spilled);
                    std::mem::take(&mut entry.bytes)
                }
                None => 0,
            };
            state.bytes -= bytes;
        }
    }
}

enum Look {
    Ready(Result<Next>),
    Disk,
    Nothing,
}

impl State {
    fn take(&mut self) -> Result<Next> {
        let taken = self.taken;
        let Some(entry) = self.entries.get_mut(taken) else { return Ok(Next::End) };
        let batch = entry.batch()?;
        let end = entry.end_row();
        let next = Next::Rows(batch.slice(entry.stored, entry.rows - entry.stored), end);
        self.take_to(end);
        Ok(next)
    }

    fn take_to(&mut self, end_row: u64) {
        self.taken += 1;
        self.sent = self.sent.max(end_row);
    }

    fn forget_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
            self.taken = self.taken.saturating_sub(1);
        }
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("a background thread ended: {cause}")))?
}

#[cfg(test)]
mod tests;
