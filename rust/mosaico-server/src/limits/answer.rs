//! The answer of a call: ends it if its peer leaves it unread, and releases what it holds.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mosaico_types::ErrorCode;
use mosaico_wire::status::status;
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use crate::connections::Connection;

/// An answer that is not unread.
const READ: u64 = 0;

/// An answer in progress.
#[derive(Debug)]
struct Answer {
    /// `None`: ended, its peer left it unread.
    body: Mutex<Option<Body>>,
    /// When a part of it was handed out that its peer has not taken yet, in milliseconds; or [`READ`].
    unread_since: AtomicU64,
    connection: Option<Arc<Connection>>,
}

/// All answers in progress.
#[derive(Debug)]
pub(super) struct Answers {
    open: Mutex<(u64, HashMap<u64, Weak<Answer>>)>,
    begun: Instant,
}

impl Answers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), begun: Instant::now() })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Watches `body`, if it comes from a `connection`; `held` is released with it.
    pub(super) fn watch<T: Send + 'static>(
        self: &Arc<Self>,
        body: Body,
        connection: Option<Arc<Connection>>,
        held: T,
    ) -> Watched<T> {
        let watched = connection.is_some();
        let answer =
            Arc::new(Answer { body: Mutex::new(Some(body)), unread_since: AtomicU64::new(READ), connection });
        let (next, open) = &mut *self.open.lock();
        *next += 1;
        if watched {
            open.insert(*next, Arc::downgrade(&answer));
        }
        Watched { id: *next, answer, all: Arc::clone(self), ended: false, _held: held }
    }

    /// Ends answers that were left unread for longer than `limit`; and the connections of those that were ended
    /// that long ago and are still not collected. Returns the number of ended answers.
    pub(super) fn end_unread(&self, limit: Duration) -> usize {
        let now = self.now();
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let open: Vec<_> = self.open.lock().1.values().filter_map(Weak::upgrade).collect();
        let late = open.into_iter().filter(|answer| {
            let since = answer.unread_since.load(Ordering::Relaxed);
            since != READ && now.saturating_sub(since) >= limit
        });
        let mut ended = 0;
        for answer in late {
            let body = answer.body.lock().take();
            match (body, &answer.connection) {
                (Some(body), _) => {
                    drop(body);
                    answer.unread_since.store(now, Ordering::Relaxed);
                    ended += 1;
                }
                (None, Some(connection)) => connection.end(),
                (None, None) => {}
            }
        }
        ended
    }
}

/// A watched body.
pub(super) struct Watched<T> {
    id: u64,
    answer: Arc<Answer>,
    all: Arc<Answers>,
    ended: bool,
    _held: T,
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.all.open.lock().1.remove(&self.id);
    }
}

impl<T: Unpin> HttpBody for Watched<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let mut body = this.answer.body.lock();
        let Some(body) = &mut *body else {
            if std::mem::replace(&mut this.ended, true) {
                return Poll::Ready(None);
            }
            let text = "the answer was left unread for too long, so the server ended it; read it again, and read \
                        without long pauses, or raise --read-timeout";
            let mut trailers = HeaderMap::new();
            let added = status(ErrorCode::Deadline, text).add_header(&mut trailers);
            return Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))));
        };
        let polled = Pin::new(body).poll_frame(context);
        let since = match &polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => this.all.now(),
            _ => READ,
        };
        this.answer.unread_since.store(since, Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.answer.body.lock().as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.body.lock().as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body::Frame;
    use mosaico_wire::status::ERROR_HEADER;
    use tonic::Code;

    use super::*;

    /// A body that yields its parts.
    struct Parts(stream::BoxStream<'static, Bytes>);

    impl HttpBody for Parts {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_next_unpin(context).map(|part| part.map(|part| Ok(Frame::data(part))))
        }
    }

    async fn next(watched: &mut Watched<()>) -> Option<Result<Frame<Bytes>, Status>> {
        std::future::poll_fn(|context| Pin::new(&mut *watched).poll_frame(context)).await
    }

    #[tokio::test]
    async fn an_answer_that_is_left_unread_ends_with_a_status() {
        let answers = Answers::new();
        let part = || Bytes::from_static(b"part");
        let body = Body::new(Parts(stream::repeat_with(part).boxed()));
        let mut watched = answers.watch(body, None, ());
        answers.open.lock().1.insert(watched.id, Arc::downgrade(&watched.answer));
        assert_eq!(answers.end_unread(Duration::ZERO), 0, "nothing was handed out");
        assert!(next(&mut watched).await.unwrap().unwrap().is_data());
        assert_eq!(answers.end_unread(Duration::from_secs(60)), 0, "it is not late");
        assert_eq!(answers.end_unread(Duration::ZERO), 1);
        assert!(watched.answer.body.lock().is_none(), "its memory is free");
        let trailers = next(&mut watched).await.unwrap().unwrap().into_trailers().ok().unwrap();
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(trailers.get(ERROR_HEADER).unwrap(), "timed_out");
        assert!(next(&mut watched).await.is_none());
        drop(watched);
        assert!(answers.open.lock().1.is_empty());
    }
}
