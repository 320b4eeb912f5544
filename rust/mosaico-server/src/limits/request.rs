//! The request of a call: each message is counted before it is received, and has to arrive in time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame};
use mosaico_engine::state::limits::Receipt;
use mosaico_types::ErrorCode;
use mosaico_wire::status::status;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::account::Account;

/// Flag and length before each message of gRPC.
const HEAD: usize = 5;

/// Messages up to this size take no permits: the number of calls bounds them.
const FREE: usize = 4 << 10;

/// Smaller parts are copied together: each would keep a whole buffer of its connection alive.
const SMALL_PART: usize = 4 << 10;

/// A message that others wait for has to arrive at this rate, after its first period.
const FULL_RATE: usize = 128 << 10;

/// What each period of an unfinished message has to bring at least.
const LEAST: usize = 256 << 10;

/// Unfinished messages that wait for permits at most; the connection buffers their first bytes meanwhile.
const WAITING: usize = 256;

/// A budget for the bytes of messages.
#[derive(Debug)]
pub(super) struct Budget {
    permits: Arc<Semaphore>,
    /// All permits.
    size: usize,
    waiting: AtomicUsize,
    /// The setting that its user may raise.
    option: &'static str,
}

impl Budget {
    pub(super) fn new(size: usize, option: &'static str) -> Arc<Self> {
        let size = size.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Arc::new(Self { permits: Arc::new(Semaphore::new(size)), size, waiting: AtomicUsize::new(0), option })
    }

    /// Permits for a message of `bytes`; one that is larger than the budget takes all of it.
    fn cost(&self, bytes: usize, share: usize) -> u32 {
        u32::try_from(bytes.min(self.size).min(share)).unwrap_or(u32::MAX)
    }

    /// Waits for permits.
    async fn take(self: Arc<Self>, bytes: usize, payers: Payers) -> Receipt {
        let mut receipt = Receipt::new();
        // The address, the caller, the server: always in this order, so that no two messages wait for each other.
        let accounts = payers.0.lock().clone();
        for account in accounts {
            let permits = Arc::clone(&account.bytes);
            receipt.extend(permits.acquire_many_owned(self.cost(bytes, account.quota.bytes)).await.ok());
        }
        let permits = Arc::clone(&self.permits);
        receipt.extend(permits.acquire_many_owned(self.cost(bytes, usize::MAX)).await.ok());
        receipt
    }

    /// Permits for `bytes` that a received message needs in addition to its own.
    pub(super) async fn more(self: Arc<Self>, bytes: usize) -> Receipt {
        self.take(bytes, Payers::default()).await
    }
}

/// The permits of messages that were passed on, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receipts(Arc<Mutex<VecDeque<Receipt>>>);

impl Receipts {
    /// Those of the next message.
    pub(crate) fn next(&self) -> Receipt {
        self.0.lock().pop_front().unwrap_or_default()
    }
}

/// The accounts that pay for the bytes of a call. Also an extension of its request: the caller is known later than
/// its address, and before the first message is received.
#[derive(Debug, Clone, Default)]
pub(super) struct Payers(Arc<Mutex<Vec<Arc<Account>>>>);

impl Payers {
    pub(super) fn add(&self, account: &Arc<Account>) {
        self.0.lock().push(Arc::clone(account));
    }
}

/// What applies to the messages of one call.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Largest message, and what it may have in addition to what the limit is about.
    pub(super) limit: usize,
    pub(super) envelope: usize,
    pub(super) budget: Arc<Budget>,
    /// The accounts that pay for the bytes.
    pub(super) payers: Payers,
    pub(super) timeout: Duration,
    /// Whether the caller may pause between two messages for as long as it wants.
    pub(super) streams: bool,
}

/// Counts one of those that wait for permits.
struct Waiting(Arc<Budget>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose messages are counted. A message is passed on once it is complete.
pub(super) struct Request {
    inner: Body,
    rules: Rules,
    receipts: Receipts,
    /// Received bytes that were not looked at yet.
    coming: Bytes,
    head: [u8; HEAD],
    head_len: usize,
    /// Length of the unfinished message, and its bytes that are missing.
    len: usize,
    missing: usize,
    parts: VecDeque<Bytes>,
    small: BytesMut,
    permits: Option<BoxFuture<'static, Receipt>>,
    receipt: Receipt,
    /// Parts of complete messages.
    ready: VecDeque<Bytes>,
    /// Whether a message came.
    begun: bool,
    over: bool,
    clock: Option<Pin<Box<Sleep>>>,
    /// When the unfinished message began, and its missing bytes when this period began.
    since: Instant,
    missing_before: usize,
}

impl Request {
    pub(super) fn new(inner: Body, rules: Rules, receipts: Receipts) -> Self {
        Self {
            inner,
            rules,
            receipts,
            coming: Bytes::new(),
            head: [0; HEAD],
            head_len: 0,
            len: 0,
            missing: 0,
            parts: VecDeque::new(),
            small: BytesMut::new(),
            permits: None,
            receipt: Receipt::new(),
            ready: VecDeque::new(),
            begun: false,
            over: false,
            clock: None,
            since: Instant::now(),
            missing_before: 0,
        }
    }

    /// Looks at received bytes, up to the end of a message or to where permits are needed.
    fn look(&mut self) -> Result<(), Status> {
        if self.head_len < HEAD {
            let count = self.coming.len().min(HEAD - self.head_len);
            self.coming.copy_to_slice(&mut self.head[self.head_len..self.head_len + count]);
            self.head_len += count;
            if self.head_len == HEAD {
                self.announced()?;
            }
        }
        let count = self.missing.min(self.coming.len());
        if self.permits.is_none() && count > 0 {
            let part = self.coming.split_to(count);
            self.missing -= count;
            if part.len() < SMALL_PART {
                self.small.extend_from_slice(&part);
            } else {
                self.join_small();
                self.parts.push_back(part);
            }
        }
        if self.head_len == HEAD && self.missing == 0 && self.permits.is_none() {
            self.complete()?;
        }
        Ok(())
    }

    fn announced(&mut self) -> Result<(), Status> {
        let [flag, length @ ..] = self.head;
        if flag > 1 {
            return Err(Status::internal("protocol error: invalid compression flag"));
        }
        self.len = u32::from_be_bytes(length) as usize;
        let (len, limit) = (self.len, self.rules.limit);
        if len > limit.saturating_add(self.rules.envelope) {
            let text = format!(
                "a message of {len} bytes is larger than the limit of {limit} bytes; send less at once"
            );
            return Err(status(ErrorCode::TooLarge, text));
        }
        (self.missing, self.missing_before) = (self.len, self.len);
        (self.clock, self.since) = (None, Instant::now());
        if self.len > FREE {
            let budget = &self.rules.budget;
            let waiting = Waiting(Arc::clone(budget));
            if budget.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
                let option = budget.option;
                let text =
                    format!("the server receives as much as it has memory for ({option}); try again in 1 s");
                return Err(status(ErrorCode::Unavailable, text));
            }
            let permits = Arc::clone(budget).take(self.len, self.rules.payers.clone());
            let permits = async move {
                let receipt = permits.await;
                drop(waiting);
                receipt
            };
            self.permits = Some(permits.boxed());
        }
        Ok(())
    }

    fn join_small(&mut self) {
        if !self.small.is_empty() {
            self.parts.push_back(std::mem::take(&mut self.small).freeze());
        }
    }

    fn complete(&mut self) -> Result<(), Status> {
        self.join_small();
        // The decoder allocates the whole message and cannot report that this failed.
        if Vec::<u8>::new().try_reserve_exact(self.len).is_err() {
            let text =
                format!("the server has no memory for a message of {} bytes; try again later", self.len);
            return Err(status(ErrorCode::Unavailable, text));
        }
        self.ready.push_back(Bytes::copy_from_slice(&self.head));
        self.ready.append(&mut self.parts);
        self.receipts.0.lock().push_back(std::mem::take(&mut self.receipt));
        (self.head_len, self.clock, self.begun) = (0, None, true);
        Ok(())
    }

    fn is_unfinished(&self) -> bool {
        self.head_len > 0
    }

    /// Whether the call made progress in time; waits for its next part.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if self.begun && self.rules.streams && !self.is_unfinished() {
            return Poll::Pending;
        }
        let timeout = self.rules.timeout;
        loop {
            let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            ready!(clock.as_mut().poll(context));
            let (arrived, missing, len) = (self.missing_before - self.missing, self.missing, self.len);
            let seconds = self.since.elapsed().as_secs();
            let slow = arrived < LEAST.min(self.missing_before.max(1));
            let allowed = timeout + Duration::from_secs((len / FULL_RATE) as u64);
            let wanted = self.rules.budget.waiting.load(Ordering::Relaxed) > 0;
            if slow || !self.is_unfinished() || (wanted && self.since.elapsed() > allowed) {
                let text = match self.is_unfinished() {
                    true => format!(
                        "{missing} of the {len} bytes of a message are missing after {seconds} s; send them faster, send \
                         smaller messages, or raise --message-timeout"
                    ),
                    false => format!(
                        "the call sent no message, or did not end, within {} s; send it, or raise --message-timeout",
                        timeout.as_secs_f64()
                    ),
                };
                return Poll::Ready(status(ErrorCode::Deadline, text));
            }
            (self.missing_before, self.clock) = (missing, None);
        }
    }
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let ended = loop {
            if let Some(part) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            if this.over {
                return Poll::Ready(None);
            }
            if let Some(permits) = &mut this.permits {
                this.receipt = ready!(permits.as_mut().poll(context));
                (this.permits, this.since) = (None, Instant::now());
            }
            if !this.coming.is_empty() || (this.is_unfinished() && this.head_len == HEAD && this.missing == 0)
            {
                match this.look() {
                    Ok(()) => continue,
                    Err(status) => break Err(status),
                }
            }
            match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Pending => break Err(ready!(this.poll_clock(context))),
                Poll::Ready(Some(Err(status))) => break Err(status),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.coming = data,
                    Err(trailers) if !this.is_unfinished() => return Poll::Ready(Some(Ok(trailers))),
                    Err(_) => break Err(cut()),
                },
                Poll::Ready(None) if this.is_unfinished() => break Err(cut()),
                Poll::Ready(None) => break Ok(()),
            }
        };
        // Nothing more is read: releases what an unfinished message holds.
        this.over = true;
        this.parts.clear();
        (this.small, this.receipt, this.permits) = (BytesMut::new(), Receipt::new(), None);
        this.coming = Bytes::new();
        Poll::Ready(ended.err().map(Err))
    }
}

/// The text is that of the library for the same case.
fn cut() -> Status {
    Status::internal("Unexpected EOF decoding stream.")
}
